package task

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func TestVolumesOfATask(t *testing.T) {
	disk := func(volume *mesos.Volume) mesos.Resource {
		return mesos.Resource{Name: "disk", Disk: &mesos.Resource_DiskInfo{Volume: volume}}
	}
	task := &mesos.TaskInfo{Resources: []mesos.Resource{
		{Name: "cpus"}, {Name: "disk"}, disk(nil), disk(&mesos.Volume{ContainerPath: "var/db"}),
	}}
	got := volumesOf(task, &tandemv1.TaskSettings{Volumes: []string{"data"}})
	want := []volume{{name: "data", source: "volume-data"}, {name: "var/db", source: "var/db"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(volume{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := volumesOf(&mesos.TaskInfo{}, nil); got != nil {
		t.Errorf("a task without has %v", got)
	}
}

func TestVolumesAreInTheTasksDirectory(t *testing.T) {
	sandbox, dir, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	// An agent mounts a volume into the sandbox, or links it.
	if err := os.MkdirAll(filepath.Join(sandbox, "var/mounted"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(sandbox, "volume-linked")); err != nil {
		t.Fatal(err)
	}
	volumes := []volume{{name: "var/mounted", source: "var/mounted"}, {name: "linked", source: "volume-linked"}}
	for range 2 { // again, as for a restart in place
		if err := linkVolumes(sandbox, dir, volumes, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range volumes {
		if err := os.WriteFile(filepath.Join(dir, v.name, "file"), []byte(v.name), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(sandbox, v.source, "file")); err != nil || string(got) != v.name {
			t.Errorf("volume %s holds %q, %v", v.name, got, err)
		}
	}
}

// What the executor makes as root must not go where a link in the task's directory leads.
func TestAVolumeIsPutNowhereElse(t *testing.T) {
	sandbox, dir, elsewhere := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(sandbox, "out/data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	for _, rooted := range []bool{false, true} {
		if err := linkVolumes(sandbox, dir, []volume{{name: "out/data", source: "out/data"}}, nil, rooted); err == nil {
			t.Errorf("rooted %v: it is put behind a link", rooted)
		}
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("elsewhere there is %v, %v", entries, err)
	}
}

func TestAVolumeThatIsNotThereIsAnError(t *testing.T) {
	sandbox, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"missing", "", ".", "..", "a/../../b", "/etc", "a//b", "a\x00b"} {
		if err := linkVolumes(sandbox, dir, []volume{{name: name, source: name}}, nil, false); err == nil {
			t.Errorf("volume %q is linked", name)
		}
	}
}
