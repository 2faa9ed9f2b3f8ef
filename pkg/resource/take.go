package resource

import (
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Request is what something needs, whatever it is reserved for.
type Request struct {
	CPUs, Mem, Disk, GPUs Milli
	// Ports are those that it must have; AnyPorts is how many more it wants.
	Ports    []uint64
	AnyPorts int
}

// Add returns the sum of two requests.
func (q Request) Add(other Request) Request {
	return Request{
		CPUs: q.CPUs + other.CPUs, Mem: q.Mem + other.Mem, Disk: q.Disk + other.Disk, GPUs: q.GPUs + other.GPUs,
		Ports:    slices.Concat(q.Ports, other.Ports),
		AnyPorts: q.AnyPorts + other.AnyPorts,
	}
}

// Taken is what was found for a request.
type Taken struct {
	// Resources are the concrete ones, to be put into a TaskInfo.
	Resources []mesos.Resource
	// Ports are the ports taken: first those asked for by number, then the
	// others, ascending.
	Ports []uint64
	// Rest is what is left.
	Rest Resources
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

// Take finds what a request needs. Reserved resources are taken before
// unreserved ones; revocable and shared ones, volumes and disks of a source of
// their own are never taken. The error is a *Shortage, and nothing is taken
// then.
func (r Resources) Take(q Request) (Taken, error) {
	rest := slices.Clone(r.items)
	var room [6]item // enough for most, so that what is taken is made once, as messages
	taken := room[:0]
	for _, want := range [...]struct {
		name   string
		amount Milli
	}{{"cpus", q.CPUs}, {"mem", q.Mem}, {"disk", q.Disk}, {"gpus", q.GPUs}} {
		var missing Milli
		if taken, missing = takeScalar(rest, taken, want.name, want.amount); missing > 0 {
			return Taken{}, &Shortage{Name: want.name, Want: want.amount, Have: want.amount - missing}
		}
	}
	taken, ports, err := takePorts(rest, taken, q)
	if err != nil {
		return Taken{}, err
	}
	rest = slices.DeleteFunc(rest, func(it item) bool { return it.empty() })
	return Taken{Resources: Resources{taken}.ToMesos(), Ports: ports, Rest: Resources{rest}}, nil
}

// usable tells whether Take may touch the item, in the pass over what is
// reserved or in that over what is not.
func (it *item) usable(name string, typ valueType, reserved bool) bool {
	return it.name == name && it.typ == typ && it.traits.plainButReserved() &&
		(it.traits.reservedFor() != AnyRole) == reserved
}

// takeScalar moves up to an amount from rest to taken, and also returns how much
// is missing. So do the others below.
func takeScalar(rest, taken []item, name string, amount Milli) ([]item, Milli) {
	for _, reserved := range [...]bool{true, false} {
		for i := range rest {
			if amount <= 0 {
				return taken, 0
			}
			if !rest[i].usable(name, scalarValue, reserved) {
				continue
			}
			part := min(amount, rest[i].scalar)
			if part <= 0 {
				continue
			}
			it := rest[i]
			it.scalar = part
			taken = appendItem(taken, it)
			rest[i].scalar -= part
			amount -= part
		}
	}
	return taken, max(amount, 0)
}

func takePorts(rest, taken []item, q Request) ([]item, []uint64, error) {
	if len(q.Ports) == 0 && q.AnyPorts <= 0 {
		return taken, nil, nil
	}
	ports := make([]uint64, 0, len(q.Ports)+q.AnyPorts)
	for _, port := range q.Ports {
		var found bool
		if taken, found = takePort(rest, taken, port); !found {
			return nil, nil, &Shortage{Name: "ports", Port: port}
		}
		ports = append(ports, port)
	}
	wanted := uint64(max(q.AnyPorts, 0))
	for _, reserved := range [...]bool{true, false} {
		for i := range rest {
			if !rest[i].usable("ports", rangesValue, reserved) {
				continue
			}
			some := rest[i].ranges.first(wanted)
			if len(some) == 0 {
				continue
			}
			wanted -= some.Len()
			for _, r := range some {
				for port := r.Begin; ; port++ {
					if ports = append(ports, port); port == r.End {
						break
					}
				}
			}
			taken = moveRanges(&rest[i], taken, some)
		}
	}
	if wanted > 0 {
		want := Whole(int64(q.AnyPorts))
		return nil, nil, &Shortage{Name: "ports", Want: want, Have: want - Whole(int64(wanted))}
	}
	slices.Sort(ports[len(q.Ports):])
	return taken, ports, nil
}

func takePort(rest, taken []item, port uint64) ([]item, bool) {
	one := Ranges{{port, port}}
	for _, reserved := range [...]bool{true, false} {
		for i := range rest {
			if rest[i].usable("ports", rangesValue, reserved) && rest[i].ranges.Contains(one) {
				return moveRanges(&rest[i], taken, one), true
			}
		}
	}
	return taken, false
}

func moveRanges(from *item, taken []item, some Ranges) []item {
	it := *from
	it.ranges = some
	from.ranges = from.ranges.without(some)
	return appendItem(taken, it)
}

// first returns the n lowest numbers, or all if there are fewer.
func (rs Ranges) first(n uint64) Ranges {
	var out Ranges
	for _, r := range rs {
		if n == 0 {
			break
		}
		// The length of the whole range of numbers would overflow.
		if last := r.End - r.Begin; last >= n {
			r.End = r.Begin + n - 1
			n = 0
		} else {
			n -= last + 1
		}
		out = append(out, r)
	}
	return out
}
