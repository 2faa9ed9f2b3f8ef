package container

import (
	"context"
	"errors"
	"path"
	"syscall"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// The cgroups of a nested container lie where a real agent has them: below its
// parent's, under "mesos" and its ID. On v1 those that share their parent's
// limits are in its cgroups, but for the freezer's, by which they are killed; on
// v2 all have one of their own (src/slave/containerizer/mesos/paths.hpp).
const nestedDir = "mesos"

// nest is the cgroups of a nested container.
type nest struct {
	group   *cgroup.Group
	members []*cgroup.Group // what its processes belong in, the outer ones first
	oom     *oomWatch       // nil where it has no memory limit of its own
	// limitation is guarded by the mutex of the outermost container.
	limitation *core.Limitation
}

// Nest starts a container within this one, which ends with it at the latest.
// The spec's ID is its name below this one's; own says that it has limits to
// itself, which are the spec's, beside those of its parent.
func (c *Container) Nest(spec Spec, own bool) (*Process, error) {
	if c.group == nil {
		return c.Exec(spec, true)
	}
	return c.nest(spec, own, func() (*cgroup.Group, []*cgroup.Group) { return c.group, c.groups() })
}

// Nest starts a container within a nested one. What holds of [Container.Nest]
// holds here.
func (p *Process) Nest(spec Spec) (*Process, error) {
	c := p.container
	if p.nest == nil {
		return c.Exec(spec, true)
	}
	return c.nest(spec, false, func() (*cgroup.Group, []*cgroup.Group) {
		if _, lives := c.children[p]; !lives {
			return nil, nil
		}
		return p.nest.group, p.nest.members
	})
}

// nest starts a container below another, of which above returns the cgroups, or
// nothing if it has ended.
func (c *Container) nest(spec Spec, own bool, above func() (*cgroup.Group, []*cgroup.Group)) (*Process, error) {
	p := &Process{container: c, whole: true, done: make(chan struct{}), nest: &nest{}}
	start := func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		parent, shared := above()
		if c.destroyed || parent == nil {
			return ErrEnded
		}
		err := p.prepare(path.Join(parent.String(), nestedDir, spec.ID), shared, spec, own)
		if err != nil {
			return err
		}
		if p.command, err = start(spec.command, c.runtime.options.Logger, p.nest.members...); err != nil {
			return err
		}
		c.add(p)
		return nil
	}
	if err := start(); err != nil {
		return nil, errors.Join(err, p.nest.remove())
	}
	return p, nil
}

// prepare makes the cgroups.
func (p *Process) prepare(name string, shared []*cgroup.Group, spec Spec, own bool) (err error) {
	n, r := p.nest, p.container.runtime
	wanted := controllers
	if !own && r.host.Version == cgroup.V1 {
		wanted = []string{freezer}
	}
	if n.group, err = r.host.Create(name, wanted...); err != nil {
		return err
	}
	inner := n.group
	if r.host.Version == cgroup.V2 {
		if inner, err = r.host.Create(path.Join(name, leaf), wanted...); err != nil {
			return err
		}
	}
	n.members = []*cgroup.Group{inner}
	if !own {
		if r.host.Version == cgroup.V1 {
			n.members = append(append(n.members[:0], shared...), n.group)
		}
		return nil
	}
	if err := giveTo(spec.Credential, inner); err != nil {
		return err
	}
	if err := setAll(n.group, r.values(spec.Limits, true, 0)); err != nil {
		return err
	}
	n.oom, err = watchOOM(n.group, p.outOfMemory)
	return err
}

// outOfMemory destroys a nested container that has used all of its own memory.
func (p *Process) outOfMemory(dir string) {
	c := p.container
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.destroyed || p.nest.limitation != nil {
		return
	}
	p.nest.limitation = c.runtime.memoryLimitation(dir)
	p.destroy()
}

// destroy kills all in a nested container. It does not wait; the caller holds the
// outermost container's mu.
func (p *Process) destroy() {
	c := p.container
	if _, lives := c.children[p]; !lives || c.destroyed {
		return
	}
	c.killing.Go(func() {
		if err := p.nest.kill(); err != nil {
			c.runtime.options.Logger.WithError(err).WithField("container", p.nest.group.String()).Error("cannot kill a container")
		}
	})
}

// end kills what the first process has left behind, and removes the cgroups. The
// outermost container may be doing the same.
func (p *Process) end() {
	if err := p.nest.remove(); err != nil && !p.container.Ending() {
		p.container.runtime.options.Logger.WithError(err).WithField("container", p.nest.group.String()).Error("cannot remove a container")
	}
}

// Limitation says why a nested container was destroyed, if it used too much; it is
// final when Wait has returned.
func (p *Process) Limitation() *core.Limitation {
	if p.nest == nil {
		return nil
	}
	p.container.mu.Lock()
	defer p.container.mu.Unlock()
	return p.nest.limitation
}

func (n *nest) kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), DestroyTimeout)
	defer cancel()
	return n.group.Kill(ctx)
}

func (n *nest) remove() error {
	if n.oom != nil {
		n.oom.close()
	}
	if n.group == nil {
		return nil
	}
	if err := n.kill(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), DestroyTimeout)
	defer cancel()
	return n.group.Remove(ctx)
}

// status is how a nested container ended whose first process ended so: one that
// used too much was killed, whatever the kernel took first.
func (p *Process) status(of syscall.WaitStatus) syscall.WaitStatus {
	if p.Limitation() != nil {
		return syscall.WaitStatus(syscall.SIGKILL)
	}
	return of
}
