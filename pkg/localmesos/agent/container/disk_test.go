package container

import (
	"os"
	"path/filepath"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

func TestDiskUsage(t *testing.T) {
	const kb = 1 << 10
	dir := t.TempDir()
	file := func(name string, size int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	empty, err := diskUsage(dir)
	if err != nil {
		t.Fatal(err)
	}
	file("one", 100*kb)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "big"), make([]byte, 1000*kb), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"a link":        func() error { return os.Symlink(outside, filepath.Join(dir, "link")) },
		"a second name": func() error { return os.Link(filepath.Join(dir, "one"), filepath.Join(dir, "other")) },
	} {
		if err := do(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	got, err := diskUsage(dir)
	// The directory itself, and what the file system keeps beside a file, may
	// take some blocks.
	if low, high := uint64(100*kb), empty+132*kb; err != nil || got < low || got > high || got%kb != 0 {
		t.Errorf("it takes %d bytes (%v), want %d to %d", got, err, low, high)
	}
	through := filepath.Join(t.TempDir(), "volume")
	if err := os.Symlink(dir, through); err != nil {
		t.Fatal(err)
	}
	if same, err := diskUsage(through); err != nil || same != got {
		t.Errorf("by a link it takes %d bytes (%v), want %d", same, err, got)
	}
	if _, err := diskUsage(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there takes something")
	}
}

func TestDiskQuotas(t *testing.T) {
	disk := func(mb float64, info *mesos.Resource_DiskInfo) mesos.Resource {
		return mesos.Resource{Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: mb}, Disk: info}
	}
	volume := &mesos.Resource_DiskInfo{
		Persistence: &mesos.Resource_DiskInfo_Persistence{ID: "v"}, Volume: &mesos.Volume{ContainerPath: "v"},
	}
	whole := &mesos.Resource_DiskInfo{
		Persistence: volume.Persistence, Volume: volume.Volume,
		Source: &mesos.Resource_DiskInfo_Source{Type: mesos.Resource_DiskInfo_Source_MOUNT},
	}
	for _, c := range []struct {
		name             string
		resources        []mesos.Resource
		bytes            uint64
		sandbox, bounded bool
	}{
		{"sandbox", []mesos.Resource{disk(1, nil), disk(2.5, nil)}, 3670016, true, true},
		{"volume", []mesos.Resource{disk(2, volume)}, 2097152, false, true},
		{"disk of its own", []mesos.Resource{disk(2, whole)}, 2097152, false, false},
	} {
		q := DiskQuota{Resources: c.resources}
		if q.bytes() != c.bytes || q.sandbox() != c.sandbox || q.bounded() != c.bounded {
			t.Errorf("%s: %d bytes, sandbox %v, bounded %v", c.name, q.bytes(), q.sandbox(), q.bounded())
		}
	}
	l := diskLimitation(diskOf(disk(1, nil), disk(2, nil), 4<<20))
	if l.Message != "Disk usage (4MB) exceeds quota (3MB)" || len(l.Resources) != 1 || l.Resources[0].GetScalar().GetValue() != 3 {
		t.Errorf("the limitation is %q for %v", l.Message, l.Resources)
	}
}

func diskOf(a, b mesos.Resource, used uint64) disk {
	return disk{quota: DiskQuota{Resources: []mesos.Resource{a, b}}, used: used, measured: true}
}
