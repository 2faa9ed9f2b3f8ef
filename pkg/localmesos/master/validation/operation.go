package validation

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Operation is what the rules for operations on resources need to know: whose
// they are, and of which agent. Their resources are in the refined form.
type Operation struct {
	// Framework makes the operation; nil for an operator.
	Framework *mesos.FrameworkInfo
	// Principal makes the operation; nil for nobody in particular.
	Principal *string
	// Total is what the agent has, and Used what is in use of it; neither is
	// allocated.
	Total, Used resource.Resources
}

// Reserve looks at a RESERVE operation.
func (o *Operation) Reserve(reserve *mesos.Offer_Operation_Reserve) error {
	if err := sound(reserve.Resources); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	if err := sound(reserve.Source); err != nil {
		return fmt.Errorf("Invalid source: %w", err)
	}
	if len(reserve.Source) > 0 {
		if err := sameAmounts(reserve.Source, reserve.Resources); err != nil {
			return err
		}
	}
	if err := singleProvider(reserve.Resources); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	for i := range reserve.Resources {
		if err := o.reservation(&reserve.Resources[i]); err != nil {
			return err
		}
	}
	if o.Framework != nil {
		if err := singleRole(reserve.Resources); err != nil {
			return fmt.Errorf("Invalid reservation resources: %w", err)
		}
	}
	return nil
}

// reservation looks at one resource that is to be reserved.
func (o *Operation) reservation(r *mesos.Resource) error {
	if !dynamicallyReserved(r) {
		return fmt.Errorf("Resource %s is not dynamically reserved", resource.Format(r))
	}
	last := &r.Reservations[len(r.Reservations)-1]
	if o.Principal != nil {
		if last.Principal == nil {
			return fmt.Errorf("A reserve operation was attempted by principal '%s', but there is a reserved resource in the request with no principal set", *o.Principal)
		}
		if *last.Principal != *o.Principal {
			return fmt.Errorf("A reserve operation was attempted by authenticated principal '%s', which does not match a reserved resource in the request with principal '%s'",
				*o.Principal, *last.Principal)
		}
	}
	allocated := r.AllocationInfo.GetRole()
	if o.Framework == nil {
		if r.AllocationInfo != nil {
			return errors.New("A reserve operation was attempted with an allocated resource, but the operator API only allows reservations to be made to unallocated resources")
		}
		return nil
	}
	roles := Roles(o.Framework)
	switch {
	case allocated == "":
		return fmt.Errorf("A reserve operation was attempted on unallocated resource %s, but frameworks can only perform reservations on allocated resources", resource.Format(r))
	case allocated != last.GetRole():
		return fmt.Errorf("A reserve operation was attempted for a resource with role '%s', but the resource was allocated to role '%s'", last.GetRole(), allocated)
	case !slices.Contains(roles, allocated):
		return fmt.Errorf("A reserve operation was attempted for a resource allocated to role '%s', but the framework only has roles '{ %s }'", allocated, strings.Join(roles, ", "))
	}
	return nil
}

// sameAmounts looks at a change of a reservation into another.
func sameAmounts(from, to []mesos.Resource) error {
	for _, side := range []struct {
		name string
		list []mesos.Resource
	}{{"source", from}, {"resources", to}} {
		if len(side.list) == 0 {
			return fmt.Errorf("Invalid %s: Resource cannot be empty", side.name)
		}
		first := &side.list[0]
		for i := range side.list[1:] {
			other := &side.list[1+i]
			same := slices.EqualFunc(first.Reservations, other.Reservations, func(a, b mesos.Resource_ReservationInfo) bool { return a.Equal(&b) })
			if !same {
				return fmt.Errorf("Invalid %s: Mixed reservations are not supported%s", side.name, list(side.list))
			}
		}
	}
	unreserved := func(list []mesos.Resource) resource.Resources {
		list = slices.Clone(list)
		for i := range list {
			list[i].Reservations = nil
		}
		sum, _ := resource.FromMesos(list) // they were found to be resources
		return sum
	}
	if a, b := unreserved(from), unreserved(to); !a.Equal(b) {
		return fmt.Errorf("Source and target resources should refer to identical resource quantities: %s vs. %s", a, b)
	}
	return nil
}

// list prints resources as a list of messages.
func list(resources []mesos.Resource) string {
	texts := make([]string, len(resources))
	for i := range resources {
		texts[i] = resource.Format(&resources[i])
	}
	return "[ " + strings.Join(texts, ", ") + " ]"
}

// Unreserve looks at an UNRESERVE operation.
func (o *Operation) Unreserve(unreserve *mesos.Offer_Operation_Unreserve) error {
	if err := sound(unreserve.Resources); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	if err := singleProvider(unreserve.Resources); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	for i := range unreserve.Resources {
		r := &unreserve.Resources[i]
		if !dynamicallyReserved(r) {
			return fmt.Errorf("Resource %s is not dynamically reserved", resource.Format(r))
		}
		if r.GetDisk().GetPersistence() != nil {
			return fmt.Errorf("A dynamically reserved persistent volume %s cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource", resource.Format(r))
		}
	}
	return nil
}

// Create looks at a CREATE operation.
func (o *Operation) Create(create *mesos.Offer_Operation_Create) error {
	if err := volumes(create.Volumes); err != nil {
		return err
	}
	if err := uniquePersistence(slices.Concat(o.Total.ToMesos(), create.Volumes)); err != nil {
		return err
	}
	for i := range create.Volumes {
		v := &create.Volumes[i]
		if o.Framework != nil && v.Shared != nil && !HasCapability(o.Framework, mesos.FrameworkInfo_Capability_SHARED_RESOURCES) {
			return fmt.Errorf("Create volume operation for '%s' has been attempted by framework '%s' with no SHARED_RESOURCES capability", resource.Format(v), o.Framework.ID.GetValue())
		}
		if o.Principal == nil {
			continue
		}
		switch by := v.Disk.Persistence.Principal; {
		case by == nil:
			return fmt.Errorf("Create volume operation attempted by principal '%s', but there is a volume in the operation with no principal set in 'disk.persistence'", *o.Principal)
		case *by != *o.Principal:
			return fmt.Errorf("Create volume operation attempted by authenticated principal '%s', which does not match a volume in the operation with principal '%s' set in 'disk.persistence'", *o.Principal, *by)
		}
	}
	if o.Framework != nil {
		if err := singleRole(create.Volumes); err != nil {
			return fmt.Errorf("Invalid volume resources: %w", err)
		}
	}
	return nil
}

// Destroy looks at a DESTROY operation.
func (o *Operation) Destroy(destroy *mesos.Offer_Operation_Destroy) error {
	list := slices.Clone(destroy.Volumes)
	for i := range list {
		list[i].AllocationInfo = nil
	}
	if err := volumes(list); err != nil {
		return err
	}
	for i := range list {
		volume, _ := resource.FromMesos(list[i : i+1]) // it was found to be a resource
		if list[i].ProviderID == nil && !o.Total.Contains(volume) {
			return errors.New("Persistent volumes not found")
		}
		if o.Used.Contains(volume) {
			return errors.New("Persistent volumes in use")
		}
	}
	return nil
}

// volumes refuses what are not persistent volumes.
func volumes(list []mesos.Resource) error {
	if err := sound(list); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	if err := singleProvider(list); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	for i := range list {
		if err := persistentVolume(&list[i]); err != nil {
			return fmt.Errorf("Not a persistent volume: %w", err)
		}
	}
	return nil
}

// persistentVolume refuses what is none.
func persistentVolume(r *mesos.Resource) error {
	switch disk := r.Disk; {
	case disk == nil:
		return fmt.Errorf("Resource %s does not have DiskInfo", resource.Format(r))
	case disk.Persistence == nil:
		return errors.New("'persistence' is not set in DiskInfo")
	case disk.Volume == nil:
		return errors.New("Expecting 'volume' to be set for persistent volume")
	case disk.Volume.GetMode() == mesos.RO:
		return errors.New("Read-only persistent volume not supported")
	}
	return nil
}

func dynamicallyReserved(r *mesos.Resource) bool {
	n := len(r.Reservations)
	return n > 0 && r.Reservations[n-1].GetType() == mesos.Resource_ReservationInfo_DYNAMIC
}

// uniquePersistence refuses two volumes of one ID for one role. A shared volume may be
// there several times.
func uniquePersistence(list []mesos.Resource) error {
	type key struct{ role, id string }
	seen := make(map[key]*mesos.Resource)
	for i := range list {
		r := resource.Upgrade(list[i])
		volume := r.GetDisk().GetPersistence()
		if volume == nil || len(r.Reservations) == 0 {
			continue
		}
		k := key{r.Reservations[len(r.Reservations)-1].GetRole(), volume.ID}
		if other := seen[k]; other != nil && (r.Shared == nil || !r.Equal(other)) {
			return fmt.Errorf("Persistence ID '%s' is not unique", volume.ID)
		}
		seen[k] = &r
	}
	return nil
}

// singleProvider refuses resources of several resource providers, and none at
// all.
func singleProvider(list []mesos.Resource) error {
	var ids []string
	without := false
	for i := range list {
		if id := list[i].ProviderID; id == nil {
			without = true
		} else if !slices.Contains(ids, id.Value) {
			ids = append(ids, id.Value)
		}
	}
	switch {
	case without && len(ids) == 0, !without && len(ids) == 1:
		return nil
	case without:
		return errors.New("Some resources have a resource provider and some do not")
	}
	return fmt.Errorf("The resources have multiple resource providers: %s", strings.Join(ids, ", "))
}
