package workload_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tandem-mesos/tandem/executor/guard"
	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// Programs that the test binary can be, for what a shell cannot do.
const (
	bombArg = "fork-bomb"
	eatArg  = "eat-memory"
)

// lives is how often a workload is run by the test that does nothing else.
var lives = flag.Int("lives", 60, "how many `workloads` to run, one after the other, in each setup")

func TestMain(m *testing.M) {
	if os.Args[0] == guard.Name {
		os.Exit(guard.Run())
	}
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case executorArg:
			if err := beExecutor(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case mortalArg:
			if err := beMortal(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		case bombArg:
			for {
				_, _, _ = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
			}
		case eatArg:
			var all [][]byte
			for {
				all = append(all, slices.Repeat([]byte{1}, 1<<20))
				runtime.KeepAlive(all)
			}
		}
	}
	before := descriptors()
	code := m.Run()
	if code == 0 {
		code = leaks(before)
	}
	os.Exit(code)
}

func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// leaks says what the tests have left behind.
func leaks(before int) (code int) {
	report := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "LEAK: "+format+"\n", args...)
		code = 1
	}
	if n := descriptors(); n > before+4 { // Go's poller, once started, stays
		report("%d descriptors, %d before", n, before)
	}
	var w syscall.WaitStatus
	if pid, err := syscall.Wait4(-1, &w, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		report("a child, %d: %v", pid, err)
	}
	if n := runtime.NumGoroutine(); n > 6 {
		report("%d goroutines", n)
	}
	for _, hierarchy := range []string{"", "*/"} {
		left, _ := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/%standem-workload-%d*", hierarchy, os.Getpid()))
		if len(left) > 0 {
			report("%v", left)
		}
	}
	return code
}

// setup is a place to run workloads in.
type setup struct {
	name string
	// container makes what the launcher gets; it skips where it cannot.
	container func(t testing.TB) place
}

// place is where workloads get their cgroups; empty for nowhere.
type place struct {
	container *cgroup.Container
	x         *cgroup.Group // the container's own
	home      *cgroup.Group // where the agent puts the executor: x itself on v1
}

func none(testing.TB) place { return place{} }

var controllers = []string{"cpu", "cpuacct", "memory", "pids", "freezer"}

// v1Container makes a container as an agent does.
func v1Container(t testing.TB) place { return v1With(t, controllers) }

// v1With makes one as an agent does that isolates with these controllers.
func v1With(t testing.TB, controllers []string) place {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes cgroups at the top of the machine's v1 hierarchies")
	}
	h, err := cgroup.ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range controllers {
		if h.Version != cgroup.V1 || !slices.Contains(h.Controllers(), c) {
			t.Skipf("needs the v1 controller %s", c)
		}
	}
	return open(t, h, "", 0, controllers)
}

// v2Container does so in the v2 hierarchy, also where that is without
// controllers.
func v2Container(t testing.TB) place {
	t.Helper()
	return chain(t, 0)
}

// chain bounds the number of workloads; 0 means the default.
func chain(t testing.TB, depth int) place {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes cgroups at the top of the machine's v2 hierarchy")
	}
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, " - cgroup2 ") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		t.Skip("needs a cgroup v2 mount; this machine has none")
	}
	h, err := cgroup.ParseHost(strings.NewReader(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	return open(t, h, "/leaf", depth, controllers)
}

func open(t testing.TB, h cgroup.Host, leaf string, depth int, controllers []string) place {
	t.Helper()
	id := uuid.NewString()
	top := fmt.Sprintf("/tandem-workload-%d", os.Getpid())
	x, err := h.Create(filepath.Join(top, id), controllers...)
	if err != nil {
		if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
			t.Skipf("needs a writable cgroup file system: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := errors.Join(x.Kill(ctx), x.Remove(ctx)); err != nil {
			t.Error(err)
		}
		for _, hierarchy := range h.Hierarchies {
			_ = syscall.Rmdir(filepath.Join(hierarchy.Mount, top))
		}
	})
	// On v2 this also enables the controllers below the container.
	home, err := h.Create(x.String()+leaf, controllers...)
	if err != nil {
		t.Fatal(err)
	}
	self := cgroup.Membership{Controllers: map[string]string{}, Unified: home.String()}
	for _, c := range controllers {
		self.Controllers[c] = x.String()
	}
	c, err := cgroup.OpenContainer(cgroup.ContainerOptions{Host: h, Self: self, ID: id, Depth: depth})
	if err != nil {
		t.Fatal(err)
	}
	return place{c, x, home}
}

var everywhere = []setup{{"v1", v1Container}, {"v2", v2Container}, {"without cgroups", none}}

// each runs a test in every setup.
func each(t *testing.T, test func(t *testing.T, e *env)) {
	t.Helper()
	for _, s := range everywhere {
		t.Run(s.name, func(t *testing.T) { test(t, newEnv(t, s)) })
	}
}

// controlled runs a test in every setup with cgroups that have the controllers.
func controlled(t *testing.T, test func(t *testing.T, e *env), controllers ...string) {
	t.Helper()
	for _, s := range everywhere[:2] {
		t.Run(s.name, func(t *testing.T) {
			e := newEnv(t, s)
			for _, c := range controllers {
				if !e.x.Has(c) {
					t.Skipf("needs the %s controller on cgroup %s", c, s.name)
				}
			}
			test(t, e)
		})
	}
}

// count is how many of a thing a test takes, fewer in a short run.
func count(many int) int {
	if testing.Short() {
		return many / 6
	}
	return many
}

// env is a launcher and a sandbox.
type env struct {
	testing.TB
	place
	launcher *workload.Launcher
	dir      string
	count    int
	started  []*workload.Process
}

func newEnv(t testing.TB, s setup) *env {
	t.Helper()
	where := s.container(t)
	l, err := workload.New(workload.Options{Container: where.container})
	if err != nil {
		t.Fatal(err)
	}
	e := &env{TB: t, launcher: l, place: where, dir: t.TempDir()}
	// Workloads of other users work here too.
	if err := os.Chmod(e.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for d := e.dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		_ = os.Chmod(d, 0o777)
	}
	t.Cleanup(func() {
		for _, p := range e.started { // those of a test that has failed
			p.Kill()
		}
		l.Close()
	})
	return e
}

// shell is a workload of a shell command that writes to the sandbox.
func (e *env) shell(command string) workload.Spec {
	e.count++
	return workload.Spec{
		ID:     fmt.Sprintf("hello.0.%d.web", e.count),
		Shell:  command,
		Env:    []string{"PATH=/usr/local/bin:/usr/bin:/bin", "GREETING=hello"},
		Dir:    e.dir,
		Stdout: filepath.Join(e.dir, "stdout"),
		Stderr: filepath.Join(e.dir, "stderr"),
	}
}

func (e *env) start(s workload.Spec) *workload.Process {
	e.Helper()
	p, err := e.launcher.Start(context.Background(), s)
	if err != nil {
		e.Fatal(err)
	}
	e.started = append(e.started, p)
	return p
}

// wait returns the exit, which must come without an error.
func (e *env) wait(p *workload.Process) workload.Exit {
	e.Helper()
	select {
	case exit := <-p.Exit():
		if exit.Err != nil {
			e.Error(exit.Err)
		}
		return exit
	case <-time.After(30 * time.Second):
		e.Fatal("the workload does not end")
		return workload.Exit{}
	}
}

func (e *env) run(s workload.Spec) workload.Exit {
	e.Helper()
	return e.wait(e.start(s))
}

// output reads a file of the sandbox.
func (e *env) output(name string) string {
	e.Helper()
	data, err := os.ReadFile(filepath.Join(e.dir, name))
	if err != nil {
		e.Fatal(err)
	}
	return string(data)
}

// until polls for what another process has to do.
func (e *env) until(what string, done func() bool) {
	e.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if done() {
			return
		}
	}
	e.Fatalf("%s did not happen", what)
}

// exists says whether a file of the sandbox is there.
func (e *env) exists(name string) bool {
	_, err := os.Stat(filepath.Join(e.dir, name))
	return err == nil
}
