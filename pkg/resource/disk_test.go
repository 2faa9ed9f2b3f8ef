package resource

import (
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

func diskFrom(kind DiskKind, root string, size float64) mesos.Resource {
	r := scalar("disk", size)
	switch kind {
	case PathDisk:
		r.Disk = &mesos.Resource_DiskInfo{Source: &mesos.Resource_DiskInfo_Source{
			Type: mesos.Resource_DiskInfo_Source_PATH, Path: &mesos.Resource_DiskInfo_Source_Path{Root: &root}}}
	case MountDisk:
		r.Disk = &mesos.Resource_DiskInfo{Source: &mesos.Resource_DiskInfo_Source{
			Type: mesos.Resource_DiskInfo_Source_MOUNT, Mount: &mesos.Resource_DiskInfo_Source_Mount{Root: &root}}}
	}
	return r
}

func TestTakeDisk(t *testing.T) {
	volume := diskFrom(MountDisk, "/m9", 500)
	volume.Disk.Persistence = &mesos.Resource_DiskInfo_Persistence{ID: "v"}
	provided := diskFrom(MountDisk, "/m8", 500)
	provided.ProviderID = &mesos.ResourceProviderID{Value: "csi"}
	all := []mesos.Resource{
		scalar("disk", 100), reserved(scalar("disk", 50), "ops"), volume, provided, scalar("cpus", 8),
		diskFrom(PathDisk, "/p1", 300), diskFrom(PathDisk, "/p2", 200),
		diskFrom(MountDisk, "/m1", 300), diskFrom(MountDisk, "/m2", 200),
	}
	for _, c := range []struct {
		kind   DiskKind
		amount int64
		want   string
	}{
		{RootDisk, 50, "disk(reservations: [(STATIC,ops)]):50"},
		{RootDisk, 60, "disk:60"},
		{RootDisk, 101, "not enough disk: 101 wanted, 100 available"},
		{PathDisk, 150, "disk[PATH:/p2]:150"},
		{PathDisk, 250, "disk[PATH:/p1]:250"},
		{MountDisk, 150, "disk[MOUNT:/m2]:200"},
		{MountDisk, 250, "disk[MOUNT:/m1]:300"},
		{MountDisk, 400, "not enough disk: 400 wanted, 300 available"},
	} {
		from, err := FromMesos(all)
		if err != nil {
			t.Fatal(err)
		}
		got, rest, err := from.TakeDisk(c.kind, Whole(c.amount))
		if err != nil {
			if err.Error() != c.want || !rest.Equal(from) {
				t.Errorf("%d of %s: %v, and %s is left; want %s", c.amount, c.kind, err, rest, c.want)
			}
			continue
		}
		if Format(&got) != c.want {
			t.Errorf("%d of %s: got %s, want %s", c.amount, c.kind, Format(&got), c.want)
		}
		taken, err := FromMesos([]mesos.Resource{got})
		if err != nil {
			t.Fatal(err)
		}
		if left, err := from.Subtract(taken); err != nil || !left.Equal(rest) {
			t.Errorf("%d of %s leaves %s, want %s (%v)", c.amount, c.kind, rest, left, err)
		}
	}
}

// TestTakeLike: more of a disk is of the very same disk.
func TestTakeLike(t *testing.T) {
	all := []mesos.Resource{scalar("disk", 100), reserved(scalar("disk", 50), "ops"), diskFrom(PathDisk, "/p1", 300), diskFrom(PathDisk, "/p2", 200)}
	for _, c := range []struct {
		like   mesos.Resource
		amount int64
		taken  bool
	}{
		{scalar("disk", 1), 100, true},
		{scalar("disk", 1), 101, false},
		{reserved(scalar("disk", 500), "ops"), 50, true},
		{reserved(scalar("disk", 500), "ops"), 51, false},
		{reserved(scalar("disk", 500), "dev"), 1, false},
		{diskFrom(PathDisk, "/p2", 1), 200, true},
		{diskFrom(PathDisk, "/p2", 1), 201, false},
		{diskFrom(PathDisk, "/p3", 1), 1, false},
	} {
		from, err := FromMesos(all)
		if err != nil {
			t.Fatal(err)
		}
		got, rest, ok := from.TakeLike(c.like, Whole(c.amount))
		if ok != c.taken {
			t.Errorf("%d like %s: taken %t", c.amount, Format(&c.like), ok)
		}
		if !ok {
			continue
		}
		taken, err := FromMesos([]mesos.Resource{got})
		if err != nil {
			t.Fatal(err)
		}
		if left, err := from.Subtract(taken); err != nil || !left.Equal(rest) || got.Scalar.Value != float64(c.amount) {
			t.Errorf("%d like %s: got %s, and %s is left (%v)", c.amount, Format(&c.like), Format(&got), rest, err)
		}
	}
}
