package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// Status is what wait(2) returned for an executor.
type Status int32

const (
	// StatusNone stands for an executor that never ran.
	StatusNone Status = -1
	// StatusNotExecuted is what a real agent reports when the executor's
	// program could not be executed.
	StatusNotExecuted Status = 1001 << 8
)

// Spec describes a container.
type Spec struct {
	// ID names it, and its cgroup.
	ID string
	// Path is the program, looked up in the PATH of Env unless it has a
	// slash; a relative one starts at Dir. Args includes its name.
	Path string
	Args []string
	Env  []string
	// Dir is the working directory.
	Dir string
	// Credential is the user to run as; nil means the agent's own.
	Credential *syscall.Credential
	// Stdin, Stdout and Stderr are handed on; they stay open and the caller's.
	// Without Stdin there is /dev/null.
	Stdin, Stdout, Stderr *os.File
	Limits                core.Limits
	// TTY says that Stdin is a terminal, which is to control the process.
	TTY bool
}

// Container is a running executor with all its processes.
type Container struct {
	runtime *Runtime
	group   *cgroup.Group // nil without cgroups
	members *cgroup.Group // the group that processes belong in
	leader  leader
	done    chan struct{} // closed when the executor has ended
	status  Status        // of the executor, once done is closed

	mu sync.Mutex
	// hardMB is the hard memory limit in force.
	hardMB     float64
	limits     core.Limits
	destroyed  bool
	limitation *core.Limitation
	disks      []disk // as they were last measured
	// children are the processes that Exec started and that live.
	children map[*Process]struct{}

	oom *oomWatch // nil without the memory controller
	// pressure is guarded by mu; nil but on v1, and when the container is gone.
	pressure *pressure
	// killing is added to while destroyed turns true, and never after.
	killing sync.WaitGroup
}

// Start makes a container and starts its executor, which is in its cgroups
// before its first instruction. The error is a *NotExecutedError if only the
// program could not be started; nothing is left of the container either way.
func (r *Runtime) Start(spec Spec) (*Container, error) {
	c := &Container{runtime: r, done: make(chan struct{}), limits: spec.Limits}
	var err error
	if c.members, err = c.prepare(spec); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	command, err := start(spec.command, r.options.Logger, c.groups()...)
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	c.leader = started{command}
	go c.wait()
	return c, nil
}

func (s Spec) command() *exec.Cmd {
	command := &exec.Cmd{
		Path:   lookup(s.Path, s.Env),
		Args:   s.Args,
		Env:    s.Env,
		Dir:    s.Dir,
		Stdout: s.Stdout,
		Stderr: s.Stderr,
		SysProcAttr: &syscall.SysProcAttr{
			Setsid:     true,
			Setctty:    s.TTY,
			Credential: s.Credential,
		},
	}
	if s.Stdin != nil {
		command.Stdin = s.Stdin
	}
	return command
}

// wait waits for the executor's end, and kills what it leaves in its session.
func (c *Container) wait() {
	defer close(c.done)
	c.status = c.leader.wait(func() {
		if c.group == nil {
			killSession(c.PID())
			c.killChildren()
		}
	})
}

// prepare makes the cgroups and sets the limits; it returns the group that the
// processes belong in.
func (c *Container) prepare(spec Spec) (processes *cgroup.Group, err error) {
	processes, err = c.cgroups(spec.ID, spec.Credential)
	if err != nil || processes == nil {
		return nil, err
	}
	if err := c.set(spec.Limits, true); err != nil {
		return nil, err
	}
	return processes, nil
}

// cgroups makes the cgroups, or finds them, and watches them.
func (c *Container) cgroups(id string, user *syscall.Credential) (processes *cgroup.Group, err error) {
	r := c.runtime
	if r.root == "" {
		return nil, nil
	}
	c.group, err = r.host.Create(path.Join(r.root, id), controllers...)
	if err != nil {
		return nil, err
	}
	processes = c.group
	if r.host.Version == cgroup.V2 {
		processes, err = r.host.Create(path.Join(r.root, id, leaf), controllers...)
		if err != nil {
			return nil, err
		}
	}
	if err := giveTo(user, processes); err != nil {
		return nil, err
	}
	c.oom, err = watchOOM(c.group, c.outOfMemory)
	if err != nil {
		return nil, err
	}
	if r.host.Version == cgroup.V1 && c.group.Has("memory") {
		c.pressure, err = watchPressure(memoryDir(c.group))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel may be built without it
			return nil, err
		}
	}
	return processes, nil
}

// groups are those that a process of the executor belongs in.
func (c *Container) groups() []*cgroup.Group {
	if c.members == nil {
		return nil
	}
	return []*cgroup.Group{c.members}
}

// giveTo lets a container's user make cgroups of their own below, but not touch
// the limits: they own the directories and none of the files. The freezer is the
// launcher's, which gives nothing away.
func giveTo(user *syscall.Credential, group *cgroup.Group) error {
	if user == nil {
		return nil
	}
	for _, d := range group.Dirs() {
		if len(d.Controllers) == 1 && d.Controllers[0] == freezer {
			continue
		}
		if err := os.Chown(d.Path, int(user.Uid), int(user.Gid)); err != nil {
			return fmt.Errorf("cannot give cgroup %s to the container's user: %w", d.Path, err)
		}
	}
	return nil
}

// PID returns the executor's process ID.
func (c *Container) PID() int { return c.leader.pid() }

// Limit changes the limits. It does nothing to a container that is being
// destroyed.
func (c *Container) Limit(l core.Limits) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.destroyed {
		return nil
	}
	select {
	case <-c.done:
		return nil
	default:
	}
	c.limits = l
	return c.set(l, false)
}

// set writes the limits. The caller holds mu, or is the only one.
func (c *Container) set(l core.Limits, first bool) error {
	if c.group == nil {
		return nil
	}
	if err := setAll(c.group, c.runtime.values(l, first, c.hardMB)); err != nil {
		return err
	}
	if hard := hardMemory(l); first || hard > c.hardMB {
		c.hardMB = hard
	}
	return nil
}

// setAll writes limits into a group's files.
func setAll(group *cgroup.Group, values []cgroup.Value) error {
	for _, v := range values {
		err := group.Set(v)
		var absent *cgroup.AbsentError
		if errors.As(err, &absent) {
			continue // the machine has no such controller, and so no such isolator
		}
		if err != nil {
			return refused(v.File, err)
		}
	}
	return nil
}

// refused words the kernel's refusal of a limit as a real agent does; it goes
// into the tasks' updates.
func refused(file string, err error) error {
	verb, text := "update", err.Error()
	if strings.HasPrefix(file, "memory.") {
		verb = "set"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		// Go begins the C library's words with a small letter.
		text = errno.Error()
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	//lint:ignore ST1005 the words of a real agent, which travel on the wire
	return fmt.Errorf("Failed to %s '%s': %s", verb, file, text)
}

// Destroy kills everything in the container. It does not wait.
func (c *Container) Destroy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.destroy()
}

// destroy is Destroy; the caller holds mu.
func (c *Container) destroy() {
	if c.destroyed {
		return
	}
	c.destroyed = true
	if c.group == nil {
		// The rest of the session follows its leader.
		c.leader.kill()
		return
	}
	c.killing.Go(func() {
		if err := c.kill(); err != nil {
			c.runtime.options.Logger.WithError(err).WithField("container", c.group.String()).Error("cannot kill a container")
		}
	})
}

func (c *Container) kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), DestroyTimeout)
	defer cancel()
	return c.group.Kill(ctx)
}

// Wait waits until the executor has ended, kills what it left behind, and
// removes the container. It is called once.
func (c *Container) Wait() (Status, *core.Limitation, error) {
	<-c.done
	status := c.status
	if c.oom != nil {
		c.oom.close()
	}
	c.mu.Lock()
	c.destroyed = true
	limitation := c.limitation
	c.mu.Unlock()
	if c.group == nil {
		c.killChildren()
	}
	if limitation != nil {
		// What the kernel took first, the executor or a child of its, is no
		// matter: the agent ends the container.
		status = Status(syscall.SIGKILL)
	}
	c.killing.Wait()
	return status, limitation, c.remove()
}

func (c *Container) forgetPressure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pressure == nil {
		return nil
	}
	p := c.pressure
	c.pressure = nil
	return p.close()
}

// remove kills what is left and removes the cgroups.
func (c *Container) remove() error {
	if c.oom != nil {
		c.oom.close()
	}
	if c.group == nil {
		return nil
	}
	if err := errors.Join(c.forgetPressure(), c.kill()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), DestroyTimeout)
	defer cancel()
	return c.group.Remove(ctx)
}
