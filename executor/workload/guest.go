package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/tandem-mesos/tandem/executor/kin"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// Guest is a program that is run beside a workload, for a person: a shell, say.
type Guest struct {
	// Spec says what to run, and how. Its ID names the guest among those of the
	// launcher; its limits, and the files of its output, are not used.
	Spec Spec
	// Files are its standard input, output and error. The caller may close them
	// once Join has returned.
	Files [3]*os.File
	// Terminal says that the files are a terminal, which becomes the program's
	// controlling one.
	Terminal bool
}

// guestMark is the variable by which the processes of a guest are known, and
// found again when one has left its session.
const guestMark = "TANDEM_SESSION"

// Join runs a guest in the workload's cgroup, and in those of its namespaces that
// the guest's View names. Its first instruction runs there, and the workload's
// limits hold for both together. The workload takes no notice
// of a guest: it ends as if there were none, and the guest with it.
//
// The guest's Exit comes when its main process has ended and what is left of it
// was killed: its session, the descendants, and whoever in the cgroup has its
// mark in the environment.
func (p *Process) Join(ctx context.Context, g Guest) (*Process, error) {
	guest, err := p.join(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("cannot run a command beside workload %s: %w", p.id, err)
	}
	return guest, nil
}

func (p *Process) join(ctx context.Context, g Guest) (*Process, error) {
	s := g.Spec
	mark := guestMark + "=" + s.ID
	s.Env = append(slices.Clone(s.Env), mark)
	if p.group == nil {
		s.Env = append(s.Env, p.mark)
	}
	s.With = p
	if err := s.validate(); err != nil {
		return nil, err
	}
	user, err := s.Identity()
	if err != nil {
		return nil, err
	}
	if err := p.launcher.enter(s.ID); err != nil {
		return nil, err
	}
	guest := &Process{
		launcher: p.launcher, id: s.ID, group: p.group, host: p, mark: mark,
		exits: make(chan Exit, 1), poke: make(chan struct{}, 1), ending: make(chan struct{}),
	}
	if err := guest.visit(ctx, g, &s, user); err != nil {
		p.launcher.leave(s.ID)
		return nil, err
	}
	return guest, nil
}

// visit brings a guest up to its execution of the program. After an error there is
// none.
func (p *Process) visit(ctx context.Context, g Guest, s *Spec, user *Numbers) error {
	program := p.launcher.programOf(s, user, g.Files, p.group == nil)
	program.Terminal = g.Terminal
	release, err := s.see(&program)
	defer release()
	if err != nil {
		return err
	}
	left, err := p.host.admit()
	if err != nil {
		return err
	}
	// A guest that is on its way would keep the host from its end.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.host.ending:
			cancel(errEnded)
		case <-ctx.Done():
		}
	}()
	err = p.spawn(ctx, s, program)
	left(p, err == nil)
	if err != nil {
		return explain(s, program, err)
	}
	return nil
}

var errEnded = errors.New("it has ended")

// admit lets a guest into the cgroup of a workload that has not ended, until left is
// called, and from then on one that has become what it is to be.
func (p *Process) admit() (left func(guest *Process, stays bool), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped || p.settling || p.killed {
		return nil, errEnded
	}
	p.visitors++
	p.visits.Add(1)
	return func(guest *Process, stays bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.visitors--
		if stays {
			p.guests = append(slices.Clone(p.guests), guest)
		}
		p.visits.Done()
	}, nil
}

func (p *Process) dismiss(guest *Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.guests = slices.DeleteFunc(slices.Clone(p.guests), func(g *Process) bool { return g == guest })
}

// seeOff sees a guest to its end, when its main process is a zombie.
func (p *Process) seeOff() {
	exit := Exit{Leftovers: p.killGuest()}
	var rusage syscall.Rusage
	exit.Status, exit.Err = p.reap(&rusage)
	p.killing.Wait()
	p.host.dismiss(p)
	p.launcher.leave(p.id)
	p.tell(exit)
}

// killGuest ends all that belongs to a guest, and says how many processes that
// were beside the main one.
func (p *Process) killGuest() int {
	n := p.killSession()
	if p.group == nil {
		return n
	}
	const rounds = 10
	wait := time.Millisecond
	for range rounds {
		killed, unsure := p.killMarked(p.group)
		n += killed
		if killed > 0 {
			continue // They may have had children.
		}
		if !unsure {
			break
		}
		time.Sleep(wait)
		wait = min(2*wait, 20*time.Millisecond)
	}
	return n
}

// killMarked kills those of the cgroup that have the guest's mark, and says how
// many there were beside the main process. It is unsure while one has no environment yet.
func (p *Process) killMarked(group *cgroup.Group) (n int, unsure bool) {
	pids, err := group.Processes()
	if err != nil {
		return 0, false // The cgroup is gone, and they with it.
	}
	for _, pid := range pids {
		if pid == p.pid {
			continue
		}
		h, err := holdOf(pid)
		if err != nil {
			continue // It has ended.
		}
		marked, unknown := kin.Marked(pid, p.mark)
		if marked && h.signal(syscall.SIGKILL) == nil {
			n++
		}
		unsure = unsure || unknown
		h.release()
	}
	return n, unsure
}

// SignalGroup sends a signal to a guest's main process and to those of its
// group that it has started, as a terminal does. Once it has ended the error is
// [os.ErrProcessDone].
func (p *Process) SignalGroup(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	err := syscall.Kill(-p.pid, sig) // It leads a session, and so a group.
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
