// Package conversion says what an operation makes of which resources: RESERVE,
// UNRESERVE, CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME, as a master and its
// agents both apply them
// (src/common/resources_utils.cpp in Mesos's source).
//
// The package is pure. It must never decide whether an operation is allowed.
package conversion

import (
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Conversion turns resources into others of the same amounts.
type Conversion struct {
	Consumed, Converted resource.Resources
	// gone must not be there any more afterwards: a shared volume that is
	// destroyed.
	gone resource.Resources
}

// Of returns what the operation converts, in the order in which it does. Other
// operations than the six are an error, as are resources that are none.
func Of(op *mesos.Offer_Operation) ([]Conversion, error) {
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		to := op.GetReserve().GetResources()
		from := op.GetReserve().GetSource()
		if len(from) == 0 {
			from = each(to, popReservation)
		}
		c, err := convert(from, to)
		return []Conversion{c}, err
	case mesos.Offer_Operation_UNRESERVE:
		return one(op.GetUnreserve().GetResources(), func(r mesos.Resource) (from, to mesos.Resource) { return r, popReservation(r) })
	case mesos.Offer_Operation_CREATE:
		return one(op.GetCreate().GetVolumes(), func(r mesos.Resource) (from, to mesos.Resource) { return withoutVolume(r), r })
	case mesos.Offer_Operation_DESTROY:
		all, err := one(op.GetDestroy().GetVolumes(), func(r mesos.Resource) (from, to mesos.Resource) { return r, withoutVolume(r) })
		for i := range all {
			all[i].gone = all[i].Consumed
		}
		return all, err
	case mesos.Offer_Operation_GROW_VOLUME:
		volume, addition := op.GetGrowVolume().GetVolume(), op.GetGrowVolume().GetAddition()
		c, err := convert([]mesos.Resource{volume, addition}, []mesos.Resource{resized(volume, addition.GetScalar().GetValue())})
		return []Conversion{c}, err
	case mesos.Offer_Operation_SHRINK_VOLUME:
		volume, freed := op.GetShrinkVolume().GetVolume(), op.GetShrinkVolume().GetSubtract()
		rest := withoutVolume(volume)
		rest.Scalar = &freed
		c, err := convert([]mesos.Resource{volume}, []mesos.Resource{resized(volume, -freed.Value), rest})
		return []Conversion{c}, err
	}
	return nil, fmt.Errorf("%s converts no resources", op.Type)
}

// Resources returns pointers to all resources that an operation names.
func Resources(op *mesos.Offer_Operation) []*mesos.Resource {
	switch {
	case op.Type == mesos.Offer_Operation_RESERVE && op.Reserve != nil:
		return pointers(op.Reserve.Resources, op.Reserve.Source)
	case op.Type == mesos.Offer_Operation_UNRESERVE && op.Unreserve != nil:
		return pointers(op.Unreserve.Resources)
	case op.Type == mesos.Offer_Operation_CREATE && op.Create != nil:
		return pointers(op.Create.Volumes)
	case op.Type == mesos.Offer_Operation_DESTROY && op.Destroy != nil:
		return pointers(op.Destroy.Volumes)
	case op.Type == mesos.Offer_Operation_GROW_VOLUME && op.GrowVolume != nil:
		return []*mesos.Resource{&op.GrowVolume.Volume, &op.GrowVolume.Addition}
	case op.Type == mesos.Offer_Operation_CREATE_DISK && op.CreateDisk != nil:
		return []*mesos.Resource{&op.CreateDisk.Source}
	case op.Type == mesos.Offer_Operation_DESTROY_DISK && op.DestroyDisk != nil:
		return []*mesos.Resource{&op.DestroyDisk.Source}
	case op.Type == mesos.Offer_Operation_SHRINK_VOLUME && op.ShrinkVolume != nil:
		return []*mesos.Resource{&op.ShrinkVolume.Volume}
	}
	return nil
}

func pointers(lists ...[]mesos.Resource) []*mesos.Resource {
	var all []*mesos.Resource
	for _, list := range lists {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return all
}

// Apply makes the conversions one after the other. It is an error, with the text
// of a real master, if one finds not what it needs.
func Apply(r resource.Resources, all []Conversion) (resource.Resources, error) {
	for _, c := range all {
		if !r.Contains(c.Consumed) {
			return resource.Resources{}, fmt.Errorf("%s does not contain %s", r, c.Consumed)
		}
		rest, err := r.Subtract(c.Consumed)
		if err != nil {
			return resource.Resources{}, err
		}
		r = rest.Add(c.Converted)
		if !c.gone.Empty() && r.Contains(c.gone) {
			//lint:ignore ST1005 the words of a real master, which travel on the wire
			return resource.Resources{}, fmt.Errorf("Persistent volume %s cannot be removed due to additional shared copies", c.gone)
		}
	}
	return r, nil
}

// Unallocated returns the conversions as the agent makes them, for which nothing
// is allocated to a role.
func Unallocated(all []Conversion) []Conversion {
	out := slices.Clone(all)
	for i, c := range out {
		out[i] = Conversion{Consumed: c.Consumed.Unallocate(), Converted: c.Converted.Unallocate(), gone: c.gone.Unallocate()}
	}
	return out
}

// Consumed returns all that the conversions take.
func Consumed(all []Conversion) resource.Resources {
	var sum resource.Resources
	for _, c := range all {
		sum = sum.Add(c.Consumed)
	}
	return sum
}

func convert(from, to []mesos.Resource) (c Conversion, err error) {
	if c.Consumed, err = resource.FromMesos(from); err != nil {
		return c, err
	}
	c.Converted, err = resource.FromMesos(to)
	return c, err
}

// one makes a conversion of each resource.
func one(list []mesos.Resource, sides func(mesos.Resource) (from, to mesos.Resource)) ([]Conversion, error) {
	all := make([]Conversion, 0, len(list))
	for _, r := range list {
		from, to := sides(r)
		c, err := convert([]mesos.Resource{from}, []mesos.Resource{to})
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func each(list []mesos.Resource, f func(mesos.Resource) mesos.Resource) []mesos.Resource {
	out := make([]mesos.Resource, len(list))
	for i := range list {
		out[i] = f(list[i])
	}
	return out
}

// popReservation takes the innermost reservation away.
func popReservation(r mesos.Resource) mesos.Resource {
	r = resource.Upgrade(r)
	if n := len(r.Reservations); n > 0 {
		r.Reservations = r.Reservations[: n-1 : n-1]
	}
	return r
}

// resized returns a volume that is larger by an amount.
func resized(volume mesos.Resource, by float64) mesos.Resource {
	volume.Scalar = &mesos.Value_Scalar{Value: volume.GetScalar().GetValue() + by}
	return volume
}

// withoutVolume returns the disk that a volume is made of.
func withoutVolume(r mesos.Resource) mesos.Resource {
	r.Shared = nil
	if r.GetDisk().GetSource() == nil {
		r.Disk = nil
		return r
	}
	disk := *r.Disk
	disk.Persistence, disk.Volume = nil, nil
	r.Disk = &disk
	return r
}
