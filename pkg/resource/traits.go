package resource

import (
	"fmt"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// traits is all that tells kinds apart beside name, type and allocation. It is
// nil for the plain kind, and never changes.
type traits struct {
	key          string // equal for equal traits
	reservations []mesos.Resource_ReservationInfo
	disk         *mesos.Resource_DiskInfo
	provider     *mesos.ResourceProviderID
	revocable    bool
	isShared     bool
	indivisible  bool // a persistent volume or a whole disk
}

// newTraits takes over the reservations.
func newTraits(r *mesos.Resource, reservations []mesos.Resource_ReservationInfo) (*traits, error) {
	if len(reservations) == 0 && r.Disk == nil && r.ProviderID == nil && r.Revocable == nil && r.Shared == nil {
		return nil, nil
	}
	key, err := (&mesos.Resource{
		ProviderID:   r.ProviderID,
		Type:         mesos.SCALAR.Enum(), // required, though of no account
		Reservations: reservations,
		Disk:         r.Disk,
		Revocable:    r.Revocable,
		Shared:       r.Shared,
	}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("cannot read the kind of resource %q: %w", r.Name, err)
	}
	return &traits{
		key:          string(key),
		reservations: reservations,
		disk:         r.Disk,
		provider:     r.ProviderID,
		revocable:    r.Revocable != nil,
		isShared:     r.Shared != nil,
		indivisible:  indivisible(r.Disk),
	}, nil
}

func indivisible(disk *mesos.Resource_DiskInfo) bool {
	if disk == nil {
		return false
	}
	if disk.Persistence != nil {
		return true
	}
	if source := disk.Source; source != nil {
		switch source.Type {
		case mesos.Resource_DiskInfo_Source_BLOCK, mesos.Resource_DiskInfo_Source_MOUNT:
			return true
		case mesos.Resource_DiskInfo_Source_RAW:
			return source.ID != nil
		}
	}
	return false
}

func (t *traits) equal(other *traits) bool {
	return t == other || t != nil && other != nil && t.key == other.key
}

func (t *traits) shared() bool { return t != nil && t.isShared }

// whole tells whether the resource can only be had as it is.
func (t *traits) whole() bool { return t != nil && (t.indivisible || t.isShared) }

// reservedFor returns the role of the innermost reservation, or AnyRole.
func (t *traits) reservedFor() string {
	if t == nil || len(t.reservations) == 0 {
		return AnyRole
	}
	return t.reservations[len(t.reservations)-1].GetRole()
}

// plainButReserved tells whether the resource differs from the plain kind by
// its reservations at most.
func (t *traits) plainButReserved() bool {
	return t == nil || t.disk == nil && t.provider == nil && !t.revocable && !t.isShared
}

func (t *traits) print(b *strings.Builder) {
	if t == nil {
		return
	}
	if len(t.reservations) > 0 {
		b.WriteString("(reservations: [")
		for i := range t.reservations {
			if i > 0 {
				b.WriteByte(',')
			}
			printReservation(b, &t.reservations[i])
		}
		b.WriteString("])")
	}
	if t.disk != nil {
		b.WriteByte('[')
		printDisk(b, t.disk)
		b.WriteByte(']')
	}
	if t.revocable {
		b.WriteString("{REV}")
	}
	if t.isShared {
		b.WriteString("<SHARED>")
	}
}

func printReservation(b *strings.Builder, r *mesos.Resource_ReservationInfo) {
	fmt.Fprintf(b, "(%s,%s", r.GetType(), r.GetRole())
	if r.Principal != nil {
		b.WriteString("," + *r.Principal)
	}
	if r.Labels != nil {
		b.WriteString(",{")
		for i, l := range r.Labels.Labels {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(l.Key)
			if l.Value != nil {
				b.WriteString(": " + *l.Value)
			}
		}
		b.WriteByte('}')
	}
	b.WriteByte(')')
}

func printDisk(b *strings.Builder, disk *mesos.Resource_DiskInfo) {
	if source := disk.Source; source != nil {
		b.WriteString(source.Type.String())
		switch {
		case source.ID != nil || source.Profile != nil:
			fmt.Fprintf(b, "(%s,%s,%s)", source.GetVendor(), source.GetID(), source.GetProfile())
		case source.Type == mesos.Resource_DiskInfo_Source_MOUNT && source.Mount.GetRoot() != "":
			b.WriteString(":" + source.Mount.GetRoot())
		case source.Type == mesos.Resource_DiskInfo_Source_PATH && source.Path.GetRoot() != "":
			b.WriteString(":" + source.Path.GetRoot())
		}
	}
	if disk.Persistence != nil {
		if disk.Source != nil {
			b.WriteByte(',')
		}
		b.WriteString(disk.Persistence.ID)
	}
	if v := disk.Volume; v != nil {
		b.WriteByte(':')
		if v.HostPath != nil {
			b.WriteString(*v.HostPath + ":")
		}
		b.WriteString(v.ContainerPath)
		if v.HostPath != nil && v.Mode != nil {
			b.WriteString(":" + strings.ToLower(v.Mode.String()))
		}
	}
}
