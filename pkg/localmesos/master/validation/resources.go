package validation

import (
	"errors"
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/spec"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// resources looks at what a task or an executor uses; user is the one, and
// several the start of the message about several roles.
func resources(list []mesos.Resource, user, several string) error {
	if err := sound(list); err != nil {
		return fmt.Errorf("%s uses invalid resources: %w", user, err)
	}
	all, err := resource.FromMesos(list)
	if err != nil {
		return err // it was found to be sound
	}
	if err := uniquePersistence(list); err != nil {
		return fmt.Errorf("%s uses duplicate persistence ID: %w", user, err)
	}
	if err := singleRole(list); err != nil {
		return fmt.Errorf("%s: %w", several, err)
	}
	if err := onlyRevocableOrNot(all); err != nil {
		return fmt.Errorf("%s mixes revocable and non-revocable resources: %w", user, err)
	}
	return nil
}

// together looks at what tasks and their executor use in all; users are they.
func together(users string, lists ...[]mesos.Resource) error {
	list := slices.Concat(lists...)
	if err := uniquePersistence(list); err != nil {
		return fmt.Errorf("%s use duplicate persistence ID: %w", users, err)
	}
	all, err := resource.FromMesos(list)
	if err != nil {
		return err // each was found to be sound
	}
	if err := onlyRevocableOrNot(all); err != nil {
		return fmt.Errorf("%s mix revocable and non-revocable resources: %w", users, err)
	}
	return nil
}

func onlyRevocableOrNot(all resource.Resources) error {
	for _, name := range all.Names() {
		named := all.Named(name)
		if revocable := named.Revocable(); !revocable.Empty() && !revocable.Equal(named) {
			return fmt.Errorf("Cannot use both revocable and non-revocable '%s' at the same time", name)
		}
	}
	return nil
}

// sound looks at resources by themselves.
func sound(list []mesos.Resource) error {
	all, err := resource.FromMesos(list)
	if err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	if all.Scalar("gpus")%1000 != 0 {
		return errors.New("Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer")
	}
	if err := diskInfo(list); err != nil {
		return fmt.Errorf("Invalid DiskInfo: %w", err)
	}
	if err := dynamicReservations(list); err != nil {
		return fmt.Errorf("Invalid ReservationInfo: %w", err)
	}
	return nil
}

func diskInfo(list []mesos.Resource) error {
	for i := range list {
		disk := list[i].Disk
		switch {
		case disk == nil:
			continue
		case disk.Persistence == nil && disk.Volume != nil:
			return errors.New("Non-persistent volume not supported")
		case disk.Persistence == nil && disk.Source == nil:
			return errors.New("DiskInfo is set but empty")
		case disk.Persistence == nil:
			continue
		case list[i].Revocable != nil:
			return errors.New("Persistent volumes cannot be created from revocable resources")
		case len(list[i].Reservations) == 0 && (list[i].Role == nil || *list[i].Role == resource.AnyRole):
			return errors.New("Persistent volumes cannot be created from unreserved resources")
		case disk.Volume == nil:
			return errors.New("Expecting 'volume' to be set for persistent volume")
		case disk.Volume.HostPath != nil:
			return errors.New("Expecting 'host_path' to be unset for persistent volume")
		}
		if err := spec.ID(disk.Persistence.ID); err != nil {
			return fmt.Errorf("Invalid persistence ID for persistent volume: %w", err)
		}
	}
	return nil
}

func dynamicReservations(list []mesos.Resource) error {
	for i := range list {
		r := &list[i]
		dynamic := r.Reservation != nil
		if n := len(r.Reservations); n > 0 {
			dynamic = r.Reservations[n-1].GetType() == mesos.Resource_ReservationInfo_DYNAMIC
		}
		if dynamic && r.Revocable != nil {
			return fmt.Errorf("Dynamically reserved resource %s cannot be created from revocable resources", resource.Format(r))
		}
	}
	return nil
}

func singleRole(list []mesos.Resource) error {
	first := ""
	for i := range list {
		if list[i].AllocationInfo == nil || list[i].AllocationInfo.Role == nil {
			return errors.New("The resources are not allocated to a role")
		}
		role := *list[i].AllocationInfo.Role
		if i == 0 {
			first = role
		} else if role != first {
			return fmt.Errorf("The resources have multiple allocation roles ('%s' and '%s') but only one allocation role is allowed", role, first)
		}
	}
	return nil
}

// overlap tells whether a port or a member of a set is in more than one.
func overlap(parts []resource.Resources) bool {
	var sum resource.Resources
	var n uint64
	for _, part := range parts {
		n += part.Count()
		sum = sum.Add(part)
	}
	return sum.Count() != n
}
