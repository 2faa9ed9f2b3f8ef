package resource

import (
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// DiskKind is what a persistent volume can be made of.
type DiskKind int

// The kinds, by the source of the disk (Resource.DiskInfo.Source in mesos.proto).
const (
	// RootDisk has no source: it is where the agent's work directory is.
	RootDisk DiskKind = iota
	// PathDisk is a directory elsewhere, of which any part may be taken.
	PathDisk
	// MountDisk is a file system of its own, which is taken whole.
	MountDisk
)

// String returns root, path or mount.
func (k DiskKind) String() string { return [...]string{"root", "path", "mount"}[k] }

// KindOfDisk returns of what kind a resource's disk is, whatever is on it, and
// false for what is no disk of these kinds: those of resource providers cannot be
// had by RESERVE and CREATE alone.
func KindOfDisk(r *mesos.Resource) (DiskKind, bool) {
	if r.Name != "disk" || r.ProviderID != nil || r.Revocable != nil || r.Shared != nil {
		return RootDisk, false
	}
	if r.Disk == nil || r.Disk.Source == nil {
		return RootDisk, true
	}
	switch s := r.Disk.Source; {
	case s.ID != nil || s.Profile != nil:
	case s.Type == mesos.Resource_DiskInfo_Source_PATH:
		return PathDisk, true
	case s.Type == mesos.Resource_DiskInfo_Source_MOUNT:
		return MountDisk, true
	}
	return RootDisk, false
}

// PluginDisk reports whether a resource is disk of a storage plugin (CSI), which its
// resource provider would have to make a file system of first.
func PluginDisk(r *mesos.Resource) bool {
	if r.Name != "disk" || r.Revocable != nil || r.Shared != nil {
		return false
	}
	_, plain := KindOfDisk(r)
	return !plain
}

// EmptyDisk reports whether a disk holds no volume.
func EmptyDisk(r *mesos.Resource) bool { return r.Disk == nil || r.Disk.Persistence == nil }

// WithoutVolume returns the disk that a volume is made of.
func WithoutVolume(r mesos.Resource) mesos.Resource {
	if r.GetDisk().GetSource() == nil {
		r.Disk = nil
	} else {
		r.Disk = &mesos.Resource_DiskInfo{Source: r.Disk.Source}
	}
	return r
}

// TakeDisk finds disk for a persistent volume: all of it in one place, and
// reserved for one role. It is at least as much as was asked for, and more only of
// a MountDisk. On a disk of the agent's own what is reserved is taken before what is
// not; of others the smallest that suffices. It returns that and what is left; the
// error is a *Shortage.
func (r Resources) TakeDisk(kind DiskKind, amount Milli) (mesos.Resource, Resources, error) {
	best, most := -1, Milli(0)
	better := func(i int) bool {
		it, than := &r.items[i], &r.items[best]
		if kind == RootDisk {
			return it.traits.reservedFor() != AnyRole && than.traits.reservedFor() == AnyRole
		}
		return it.scalar < than.scalar
	}
	for i := range r.items {
		if !r.items[i].freeDisk(kind) {
			continue
		}
		most = max(most, r.items[i].scalar)
		if r.items[i].scalar >= amount && (best < 0 || better(i)) {
			best = i
		}
	}
	if best < 0 {
		return mesos.Resource{}, r, &Shortage{Name: "disk", Want: amount, Have: most}
	}
	rest, it := slices.Clone(r.items), r.items[best]
	if kind != MountDisk {
		it.scalar = amount
	}
	rest[best].scalar -= it.scalar
	rest = withoutEmpty(rest)
	return Resources{[]item{it}}.ToMesos()[0], Resources{rest}, nil
}

// TakeLike finds so much more of the very disk that a resource is, reserved in the
// same way, and returns what is left. It reports false where there is not enough.
func (r Resources) TakeLike(like mesos.Resource, amount Milli) (mesos.Resource, Resources, bool) {
	like.Scalar = &mesos.Value_Scalar{Value: amount.Float()}
	more, err := FromMesos([]mesos.Resource{like})
	if err != nil {
		return mesos.Resource{}, r, false
	}
	rest, err := r.Subtract(more)
	if err != nil {
		return mesos.Resource{}, r, false
	}
	return like, rest, true
}

// freeDisk reports whether the item is disk of a kind, and holds no volume.
func (it *item) freeDisk(kind DiskKind) bool {
	if it.name != "disk" || it.typ != scalarValue {
		return false
	}
	r := mesos.Resource{Name: it.name}
	if t := it.traits; t != nil {
		if t.revocable || t.isShared {
			return false
		}
		r.Disk, r.ProviderID = t.disk, t.provider
	}
	k, ok := KindOfDisk(&r)
	return ok && k == kind && EmptyDisk(&r)
}
