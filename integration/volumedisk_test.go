package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestVolumesOfOtherDisks makes volumes of an agent's disks beside its own: of a
// directory as much as was asked for, of a file system all. They keep what was
// written, and are empty disks again when they are purged.
func TestVolumesOfOtherDisks(t *testing.T) {
	path, mount := t.TempDir(), ""
	if os.Getenv(testMaster) == "" {
		mount = t.TempDir()
		if err := unix.Mount("tandem-test", mount, "tmpfs", 0, "size=1m"); err != nil {
			t.Skipf("a small file system cannot be mounted here: %v", err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	c := startMesos(t, func(o *localmesos.Options) {
		o.Agent.Disks = []mesos.Resource{
			diskAt(mesos.Resource_DiskInfo_Source{
				Type: mesos.Resource_DiskInfo_Source_PATH, Path: &mesos.Resource_DiskInfo_Source_Path{Root: &path}}, 100),
			diskAt(mesos.Resource_DiskInfo_Source{
				Type: mesos.Resource_DiskInfo_Source_MOUNT, Mount: &mesos.Resource_DiskInfo_Source_Mount{Root: &mount}}, 64),
		}
	})
	if c.real && !strings.Contains(get(t, "http://"+c.master+"/slaves"), `"MOUNT"`) {
		t.Skip("this master's agent has no disk of type MOUNT")
	}
	s := startScheduler(t, c, "--role", "disks")
	s.run(`
id: /disks
restart: {delay: 100ms, attempts: 100}
volumes:
- {name: part, size: 16Mi, disk: path}
- {name: whole, size: 32Mi, disk: mount}
workloads:
- name: main
  cmd: for v in part whole; do echo x >> $v/starts; done; cat part/starts whole/starts | wc -l; exec sleep 1000
`)
	s.awaitTask("disks.0.1.main", inState(tandemv1.TaskState_TASK_RUNNING))
	s.starts("disks.0.1.main", 2)
	if !c.real {
		if text, err := os.ReadFile(filepath.Join(mount, "starts")); err != nil || string(text) != "x\n" {
			t.Errorf("the file system of the volume holds %q, %v", text, err)
		}
	}
	list := s.tandem("volume", "list").stdout
	for _, want := range []string{"part    16   path", "whole   64   mount"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list has no %q:\n%s", want, list)
		}
	}
	if r := s.tandem("restart", "--wait", "/disks"); r.status != 0 {
		t.Fatalf("tandem restart: %s", r)
	}
	s.starts("disks.0.2.main", 4)
	if r := s.tandem("stop", "--purge", "--wait", "/disks"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
	res, err := s.client.ListVolumes(t.Context(), &tandemv1.ListVolumesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range res.GetVolumes() {
		if r := s.tandem("volume", "purge", v.Id); r.status != 0 {
			t.Fatalf("tandem volume purge: %s", r)
		}
	}
	eventually(t, func() string {
		if r := s.tandem("volume", "list"); !strings.Contains(r.String(), "there are no volumes") {
			return r.String()
		}
		for _, v := range res.GetVolumes() {
			if reserved := c.reserved(t, v.Id); reserved != "" {
				return "still reserved: " + reserved
			}
		}
		return ""
	})
	if !c.real {
		if left, err := os.ReadDir(mount); err != nil || len(left) > 0 {
			t.Errorf("the purged file system holds %v, %v", left, err)
		}
	}
}

func diskAt(source mesos.Resource_DiskInfo_Source, size float64) mesos.Resource {
	return mesos.Resource{
		Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: size},
		Disk: &mesos.Resource_DiskInfo{Source: &source},
	}
}
