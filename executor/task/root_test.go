package task

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/executor/workload"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func TestATaskFindsItsSandboxInItsRoot(t *testing.T) {
	settings := &tandemv1.TaskSettings{
		OciConfinement: []byte(`{"root": {"path": "rootfs", "readonly": true}, "namespaces": [{"type": "mount"}]}`),
		Volumes:        []string{"data"},
	}
	command := "pwd"
	task := &mesos.TaskInfo{TaskID: mesos.TaskID{Value: "web.0.1.main"}, Command: &mesos.CommandInfo{Value: &command}}
	spec, err := specOf(task, settings, Limits{}, Place{Dir: "/sandbox/tasks/web.0.1.main", Sandbox: "/sandbox"})
	if err != nil {
		t.Fatal(err)
	}
	want := &workload.Root{
		Path: "/sandbox/tasks/web.0.1.main/rootfs", Sandbox: "/sandbox/tasks/web.0.1.main", Work: "/sandbox/runtime/web.0.1.main",
		Volumes: []workload.Volume{{Source: "/sandbox/volume-data", Destination: "/mnt/mesos/sandbox/data"}},
	}
	if diff := cmp.Diff(want, spec.View.Root); diff != "" || !spec.View.ReadonlyRoot {
		t.Errorf("-want +got:\n%s", diff)
	}
	if spec.Dir != insideRoot || spec.Stdout != "/sandbox/tasks/web.0.1.main/stdout" || !slices.Contains(spec.Env, "MESOS_SANDBOX="+insideRoot) {
		t.Errorf("spec = %+v", spec)
	}
}

func TestRootThatIsALinkIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"rootfs", "images"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link": "rootfs", "out": "/", "images/out": "/etc"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, refused := range map[string]bool{"rootfs": false, "missing": false, "link": true, "out": true, "images/out": true} {
		err := checkRoot(&workload.Root{Path: filepath.Join(dir, path), Sandbox: dir})
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), path+" is a link") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := checkRoot(nil); err != nil {
		t.Error(err)
	}
}

func TestVolumesOfARootAreMountedOnDirectories(t *testing.T) {
	sandbox, dir := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(sandbox, "volume-data"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again, as for a restart in place
		if err := linkVolumes(sandbox, dir, []string{"data"}, nil, true); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Lstat(filepath.Join(dir, "data")); err != nil || !info.IsDir() {
		t.Errorf("data is %v, %v", info, err)
	}
}
