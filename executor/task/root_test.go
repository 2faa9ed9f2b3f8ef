package task

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/confine"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func TestATaskFindsItsSandboxInItsRoot(t *testing.T) {
	settings := &tandemv1.TaskSettings{Volumes: []string{"data"}}
	asked := confine.Spec{Root: &confine.Root{Path: "rootfs", Readonly: true}, Namespaces: []confine.Namespace{{Type: "mount"}}}
	command := "pwd"
	task := &mesos.TaskInfo{TaskID: mesos.TaskID{Value: "web.0.1.main"}, Command: &mesos.CommandInfo{Value: &command}}
	spec, err := describe(task, settings, Limits{}, asked, nil, Place{Dir: "/sandbox/tasks/web.0.1.main", Sandbox: "/sandbox"})
	if err != nil {
		t.Fatal(err)
	}
	want := &workload.Root{
		Path: "/sandbox/tasks/web.0.1.main/rootfs", Sandbox: "/sandbox/tasks/web.0.1.main", Inside: "/mnt/mesos/sandbox", Work: "/sandbox/runtime/web.0.1.main",
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
	bound := func(source string) *workload.Root {
		return &workload.Root{Path: filepath.Join(dir, "rootfs"), Sandbox: dir, Container: confine.Container{Mounts: []specs.Mount{
			{Destination: "/run", Type: "tmpfs", Source: "tmpfs"}, {Destination: "/data", Type: "bind", Source: filepath.Join(dir, source)},
		}}}
	}
	if err := checkRoot(bound("images")); err != nil {
		t.Error(err)
	}
	if err := checkRoot(bound("images/out")); err == nil || !strings.Contains(err.Error(), "its mount on /data, images/out is a link, to /etc") {
		t.Errorf("a mount of a link: %v", err)
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
		if err := linkVolumes(sandbox, dir, []volume{{name: "data", source: "volume-data"}}, nil, true); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Lstat(filepath.Join(dir, "data")); err != nil || !info.IsDir() {
		t.Errorf("data is %v, %v", info, err)
	}
}
