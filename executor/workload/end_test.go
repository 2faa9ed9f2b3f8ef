package workload_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

func TestSignalGoesToTheMainProcess(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		p := e.start(e.shell("trap 'exit 7' TERM; touch ready; while :; do sleep 0.01; done"))
		e.until("the trap", func() bool { return e.exists("ready") })
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if exit := e.wait(p); exit.Status != (workload.Status{Code: 7}) {
			t.Errorf("exit = %+v", exit)
		}
		if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("a signal to a process that has ended = %v", err)
		}
		p.Kill() // does nothing
	})
}

func TestKillTakesWhatIgnoresSignals(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		p := e.start(e.shell("trap '' TERM INT HUP; (trap '' TERM; sleep 1000) & touch ready; while :; do sleep 0.01; done"))
		e.until("the trap", func() bool { return e.exists("ready") })
		p.Kill()
		p.Kill()
		if exit := e.wait(p); exit.Status.Signal != syscall.SIGKILL || exit.OOMKills != 0 {
			t.Errorf("exit = %+v", exit)
		}
	})
}

// alive says whether a process exists and is no zombie.
func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(data), ") Z ")
}

func (e *env) pid(name string) int {
	e.Helper()
	e.until(name, func() bool { return e.exists(name) && strings.HasSuffix(e.output(name), "\n") })
	pid, err := strconv.Atoi(strings.TrimSpace(e.output(name)))
	if err != nil {
		e.Fatal(err)
	}
	return pid
}

func TestDaemonDiesWithItsWorkload(t *testing.T) {
	for _, s := range everywhere {
		t.Run(s.name, func(t *testing.T) {
			e := newEnv(t, s)
			// Forked twice, in a session of its own, and left by its parents.
			p := e.start(e.shell("(setsid sh -c 'echo $$ > daemon; exec sleep 1000' &); while [ ! -s daemon ]; do sleep 0.01; done"))
			daemon := e.pid("daemon")
			exit := e.wait(p)
			if !exit.Status.Success() || exit.Leftovers != 1 {
				t.Errorf("exit = %+v, want one leftover", exit)
			}
			if alive(daemon) {
				t.Error("the daemon lives")
			}
		})
	}
}

func TestSessionDiesWithItsWorkload(t *testing.T) {
	e := newEnv(t, setup{"", none})
	p := e.start(e.shell("sh -c 'echo $$ > child; exec sleep 1000' & while [ ! -s child ]; do sleep 0.01; done"))
	child := e.pid("child")
	if exit := e.wait(p); !exit.Status.Success() || exit.Leftovers != 1 {
		t.Errorf("exit = %+v, want one leftover", exit)
	}
	if alive(child) {
		t.Error("the child lives")
	}
}

func TestForkBombIsEnded(t *testing.T) {
	for name, limit := range map[string]*specs.LinuxResources{
		"under its own limit":           {Pids: &specs.LinuxPids{Limit: ptr(int64(40))}},
		"under that of the container's": nil,
	} {
		t.Run(name, func(t *testing.T) {
			controlled(t, func(t *testing.T, e *env) {
				if _, err := e.x.Limit(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(80))}}, cgroup.Require); err != nil {
					t.Fatal(err)
				}
				s := e.shell("")
				s.Shell, s.Args = "", []string{"bomb", bombArg}
				s.Path, _ = os.Executable()
				s.Limits = limit
				p := e.start(s)
				e.until("the explosion", func() bool {
					u, err := p.Usage()
					return err == nil && u.Pids.Current > 30
				})
				p.Kill()
				if exit := e.wait(p); exit.Status.Signal != syscall.SIGKILL {
					t.Errorf("exit = %+v", exit)
				}
			}, "pids")
		})
	}
}

// Most agents on v1 have no isolator for pids, so that the freezer has to stop a bomb. A
// container of the test's bounds it. Without any cgroup its end is not promised: it may get
// more of the processors than who looks for its processes.
func TestForkBombWithoutALimitIsEnded(t *testing.T) {
	around := v1With(t, []string{"pids"})
	if _, err := around.x.Limit(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(120))}}, cgroup.Require); err != nil {
		t.Fatal(err)
	}
	dir := around.x.Dirs()[0].Path
	current := func() int {
		data, err := os.ReadFile(filepath.Join(dir, "pids.current"))
		n, wrong := strconv.Atoi(strings.TrimSpace(string(data)))
		if err := errors.Join(err, wrong); err != nil {
			t.Fatal(err)
		}
		return n
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e := newEnv(t, setup{"by the freezer", func(t testing.TB) place {
		return v1With(t, slices.DeleteFunc(slices.Clone(controllers), func(c string) bool { return c == "pids" }))
	}})
	p := e.start(e.shell(fmt.Sprintf("echo $$ >%s/cgroup.procs && exec %s %s", dir, program, bombArg)))
	e.until("the explosion", func() bool { return current() > 100 })
	p.Kill()
	if exit := e.wait(p); exit.Status.Signal != syscall.SIGKILL {
		t.Errorf("exit = %+v", exit)
	}
	e.until("the end of all", func() bool { return current() == 0 })
}

func TestRefusedForksAreCounted(t *testing.T) {
	controlled(t, func(t *testing.T, e *env) {
		s := e.shell("for i in 1 2 3 4 5 6; do sleep 1000 & done")
		s.Limits = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(4))}}
		exit := e.run(s)
		if n := exit.Usage.Pids; exit.Status.Success() || n == nil || n.Limit != 4 || n.Refused == 0 {
			t.Errorf("exit = %+v, processes %+v", exit, n)
		}
		s = e.shell("sleep 0 & wait")
		s.Limits = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(4))}}
		if n := e.run(s).Usage.Pids; n == nil || n.Refused != 0 {
			t.Errorf("processes %+v, where none was refused", n)
		}
	}, "pids")
}

func memory(mib int64) *specs.LinuxResources {
	return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(mib << 20), Swap: ptr(mib << 20)}}
}

func eater(e *env, limits *specs.LinuxResources) workload.Spec {
	s := e.shell("")
	s.Shell, s.Args = "", []string{"eater", eatArg}
	s.Path, _ = os.Executable()
	s.Limits = limits
	return s
}

func TestOutOfMemoryAtItsOwnLimit(t *testing.T) {
	controlled(t, func(t *testing.T, e *env) {
		sibling := e.start(e.shell("sleep 1000"))
		exit := e.run(eater(e, memory(32)))
		if exit.Status.Signal != syscall.SIGKILL || exit.OOMKills == 0 {
			t.Errorf("exit = %+v, want an out-of-memory kill", exit)
		}
		if m := exit.Usage.Memory; m.Limit != 32<<20 || m.Peak < 24<<20 || m.Peak > 33<<20 {
			t.Errorf("memory = %+v", *m)
		}
		if !alive(sibling.Pid()) {
			t.Error("the sibling has died")
		}
		sibling.Kill()
		if exit := e.wait(sibling); exit.OOMKills != 0 {
			t.Errorf("the sibling's exit = %+v", exit)
		}
		// An agent destroys a container that it sees running out of memory.
		if n, err := e.x.OOMKills(); n != 0 || err != nil {
			t.Errorf("the container's kills: %d, %v", n, err)
		}
	}, "memory")
}

// On v1 the kernel takes one process and leaves the rest.
func TestOutOfMemoryOfAChildEndsTheWhole(t *testing.T) {
	controlled(t, func(t *testing.T, e *env) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		s := e.shell(fmt.Sprintf("%s %s & sleep 1000", self, eatArg))
		s.Limits = memory(32)
		if exit := e.run(s); exit.Status.Signal != syscall.SIGKILL || exit.OOMKills == 0 {
			t.Errorf("exit = %+v, want a kill of the whole", exit)
		}
	}, "memory")
}

// The container's limit kills somebody; only that one is told of.
func TestOutOfMemoryOfTheContainer(t *testing.T) {
	controlled(t, func(t *testing.T, e *env) {
		sibling := e.start(e.shell("sleep 1000"))
		if _, err := e.x.Limit(memory(48), cgroup.Require); err != nil {
			t.Fatal(err)
		}
		if exit := e.run(eater(e, nil)); exit.Status.Signal != syscall.SIGKILL || exit.OOMKills == 0 {
			t.Errorf("exit = %+v, want an out-of-memory kill", exit)
		}
		sibling.Kill()
		if exit := e.wait(sibling); exit.OOMKills != 0 {
			t.Errorf("the sibling's exit = %+v", exit)
		}
	}, "memory")
}

func TestFirstAllocationIsTheWorkloads(t *testing.T) {
	controlled(t, func(t *testing.T, e *env) {
		// Less than the executor itself has.
		s := e.shell("exit 0")
		s.Limits = memory(2)
		if exit := e.run(s); !exit.Status.Success() {
			t.Errorf("a small program under a small limit: %+v", exit)
		}
		if n, err := e.x.OOMKills(); n != 0 || err != nil {
			t.Errorf("kills in the container itself: %d, %v", n, err)
		}
	}, "memory")
}

func TestUsageIsThatOfTheWhole(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		exit := e.run(e.shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"))
		u := exit.Usage
		want := map[string]workload.Source{"v1": workload.FromV1, "v2": workload.FromV2}[setupName(t)]
		if want == "" {
			want = workload.FromRusage
		}
		if u.Source != want || u.CPU == nil || u.CPU.Total < time.Millisecond || u.WallTime < time.Millisecond {
			t.Errorf("usage = %+v, CPU %+v, want figures from %s", u, u.CPU, want)
		}
		if u.Memory == nil || u.Memory.Peak < 100<<10 {
			t.Errorf("memory = %+v", u.Memory)
		}
	})
}

func setupName(t *testing.T) string {
	_, name, _ := strings.Cut(t.Name(), "/")
	return name
}

func TestCPUQuotaIsEnforcedAndTold(t *testing.T) {
	controlled(t, func(t *testing.T, e *env) {
		s := e.shell("while :; do :; done")
		s.Limits = &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(5000)), Period: ptr(uint64(10_000))}}
		p := e.start(s)
		e.until("throttling", func() bool {
			u, err := p.Usage()
			return err == nil && u.CPU.ThrottledPeriods > 2 && u.CPU.Throttled > 0
		})
		p.Kill()
		e.wait(p)
	}, "cpu")
}

func TestLimitsWithoutACgroup(t *testing.T) {
	e := newEnv(t, setup{"", none})
	s := e.shell("true")
	s.Limits = memory(64)
	_, err := e.launcher.Start(t.Context(), s)
	const want = "its limits (memory.max, memory.swap.max) cannot be enforced: none was looked for; " +
		"run the agent with cgroup isolators and the executor as root, or say limits.policy: prefer"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("err = %v, want %s", err, want)
	}
	s.Policy = cgroup.Prefer
	p := e.start(s)
	if len(p.Skipped()) != 1 {
		t.Errorf("skipped = %v", p.Skipped())
	}
	e.wait(p)
	s.Limits, s.Policy = &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(1024))}}, cgroup.Require
	e.run(s)
}

func TestLimitWithoutItsController(t *testing.T) {
	controlled(t, func(t *testing.T, e *env) {
		s := e.shell("true")
		s.Limits = &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}}
		if _, err := e.launcher.Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), "no cpuset controller; leave it out, or say limits.policy: prefer") {
			t.Errorf("err = %v", err)
		}
		// Of each of these one version has no such thing.
		s.Limits = &specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: ptr(uint64(7))}, Unified: map[string]string{"memory.low": "0"}}
		if _, err := e.launcher.Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), "; leave it out, or say limits.policy: prefer") {
			t.Errorf("err = %v", err)
		}
		s.Limits = &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}}
		s.Policy = cgroup.Prefer
		p := e.start(s)
		if len(p.Skipped()) != 1 {
			t.Errorf("skipped = %v", p.Skipped())
		}
		e.wait(p)
	})
}

func TestChainThatIsFullSharesByPolicy(t *testing.T) {
	const depth = 5
	e := newEnv(t, setup{"", func(t testing.TB) place { return chain(t, depth) }})
	var all []*workload.Process
	for range depth {
		all = append(all, e.start(e.shell("exec sleep 1000")))
	}
	s := e.shell("true")
	e.run(s) // without limits it needs no cgroup
	s.Limits = memory(64)
	if _, err := e.launcher.Start(t.Context(), s); !errors.As(err, new(*cgroup.DepthError)) {
		t.Errorf("err = %v", err)
	}
	for _, p := range all {
		p.Kill()
	}
	for _, p := range all {
		e.wait(p)
	}
}

// Orphans become the executor's children. They must be reaped, and no exit
// status may be lost over it; children of other code must be left to it.
func TestOrphansAndExits(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		var group sync.WaitGroup
		for i := range count(60) {
			s := e.shell(fmt.Sprintf("(sleep 0.01 &) ; (true &) ; exit %d", i))
			s.Stdout, s.Stderr = "", ""
			group.Go(func() {
				p, err := e.launcher.Start(t.Context(), s)
				if err != nil {
					t.Error(err)
					return
				}
				if exit := <-p.Exit(); exit.Status.Code != i || exit.Err != nil {
					t.Errorf("workload %d: %+v", i, exit)
				}
			})
			group.Go(func() {
				if err := exec.Command("true").Run(); err != nil {
					t.Errorf("a child that is not ours: %v", err)
				}
			})
		}
		group.Wait()
		e.until("the reaping", func() bool {
			zombies, _ := exec.Command("sh", "-c", fmt.Sprintf("cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z %d '", os.Getpid())).Output()
			return strings.TrimSpace(string(zombies)) == "0"
		})
	})
}

func TestManyWorkloadsCostFewThreads(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		many := max(count(60), 20)
		before := pprof.Lookup("threadcreate").Count()
		var all []*workload.Process
		for range many {
			all = append(all, e.start(e.shell("exec sleep 1000")))
		}
		if n := pprof.Lookup("threadcreate").Count() - before; n > 12 {
			t.Errorf("%d workloads took %d more threads", many, n)
		}
		for _, p := range all {
			p.Kill()
		}
		for _, p := range all {
			e.wait(p)
		}
	})
}

func TestClosedLauncherStartsNothing(t *testing.T) {
	l, err := workload.New(workload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := workload.Spec{ID: "hello.0.1.web", Shell: "sleep 0.01", Dir: "/"}
	p, err := l.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if exit, ok := <-p.Exit(); !ok || !exit.Status.Success() {
		t.Errorf("Close did not wait: %+v", exit)
	}
	if _, err := l.Start(t.Context(), s); err == nil {
		t.Error("it starts workloads after Close")
	}
}

func TestFreshlyWrittenProgramStarts(t *testing.T) {
	e := newEnv(t, setup{"", none})
	var group sync.WaitGroup
	for i := range count(40) {
		group.Go(func() {
			path := filepath.Join(e.dir, fmt.Sprintf("program%d", i))
			data, err := os.ReadFile("/bin/true")
			if err == nil {
				err = os.WriteFile(path, data, 0o755)
			}
			if err != nil {
				t.Error(err)
				return
			}
			p, err := e.launcher.Start(t.Context(), workload.Spec{ID: path, Args: []string{path}, Dir: "/"})
			if err != nil {
				t.Error(err)
				return
			}
			<-p.Exit()
		})
	}
	group.Wait()
}
