package allocator

import (
	"maps"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Quota is what a role is kept for certain, and what it can have at most. An
// amount that is not named is not guaranteed, and not limited.
type Quota struct {
	Guarantees, Limits Quantities
}

// SetQuota gives a role a quota; an empty one takes it away. Roles that are part
// of another have none, as in a real master.
func (a *Allocator) SetQuota(role string, q Quota) {
	if len(q.Guarantees) == 0 && len(q.Limits) == 0 {
		delete(a.quotas, role)
		return
	}
	a.quotas[role] = q
}

// SetWeight gives a role and its parts a weight against others at their level.
// It is 1 when none was set.
func (a *Allocator) SetWeight(role string, weight float64) { a.weights[role] = weight }

func (a *Allocator) weight(role string) float64 {
	if w, ok := a.weights[role]; ok {
		return w
	}
	return 1
}

// Consumed returns what counts against the quota of a role: its reservations,
// used or not, and what of the rest is granted to it, those of its parts
// included.
func (a *Allocator) Consumed(role string) Quantities {
	consumed := Quantities{}
	for _, on := range a.agentOrder {
		for _, reserved := range on.Total.Reservations() {
			if resource.IsSubrole(reserved, role) || reserved == role {
				consumed.add(amounts(on.Total.ReservedFor(reserved)))
			}
		}
	}
	for granted, s := range a.roles {
		if granted == role || resource.IsSubrole(granted, role) {
			consumed.add(s.unreserved)
		}
	}
	return consumed
}

func (q Quantities) add(other map[string]resource.Milli) {
	for name, n := range other {
		q[name] += n
	}
}

// Contains tells whether every amount of the other is there.
func (q Quantities) Contains(other Quantities) bool {
	for name, n := range other {
		if n > q[name] {
			return false
		}
	}
	return true
}

// beyond returns what q has and the other has not, and nothing where it has as
// much.
func (q Quantities) beyond(other Quantities) Quantities {
	rest := Quantities{}
	for name, n := range q {
		if n > other[name] {
			rest[name] = n - other[name]
		}
	}
	return rest
}

// allows returns how much of what is named in the limits can still be had.
func (q Quota) allows(consumed Quantities) Quantities {
	left := Quantities{}
	for name, limit := range q.Limits {
		left[name] = max(limit-consumed[name], 0)
	}
	return left
}

// balance is how the quotas stand during one allocation. Without quotas it is
// nil, and holds nothing back.
type balance struct {
	consumed map[string]Quantities // by the first part of a role
	// required must stay free for guarantees, of what is available.
	required, available Quantities
}

func (a *Allocator) balance() *balance {
	if len(a.quotas) == 0 {
		return nil
	}
	b := &balance{consumed: map[string]Quantities{}, required: Quantities{}, available: Quantities{}}
	for role, q := range a.quotas {
		b.consumed[role] = a.Consumed(role)
		b.required.add(q.Guarantees.beyond(b.consumed[role]))
	}
	for _, on := range a.agentOrder {
		b.available.add(amounts(chargeable(on.available)))
	}
	return b
}

// chargeable returns what counts against quotas when it is granted.
func chargeable(r resource.Resources) resource.Resources {
	free := r.Unreserved().Scalars()
	if rest, err := free.Subtract(free.Revocable()); err == nil {
		return rest
	}
	return free
}

// grant notes what a role was granted, of which the guaranteed part was being
// held for it.
func (b *balance) grant(role string, granted, guaranteed Quantities) {
	if consumed := b.consumed[top(role)]; consumed != nil {
		consumed.add(granted)
	}
	b.available = b.available.beyond(granted)
	b.required = b.required.beyond(guaranteed)
}

// top returns the first part of a role.
func top(role string) string {
	first, _, _ := strings.Cut(role, "/")
	return first
}

// guarantee is the first of the two stages of an allocation: roles whose
// guarantee is not reached get of the agent what makes up for it, and what else
// there is on it within their limits, as long as the guarantees of others can
// still be kept.
func (a *Allocator) guarantee(grants []Grant, on *agent, b *balance) []Grant {
	for _, role := range a.rolesByShare() {
		quota, ok := a.quotas[role]
		if !ok || len(quota.Guarantees) == 0 {
			continue
		}
		for _, f := range a.frameworksByShare(role) {
			lacking := quota.Guarantees.beyond(b.consumed[role])
			if len(lacking) == 0 {
				break
			}
			offer := a.takeable(f, role, on)
			scalars := chargeable(offer)
			guaranteed := shrink(scalars, lacking, true)
			if guaranteed.Empty() {
				continue
			}
			rest, more := without(offer, scalars), without(scalars, guaranteed)
			consumed := maps.Clone(b.consumed[role])
			consumed.add(amounts(guaranteed))
			more = shrink(more, quota.allows(consumed), false)
			if len(b.required) > 0 {
				more = shrink(more, b.available.beyond(b.required), true)
			}
			offer = rest.Add(guaranteed).Add(more)
			if a.filtered(f, role, on, offer) {
				continue
			}
			b.grant(role, amounts(guaranteed.Add(more)), amounts(guaranteed))
			grants = append(grants, a.grant(f, role, on, offer))
		}
	}
	return grants
}

// within takes from an offer what is beyond the role's limits, or is held back
// for the guarantees of others.
func (a *Allocator) within(b *balance, role string, offer resource.Resources) resource.Resources {
	if b == nil {
		return offer
	}
	scalars := chargeable(offer)
	kept := scalars
	if quota, ok := a.quotas[top(role)]; ok {
		kept = shrink(kept, quota.allows(b.consumed[top(role)]), false)
	}
	if len(b.required) > 0 {
		kept = shrink(kept, b.available.beyond(b.required), true)
	}
	return without(offer, scalars).Add(kept)
}

func without(r, part resource.Resources) resource.Resources {
	rest, err := r.Subtract(part)
	if err != nil {
		return r // it is a part, so this cannot be
	}
	return rest
}

// shrink returns of the scalars no more than the amounts. What these do not name
// is left out when they name all, and else kept whole. A disk of its own cannot
// be divided.
func shrink(scalars resource.Resources, most Quantities, all bool) resource.Resources {
	left := maps.Clone(most)
	list := scalars.ToMesos()
	for i := range list {
		r := &list[i]
		n, named := left[r.Name]
		if !named && !all {
			continue
		}
		have := resource.Thousandths(r.GetScalar().GetValue())
		take := min(have, n)
		if take < have && r.GetDisk().GetSource() != nil {
			take = 0
		}
		if named {
			left[r.Name] -= take
		}
		r.Scalar.Value = take.Float()
	}
	list = slices.DeleteFunc(list, func(r mesos.Resource) bool { return r.GetScalar().GetValue() == 0 })
	shrunk, err := resource.FromMesos(list)
	if err != nil {
		return resource.Resources{} // it was made of resources, so this cannot be
	}
	return shrunk
}
