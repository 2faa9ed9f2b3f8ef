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
// go into a TaskInfo or ExecutorInfo, and what is left. The messages share what is below
// their top level; treat that as read-only. Reserved resources are taken before
// unreserved ones; revocable and shared ones, volumes and disks of a source of their own
// are never taken. The error is a *Shortage, and nothing is taken then.
func (r Resources) Take(requests ...Request) ([][]mesos.Resource, Resources, error) {
	n := 0 // if nothing is of two kinds
	for i := range requests {
		n += requests[i].kinds()
	}
	t := taking{rest: slices.Clone(r.items), messages: newMessages(n)}
	all := make([][]mesos.Resource, len(requests))
	for i := range requests {
		from := len(t.list)
		if err := t.take(&requests[i]); err != nil {
			return nil, r, err
		}
		all[i] = t.list[from:len(t.list):len(t.list)]
	}
	return all, Resources{withoutEmpty(t.rest)}, nil
}

// taking is what is left while requests are met, and what they have got.
type taking struct {
	rest []item
	messages
}

// scalars are what a request needs of each.
func (q *Request) scalars() [4]struct {
	name   string
	amount Milli
} {
	return [...]struct {
		name   string
		amount Milli
	}{{"cpus", q.CPUs}, {"mem", q.Mem}, {"disk", q.Disk}, {"gpus", q.GPUs}}
}

// kinds is how many resources the request names.
func (q *Request) kinds() int {
	n := min(1, len(q.Ports))
	for _, want := range q.scalars() {
		if want.amount > 0 {
			n++
		}
	}
	return n
}

func (t *taking) take(q *Request) error {
	for _, want := range q.scalars() {
		if missing := t.scalar(want.name, want.amount); missing > 0 {
			return &Shortage{Name: want.name, Want: want.amount, Have: want.amount - missing}
		}
	}
	if missing := t.ports(q.Ports); len(missing) > 0 {
		return &Shortage{Name: "ports", Port: missing[0]}
	}
	return nil
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
