package cgroup_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// controllers are what the tests of real groups ask for.
var controllers = []string{"cpu", "cpuacct", "memory", "pids", "freezer"}

func ptr[T any](v T) *T { return &v }

// bombArg makes the test binary a fork bomb. A shell would not do: it exits
// when it cannot fork.
const bombArg = "fork-bomb"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == bombArg {
		for {
			_, _, _ = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		}
	}
	os.Exit(m.Run())
}

// onEach runs a test on each generation of cgroups that the machine has. On a
// hybrid one that is v1 and what little v2 has beside it.
func onEach(t *testing.T, test func(t *testing.T, h cgroup.Host)) {
	t.Helper()
	t.Run("v1", func(t *testing.T) { test(t, v1Host(t)) })
	t.Run("v2", func(t *testing.T) { test(t, v2Host(t)) })
}

// need skips a test where the machine's cgroups lack a controller.
func need(t *testing.T, g *cgroup.Group, controllers ...string) {
	t.Helper()
	for _, c := range controllers {
		if !g.Has(c) {
			t.Skipf("needs the %s controller on cgroup %s", c, g.Version())
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes cgroups at the top of the machine's hierarchies")
	}
}

// v1Host returns the machine's v1 hierarchies, or skips.
func v1Host(t *testing.T) cgroup.Host {
	t.Helper()
	needRoot(t)
	h, err := cgroup.ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	if h.Version != cgroup.V1 {
		t.Skipf("needs cgroup v1; this machine has %s", h.Version)
	}
	for _, c := range controllers {
		if !slices.Contains(h.Controllers(), c) {
			t.Skipf("needs the v1 controller %s", c)
		}
	}
	return h
}

// v2Host returns the machine's v2 hierarchy, also where it is hybrid.
func v2Host(t *testing.T) cgroup.Host {
	t.Helper()
	needRoot(t)
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := cgroup.ParseV2(f)
	if err != nil {
		t.Fatal(err)
	}
	if h.Version != cgroup.V2 {
		t.Skip("needs a cgroup v2 mount; this machine has none")
	}
	return h
}

// newGroup makes a group that is killed and removed with the test.
func newGroup(t *testing.T, h cgroup.Host, name string) *cgroup.Group {
	t.Helper()
	top := fmt.Sprintf("/tandem-test-%d", os.Getpid())
	g, err := h.Create(filepath.Join(top, name), controllers...)
	if err != nil {
		if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
			t.Skipf("needs a writable cgroup file system: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := errors.Join(g.Kill(ctx), g.Remove(ctx)); err != nil {
			t.Error(err)
		}
		for _, hierarchy := range h.Hierarchies {
			_ = syscall.Rmdir(filepath.Join(hierarchy.Mount, top))
		}
	})
	return g
}

// start runs a command outside of any group of the test; it is waited for at
// the end, when something must have ended it.
func start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// parked starts a shell that runs the script once the returned function is
// called.
func parked(t *testing.T, script string) (cmd *exec.Cmd, release func()) {
	t.Helper()
	cmd = exec.Command("sh", "-c", "read go; "+script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = nil, nil
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, func() { _ = in.Close() }
}

// until polls for what another process has to do.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("%s did not happen", what)
}

func read(t *testing.T, g *cgroup.Group, controller, file string) string {
	t.Helper()
	for _, d := range g.Dirs() {
		if slices.Contains(d.Controllers, controller) {
			data, err := os.ReadFile(filepath.Join(d.Path, file))
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(data))
		}
	}
	t.Fatalf("no %s controller", controller)
	return ""
}

func memory(limit int64) *specs.LinuxResources {
	return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}}
}
