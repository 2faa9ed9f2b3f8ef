package match

import (
	"slices"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// PortNeed is the ports that a group wants: certain ones, and how many more of
// any.
type PortNeed struct {
	Fixed []uint64
	Any   int
}

func (n *PortNeed) none() bool { return len(n.Fixed) == 0 && n.Any == 0 }

// within reports whether the ports are there.
func (n *PortNeed) within(ports resource.Ranges) bool {
	if n.none() {
		return true
	}
	if ports.Len() < uint64(len(n.Fixed)+n.Any) {
		return false
	}
	for _, p := range n.Fixed {
		if !contains(ports, p) {
			return false
		}
	}
	return true
}

func contains(ports resource.Ranges, p uint64) bool {
	for _, r := range ports {
		if r.Begin <= p && p <= r.End {
			return true
		}
	}
	return false
}

// take returns the ports chosen, the fixed ones first and then the lowest that
// are free, and what is left. The ports must be there.
func (n *PortNeed) take(ports resource.Ranges) (chosen []uint64, rest resource.Ranges) {
	if n.none() {
		return nil, ports
	}
	chosen = make([]uint64, 0, len(n.Fixed)+n.Any)
	for _, p := range n.Fixed {
		chosen = append(chosen, p)
		ports = without(ports, p)
	}
	rest = append(make(resource.Ranges, 0, len(ports)), ports...)
	for range n.Any {
		chosen = append(chosen, rest[0].Begin)
		if rest[0].Begin == rest[0].End {
			rest = rest[1:]
		} else {
			rest[0].Begin++
		}
	}
	return chosen, rest
}

func without(ports resource.Ranges, p uint64) resource.Ranges {
	rest := make(resource.Ranges, 0, len(ports)+1)
	for _, r := range ports {
		if p < r.Begin || p > r.End {
			rest = append(rest, r)
			continue
		}
		if r.Begin < p {
			rest = append(rest, resource.Range{Begin: r.Begin, End: p - 1})
		}
		if p < r.End {
			rest = append(rest, resource.Range{Begin: p + 1, End: r.End})
		}
	}
	return rest
}

// insert adds a range that overlaps none of the others. Ranges that touch stay
// apart, which does no harm here.
func insert(ports resource.Ranges, r resource.Range) resource.Ranges {
	at := len(ports)
	for at > 0 && ports[at-1].Begin > r.Begin {
		at--
	}
	return slices.Insert(ports, at, r)
}
