package workload_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/confine"
)

var update = flag.Bool("update", false, "write the bundles of testdata")

// What else a bundle can ask for its program has as well, with either runtime.
func TestContainerOfABundle(t *testing.T) {
	rooted(t, func(t *testing.T, e *env) {
		s := e.inRoot(`pwd; id -u; id -g; id -G; cat /proc/sys/kernel/hostname /proc/sys/kernel/shmmax /data/file
			cat /proc/version; mkdir /made; touch /data/no; grep Seccomp: /proc/self/status; ls /run; echo file > $MESOS_SANDBOX/made`)
		s.Dir, s.Numbers = "/bin", &workload.Numbers{Name: "12345", UID: 12345, GID: 54321, Groups: []int{54321, 7}}
		s.View.Namespaces = append(s.View.Namespaces, specs.UTSNamespace, specs.IPCNamespace)
		data := filepath.Join(e.dir, "data")
		if err := errors.Join(os.Mkdir(data, 0o777), os.WriteFile(filepath.Join(data, "file"), []byte("data\n"), 0o644), os.Chmod(e.dir, 0o777)); err != nil {
			t.Fatal(err)
		}
		one := uint(1)
		s.View.Root.Container = confine.Container{
			Hostname: "box", Sysctl: map[string]string{"kernel.shmmax": "4096"}, MaskedPaths: []string{"/proc/version"},
			Mounts: []specs.Mount{
				{Destination: "/data", Type: "bind", Source: data, Options: []string{"rbind", "ro"}},
				{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "size=64k"}},
			},
			Seccomp: &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
				Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno, ErrnoRet: &one,
			}}},
		}
		if exit := e.run(s); !exit.Status.Success() {
			t.Fatalf("exit = %+v: %s", exit, e.output("stderr"))
		}
		if diff := cmp.Diff("/bin\n12345\n54321\n54321 7\nbox\n4096\ndata\nSeccomp:\t2\n", e.output("stdout")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if said := e.output("stderr"); !strings.Contains(said, "mkdir: can't create directory '/made': Operation not permitted") || !strings.Contains(said, "/data/no: Read-only file system") {
			t.Errorf("it says %s", said)
		}
		if info, err := os.Stat(filepath.Join(e.dir, "made")); err != nil || info.Sys().(*syscall.Stat_t).Uid != 12345 {
			t.Errorf("what it has made: %v, %v", info, err)
		}
	})
}

func TestCgroupMounts(t *testing.T) {
	const v1 = `31 23 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
32 31 0:27 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu
33 31 0:28 / /with\040space rw - cgroup cgroup rw,memory
`
	const v2 = "34 31 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	for in, want := range map[string][2][]string{
		"":                {},
		"short - cgroup":  {},
		v1:                {{"/sys/fs/cgroup/cpu", "/with space"}, nil},
		v2:                {{"/sys/fs/cgroup/unified"}, nil},
		v2 + v1 + v2 + v1: {{"/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu", "/with space"}, {"/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified"}},
	} {
		all, beside := workload.CgroupMounts(in)
		if diff := cmp.Diff(want, [2][]string{all, beside}); diff != "" {
			t.Errorf("%s: -want +got:\n%s", in, diff)
		}
	}
}

func TestBundles(t *testing.T) {
	root := &workload.Root{Path: "/s/rootfs", Sandbox: "/s", Inside: inside, Work: "/w", Volumes: []workload.Volume{{Source: "/v", Destination: inside + "/data"}}}
	mount := []specs.LinuxNamespaceType{specs.MountNamespace}
	for name, c := range map[string]struct {
		spec workload.Spec
		uid  int
	}{
		"root": {workload.Spec{Shell: "echo hello", Env: []string{"A=b"}, Dir: inside, View: workload.View{Namespaces: mount, Root: root}}, 0},
		"another": {workload.Spec{
			Path: "/bin/sh", Args: []string{"sh", "-c", "true"}, Dir: inside, Groups: []int{7}, Umask: ptr(0o77), OOMScoreAdj: ptr(5), NoNewPrivileges: true,
			Rlimits: []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1, Hard: 2}},
			View: workload.View{
				Namespaces: append(slices.Clone(mount), specs.IPCNamespace), ReadonlyRoot: true, Root: root,
				Mounts: []confine.Mount{{Destination: "/tmp", Type: "tmpfs", Options: []string{"size=1m"}}},
			},
		}, 1000},
		"of a bundle": {workload.Spec{Args: []string{"serve"}, Dir: "/srv", Numbers: &workload.Numbers{}, View: workload.View{Namespaces: mount, Root: &workload.Root{
			Path: "/s/app/rootfs", Sandbox: "/s", Inside: inside, Work: "/w",
			Container: confine.Container{
				Hostname: "box", ApparmorProfile: "profile", SelinuxLabel: "process_t", MountLabel: "file_t", Sysctl: map[string]string{"kernel.shmmax": "1"},
				Mounts:      []specs.Mount{{Destination: "/data", Type: "bind", Source: "/s/app/data", Options: []string{"ro"}}},
				Seccomp:     &specs.LinuxSeccomp{DefaultAction: specs.ActErrno},
				MaskedPaths: []string{"/proc/asound"}, ReadonlyPaths: []string{"/proc/tty"},
			},
		}}}, 0},
		"with capabilities": {workload.Spec{Args: []string{"prog", "arg"}, Dir: inside, Capabilities: &specs.LinuxCapabilities{Bounding: []string{netBind}}, View: workload.View{Namespaces: mount, Root: root}}, 0},
	} {
		got, err := workload.BundleOf(c.spec, c.uid, []string{netBind, ptrace}, []string{"/etc/hosts"})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "bundle-"+strings.ReplaceAll(name, " ", "-")+".json")
		if *update {
			if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}
