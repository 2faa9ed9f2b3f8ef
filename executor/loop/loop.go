// Package loop performs what package core decides. One goroutine owns the core:
// it feeds it with events of the agent, with what became of fetches, starts and
// checks, and with the time, one after the other, and begins the effects of each
// before it takes the next. It never blocks on any of them: whatever can take
// time has a goroutine of its own, which answers with an input.
//
// It must never decide anything about a task.
package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/executor/hands"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Agent is the agent's executor API; package executorapi has it, and the
// meaning of its errors.
type Agent interface {
	// Subscribe blocks until the agent has answered.
	Subscribe(ctx context.Context, call *executor.Call) (Stream, error)
	// Send blocks until the agent has taken the call.
	Send(ctx context.Context, call *executor.Call) error
}

// Stream is the events of one subscription.
type Stream interface {
	// Next blocks until there is an event, or the stream has ended.
	Next() (*executor.Event, error)
	// Close ends the stream; it can be called at any time.
	Close()
}

// Tasks runs tasks; package task has it. Its methods are called from several
// goroutines at once.
type Tasks interface {
	// Fetch blocks until a task's files are there. The error is a sentence for
	// the task's status.
	Fetch(ctx context.Context, f core.Fetch) error
	// Start blocks until the task's program is being executed. After an error,
	// a sentence for the task's status, nothing runs.
	Start(ctx context.Context, s core.Start) (Process, error)
}

// Process is a task's workload that runs.
type Process interface {
	// Warnings are the limits that are not enforced, one line each.
	Warnings() []string
	// OnExit has f called, from another goroutine, once nothing is left of the
	// workload. It is called once.
	OnExit(f func(core.Exit))
	// Signal and Kill return at once.
	Signal(unix.Signal) error
	Kill()
	// Check blocks until the check is over, its time is up or ctx ends.
	Check(ctx context.Context, k core.Check) core.CheckResult
	// Disk returns how many bytes the task's directory takes, volumes left out. It
	// blocks for as long as it takes to look at each file, or until ctx ends.
	Disk(ctx context.Context) (uint64, error)
	// Task is the ID of the task.
	Task() string
	// Sample reads what the workload uses now. It fails once that has ended.
	Sample() (*tandemv1.UsageSample, error)
	// Deliver sends a signal to the main process or to all, and returns when
	// that is done. The error says why it is not, for a person.
	Deliver(signal unix.Signal, all bool) error
	// Attach calls the scheduler back for a command to run beside the workload,
	// and blocks until that is over and nothing of it is left, or ctx ends. It
	// calls joined once, with why the scheduler cannot be reached or nil, and says
	// how the command ended; nothing where it never began.
	Attach(ctx context.Context, o core.Open, joined func(error)) (how string)
}

// Options configure a run of the loop.
type Options struct {
	Core core.Config
	// Agent is required.
	Agent Agent
	// Open is called once, at the first subscription, whose event says where
	// the executor is. An error ends the executor. Required.
	Open func(*executor.Event_Subscribed) (Tasks, error)
	// Upgrader replaces this program by another; nil for what cannot be replaced.
	Upgrader Upgrader
	// Adopted is what the program before this one has passed on; nil for a start.
	Adopted *Adopted
	// Backoff bounds the random wait between attempts to subscribe, as
	// MESOS_SUBSCRIPTION_BACKOFF_MAX says it. Agents wait for no longer than
	// that for an executor to come back, so that a quarter of it is used, and
	// half a second at most. Default: 2 seconds, as Mesos's own.
	Backoff time.Duration
	// Fetches is how many tasks' files are fetched at once. Default: 8.
	Fetches int
	// Starting is told whenever workloads are started, and returns at once; nil for
	// nobody who wants to know.
	Starting func()
	// Log is required.
	Log logrus.FieldLogger
}

func (o Options) validate() (Options, error) {
	switch {
	case o.Agent == nil:
		return o, errors.New("cannot run without an agent")
	case o.Open == nil:
		return o, errors.New("cannot run without a way to run tasks")
	case o.Log == nil:
		return o, errors.New("cannot run without a log")
	}
	if o.Starting == nil {
		o.Starting = func() {}
	}
	if o.Backoff <= 0 {
		o.Backoff = 2 * time.Second
	}
	o.Backoff = min(o.Backoff/4, 500*time.Millisecond)
	if o.Fetches <= 0 {
		o.Fetches = 8
	}
	return o, nil
}

// keptHands is how many goroutines wait for starts and calls: as many as there are at
// once when not much happens.
const keptHands = 8

// loop is one run. All its fields but the channels belong to the goroutine of
// Run.
type loop struct {
	options Options
	core    *core.Core
	tasks   Tasks
	stream  Stream  // of the present subscription; nil without one
	sender  *sender // of the present subscription; nil without one

	processes map[core.Run]Process
	fetches   map[core.Run]context.CancelFunc
	checks    map[core.Run]checking
	hands     *hands.Hands // for starts and calls
	hooks     map[core.Run]context.CancelFunc
	rehearsal *rehearsal // of the program that was prepared last; nil before it

	life       context.Context // ends with Run
	inputs     chan input
	subscribes chan *executor.Call
	slots      chan struct{} // of fetches
	disks      chan struct{} // room for measurements of directories
	saying     chan struct{} // room for messages to the scheduler
}

// input is an input of the core, with what the loop itself needs of it.
type input struct {
	core.Input
	process Process // of Started
	stream  Stream  // of Subscribed
	// rehearsed notes the result of a rehearsal, whose input is no news.
	rehearsed func()
}

// checking is the context of all checks of one run.
type checking struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// Run runs an executor until it has nothing left to do, its agent is gone for
// good, or ctx ends: it then ends its tasks first. The error says what was lost;
// without one everything was reported and acknowledged.
func Run(ctx context.Context, o Options) error {
	o, err := o.validate()
	if err != nil {
		return err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	h := hands.New(keptHands)
	defer h.Close()
	l := &loop{
		options:   o,
		hands:     h,
		processes: make(map[core.Run]Process),
		fetches:   make(map[core.Run]context.CancelFunc),
		checks:    make(map[core.Run]checking),
		hooks:     make(map[core.Run]context.CancelFunc),
		life:      life,
		inputs:    make(chan input, 64),
		// One is on its way at most: connect asks for one at a time.
		subscribes: make(chan *executor.Call, 1),
		slots:      make(chan struct{}, o.Fetches),
		disks:      make(chan struct{}, 2),
		saying:     make(chan struct{}, maxSaying),
	}
	if o.Adopted != nil {
		err = l.adopt(o.Adopted)
	} else {
		l.core, err = core.New(time.Now(), o.Core)
	}
	if err != nil {
		return err
	}
	go l.connect()
	return l.run(ctx)
}

func (l *loop) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	asked := ctx.Done()
	for {
		var moment <-chan time.Time
		if l.core.Replaceable() {
			moment = time.After(momentTime)
		}
		if next, ok := l.core.Next(); ok {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
		var in input
		select {
		case in = <-l.inputs:
		case <-timer.C:
			in.Input = core.Ticked{}
			// What has happened comes before what has not: an executor that has
			// been idle for too long does not leave when there is a launch.
			select {
			case in = <-l.inputs:
			default:
			}
		case <-moment:
			in.Input = core.Ticked{}
		case <-asked:
			asked = nil
			in.Input = core.Shutdown{Reason: context.Cause(ctx).Error()}
		}
		end, err := l.step(in)
		if end == nil && err == nil {
			end, err = l.replace()
		}
		if err != nil {
			return err
		}
		if end != nil {
			if end.Failed {
				return errors.New(end.Reason)
			}
			l.options.Log.Info("Ending: " + end.Reason)
			return nil
		}
	}
}

// step feeds the core with one input and begins its effects.
func (l *loop) step(in input) (*core.End, error) {
	if in.rehearsed != nil {
		in.rehearsed()
	}
	switch event := in.Input.(type) {
	case core.Subscribed:
		if l.tasks == nil {
			tasks, err := l.options.Open(event.Event)
			if err != nil {
				return nil, fmt.Errorf("cannot run tasks here: %w", err)
			}
			l.tasks = tasks
		}
		l.stopSending()
		// An agent that does not know of the subscription has to be asked
		// for a new one.
		l.stream = in.stream
		l.sender = newSender(l.life, l.options.Agent, l.hands, l.options.Log, in.stream.Close)
	case core.Disconnected, core.Rejected:
		l.stream = nil
		l.stopSending()
	case core.Fetched:
		delete(l.fetches, event.Run)
	case core.Started:
		if in.process != nil {
			l.processes[event.Run] = in.process
		}
	case core.Exited:
		delete(l.processes, event.Run)
		if cancel, ok := l.hooks[event.Run]; ok {
			cancel()
			delete(l.hooks, event.Run)
		}
	}
	effects := l.core.Step(time.Now(), in.Input)
	l.perform(effects)
	return effects.End, nil
}

func (l *loop) stopSending() {
	if l.sender != nil {
		l.sender.stop()
		l.sender = nil
	}
}

// post hands an input to the loop. It returns false when the loop has ended.
func (l *loop) post(in core.Input) bool { return l.postWith(input{Input: in}) }

func (l *loop) postWith(in input) bool {
	select {
	case l.inputs <- in:
		return true
	case <-l.life.Done():
		return false
	}
}

func (l *loop) log(n core.Notice) {
	log := l.options.Log
	if n.Task != "" {
		log = log.WithField("task", n.Task)
	}
	switch n.Level {
	case core.Debug:
		log.Debug(n.Text)
	case core.Info:
		log.Info(n.Text)
	default:
		log.Warn(n.Text)
	}
}
