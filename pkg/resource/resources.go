package resource

import (
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Resources is an amount of resources of several kinds.
type Resources struct {
	items []item // never empty ones, and of one kind only once
}

// valueType is the type of a resource's value.
type valueType byte

const (
	scalarValue valueType = iota
	rangesValue
	setValue
)

// item is an amount of one kind.
type item struct {
	name string
	typ  valueType
	// allocation is to a role, or nil. It never changes.
	allocation *mesos.Resource_AllocationInfo
	traits     *traits
	scalar     Milli
	ranges     Ranges
	set        []string // sorted
	count      int      // of a shared volume: how many uses
}

// role is the role allocated to; empty when not allocated.
func (it *item) role() string { return it.allocation.GetRole() }

func (it *item) allocatedAs(other *item) bool {
	return it.allocation == other.allocation || it.role() == other.role()
}

func (it *item) sameKind(other *item) bool {
	return it.name == other.name && it.typ == other.typ && it.allocatedAs(other) && it.traits.equal(other.traits)
}

// joins tells whether the other can be added to the item.
func (it *item) joins(other *item) bool {
	if !it.sameKind(other) {
		return false
	}
	switch {
	case it.traits.shared():
		return it.sameAmount(other)
	case it.traits.whole():
		return false
	}
	return true
}

// holds tells whether the other can be subtracted from the item.
func (it *item) holds(other *item) bool {
	if !it.sameKind(other) {
		return false
	}
	if it.traits.whole() {
		return it.sameAmount(other) && it.count >= other.count
	}
	switch it.typ {
	case scalarValue:
		return it.scalar >= other.scalar
	case rangesValue:
		return it.ranges.Contains(other.ranges)
	default:
		for _, s := range other.set {
			if _, found := slices.BinarySearch(it.set, s); !found {
				return false
			}
		}
		return true
	}
}

func (it *item) sameAmount(other *item) bool {
	return it.scalar == other.scalar && slices.Equal(it.ranges, other.ranges) && slices.Equal(it.set, other.set)
}

func (it *item) add(other *item) {
	switch {
	case it.traits.shared():
		it.count += other.count
	case it.typ == scalarValue:
		it.scalar += other.scalar
	case it.typ == rangesValue:
		it.ranges = it.ranges.union(other.ranges)
	default:
		set := slices.Concat(it.set, other.set)
		slices.Sort(set)
		it.set = slices.Compact(set)
	}
}

// subtract takes away what the item holds.
func (it *item) subtract(other *item) {
	switch {
	case it.traits.shared():
		it.count -= other.count
	case it.typ == scalarValue:
		it.scalar -= other.scalar
	case it.typ == rangesValue:
		it.ranges = it.ranges.without(other.ranges)
	default:
		it.set = slices.DeleteFunc(slices.Clone(it.set), func(s string) bool {
			_, found := slices.BinarySearch(other.set, s)
			return found
		})
	}
}

func (it *item) empty() bool {
	if it.traits.shared() {
		return it.count <= 0
	}
	switch it.typ {
	case scalarValue:
		return it.scalar == 0
	case rangesValue:
		return len(it.ranges) == 0
	default:
		return len(it.set) == 0
	}
}

// Empty tells whether there is nothing.
func (r Resources) Empty() bool { return len(r.items) == 0 }

// Add returns the sum.
func (r Resources) Add(other Resources) Resources {
	switch {
	case len(other.items) == 0:
		return r
	case len(r.items) == 0:
		return other
	}
	sum := make([]item, len(r.items), len(r.items)+len(other.items))
	copy(sum, r.items)
	for i := range other.items {
		sum = appendItem(sum, other.items[i])
	}
	return Resources{sum}
}

// Sum adds many up in place, where Add makes a copy for each. The zero value is
// nothing.
type Sum struct{ items []item }

// Add adds an amount.
func (s *Sum) Add(other Resources) {
	for i := range other.items {
		s.items = appendItem(s.items, other.items[i])
	}
}

// Total returns what the sum has come to, as it is until the next Add.
func (s *Sum) Total() Resources { return Resources{slices.Clone(s.items)} }

// appendItem adds an item to a list that the caller owns.
func appendItem(items []item, it item) []item {
	if it.empty() {
		return items
	}
	for i := range items {
		if items[i].joins(&it) {
			items[i].add(&it)
			return items
		}
	}
	return append(items, it)
}

// Subtract returns what is left. It is an error, which names the first resource
// that is not there, to subtract what is not contained.
func (r Resources) Subtract(other Resources) (Resources, error) {
	if len(other.items) == 0 {
		return r, nil
	}
	rest := slices.Clone(r.items)
	for i := range other.items {
		var ok bool
		if rest, ok = takeItem(rest, &other.items[i]); !ok {
			return Resources{}, fmt.Errorf("cannot take %s from %s", other.items[i].String(), r)
		}
	}
	return Resources{rest}, nil
}

// Beyond returns what is left when the other is taken away as far as it is
// there.
func (r Resources) Beyond(other Resources) Resources {
	rest := slices.Clone(r.items)
	for i := range other.items {
		it := other.items[i]
		for j := range rest {
			if !rest[j].sameKind(&it) || rest[j].traits.whole() && !rest[j].sameAmount(&it) {
				continue
			}
			if rest[j].traits.whole() && !rest[j].traits.shared() {
				rest[j] = item{}
			} else {
				it.scalar, it.count = min(it.scalar, rest[j].scalar), min(it.count, rest[j].count)
				rest[j].subtract(&it)
			}
			break
		}
		rest = withoutEmpty(rest)
	}
	return Resources{rest}
}

// withoutEmpty drops empty items from a list that the caller owns. With
// slices.DeleteFunc, which copies every item to ask for it, Take takes a fifth more.
func withoutEmpty(items []item) []item {
	kept := 0
	for i := range items {
		if items[i].empty() {
			continue
		}
		if kept < i {
			items[kept] = items[i]
		}
		kept++
	}
	clear(items[kept:])
	return items[:kept]
}

// takeItem subtracts an item from a list that the caller owns.
func takeItem(items []item, it *item) ([]item, bool) {
	for i := range items {
		if !items[i].holds(it) {
			continue
		}
		if items[i].traits.whole() && !items[i].traits.shared() {
			items[i] = item{}
		} else {
			items[i].subtract(it)
		}
		if items[i].empty() {
			last := len(items) - 1
			items[i] = items[last]
			items = items[:last]
		}
		return items, true
	}
	return items, false
}

// Contains tells whether the other can be subtracted.
func (r Resources) Contains(other Resources) bool {
	if len(other.items) > len(r.items) {
		return false
	}
	if len(other.items) == 1 {
		for i := range r.items {
			if r.items[i].holds(&other.items[0]) {
				return true
			}
		}
		return false
	}
	_, err := r.Subtract(other)
	return err == nil
}

// Equal tells whether both are the same amounts of the same kinds.
func (r Resources) Equal(other Resources) bool {
	return len(r.items) == len(other.items) && r.Contains(other) && other.Contains(r)
}

// Scalar returns the total of the scalars of a name, of whatever kind.
func (r Resources) Scalar(name string) Milli {
	var sum Milli
	for i := range r.items {
		if it := &r.items[i]; it.typ == scalarValue && it.name == name {
			sum += it.scalar
		}
	}
	return sum
}

// Ranges returns all ranges of a name, of whatever kind.
func (r Resources) Ranges(name string) Ranges {
	var all Ranges
	for i := range r.items {
		if it := &r.items[i]; it.typ == rangesValue && it.name == name {
			all = all.union(it.ranges)
		}
	}
	return all
}

// Set returns the items of all sets of a name, sorted.
func (r Resources) Set(name string) []string {
	var all []string
	for i := range r.items {
		if it := &r.items[i]; it.typ == setValue && it.name == name {
			all = append(all, it.set...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Count returns how many numbers of ranges and members of sets there are.
func (r Resources) Count() uint64 {
	var n uint64
	for i := range r.items {
		n += r.items[i].ranges.Len() + uint64(len(r.items[i].set))
	}
	return n
}

// Scalars returns the scalar resources.
func (r Resources) Scalars() Resources {
	return r.filter(func(it *item) bool { return it.typ == scalarValue })
}

// Discrete returns the ranges and sets.
func (r Resources) Discrete() Resources {
	return r.filter(func(it *item) bool { return it.typ != scalarValue })
}

// Names returns the names that occur, each once, in order of appearance.
func (r Resources) Names() []string {
	var names []string
	for i := range r.items {
		if !slices.Contains(names, r.items[i].name) {
			names = append(names, r.items[i].name)
		}
	}
	return names
}

// Allocate returns the same resources allocated to a role.
func (r Resources) Allocate(role string) Resources {
	if r.allocatedOnlyTo(role) {
		return r
	}
	var allocation *mesos.Resource_AllocationInfo
	if role != "" {
		allocation = &mesos.Resource_AllocationInfo{Role: &role}
	}
	items := make([]item, 0, len(r.items))
	for _, it := range r.items {
		it.allocation = allocation
		items = appendItem(items, it)
	}
	return Resources{items}
}

// Unallocate returns the same resources allocated to nobody.
func (r Resources) Unallocate() Resources { return r.Allocate("") }

func (r Resources) allocatedOnlyTo(role string) bool {
	for i := range r.items {
		if r.items[i].role() != role {
			return false
		}
	}
	return true
}

// Roles returns the roles that the resources are allocated to, each once; what
// is not allocated counts as the empty role.
func (r Resources) Roles() []string {
	var roles []string
	for i := range r.items {
		if !slices.Contains(roles, r.items[i].role()) {
			roles = append(roles, r.items[i].role())
		}
	}
	return roles
}

func (r Resources) filter(keep func(*item) bool) Resources {
	n := 0
	for i := range r.items {
		if keep(&r.items[i]) {
			n++
		}
	}
	if n == len(r.items) {
		return r
	}
	items := make([]item, 0, n)
	for i := range r.items {
		if keep(&r.items[i]) {
			items = append(items, r.items[i])
		}
	}
	return Resources{items}
}

// Unreserved returns what is reserved for nobody.
func (r Resources) Unreserved() Resources {
	return r.filter(func(it *item) bool { return it.traits.reservedFor() == AnyRole })
}

// ReservedFor returns what is reserved for exactly this role.
func (r Resources) ReservedFor(role string) Resources {
	return r.filter(func(it *item) bool { return it.traits.reservedFor() == role && role != AnyRole })
}

// AllocatableTo returns what may be allocated to a role: what is unreserved, or
// reserved for the role or one above it.
func (r Resources) AllocatableTo(role string) Resources {
	return r.filter(func(it *item) bool {
		reserved := it.traits.reservedFor()
		return reserved == AnyRole || reserved == role || IsSubrole(role, reserved)
	})
}

// Reservations returns the roles that something is reserved for, each once.
func (r Resources) Reservations() []string {
	var roles []string
	for i := range r.items {
		if role := r.items[i].traits.reservedFor(); role != AnyRole && !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	return roles
}

// AllocatedTo returns what is allocated to a role.
func (r Resources) AllocatedTo(role string) Resources {
	return r.filter(func(it *item) bool { return it.role() == role })
}

// Revocable returns what may be taken back at any time.
func (r Resources) Revocable() Resources {
	return r.filter(func(it *item) bool { return it.traits != nil && it.traits.revocable })
}

// Shared returns the shared volumes.
func (r Resources) Shared() Resources {
	return r.filter(func(it *item) bool { return it.traits.shared() })
}

// Refined returns what has more than one reservation, one upon the other.
func (r Resources) Refined() Resources {
	return r.filter(func(it *item) bool { return it.traits != nil && len(it.traits.reservations) > 1 })
}

// Named returns the resources of a name.
func (r Resources) Named(name string) Resources {
	return r.filter(func(it *item) bool { return it.name == name })
}

// String prints the resources as Mesos does, or {} when there are none:
// cpus(allocated: example):7.8; ports(allocated: example):[31000-32000].
func (r Resources) String() string {
	if len(r.items) == 0 {
		return "{}"
	}
	var b strings.Builder
	for i := range r.items {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(r.items[i].String())
	}
	return b.String()
}

func (it *item) String() string {
	var b strings.Builder
	b.WriteString(it.name)
	if it.role() != "" {
		fmt.Fprintf(&b, "(allocated: %s)", it.role())
	}
	it.traits.print(&b)
	b.WriteByte(':')
	switch it.typ {
	case scalarValue:
		b.WriteString(it.scalar.String())
	case rangesValue:
		b.WriteString(it.ranges.String())
	default:
		b.WriteString("{" + strings.Join(it.set, ", ") + "}")
	}
	if it.traits.shared() {
		fmt.Fprintf(&b, "<%d>", it.count)
	}
	return b.String()
}
