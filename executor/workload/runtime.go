package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/spawn"
)

// ociRuntime is a program that starts another in a root file system.
type ociRuntime struct {
	name string
	// options keep it from making cgroups of its own, as far as it has such.
	options []string
	// pure says that it refuses v2 beside v1, and has to be shown v1 only.
	pure bool
}

// runtimes are those that are known, the better first: crun is told to leave
// cgroups alone. runc cannot be, and makes cgroups of its own in all hierarchies
// and enables controllers above them, unless that is refused: in what it calls
// rootless it goes without. What holds for both is that no cgroup can be written to
// by them.
var runtimes = []ociRuntime{
	{name: "crun", options: []string{"--cgroup-manager=disabled"}, pure: true},
	{name: "runc", options: []string{"--rootless=true"}},
}

const (
	runtimePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// containerID is among those of a directory of notes that has no other.
	containerID = "workload"
)

// entry is a program's way into its root file system: a runtime is run in the
// workload's cgroup, and what it leaves is a child of the executor.
type entry struct {
	runtime ociRuntime
	work    string
	config  *os.File // in memory, as it holds what the environment keeps secret
	unhold  func()
	// done gets what has come of it, once the runtime has ended.
	done chan error
}

// findRuntime returns the first runtime that the machine has, and where.
func findRuntime(known []ociRuntime) (ociRuntime, string, error) {
	for _, r := range known {
		for _, dir := range filepath.SplitList(runtimePath) {
			if path, err := exec.LookPath(filepath.Join(dir, r.name)); err == nil {
				return r, path, nil
			}
		}
	}
	return ociRuntime{}, "", errors.New("its root file system takes an OCI runtime, and the agent has none; install crun or runc there")
}

// contain makes of a program one that has it run in its root file system. What it
// makes is p.entry's to remove.
func (p *Process) contain(s *Spec, program spawn.Program) (spawn.Program, error) {
	switch {
	case os.Geteuid() != 0:
		return program, errors.New("a root file system of its own takes an executor that is root")
	case p.group == nil:
		none := p.launcher.none
		if none == nil { // Without limits a workload may go without where the chain is full.
			none = errors.New("the container has as many as it can have")
		}
		return program, fmt.Errorf("a root file system of its own takes a cgroup: %w", none)
	}
	r, path, err := findRuntime(p.launcher.runtimes)
	if err != nil {
		return program, err
	}
	if info, err := os.Stat(s.View.Root.Path); err != nil || !info.IsDir() {
		return program, fmt.Errorf("its root file system %s is no directory; let fetch bring it there", s.View.Root.Path)
	}
	e := &entry{runtime: r, work: s.View.Root.Work, unhold: sync.OnceFunc(p.launcher.reaper.hold()), done: make(chan error, 1)}
	p.entry = e
	if err := e.prepare(s, program); err != nil {
		return program, fmt.Errorf("cannot prepare its root file system: %w", err)
	}
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return program, fmt.Errorf("cannot find where cgroups are mounted: %w", err)
	}
	state := filepath.Join(e.work, "state")
	view := spawn.View{Namespaces: unix.CLONE_NEWNS, Mounts: []spawn.Mount{{Target: state, Flags: unix.MS_NOSUID | unix.MS_NODEV, Data: "mode=700"}}}
	var beside []string
	if view.Readonly, beside = cgroupMounts(string(mountinfo)); r.pure {
		for _, at := range beside {
			view.Mounts = append(view.Mounts, spawn.Mount{Target: at, Flags: unix.MS_RDONLY})
		}
	}
	args := append([]string{r.name, "--root", state, "--log", e.file("log"), "--log-format", "json"}, r.options...)
	return spawn.Program{
		Paths: []string{path},
		Args:  append(args, "run", "--detach", "--bundle", e.work, "--pid-file", e.file("pid"), containerID),
		Env:   []string{"PATH=" + runtimePath},
		Dir:   e.work,
		Files: program.Files,
		Umask: 0o022,
		View:  view,

		OOMScore: program.OOMScore,
	}, nil
}

func (e *entry) file(name string) string { return filepath.Join(e.work, name) }

// prepare writes the bundle.
func (e *entry) prepare(s *Spec, program spawn.Program) error {
	if err := os.RemoveAll(e.work); err != nil {
		return err
	}
	if err := os.MkdirAll(e.file("state"), 0o700); err != nil {
		return err
	}
	var present []string
	for _, file := range ofMachine {
		if exists(file) {
			present = append(present, file)
		}
	}
	data, err := json.Marshal(bundleOf(s, program, bounding(), present))
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("config.json", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	e.config = os.NewFile(uintptr(fd), "config.json")
	if _, err := e.config.Write(data); err != nil {
		return err
	}
	return os.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), e.file("config.json"))
}

// remove takes back what was made for the start. The runtime has ended.
func (e *entry) remove() error {
	if e == nil {
		return nil
	}
	e.unhold()
	if e.config != nil {
		_ = e.config.Close() // It is memory.
	}
	if err := os.RemoveAll(e.work); err != nil {
		return fmt.Errorf("cannot remove the OCI runtime's files: %w", err)
	}
	return nil
}

// wait returns when the program runs in its root, or never will.
func (e *entry) wait(ctx context.Context) error {
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// changeOver is called when the runtime is a zombie. If it has left the program,
// that is the main process from here on, and its pidfd is returned, which is -1
// where the kernel has none.
func (p *Process) changeOver() (pidfd int, goesOn bool) {
	e := p.entry
	defer e.unhold()
	status, err := p.reap(new(syscall.Rusage))
	if err == nil && !status.Success() {
		err = e.explain(status)
	}
	if err == nil {
		pidfd, err = p.takeOver()
	}
	e.done <- err
	return pidfd, err == nil
}

// takeOver finds the program. Its parent was the runtime, and it is the executor's
// child now; nobody has reaped it should it have ended already.
func (p *Process) takeOver() (pidfd int, err error) {
	data, err := os.ReadFile(p.entry.file("pid"))
	if err != nil {
		return -1, fmt.Errorf("%s does not say what it has started: %w", p.entry.runtime.name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err == nil {
		err = becomesChild(pid)
	}
	if err != nil {
		return -1, fmt.Errorf("%s says that it has started process %q, which is none of the executor's: %w", p.entry.runtime.name, data, err)
	}
	if pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		pidfd = -1
	}
	p.mu.Lock()
	p.pid, p.reaped = pid, false
	p.mu.Unlock()
	p.launcher.reaper.manage(p)
	return pidfd, nil
}

// becomesChild waits until a process is the executor's child. crun leaves a process
// that is its parent until it has ended, too, which takes another moment.
func becomesChild(pid int) error {
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 10*time.Millisecond) {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if !errors.Is(err, syscall.ECHILD) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		if gone := syscall.Kill(pid, 0); errors.Is(gone, syscall.ESRCH) {
			return gone
		}
		time.Sleep(wait)
	}
}

// explain says in the runtime's own words why there is no container.
func (e *entry) explain(status Status) error {
	said := ""
	data, _ := os.ReadFile(e.file("log"))
	for line := range strings.Lines(string(data)) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Level == "error" {
			said = entry.Msg
		}
	}
	if said == "" {
		return fmt.Errorf("cannot run it in its root file system: %s ended with %s; its own words are in the task's stderr", e.runtime.name, status)
	}
	return fmt.Errorf("cannot run it in its root file system: %s says: %s", e.runtime.name, strings.Join(strings.Fields(said), " "))
}

// explainStart says why the runtime was not run at all.
func (e *entry) explainStart(err error) error {
	var f *spawn.Failure
	if errors.As(err, &f) && f.Step == spawn.StepReadonly && errors.Is(f.Errno, syscall.ENOSYS) {
		return fmt.Errorf("cannot keep %s from the machine's cgroups, which takes Linux 5.12: %w", e.runtime.name, f.Errno)
	}
	if errors.As(err, &f) {
		return fmt.Errorf("cannot run %s for its root file system: %w", e.runtime.name, err)
	}
	return err
}

// isRooted says whether the program is to have a root of its own made for it.
func (s *Spec) isRooted() bool { return s.View.Root != nil && s.With == nil }
