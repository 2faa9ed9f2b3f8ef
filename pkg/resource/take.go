package resource

import (
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Request is what something needs, whatever it is reserved for.
type Request struct {
	CPUs, Mem, Disk, GPUs Milli
	Ports                 []uint64
}

// Shortage is the error of a request that cannot be met. It names the first
// resource that does not suffice.
type Shortage struct {
	Name       string
	Want, Have Milli
	// Port is the port that is not there, when it was asked for by number.
	Port uint64
}

func (s *Shortage) Error() string {
	if s.Port != 0 {
		return fmt.Sprintf("port %d is not available", s.Port)
	}
	return fmt.Sprintf("not enough %s: %s wanted, %s available", s.Name, s.Want, s.Have)
}

// Take finds what each of several requests needs, and returns it as messages that
// go into a TaskInfo or ExecutorInfo, and what is left. Reserved resources are taken
// before unreserved ones; revocable and shared ones, volumes and disks of a source of
// their own are never taken. The error is a *Shortage, and nothing is taken then.
func (r Resources) Take(requests ...Request) ([][]mesos.Resource, Resources, error) {
	t := taking{rest: slices.Clone(r.items)}
	all := make([][]mesos.Resource, len(requests))
	for i := range requests {
		if err := t.take(&requests[i]); err != nil {
			return nil, r, err
		}
		all[i] = t.taken
	}
	return all, Resources{slices.DeleteFunc(t.rest, func(it item) bool { return it.empty() })}, nil
}

// taking is what is left while requests are met, and what the one at hand has got.
type taking struct {
	rest  []item
	taken []mesos.Resource
	below []belowResource
}

func (t *taking) take(q *Request) error {
	wants := [...]struct {
		name   string
		amount Milli
	}{{"cpus", q.CPUs}, {"mem", q.Mem}, {"disk", q.Disk}, {"gpus", q.GPUs}}
	messages := min(1, len(q.Ports)) // if none is of two kinds
	for _, want := range wants {
		if want.amount > 0 {
			messages++
		}
	}
	t.taken, t.below = make([]mesos.Resource, 0, messages), make([]belowResource, 0, messages)
	for _, want := range wants {
		if missing := t.scalar(want.name, want.amount); missing > 0 {
			return &Shortage{Name: want.name, Want: want.amount, Have: want.amount - missing}
		}
	}
	if missing := t.ports(q.Ports); len(missing) > 0 {
		return &Shortage{Name: "ports", Port: missing[0]}
	}
	return nil
}

// add notes that so much of an item's kind was taken.
func (t *taking) add(it *item) {
	t.below = append(t.below, belowResource{})
	t.taken = append(t.taken, it.toMesos(&t.below[len(t.below)-1]))
}

// scalar takes up to an amount, and returns how much is missing.
func (t *taking) scalar(name string, amount Milli) Milli {
	for _, reserved := range [...]bool{true, false} {
		for i := range t.rest {
			it := &t.rest[i]
			if amount <= 0 {
				return 0
			}
			if !it.usable(name, scalarValue, reserved) {
				continue
			}
			part := *it
			part.scalar = min(amount, it.scalar)
			if part.scalar <= 0 {
				continue
			}
			t.add(&part)
			it.scalar -= part.scalar
			amount -= part.scalar
		}
	}
	return max(amount, 0)
}

// ports takes ports, and returns those that are missing.
func (t *taking) ports(missing []uint64) []uint64 {
	for _, reserved := range [...]bool{true, false} {
		for i := range t.rest {
			it := &t.rest[i]
			if len(missing) == 0 {
				return nil
			}
			if !it.usable("ports", rangesValue, reserved) {
				continue
			}
			var found []Range
			var still []uint64
			for _, port := range missing {
				one := Ranges{{port, port}}
				if !it.ranges.Contains(one) {
					still = append(still, port)
					continue
				}
				it.ranges = it.ranges.without(one)
				found = append(found, one[0])
			}
			if len(found) > 0 {
				part := *it
				part.ranges = coalesce(found)
				t.add(&part)
			}
			missing = still
		}
	}
	return missing
}

// usable tells whether Take may touch the item, in the pass over what is
// reserved or in that over what is not.
func (it *item) usable(name string, typ valueType, reserved bool) bool {
	return it.typ == typ && it.name == name && it.traits.plainButReserved() &&
		(it.traits.reservedFor() != AnyRole) == reserved
}
