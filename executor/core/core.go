package core

import (
	"container/list"
	"errors"
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// Config is what a Core is told once.
type Config struct {
	ExecutorID  mesos.ExecutorID
	FrameworkID mesos.FrameworkID
	// Checkpoint says that the agent remembers this executor across its own
	// restarts. Without it a lost connection is the end.
	Checkpoint bool
	// RecoveryTimeout is how long the agent may stay away. It counts from the
	// moment that the connection is lost; failed attempts do not lengthen it.
	// Default: 15 minutes, as Mesos's own.
	RecoveryTimeout time.Duration
	// ShutdownGrace is how long after SHUTDOWN the agent waits before it
	// destroys the container. Default: 5 seconds, as Mesos's own.
	ShutdownGrace time.Duration
	// RegistrationTimeout is how long the first subscription may take.
	// Default: 1 minute, as Mesos's own.
	RegistrationTimeout time.Duration
	// Linger is how long the executor stays when nothing is left to do.
	// Default: none.
	Linger time.Duration
	// FirstTask is how long it waits for the first task. Default: 1 minute.
	FirstTask time.Duration
	// AckTimeout bounds how long it stays, connected and with all tasks ended,
	// for the sake of updates that the agent does not acknowledge. Default: 1
	// minute.
	AckTimeout time.Duration
	// Starts is how many tasks of those that are queued may be in phase
	// starting at once. Each holds a thread in a system call. Default: 4, which is as
	// fast on two processors as more.
	Starts int
	// HeadStart is how long the first task of a group is started alone at most, so
	// that it runs soon however many come after it. The others follow when it
	// does. Default: not at all.
	HeadStart time.Duration
	// QuickStart is how long a start may take that is reported when it is over
	// only. One that takes longer is TASK_STARTING then, and one that has to wait
	// for files or for other tasks at once. Default: none is quick.
	QuickStart time.Duration
	// Version is that of the program, for an UpgradeExecutor's Answer.
	Version string
	// NewUUID gives a new random UUID of RFC 4122 version 4: an agent refuses
	// any other. Required.
	NewUUID func() [16]byte
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.ExecutorID.Value == "":
		return c, errors.New("cannot decide without an executor ID")
	case c.FrameworkID.Value == "":
		return c, errors.New("cannot decide without a framework ID")
	case c.NewUUID == nil:
		return c, errors.New("cannot decide without a source of UUIDs")
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&c.RecoveryTimeout, 15 * time.Minute},
		{&c.ShutdownGrace, 5 * time.Second},
		{&c.RegistrationTimeout, time.Minute},
		{&c.FirstTask, time.Minute},
		{&c.AckTimeout, time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	if c.Starts <= 0 {
		c.Starts = 4
	}
	return c, nil
}

// Core is one executor's state. It is not safe for concurrent use: package loop
// owns it.
type Core struct {
	config Config

	// The agent.
	connected      bool
	everSubscribed bool
	complained     bool // of the present absence
	capabilities   map[mesos.FrameworkInfo_Capability_Type]bool
	registerBy     time.Time
	disconnectedAt time.Time // zero while connected and before the first time
	outbox         *list.List
	outboxByUUID   map[[16]byte]*list.Element

	// The tasks: ended ones stay until their terminal update is acknowledged.
	tasks    map[string]*task
	runs     map[Run]*task
	lastRun  Run
	live     int // tasks that have not ended
	starting int
	queue    []*task
	ahead    ahead
	slow     []slowStart // the oldest first
	timers   timers

	talking talking
	upgrade *upgrade
	answers []answer // that wait for the agent

	// The end.
	hadTasks bool
	quiet    time.Time // since when there has been nothing to run or to report
	closing  *closing
	end      *End

	// Of the Step under way.
	now time.Time
	out Effects
}

// New returns a core that has not subscribed yet.
func New(now time.Time, config Config) (*Core, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Core{
		config:       config,
		registerBy:   now.Add(config.RegistrationTimeout),
		quiet:        now,
		outbox:       list.New(),
		outboxByUUID: make(map[[16]byte]*list.Element),
		tasks:        make(map[string]*task),
		runs:         make(map[Run]*task),
	}, nil
}

// Step takes one input and returns what is to be done about it. Times must not
// go back from one call to the next. After an End there are no more effects.
func (c *Core) Step(now time.Time, in Input) Effects {
	if c.end != nil {
		return Effects{}
	}
	c.now, c.out = now, Effects{}
	switch in := in.(type) {
	case Subscribing:
		c.out.Subscribe = c.subscribeCall()
	case Subscribed:
		c.subscribed(in)
	case Disconnected:
		c.disconnected(in)
	case Rejected:
		c.connected = false
		c.close(in.Reason, true)
	case Launched:
		c.launched(in.Tasks)
	case KillAsked:
		c.killAsked(in)
	case Acknowledged:
		c.acknowledged(in)
	case Shutdown:
		c.close(in.Reason, false)
	case Message:
		c.heard(in.Data)
	case Fetched:
		c.fetched(in)
	case Started:
		c.started(in)
	case Exited:
		c.exited(in)
	case PreStopped:
		c.preStopped(in)
	case Checked:
		c.checked(in)
	case DiskMeasured:
		c.diskMeasured(in)
	case Measured:
		c.measured(in)
	case Done:
		c.done(in)
	case Closed:
		c.closed(in)
	case Prepared:
		c.prepared(in)
	case NotReplaced:
		c.keep(in.Err)
	case Ticked:
		c.ticked()
	default:
		panic(fmt.Sprintf("core: unknown input %T", in))
	}
	c.admit()
	c.settleSlow()
	c.settle()
	return c.out
}

// Next returns when Ticked is due, and false when no timer is set.
func (c *Core) Next() (time.Time, bool) {
	if c.end != nil {
		return time.Time{}, false
	}
	next, ok := c.timers.next()
	at := earlier(earlier(c.endsAt(), c.samplesAt()), c.upgradeDue())
	at = earlier(at, c.slowAt())
	if len(c.queue) > 0 {
		at = earlier(at, c.ahead.until)
	}
	if !at.IsZero() && (!ok || at.Before(next)) {
		next, ok = at, true
	}
	return next, ok
}

// subscribed takes in what the agent says of the framework, sends what the
// SUBSCRIBE did not hold, and resumes the checks.
func (c *Core) subscribed(in Subscribed) {
	c.connected, c.everSubscribed, c.complained = true, true, false
	c.disconnectedAt = time.Time{}
	c.capabilities = make(map[mesos.FrameworkInfo_Capability_Type]bool)
	for _, capability := range in.Event.FrameworkInfo.Capabilities {
		c.capabilities[capability.Type] = true
	}
	if c.live == 0 {
		c.quiet = c.now
	}
	c.sendUnsent()
	if !c.holding() {
		c.release()
	}
	c.answerAll()
	c.note(Info, nil, "subscribed with the agent")
}

func (c *Core) disconnected(in Disconnected) {
	if in.Given {
		c.connected, c.disconnectedAt = false, c.now
		c.markUnsent()
		return
	}
	if !c.connected {
		level := Debug
		if !c.complained {
			level, c.complained = Info, true
		}
		c.note(level, nil, "cannot subscribe: %s; trying again", in.Reason)
		if c.everSubscribed && !c.config.Checkpoint {
			c.close("the agent is gone ("+in.Reason+"), and the framework does not checkpoint", true)
		}
		return
	}
	c.connected = false
	c.disconnectedAt = c.now
	c.markUnsent()
	c.hold()
	if !c.config.Checkpoint {
		c.close("the agent is gone ("+in.Reason+"), and the framework does not checkpoint", true)
		return
	}
	c.note(Warn, nil, "lost the agent: %s; waiting %s for it", in.Reason, c.config.RecoveryTimeout)
}

// ticked does what has fallen due.
func (c *Core) ticked() {
	c.sampleIfDue()
	if due(c.upgradeDue(), c.now) {
		why := c.halfDone()
		if why == "" {
			why = "the agent is away, or tasks are ending"
		}
		c.keep("there was no moment for it within " + quietTime.String() + ": " + why)
	}
	for {
		run, ok := c.timers.due(c.now)
		if !ok {
			return
		}
		t := c.runs[run]
		if t == nil || t.armed.After(c.now) {
			continue // The task's timer has been moved since.
		}
		t.armed = time.Time{}
		if !t.ended() {
			c.wake(t)
			c.arm(t)
		}
	}
}

// arm sets the timer of a task to the first thing that it waits for.
func (c *Core) arm(t *task) {
	at := t.wakeAt()
	if t.phase == resting && c.holding() {
		at = t.expires
	}
	if at.Equal(t.armed) {
		return
	}
	t.armed = at
	if !at.IsZero() {
		c.timers.set(at, t.run)
	}
}

func (c *Core) note(level Level, t *task, format string, args ...any) {
	n := Notice{Level: level, Text: fmt.Sprintf(format, args...)}
	if t != nil {
		n.Task = t.id
	}
	c.out.Notices = append(c.out.Notices, n)
}

// inOrder returns the tasks in the order of their launch.
func (c *Core) inOrder() []*task {
	all := make([]*task, 0, len(c.tasks))
	for _, t := range c.tasks {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *task) int { return int(a.order) - int(b.order) })
	return all
}

// call returns an empty call in this executor's name.
func (c *Core) call(of executor.Call_Type) *executor.Call {
	return &executor.Call{Type: of, ExecutorID: c.config.ExecutorID, FrameworkID: c.config.FrameworkID}
}
