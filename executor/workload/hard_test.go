package workload_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

func TestKernelWithoutBirthsInACgroup(t *testing.T) {
	for _, refusal := range []syscall.Errno{syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EBUSY, syscall.EACCES, syscall.EPERM, syscall.E2BIG} {
		t.Run(refusal.Error(), func(t *testing.T) {
			e := newEnv(t, everywhere[1])
			refused := e.launcher.RefuseBirths(refusal)
			s := e.shell("")
			s.Shell, s.Args = "", []string{"cat", "/proc/self/cgroup"}
			if exit := e.run(s); !exit.Status.Success() {
				t.Fatalf("exit = %+v", exit)
			}
			if refused() != 1 {
				t.Errorf("refused %d times", refused())
			}
			if got, want := e.output("stdout"), "::"+e.x.String()+"/mesos/leaf\n"; !strings.HasSuffix(got, want) {
				t.Errorf("it ran in %s, want %s", got, want)
			}
		})
	}
}

func TestKernelWithoutPidfds(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		e.launcher.WithoutPidfds()
		var group sync.WaitGroup
		for i := range count(20) {
			s := e.shell(fmt.Sprintf("(sleep 0.01 &) ; sleep 0.02; exit %d", i))
			s.Stdout, s.Stderr = "", ""
			p := e.start(s)
			group.Go(func() {
				if exit := e.wait(p); exit.Status.Code != i {
					t.Errorf("workload %d: %+v", i, exit)
				}
			})
		}
		group.Wait()
	})
}

// A task's CPU quota is off the container's account before its exit is told:
// an agent lowers the container's quota then, and must not be refused.
func TestQuotaHasGoneWithTheExit(t *testing.T) {
	controlled(t, func(t *testing.T, e *env) {
		cpus := func(quota int64) *specs.LinuxResources {
			return &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: ptr(uint64(100_000))}}
		}
		for range count(30) {
			if _, err := e.x.Limit(cpus(260_000), cgroup.Require); err != nil {
				t.Fatal(err)
			}
			small := e.shell("sleep 1000")
			small.Limits = cpus(50_000)
			sibling := e.start(small)
			large := e.shell("true")
			large.Limits = cpus(200_000)
			e.run(large)
			if _, err := e.x.Limit(cpus(60_000), cgroup.Require); err != nil {
				t.Fatal(err)
			}
			sibling.Kill()
			e.wait(sibling)
		}
	}, "cpu")
}

// settings reads every file below a directory that holds a limit.
func settings(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range entries {
			name := f.Name()
			if f.IsDir() {
				continue
			}
			for _, part := range []string{"subtree_control", "limit_in_bytes", ".max", ".high", ".low", ".min", "weight", "shares", "quota", "period", "freeze", "use_hierarchy", "oom"} {
				if !strings.Contains(name, part) || strings.Contains(name, "oom_control") || strings.Contains(name, "usage") || strings.Contains(name, ".events") {
					continue
				}
				if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
					all[filepath.Join(dir, name)] = string(data)
				}
			}
		}
	}
	return all
}

// Of the agent's cgroups nothing is changed, whatever a workload is limited
// to; nor of those above.
func TestNothingOutsideIsWritten(t *testing.T) {
	for _, s := range everywhere[:2] {
		t.Run(s.name, func(t *testing.T) {
			e := newEnv(t, s)
			var dirs []string
			for _, d := range e.x.Dirs() {
				dirs = append(dirs, d.Path, filepath.Dir(d.Path))
				if s.name == "v2" {
					dirs = append(dirs, filepath.Join(d.Path, "leaf"))
				}
			}
			before := settings(t, dirs...)
			w := e.shell("sleep 1000")
			w.Policy = cgroup.Prefer
			w.Limits = &specs.LinuxResources{
				CPU:    &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(50_000)), Cpus: "0"},
				Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(64 << 20)), Reservation: ptr(int64(1 << 20))},
				Pids:   &specs.LinuxPids{Limit: ptr(int64(20))},
			}
			p := e.start(w)
			if diff := cmp.Diff(before, settings(t, dirs...)); diff != "" {
				t.Errorf("while it runs: -before +after:\n%s", diff)
			}
			p.Kill()
			e.wait(p)
			if diff := cmp.Diff(before, settings(t, dirs...)); diff != "" {
				t.Errorf("afterwards: -before +after:\n%s", diff)
			}
		})
	}
}

func TestOutOfMemoryAtOnceIsToldEveryTime(t *testing.T) {
	controlled(t, func(t *testing.T, e *env) {
		for range count(30) {
			// Less than the program needs to come into being.
			s := eater(e, memory(1))
			p, err := e.launcher.Start(t.Context(), s)
			if err != nil {
				if !strings.Contains(err.Error(), "too small") {
					t.Fatal(err)
				}
				continue // it did not even become the program
			}
			if exit := e.wait(p); exit.OOMKills == 0 || exit.Status.Signal != syscall.SIGKILL {
				t.Fatalf("exit = %+v", exit)
			}
		}
	}, "memory")
}

func TestStartIsBrokenOffAtAnyTime(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		for range count(60) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(rand.N(8*time.Millisecond), cancel)
			s := e.shell("exec sleep 1000")
			s.ID = "hello.0.1.web" // the same each time: nothing may be left of the one before
			p, err := e.launcher.Start(ctx, s)
			cancel()
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				continue
			}
			p.Kill()
			e.wait(p)
		}
	})
}

func TestKillsAndExitsRace(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		for range count(60) {
			s := e.shell("exit 3")
			s.Stdout, s.Stderr = "", ""
			p := e.start(s)
			var group sync.WaitGroup
			for range 3 {
				group.Go(func() {
					time.Sleep(rand.N(3 * time.Millisecond))
					p.Kill()
					_ = p.Signal(syscall.SIGTERM)
				})
			}
			exit := e.wait(p)
			group.Wait()
			if s := exit.Status; s != (workload.Status{Code: 3}) && s.Signal != syscall.SIGKILL && s.Signal != syscall.SIGTERM {
				t.Fatalf("exit = %+v", exit)
			}
			if _, ok := <-p.Exit(); ok {
				t.Fatal("the exit came twice")
			}
		}
	})
}

func TestProgramThatIsStillBeingWritten(t *testing.T) {
	e := newEnv(t, setup{"", none})
	path := filepath.Join(e.dir, "program")
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { _ = f.Close() })
	s := e.shell("")
	s.Shell, s.Args = "", []string{path}
	if exit := e.run(s); !exit.Status.Success() {
		t.Errorf("exit = %+v", exit)
	}
}

// executorArg makes the test binary an executor that an agent has started as
// somebody who is not root. It says what it can do.
const executorArg = "executor"

type report struct {
	NoContainer string
	Controllers []string
	Refused     string // with limits that must be enforced
	Skipped     []string
	Exit        string
	Memory      string
	Cgroups     string
}

func beExecutor() error {
	var r report
	if _, err := fmt.Scanln(new(string)); err != nil {
		return err
	}
	host, err := cgroup.ReadHost()
	if err != nil {
		return err
	}
	self, err := cgroup.ReadMembership(0)
	if err != nil {
		return err
	}
	c, err := cgroup.OpenContainer(cgroup.ContainerOptions{Host: host, Self: self, ID: os.Getenv("CONTAINER")})
	if err != nil {
		r.NoContainer = err.Error()
	} else {
		r.Controllers = c.Controllers()
	}
	l, err := workload.New(workload.Options{Container: c, NoContainer: err})
	if err != nil {
		return err
	}
	s := workload.Spec{ID: "hello.0.1.web", Args: []string{"cat", "/proc/self/cgroup"}, Env: []string{"PATH=/bin:/usr/bin"}, Dir: "/", Limits: memory(32), Stdout: filepath.Join(os.Getenv("SANDBOX"), "cgroups")}
	p, err := l.Start(context.Background(), s)
	if err != nil {
		r.Refused = err.Error()
		s.Policy = cgroup.Prefer
		if p, err = l.Start(context.Background(), s); err != nil {
			return err
		}
	}
	for _, e := range p.Skipped() {
		r.Skipped = append(r.Skipped, e.Error())
	}
	exit := <-p.Exit()
	if exit.Err != nil {
		return exit.Err
	}
	r.Exit = exit.Status.String()
	r.Memory = fmt.Sprint(exit.Usage.Memory.Limit)
	data, err := os.ReadFile(s.Stdout)
	if err != nil {
		return err
	}
	r.Cgroups = string(data)
	l.Close()
	return json.NewEncoder(os.Stdout).Encode(r)
}

// asNobody runs an executor in a container as an agent makes it for one that
// is not root: it owns the directories that are named, and not their files.
func asNobody(t *testing.T, e *env, owned ...string) report {
	t.Helper()
	const nobody = 65534
	for _, dir := range owned {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	// The directory of the test's own binary is root's alone.
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(e.dir, "executor")
	if err := os.WriteFile(binary, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, executorArg)
	cmd.Dir = "/"
	cmd.Env = []string{"CONTAINER=" + filepath.Base(e.x.String()), "SANDBOX=" + e.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := e.home.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExecutorThatIsNotRootOnV1(t *testing.T) {
	e := newEnv(t, everywhere[0])
	var owned []string
	for _, d := range e.x.Dirs() {
		if !slices.Contains(d.Controllers, "freezer") {
			owned = append(owned, d.Path)
		}
	}
	r := asNobody(t, e, owned...)
	slices.Sort(r.Controllers)
	if want := []string{"cpu", "cpuacct", "memory", "pids"}; !slices.Equal(r.Controllers, want) {
		t.Errorf("controllers = %v, want %v", r.Controllers, want)
	}
	if r.Refused != "" || r.Exit != "exit status 0" || r.Memory != fmt.Sprint(32<<20) || !strings.Contains(r.Cgroups, e.x.String()+"/task-hello.0.1.web") {
		t.Errorf("report = %+v", r)
	}
}

func TestExecutorThatIsNotRootOnV2(t *testing.T) {
	e := newEnv(t, everywhere[1])
	if h, err := cgroup.ReadHost(); err != nil || h.Version != cgroup.V2 {
		t.Skipf("needs a machine with nothing but cgroup v2; this one is %s", h.Version)
	}
	r := asNobody(t, e, filepath.Join(e.x.Dirs()[0].Path, "leaf"))
	if !strings.Contains(r.NoContainer, "has to run as root") || !strings.Contains(r.Refused, "memory.max") || len(r.Skipped) != 1 || r.Exit != "exit status 0" {
		t.Errorf("report = %+v", r)
	}
}

// A thousand lives, with orphans, leave nothing: see also the leak check of
// the whole package.
func TestManyLivesLeaveNothing(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		s := e.shell("(sleep 0.001 &); (setsid true &); exit 5")
		if e.container == nil {
			s = e.shell("(sleep 0.001 &); exit 5") // the other would get away
		}
		s.Stdout, s.Stderr = "", ""
		before := descriptors()
		for range count(*lives) {
			if exit := e.run(s); exit.Status.Code != 5 {
				t.Fatalf("exit = %+v", exit)
			}
			e.started = nil
		}
		if after := descriptors(); after > before+4 {
			t.Errorf("%d descriptors, %d before", after, before)
		}
		if e.x == nil {
			return
		}
		for _, d := range e.x.Dirs() {
			err := filepath.WalkDir(d.Path, func(path string, f fs.DirEntry, err error) error {
				if err == nil && f.IsDir() && path != d.Path && filepath.Base(path) != "leaf" {
					t.Errorf("%s is left", path)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}
