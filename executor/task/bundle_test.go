package task

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/confine"
)

// sandboxed returns a sandbox, with the directory of a task in it that has a bundle.
func sandboxed(t *testing.T, config string) (sandbox, dir string) {
	t.Helper()
	sandbox = t.TempDir()
	dir = filepath.Join(sandbox, "tasks", "a.0.1.main")
	if err := os.MkdirAll(filepath.Join(dir, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "app", "config.json"), config)
	return sandbox, dir
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

var inApp = confine.Spec{Bundle: "app"}

// A task that has written another config.json is started again as before: it might
// become another user.
func TestABundleIsReadOnce(t *testing.T) {
	sandbox, dir := sandboxed(t, `{"ociVersion": "1.0.0", "root": {"path": "rootfs"}, "process": {"user": {"uid": 7}}}`)
	for _, then := range []string{`{"ociVersion": "1.0.0", "root": {"path": "rootfs"}}`, `{`} {
		b, err := bundleOf(sandbox, dir, "a.0.1.main", inApp)
		if err != nil || b.User.UID != 7 {
			t.Fatalf("it has %+v, %v", b, err)
		}
		writeFile(t, filepath.Join(dir, "app", "config.json"), then)
	}
	if info, err := os.Stat(filepath.Join(sandbox, "bundles")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the copies are in %v, %v", info, err)
	}
	if b, err := bundleOf(sandbox, dir, "a.0.1.main", confine.Spec{}); b != nil || err != nil {
		t.Errorf("a task without one has %+v, %v", b, err)
	}
}

func TestBundlesThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		make func(config string) error
		want string
	}{
		"missing":  {os.Remove, "cannot use its bundle app: it has no config.json; let fetch bring it there, with the root file system beside it"},
		"no JSON":  {func(c string) error { return os.WriteFile(c, []byte("{"), 0o600) }, "cannot use its bundle app: it is no config.json of the OCI runtime specification: unexpected end of JSON input"},
		"too long": {func(c string) error { return os.Truncate(c, maxConfig+1) }, "its config.json is 1048577 bytes long, and may be 1048576"},
		"no file": {func(c string) error {
			return replaceBy(c, func() error { return syscall.Mkfifo(c, 0o600) })
		}, "its config.json is no file"},
		"a link out of it": {func(c string) error {
			return replaceBy(c, func() error { return os.Symlink("/etc/hostname", c) })
		}, "escapes"},
	} {
		t.Run(name, func(t *testing.T) {
			sandbox, dir := sandboxed(t, `{}`)
			if err := c.make(filepath.Join(dir, "app", "config.json")); err != nil {
				t.Fatal(err)
			}
			if _, err := bundleOf(sandbox, dir, "a.0.1.main", inApp); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if left, _ := os.ReadDir(filepath.Join(sandbox, "bundles")); len(left) > 0 {
				t.Errorf("there is a copy: %v", left)
			}
		})
	}
}

func replaceBy(name string, create func() error) error {
	if err := os.Remove(name); err != nil {
		return err
	}
	return create()
}

const described = `{
	"ociVersion": "1.0.0", "root": {"path": "rootfs"}, "hostname": "box",
	"process": {"args": ["serve", "-v"], "env": ["PATH=/app", "MODE=image", "HOME=/srv", "MESOS_TASK_ID=no"], "cwd": "/srv", "user": {"uid": 1000, "gid": 100, "additionalGids": [7]}, "oomScoreAdj": 9},
	"mounts": [{"destination": "/etc/app", "type": "bind", "source": "conf"}, {"destination": "/run", "type": "tmpfs"}],
	"linux": {"namespaces": [{"type": "uts"}], "seccomp": {"defaultAction": "SCMP_ACT_ERRNO"}}
}`

// What a task does not say its bundle does: what runs, where, with which environment.
func TestABundleDescribesATask(t *testing.T) {
	bundle, err := confine.ParseBundle([]byte(described))
	if err != nil {
		t.Fatal(err)
	}
	at := Place{Dir: "/sandbox/tasks/a.0.1.main", Sandbox: "/sandbox", Hostname: "agent", FrameworkID: "f"}
	task := &mesos.TaskInfo{TaskID: mesos.TaskID{Value: "a.0.1.main"}, Command: &mesos.CommandInfo{
		Shell: proto.Bool(false), Environment: &mesos.Environment{Variables: []mesos.Environment_Variable{{Name: "MODE", Value: proto.String("job")}}},
	}}
	spec, err := describe(task, nil, Limits{}, inApp, bundle, at)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"serve", "-v"}, spec.Args); diff != "" || spec.Dir != "/srv" || spec.OOMScoreAdj == nil || *spec.OOMScoreAdj != 9 {
		t.Errorf("spec = %+v", spec)
	}
	want := []string{"HOME=/srv", "HOST=agent", "MESOS_FRAMEWORK_ID=f", "MESOS_SANDBOX=" + insideRoot, "MESOS_TASK_ID=a.0.1.main", "MODE=job", "PATH=/app"}
	if diff := cmp.Diff(want, spec.Env); diff != "" {
		t.Errorf("environment: -want +got:\n%s", diff)
	}
	root := &workload.Root{
		Path: at.Dir + "/app/rootfs", Sandbox: at.Dir, Inside: insideRoot, Work: "/sandbox/runtime/a.0.1.main",
		Container: confine.Container{
			Hostname: "box", Seccomp: &specs.LinuxSeccomp{DefaultAction: specs.ActErrno},
			Mounts: []specs.Mount{
				{Destination: "/etc/app", Type: "bind", Source: at.Dir + "/app/conf", Options: []string{"rbind"}},
				{Destination: "/run", Type: "tmpfs", Source: "tmpfs"},
			},
		},
	}
	if diff := cmp.Diff(root, spec.View.Root); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !slices.Contains(spec.View.Namespaces, specs.MountNamespace) || !slices.Contains(spec.View.Namespaces, specs.UTSNamespace) {
		t.Errorf("namespaces: %v", spec.View.Namespaces)
	}
	// The task has the last word.
	task.Command.Value, task.Command.Shell = proto.String("sh"), nil
	score := 5
	if spec, err = describe(task, nil, Limits{OOMScoreAdj: &score}, inApp, bundle, at); err != nil || spec.Shell != "sh" || len(spec.Args) > 0 || *spec.OOMScoreAdj != 5 {
		t.Errorf("spec = %+v, %v", spec, err)
	}
	task.Command.Value, task.Command.Shell, bundle.Args = nil, proto.Bool(false), nil
	if _, err = describe(task, nil, Limits{}, inApp, bundle, at); err == nil || !strings.Contains(err.Error(), "neither the task nor its bundle says what to run") {
		t.Error(err)
	}
}

// Whom a task or its framework names goes before whom a bundle does, but for root,
// which is no choice of anybody's.
func TestUserOfABundle(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	nobody := &workload.Numbers{Name: "1000", UID: 1000, GID: 100, Groups: []int{100, 7}}
	for name, c := range map[string]struct {
		framework, task string
		want            *workload.Numbers
	}{
		"nobody says":          {"", "", nobody},
		"the framework's root": {"root", "", nobody},
		"the framework's":      {"nobody", "", nil},
		"the task's":           {"root", "nobody", nil},
		"the task's root":      {"", "root", nil},
	} {
		sandbox, dir := sandboxed(t, described)
		s := &Tasks{Options{Sandbox: sandbox, User: c.framework}}
		task := &mesos.TaskInfo{TaskID: mesos.TaskID{Value: "a.0.1.main"}, Command: &mesos.CommandInfo{Shell: proto.Bool(false)}}
		if c.task != "" {
			task.Command.User = &c.task
		}
		spec, left, err := s.specOf(task, nil, confine.Spec{Bundle: "app"}, Limits{}, dir)
		if err != nil || len(left) > 0 {
			t.Fatal(left, err)
		}
		if diff := cmp.Diff(c.want, spec.Numbers); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}
