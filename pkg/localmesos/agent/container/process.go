package container

import (
	"errors"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrEnded says that a container takes no more processes.
var ErrEnded = errors.New("the container is being destroyed")

// Process is a further process of a container, in a session of its own.
type Process struct {
	container *Container
	command   *exec.Cmd
	// whole says that what the process leaves behind is killed with it.
	whole bool
	nest  *nest // nil unless it is a nested container with cgroups
	done  chan struct{}
}

// Exec starts another process in the container, which ends with it at the
// latest. Of the spec, ID and Limits have no meaning. With whole, what the process
// leaves behind ends with it.
func (c *Container) Exec(spec Spec, whole bool) (*Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exec(spec, whole)
}

// exec is Exec; the caller holds mu.
func (c *Container) exec(spec Spec, whole bool) (*Process, error) {
	if c.destroyed {
		return nil, ErrEnded
	}
	command, err := start(spec.command, c.runtime.options.Logger, c.groups()...)
	if err != nil {
		return nil, err
	}
	p := &Process{container: c, command: command, whole: whole, done: make(chan struct{})}
	c.add(p)
	return p, nil
}

// add has a process that was started looked after; the caller holds mu.
func (c *Container) add(p *Process) {
	if c.children == nil {
		c.children = map[*Process]struct{}{}
	}
	c.children[p] = struct{}{}
	go p.wait()
}

// wait reaps the process. Its session is killed before, while its process ID
// cannot be another's.
func (p *Process) wait() {
	defer close(p.done)
	for {
		err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if p.whole && p.nest == nil {
		killSession(p.PID())
	}
	p.reap()
	if p.nest != nil {
		p.end()
	}
}

func (p *Process) reap() {
	c := p.container
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.children, p)
	// The error says no more than ProcessState does.
	_ = p.command.Wait()
}

// PID returns the process ID.
func (p *Process) PID() int { return p.command.Process.Pid }

// Wait waits until the process has ended, and with it what it has left behind in
// its nested container.
func (p *Process) Wait() syscall.WaitStatus {
	<-p.done
	return p.status(p.command.ProcessState.Sys().(syscall.WaitStatus))
}

// Signal sends a signal to the process, or to the tree of all that came of it:
// its descendants, and whatever else is in its session. A process that has
// ended gets none.
func (p *Process) Signal(s syscall.Signal, tree bool) {
	c := p.container
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, lives := c.children[p]; !lives {
		return
	}
	if tree && s == syscall.SIGKILL && p.nest != nil {
		p.destroy()
		return
	}
	pids := []int{p.PID()}
	if tree {
		pids = descendants(p.PID())
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, s) // it may be gone already
	}
}

// Ending says whether the container is being destroyed.
func (c *Container) Ending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.destroyed
}

// killChildren kills what Exec started, where no cgroup does.
func (c *Container) killChildren() {
	c.mu.Lock()
	pids := make([]int, 0, len(c.children))
	for p := range c.children {
		pids = append(pids, p.PID())
	}
	c.mu.Unlock()
	for _, pid := range pids {
		killSession(pid)
	}
}

// descendants lists a process, what descends from it, and its session.
func descendants(root int) []int {
	all := processes()
	found := []int{root}
	for i := 0; i < len(found); i++ {
		for _, p := range all {
			if (p.parent == found[i] || p.session == root) && !slices.Contains(found, p.pid) {
				found = append(found, p.pid)
			}
		}
	}
	return found
}
