package resource

import (
	"slices"
	"strconv"
)

// Range is a range of whole numbers, both ends included.
type Range struct {
	Begin, End uint64
}

// Ranges is a set of whole numbers: ranges in ascending order that neither
// overlap nor touch.
type Ranges []Range

// Len returns how many numbers there are.
func (rs Ranges) Len() uint64 {
	var n uint64
	for _, r := range rs {
		n += r.End - r.Begin + 1
	}
	return n
}

// Contains tells whether every number of the other is in this.
func (rs Ranges) Contains(other Ranges) bool {
	i := 0
	for _, o := range other {
		for i < len(rs) && rs[i].End < o.Begin {
			i++
		}
		if i == len(rs) || rs[i].Begin > o.Begin || rs[i].End < o.End {
			return false
		}
	}
	return true
}

// String prints the ranges as Mesos does: [31000-31005, 31010-31010].
func (rs Ranges) String() string {
	out := []byte{'['}
	for i, r := range rs {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = strconv.AppendUint(out, r.Begin, 10)
		out = append(out, '-')
		out = strconv.AppendUint(out, r.End, 10)
	}
	return string(append(out, ']'))
}

// coalesce sorts ranges in place and joins those that overlap or touch.
func coalesce(rs []Range) Ranges {
	slices.SortFunc(rs, func(a, b Range) int {
		switch {
		case a.Begin < b.Begin:
			return -1
		case a.Begin > b.Begin:
			return 1
		}
		return 0
	})
	kept := rs[:0]
	for _, r := range rs {
		if n := len(kept); n > 0 && (kept[n-1].End >= r.Begin || kept[n-1].End+1 == r.Begin) {
			kept[n-1].End = max(kept[n-1].End, r.End)
			continue
		}
		kept = append(kept, r)
	}
	return Ranges(kept)
}

// union returns the numbers of either.
func (rs Ranges) union(other Ranges) Ranges {
	return coalesce(slices.Concat(rs, other))
}

// without returns the numbers of rs that are not in the other.
func (rs Ranges) without(other Ranges) Ranges {
	out := make(Ranges, 0, len(rs)+len(other))
	i := 0
	for _, r := range rs {
		for i < len(other) && other[i].End < r.Begin {
			i++
		}
		begin, gone := r.Begin, false
		for j := i; j < len(other) && other[j].Begin <= r.End; j++ {
			if other[j].Begin > begin {
				out = append(out, Range{begin, other[j].Begin - 1})
			}
			if other[j].End >= r.End {
				gone = true
				break
			}
			begin = other[j].End + 1
		}
		if !gone {
			out = append(out, Range{begin, r.End})
		}
	}
	return out
}
