package workload

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/output"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// State is a workload that runs, as it is passed on to a program that takes this
// one's place in the same process, whose children stay its children.
type State struct {
	ID  string
	Pid int
	// Age is for how long it has been running.
	Age time.Duration
	// Group is its cgroup.
	Group cgroup.State
	// Streams are those of its output that pass through the executor.
	Streams []output.State
}

// ErrHalfDone says that something is under way that another program could not go
// on with. It passes.
var ErrHalfDone = errors.New("workloads are being started or ended")

// CanSuspend says why workloads of this launcher cannot be passed on to another
// program, or returns nil.
func (l *Launcher) CanSuspend() error {
	if l.container == nil {
		return errors.New("its workloads run without cgroups, and the kernel would end them with the present program")
	}
	return nil
}

// Suspend keeps this process's hands off its workloads: none is reaped, killed or
// written for any more, so that another program can take over in this process.
// The given ones must be all that there are, or it fails with [ErrHalfDone]. The
// exits that there are meanwhile are seen later, by whoever goes on. Signals can
// still be sent. After an error everything goes on as before.
func (l *Launcher) Suspend(all []*Process) (states []State, err error) {
	l.mu.Lock()
	n := len(l.ids)
	l.mu.Unlock()
	if n != len(all) {
		return nil, ErrHalfDone
	}
	l.nofile() // An exec that fails forgets what there was at first.
	defer func() {
		if err != nil {
			l.Resume(all)
		}
	}()
	for _, p := range all {
		if err := p.suspend(); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	for _, p := range all {
		s := State{ID: p.id, Pid: p.pid, Age: now.Sub(p.started), Group: l.container.State(p.group)}
		for _, stream := range p.streams {
			state, err := stream.Suspend()
			if err != nil {
				return nil, err
			}
			s.Streams = append(s.Streams, state)
		}
		states = append(states, s)
	}
	return states, nil
}

func (p *Process) suspend() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.group == nil:
		return fmt.Errorf("workload %s has no cgroup, and the kernel would end it with the present program", p.id)
	case p.settling || p.killed || len(p.guests) > 0 || p.visitors > 0:
		return ErrHalfDone
	case p.held == nil:
		p.held = make(chan struct{})
	}
	return nil
}

// Resume goes on with workloads that are suspended.
func (l *Launcher) Resume(all []*Process) {
	for _, p := range all {
		p.resume()
	}
}

func (p *Process) resume() {
	p.mu.Lock()
	held, wanted := p.held, p.wanted
	p.held, p.wanted = nil, false
	p.mu.Unlock()
	if held == nil {
		return
	}
	for _, s := range p.streams {
		s.Resume()
	}
	close(held)
	if wanted {
		p.Kill()
	}
}

// adopt goes on with a workload of the program before this one.
func (l *Launcher) adopt(s State) error {
	if l.container == nil {
		return l.none
	}
	if s.Pid <= 0 {
		return fmt.Errorf("it has no process %d", s.Pid)
	}
	group, err := l.container.Adopt(s.Group)
	if err != nil {
		return err
	}
	if err := l.enter(s.ID); err != nil {
		return err
	}
	p := &Process{
		launcher: l, id: s.ID, pid: s.Pid, group: group, started: time.Now().Add(-s.Age),
		exits: make(chan Exit, 1), poke: make(chan struct{}, 1), ending: make(chan struct{}),
	}
	for _, state := range s.Streams {
		stream, err := l.output.Adopt(s.ID, state)
		if err != nil {
			return err
		}
		p.streams = append(p.streams, stream)
	}
	// It is this process's child, ended or not, so that the number is its own.
	pidfd, err := unix.PidfdOpen(s.Pid, 0)
	if err != nil {
		pidfd = -1
	}
	l.reaper.manage(p)
	l.adopted = append(l.adopted, p)
	p.await(pidfd, p.supervise)
	p.watchMemory()
	p.lookAtMemory()
	return nil
}

// Adopted returns the workloads of [Options.Adopt], in that order.
func (l *Launcher) Adopted() []*Process { return l.adopted }
