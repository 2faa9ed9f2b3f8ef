package resource

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// New returns plain scalars, unreserved and not allocated, in this order and
// without those that are zero: cpus, mem, disk, gpus.
func New(cpus, mem, disk, gpus Milli) Resources {
	var items []item
	for _, it := range []item{
		{name: "cpus", scalar: cpus}, {name: "mem", scalar: mem}, {name: "disk", scalar: disk}, {name: "gpus", scalar: gpus},
	} {
		items = appendItem(items, it)
	}
	return Resources{items}
}

// FromMesos reads resources. Roles in the form of before reservation refinement
// (Resource.role) become reservations. It refuses what a real master refuses,
// with its text.
func FromMesos(resources []mesos.Resource) (Resources, error) {
	items := make([]item, 0, len(resources))
	for i := range resources {
		it, err := readItem(&resources[i])
		if err != nil {
			return Resources{}, fmt.Errorf("Resource '%s' is invalid: %w", Format(&resources[i]), err)
		}
		items = appendItem(items, it)
	}
	return Resources{items}, nil
}

func readItem(r *mesos.Resource) (item, error) {
	if err := validate(r); err != nil {
		return item{}, err
	}
	t, err := newTraits(r, upgraded(r))
	if err != nil {
		return item{}, err
	}
	it := item{name: r.Name, allocation: allocationOf(r), traits: t, count: 1}
	readValue(&it, r)
	return it, nil
}

// allocationOf is nil for a resource that is allocated to nobody.
func allocationOf(r *mesos.Resource) *mesos.Resource_AllocationInfo {
	if r.AllocationInfo.GetRole() == "" {
		return nil
	}
	return r.AllocationInfo
}

func readValue(it *item, r *mesos.Resource) {
	switch r.GetType() {
	case mesos.SCALAR:
		it.typ, it.scalar = scalarValue, Thousandths(r.GetScalar().GetValue())
	case mesos.RANGES:
		ranges := make([]Range, 0, len(r.GetRanges().GetRange()))
		for _, given := range r.GetRanges().GetRange() {
			ranges = append(ranges, Range{given.Begin, given.End})
		}
		it.typ, it.ranges = rangesValue, coalesce(ranges)
	case mesos.SET:
		it.typ, it.set = setValue, slices.Sorted(slices.Values(r.GetSet().GetItem()))
	}
}

// Upgrade returns a resource in the form of reservation refinement: its role, if
// it is reserved, is said by its reservations. Nothing else changes.
func Upgrade(r mesos.Resource) mesos.Resource {
	r.Reservations = upgraded(&r)
	r.Role, r.Reservation = nil, nil
	return r
}

// upgraded returns the stack of reservations, whichever form it is given in.
func upgraded(r *mesos.Resource) []mesos.Resource_ReservationInfo {
	if len(r.Reservations) > 0 || r.Role == nil || *r.Role == AnyRole {
		return r.Reservations
	}
	role := *r.Role
	reservation := mesos.Resource_ReservationInfo{Type: mesos.Resource_ReservationInfo_STATIC.Enum(), Role: &role}
	if r.Reservation != nil {
		reservation.Type = mesos.Resource_ReservationInfo_DYNAMIC.Enum()
		reservation.Principal, reservation.Labels = r.Reservation.Principal, r.Reservation.Labels
	}
	return []mesos.Resource_ReservationInfo{reservation}
}

// maxScalar is the largest scalar whose thousandths a float holds exactly.
const maxScalar = 1 << 43

// validate follows Resources::validate of src/common/resources.cpp.
func validate(r *mesos.Resource) error {
	if r.Name == "" {
		return errors.New("Empty resource name")
	}
	if err := validateValue(r); err != nil {
		return err
	}
	if r.Disk != nil {
		if r.Name != "disk" {
			return fmt.Errorf("DiskInfo should not be set for %s resource", r.Name)
		}
		if source := r.Disk.Source; source != nil {
			if err := validateSource(source); err != nil {
				return err
			}
		}
	}
	if err := validateReservations(r); err != nil {
		return err
	}
	if r.Shared != nil {
		if r.Name != "disk" {
			return fmt.Errorf("Resource %s cannot be shared", r.Name)
		}
		if r.Disk.GetPersistence() == nil {
			return errors.New("Only persistent volumes can be shared")
		}
	}
	return nil
}

func validateValue(r *mesos.Resource) error {
	switch r.GetType() {
	case mesos.SCALAR:
		if r.Scalar == nil || r.Ranges != nil || r.Set != nil {
			return errors.New("Invalid scalar resource")
		}
		value := r.Scalar.Value
		if math.IsNaN(value) || value > maxScalar {
			return errors.New("Invalid scalar resource")
		}
		if value < -maxScalar || value != 0 && Thousandths(value) <= 0 {
			return errors.New("Invalid scalar resource: value <= 0")
		}
	case mesos.RANGES:
		if r.Scalar != nil || r.Ranges == nil || r.Set != nil {
			return errors.New("Invalid ranges resource")
		}
		all := r.Ranges.Range
		for i, a := range all {
			if a.Begin > a.End {
				return errors.New("Invalid ranges resource: begin > end")
			}
			for _, b := range all[i+1:] {
				if a.Begin <= b.Begin && b.Begin <= a.End {
					return errors.New("Invalid ranges resource: overlapping ranges")
				}
			}
		}
	case mesos.SET:
		if r.Scalar != nil || r.Ranges != nil || r.Set == nil {
			return errors.New("Invalid set resource")
		}
		for i, s := range r.Set.Item {
			if slices.Contains(r.Set.Item[i+1:], s) {
				return errors.New("Invalid set resource: duplicated elements")
			}
		}
	default:
		return errors.New("Unsupported resource type")
	}
	return nil
}

func validateSource(source *mesos.Resource_DiskInfo_Source) error {
	switch source.Type {
	case mesos.Resource_DiskInfo_Source_PATH, mesos.Resource_DiskInfo_Source_MOUNT:
	case mesos.Resource_DiskInfo_Source_BLOCK, mesos.Resource_DiskInfo_Source_RAW:
		if source.Mount != nil {
			return fmt.Errorf("Mount should not be set for %s disk source", source.Type)
		}
		if source.Path != nil {
			return fmt.Errorf("Path should not be set for %s disk source", source.Type)
		}
	default:
		return fmt.Errorf("Unsupported 'DiskInfo.Source.Type' in '%s'", source.Type)
	}
	return nil
}

func validateReservations(r *mesos.Resource) error {
	if len(r.Reservations) == 0 {
		if r.Role != nil {
			if err := ValidateRole(*r.Role); err != nil {
				return err
			}
		}
		switch {
		case r.Reservation == nil:
			return nil
		case r.Reservation.Type != nil:
			return errors.New("'Resource.ReservationInfo.type' must not be set for the 'Resource.reservation' field")
		case r.Reservation.Role != nil:
			return errors.New("'Resource.ReservationInfo.role' must not be set for the 'Resource.reservation' field")
		case r.Role == nil || *r.Role == AnyRole:
			return errors.New(`Invalid reservation: role "*" cannot be dynamically reserved`)
		}
		return nil
	}
	for i, reservation := range r.Reservations {
		switch {
		case reservation.Type == nil:
			return errors.New("Invalid reservation: 'Resource.ReservationInfo.type' field must be set.")
		case reservation.Role == nil:
			return errors.New("Invalid reservation: 'Resource.ReservationInfo.role' field must be set.")
		}
		role := *reservation.Role
		if err := ValidateRole(role); err != nil {
			return err
		}
		if role == AnyRole {
			return errors.New(`Invalid reservation: role "*" cannot be reserved`)
		}
		if i == 0 {
			continue
		}
		if *reservation.Type == mesos.Resource_ReservationInfo_STATIC {
			return errors.New("Invalid refined reservation: A refined reservation cannot be STATIC")
		}
		if above := r.Reservations[i-1].GetRole(); !IsSubrole(role, above) {
			return fmt.Errorf("Invalid refined reservation: role '%s' is not a refinement of '%s'", role, above)
		}
	}
	return validateFormat(r)
}

// validateFormat refuses a resource that has the older form of its reservation
// beside the present one, and says another thing there.
func validateFormat(r *mesos.Resource) error {
	if len(r.Reservations) > 1 {
		name := ""
		switch {
		case r.Role != nil:
			name = "role"
		case r.Reservation != nil:
			name = "reservation"
		default:
			return nil
		}
		return fmt.Errorf("Invalid resource format: 'Resource.%s' must not be set if there is more than one reservation in 'Resource.reservations'", name)
	}
	only := &r.Reservations[0]
	switch static := only.GetType() == mesos.Resource_ReservationInfo_STATIC; {
	case r.Role != nil && *r.Role != only.GetRole():
		return fmt.Errorf("Invalid resource format: 'Resource.role' field with '%s' does not match the role '%s' in 'Resource.reservations'", *r.Role, only.GetRole())
	case static && r.Reservation != nil:
		return errors.New("Invalid resource format: 'Resource.reservation' must not be set if the single reservation in 'Resource.reservations' is STATIC")
	case static:
	case (r.Role != nil) != (r.Reservation != nil):
		return errors.New("Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be both set or both not set" +
			" if the single reservation in 'Resource.reservations' is DYNAMIC")
	case r.Reservation != nil && r.Reservation.GetPrincipal() != only.GetPrincipal():
		return fmt.Errorf("Invalid resource format: 'Resource.reservation.principal' field with '%s' does not match the principal '%s' in 'Resource.reservations'",
			r.Reservation.GetPrincipal(), only.GetPrincipal())
	}
	return nil
}

// Format prints a resource as Mesos does, whether it is valid or not.
func Format(r *mesos.Resource) string {
	reservations := upgraded(r)
	t := &traits{reservations: reservations, disk: r.Disk, revocable: r.Revocable != nil, isShared: r.Shared != nil}
	var b strings.Builder
	b.WriteString(r.Name)
	if r.AllocationInfo != nil {
		fmt.Fprintf(&b, "(allocated: %s)", r.AllocationInfo.GetRole())
	}
	t.print(&b)
	b.WriteByte(':')
	switch r.GetType() {
	case mesos.RANGES:
		ranges := make(Ranges, 0, len(r.GetRanges().GetRange()))
		for _, given := range r.GetRanges().GetRange() {
			ranges = append(ranges, Range{given.Begin, given.End})
		}
		b.WriteString(ranges.String())
	case mesos.SET:
		b.WriteString("{" + strings.Join(r.GetSet().GetItem(), ", ") + "}")
	default:
		b.WriteString(Thousandths(r.GetScalar().GetValue()).String())
	}
	return b.String()
}

// ToMesos returns the resources as messages, with reservations in the refined
// form. The messages share what is below their top level with r and with each other;
// treat that as read-only.
func (r Resources) ToMesos() []mesos.Resource {
	m := newMessages(len(r.items))
	for i := range r.items {
		for range max(r.items[i].count, 1) {
			m.add(&r.items[i])
		}
	}
	return m.list
}

// messages are items as messages. What most of them point to is made in one piece, or
// is the same for all: a launch makes two lists.
type messages struct {
	list    []mesos.Resource
	scalars []mesos.Value_Scalar
}

func newMessages(n int) messages {
	return messages{list: make([]mesos.Resource, 0, n), scalars: make([]mesos.Value_Scalar, 0, n)}
}

// The types, to be pointed to.
var scalarType, rangesType, setType = mesos.SCALAR, mesos.RANGES, mesos.SET

func (ms *messages) add(it *item) {
	m := mesos.Resource{Name: it.name, AllocationInfo: it.allocation}
	switch it.typ {
	case scalarValue:
		ms.scalars = append(ms.scalars, mesos.Value_Scalar{Value: it.scalar.Float()})
		m.Type, m.Scalar = &scalarType, &ms.scalars[len(ms.scalars)-1]
	case rangesValue:
		m.Type, m.Ranges = &rangesType, &mesos.Value_Ranges{Range: make([]mesos.Value_Range, len(it.ranges))}
		for i, given := range it.ranges {
			m.Ranges.Range[i] = mesos.Value_Range{Begin: given.Begin, End: given.End}
		}
	case setValue:
		m.Type, m.Set = &setType, &mesos.Value_Set{Item: slices.Clone(it.set)}
	}
	if t := it.traits; t != nil {
		m.Reservations, m.Disk, m.ProviderID = t.reservations, t.disk, t.provider
		if t.revocable {
			m.Revocable = &mesos.Resource_RevocableInfo{}
		}
		if t.isShared {
			m.Shared = &mesos.Resource_SharedInfo{}
		}
	}
	ms.list = append(ms.list, m)
}
