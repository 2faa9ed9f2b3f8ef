package checkpoint

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// unreserved is the role of what nobody has reserved, in the older form.
const unreserved = "*"

// downgraded returns resources in the form before refined reservations, those that
// have one (downgradeResource in src/common/resources_utils.cpp).
func downgraded(resources []mesos.Resource) []mesos.Resource {
	older := make([]mesos.Resource, len(resources))
	for i, r := range resources {
		switch len(r.Reservations) {
		case 0:
			r.Role = new(unreserved)
		case 1:
			reservation := r.Reservations[0]
			r.Role, r.Reservations = reservation.Role, nil
			if reservation.GetType() == mesos.Resource_ReservationInfo_DYNAMIC {
				reservation.Type, reservation.Role = nil, nil
				r.Reservation = &reservation
			}
		}
		older[i] = r
	}
	return older
}

// upgrade does the reverse, in place; what has the later form already stays.
func upgrade(resources []mesos.Resource) {
	for i := range resources {
		r := &resources[i]
		role := r.Role
		r.Role = nil
		if role == nil || *role == unreserved || len(r.Reservations) > 0 {
			continue
		}
		reservation := mesos.Resource_ReservationInfo{Type: mesos.Resource_ReservationInfo_STATIC.Enum(), Role: role}
		if r.Reservation != nil {
			reservation = *r.Reservation
			reservation.Type, reservation.Role = mesos.Resource_ReservationInfo_DYNAMIC.Enum(), role
			r.Reservation = nil
		}
		r.Reservations = []mesos.Resource_ReservationInfo{reservation}
	}
}
