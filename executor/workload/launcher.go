package workload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/hands"
	"github.com/tandem-mesos/tandem/executor/output"
	"github.com/tandem-mesos/tandem/executor/spawn"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/ready"
)

// Options configure a Launcher.
type Options struct {
	// Container is where workloads get their cgroups; nil for none, in which
	// case NoContainer should say why.
	Container   *cgroup.Container
	NoContainer error
	// Mark is a variable, NAME=value, that what runs without a cgroup has in its
	// environment, followed by a slash and the workload's ID. It has a default, which
	// does not tell one executor from another.
	Mark string
	// Guard hears of all sessions without a cgroup; nil for nobody. See package guard.
	Guard Guard
	// Adopt are the workloads of the program whose place this one has taken, in
	// the same process. [Launcher.Adopted] returns them.
	Adopt []State
	// Log is told what nobody waits for; nil for silence.
	Log logrus.FieldLogger
}

// Guard is told which sessions must not outlive the executor, by the number of their
// leader.
type Guard interface {
	Add(leader int) error
	Remove(leader int)
	Close()
}

// noGuard is for workloads that somebody else finds.
type noGuard struct{}

func (noGuard) Add(int) error { return nil }
func (noGuard) Remove(int)    {}
func (noGuard) Close()        {}

// Launcher starts workloads. There should be one in a process, because it
// reaps the orphans of all of them.
type Launcher struct {
	container *cgroup.Container
	none      error
	log       logrus.FieldLogger
	reaper    *reaper
	output    *output.Keeper
	ready     *ready.Watcher
	hands     *hands.Hands // for ends
	tethers   tethers
	guard     Guard
	mark      string
	birth     func(context.Context, *spawn.Child) error // a test's, or Start of the child
	nofile    func() *spawn.Rlimit                      // that the executor was started with; nil for unknown
	runtimes  []ociRuntime
	adopted   []*Process
	oomScore  int // the executor's own oom_score_adj

	mu      sync.Mutex // guards what follows
	ids     map[string]bool
	closing bool
	running sync.WaitGroup
}

// keptHands is how many goroutines wait for ends.
const keptHands = 4

// New makes the process a subreaper, and starts reaping. It says once, in the
// log, where there are no cgroups for workloads.
func New(o Options) (*Launcher, error) {
	if o.Log == nil {
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		o.Log = quiet
	}
	l := &Launcher{container: o.Container, none: o.NoContainer, log: o.Log, birth: func(ctx context.Context, c *spawn.Child) error { return c.Start(ctx) }, oomScore: ownOOMScore(), runtimes: runtimes, nofile: sync.OnceValue(givenNofile), mark: o.Mark, guard: o.Guard, ids: make(map[string]bool)}
	if l.guard == nil {
		l.guard = noGuard{}
	}
	if l.mark == "" {
		l.mark = "TANDEM_PROCESS_OF=executor"
	}
	if l.container == nil {
		if l.none == nil {
			l.none = &cgroup.NoContainerError{Reason: "none was looked for"}
		}
		l.log.Warnf("Workloads run without cgroups: %v. Their limits are not enforced; their processes are ended by session and by a mark in their environment.", l.none)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("cannot adopt what workloads leave behind: %w", err)
	}
	var err error
	if l.ready, err = ready.New(); err != nil {
		return nil, err
	}
	l.hands = hands.New(keptHands)
	l.output = output.NewKeeper(o.Log)
	l.reaper = newReaper(o.Log)
	for _, s := range o.Adopt {
		if err := l.adopt(s); err != nil {
			return nil, fmt.Errorf("cannot go on with workload %s: %w", s.ID, err)
		}
	}
	l.reaper.start()
	return l, nil
}

// Close waits until the last workload has ended, and stops reaping. It ends no
// workload; Start fails from now on.
func (l *Launcher) Close() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.running.Wait()
	l.reaper.stop()
	l.tethers.stop()
	l.guard.Close()
	l.hands.Close()
	_ = l.ready.Close()
}

// Start runs a workload and returns when its program is being executed. The
// context bounds the start and not the workload's life. An error means that
// nothing runs and nothing is left; its text is for the person whose task it
// is. Start may be called from several goroutines at once.
func (l *Launcher) Start(ctx context.Context, s Spec) (*Process, error) {
	p, err := l.start(ctx, &s)
	if err != nil {
		return nil, fmt.Errorf("cannot start workload %s: %w", s.ID, err)
	}
	return p, nil
}

func (l *Launcher) start(ctx context.Context, s *Spec) (*Process, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	if err := l.enter(s.ID); err != nil {
		return nil, err
	}
	p := &Process{launcher: l, id: s.ID, exits: make(chan Exit, 1), poke: make(chan struct{}, 1), ending: make(chan struct{})}
	err := p.launch(ctx, s)
	if err == nil {
		if err := p.entry.remove(); err != nil {
			l.log.WithField("task", s.ID).Warnf("After its start: %v", err)
		}
		return p, nil
	}
	if !p.born() {
		if p.ranOut(s) && ctx.Err() == nil {
			err = errTooSmall(s.Limits)
		}
		err = errors.Join(err, p.discard())
	} else {
		// A runtime was started that has not brought up the program.
		_ = p.Signal(syscall.SIGKILL)
		p.Kill()
		exit := <-p.exits
		if exit.OOMKills > 0 && ctx.Err() == nil && limitsMemory(s.Limits) {
			err = errTooSmall(s.Limits)
		}
		err = errors.Join(err, exit.Err)
	}
	return nil, errors.Join(err, p.entry.remove())
}

// born says whether the workload has had a process. A runtime may be leaving it to
// another meanwhile.
func (p *Process) born() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid != 0
}

// ranOut says whether a workload that has not begun lacked the memory for it.
func (p *Process) ranOut(s *Spec) bool {
	if p.group == nil || !smallMemory(s.Limits) && !(s.isRooted() && limitsMemory(s.Limits)) {
		return false
	}
	kills, err := p.group.OOMKills()
	return err == nil && kills > 0
}

func (l *Launcher) enter(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closing:
		return errors.New("the executor is ending")
	case l.ids[id]:
		return errors.New("it is running already")
	}
	l.ids[id] = true
	l.running.Add(1)
	return nil
}

func (l *Launcher) leave(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ids, id)
	l.running.Done()
}

// launch brings the process up to its execution of the program. What it has
// made when it fails is in p.
func (p *Process) launch(ctx context.Context, s *Spec) error {
	user, err := s.Identity()
	if err != nil {
		return err
	}
	if err := p.makeGroup(s); err != nil {
		return err
	}
	if p.group == nil {
		p.mark = p.launcher.mark + "/" + s.ID
		s.Env = append(slices.Clone(s.Env), p.mark)
	}
	if err := p.confine(s); err != nil {
		return err
	}
	files, err := p.stdio(s, user)
	if err != nil {
		return err
	}
	defer closeAll(files)
	program := p.launcher.programOf(s, user, [3]*os.File(files), p.group == nil)
	release, err := s.see(&program)
	defer release()
	if err == nil && s.isRooted() {
		program, err = p.contain(s, program)
	}
	if err != nil {
		return err
	}
	if err := p.spawn(ctx, s, program); err != nil {
		if p.entry != nil {
			return p.entry.explainStart(err)
		}
		return explain(s, program, err)
	}
	if p.entry != nil {
		return p.entry.wait(ctx)
	}
	return nil
}

// confine puts the limits in force, before anybody is in the cgroup.
func (p *Process) confine(s *Spec) error {
	if p.group == nil {
		return nil
	}
	skipped, err := p.group.Limit(s.Limits, s.Policy)
	if errors.As(err, new(*cgroup.AbsentError)) || errors.As(err, new(*cgroup.UnsupportedError)) {
		return fmt.Errorf("a limit of it cannot be enforced: %w; leave it out, or say limits.policy: prefer", err)
	}
	if errors.Is(err, syscall.EBUSY) && smallMemory(s.Limits) {
		// v1's answer to a memory limit below what is used already.
		return errTooSmall(s.Limits)
	}
	if err != nil {
		return err
	}
	p.skipped = append(p.skipped, skipped...)
	p.watchMemory()
	return nil
}

// makeGroup makes the workload's cgroup, or decides to go without one.
func (p *Process) makeGroup(s *Spec) error {
	c := p.launcher.container
	err := p.launcher.none
	if c != nil {
		p.group, err = c.Create(s.ID, s.Limits)
		if err == nil {
			return nil
		}
		if !errors.As(err, new(*cgroup.DepthError)) {
			return err
		}
	}
	// There is no cgroup to be had. Without limits nothing is lost.
	if asked := limited(s.Limits); len(asked) > 0 {
		if s.Policy == cgroup.Require {
			return unenforced(asked, err)
		}
		p.skipped = append(p.skipped, fmt.Errorf("%s: %w", strings.Join(asked, ", "), err))
	}
	return nil
}

// spawn makes the process that becomes the workload, under the reaper's protection.
// On v2 it is born in its cgroup, if it may be; otherwise it enters that by itself,
// first of all. After an error there is none.
func (p *Process) spawn(ctx context.Context, s *Spec, program spawn.Program) error {
	o := spawn.Options{Apart: p.host != nil || smallMemory(s.Limits)}
	if p.group != nil {
		var attr syscall.SysProcAttr
		release, born, err := p.group.Prepare(&attr)
		if err != nil {
			return err
		}
		defer release()
		if o.Cgroup = attr.CgroupFD; !born {
			o.Enter = p.group.Entrances()
		}
	}
	p.started = time.Now()
	child, err := p.bear(ctx, program, o)
	if o.Cgroup != 0 && cannotBeBorn(err) {
		o.Cgroup, o.Enter = 0, p.group.Entrances()
		child, err = p.bear(ctx, program, o)
	}
	switch {
	case errors.As(err, new(*spawn.Failure)) || ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return err
	case errors.Is(err, syscall.EPERM) && program.View.Namespaces != 0:
		return errors.New("cannot start a process in namespaces of its own: that takes an executor that is root")
	case err != nil:
		return fmt.Errorf("cannot start a process: %w", err)
	}
	p.await(child.Pidfd, p.ended)
	return nil
}

// bear has a child start. The reaper knows of it from before there is one, and of
// the workload's main process before it forgets the child.
func (p *Process) bear(ctx context.Context, program spawn.Program, o spawn.Options) (*spawn.Child, error) {
	l := p.launcher
	child := &spawn.Child{Program: program, Options: o}
	l.reaper.expect(child)
	defer l.reaper.forget(child)
	var err error
	if program.DieWithParent {
		l.tethers.do(func() { err = l.birth(ctx, child) })
	} else {
		err = l.birth(ctx, child)
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.pid = child.Pid()
	p.mu.Unlock()
	l.reaper.manage(p)
	if program.DieWithParent {
		if err := l.guard.Add(p.pid); err != nil {
			l.log.WithField("task", p.id).Warnf("What it starts may outlive an executor that is killed: %v", err)
		}
	}
	return child, nil
}

// cannotBeBorn says that the kernel, or a sandbox around it, does not start
// processes in a given cgroup, so that they have to be moved.
func cannotBeBorn(err error) bool {
	if errors.As(err, new(*spawn.Failure)) {
		return false // It was born.
	}
	return errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EBUSY) ||
		errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.E2BIG)
}
