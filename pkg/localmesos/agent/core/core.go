package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// Phase is how far the agent is.
type Phase int

const (
	// Recovering: the agent has executors of its former life, and waits for
	// them to come back before it registers.
	Recovering Phase = iota
	// Disconnected: the agent is not registered with a master.
	Disconnected
	// Registered: the master knows the agent.
	Registered
	// Terminating: the agent was told to shut down; its executors are ending.
	Terminating
)

// Config is what a Core never changes.
type Config struct {
	// Info is the agent as it registers. Its ID is set once a master gave one.
	Info mesos.AgentInfo
	// IP is the address that goes into the container status of each update.
	IP string
	// RegistrationTimeout bounds the time from an executor's launch, its fetch
	// included, to its subscription.
	RegistrationTimeout time.Duration
	// ReregistrationTimeout bounds the time that executors have to come back
	// after a restart of the agent; the agent registers only after it.
	ReregistrationTimeout time.Duration
	// ShutdownGracePeriod is the time from SHUTDOWN to the end of a container,
	// unless the executor asks for another.
	ShutdownGracePeriod time.Duration
	// CFS says that the agent limits a container's CPU time to its request
	// (--cgroups_enable_cfs).
	CFS bool
	// Checkpoint has what the next process needs kept (Keep), but for what is of
	// frameworks that do not checkpoint.
	Checkpoint bool
	// NewContainerID and NewUUID make identifiers that were never used.
	NewContainerID func() string
	NewUUID        func() []byte
}

// Core is an agent's state. It is not safe for concurrent use: one goroutine
// owns it.
type Core struct {
	config     Config
	phase      Phase
	frameworks table[mesos.FrameworkID, *framework]
	containers map[string]*executorState // by container, those that are not removed
	completed  []*framework
	streams    updateStreams
	arrivals   []*arrival // that wait for Admitted, in order
	effects    []Effect
	metrics    Metrics
	kept       bool // the agent, as it has registered in this life
	// converted is what the agent has once operations changed it, and nil
	// before; operations are those that are not acknowledged.
	converted  []mesos.Resource
	drain      *mesos.DrainConfig // nil unless the agent is draining
	operations []*operation

	// recoveryEnds is when the time for executors to come back is over; set
	// only while Recovering.
	recoveryEnds time.Time
	// registerAt is when the agent next asks a master for registration, and
	// registerBackoff how long it waits for the answer; zero when it need not.
	registerAt      time.Time
	registerBackoff time.Duration
	// pingTimeout is what the master allows between two pings, and pingBy when
	// the next has to be there; zero while not registered.
	pingTimeout time.Duration
	pingBy      time.Time
}

// Metrics counts what the agent has done.
type Metrics struct {
	Tasks                map[mesos.TaskState]uint64
	ExecutorsTerminated  uint64
	LaunchErrors         uint64
	ValidUpdates         uint64
	InvalidUpdates       uint64
	ValidFrameworkMsgs   uint64
	InvalidFrameworkMsgs uint64
}

// heartbeatInterval is the time between two HEARTBEATs to an executor, and from
// its subscription to the first (DEFAULT_EXECUTOR_HEARTBEAT_INTERVAL).
const heartbeatInterval = 30 * time.Minute

// registerBackoffMin and registerBackoffMax bound the time between two requests
// for registration (--registration_backoff_factor and its cap).
const (
	registerBackoffMin = time.Second
	registerBackoffMax = time.Minute
)

// New returns a core that asks for registration at its first Tick.
func New(now time.Time, config Config) *Core {
	return &Core{
		config:     config,
		phase:      Disconnected,
		frameworks: newTable[mesos.FrameworkID, *framework](),
		containers: map[string]*executorState{},
		streams:    newUpdateStreams(),
		metrics:    Metrics{Tasks: map[mesos.TaskState]uint64{}},
		registerAt: now,
	}
}

// AgentID returns the agent's ID, empty until a master gave one.
func (c *Core) AgentID() mesos.AgentID {
	if c.config.Info.ID == nil {
		return mesos.AgentID{}
	}
	return *c.config.Info.ID
}

// Phase returns how far the agent is.
func (c *Core) Phase() Phase { return c.phase }

// Effects returns what is to be done, in order, and forgets it.
func (c *Core) Effects() []Effect {
	effects := c.effects
	c.effects = nil
	return effects
}

func (c *Core) emit(e Effect) { c.effects = append(c.effects, e) }

// Next returns when Tick has to be called next, or the zero time.
func (c *Core) Next() time.Time {
	next := earliest(earliest(c.registerAt, c.recoveryEnds), c.pingBy)
	next = earliest(next, earliest(c.streams.next(), c.nextOperation()))
	for f := range c.frameworks.each() {
		for e := range f.executors.each() {
			next = earliest(next, e.registerBy)
			next = earliest(next, e.destroyAt)
			next = earliest(next, e.heartbeatAt)
		}
	}
	return next
}

// Tick does what has become due.
func (c *Core) Tick(now time.Time) {
	for f := range c.frameworks.each() {
		for e := range f.executors.each() {
			if due(e.registerBy, now) {
				c.registrationTimedOut(e)
			}
			if due(e.destroyAt, now) {
				e.destroyAt = time.Time{}
				c.emit(Destroy{Container: e.container})
			}
			if due(e.heartbeatAt, now) {
				e.heartbeatAt = now.Add(heartbeatInterval)
				c.send(e, &executor.Event{Type: executor.Event_HEARTBEAT})
			}
		}
	}
	if due(c.recoveryEnds, now) {
		c.recoveryTimedOut(now)
	}
	for _, u := range c.streams.due(now) {
		c.forward(u)
	}
	c.tickOperations(now)
	if due(c.pingBy, now) {
		c.Disconnect(now)
	}
	if due(c.registerAt, now) {
		c.register(now)
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// register asks for registration and sets the time of the next attempt.
func (c *Core) register(now time.Time) {
	c.registerBackoff = min(max(2*c.registerBackoff, registerBackoffMin), registerBackoffMax)
	c.registerAt = now.Add(c.registerBackoff)
	r := link.Registration{Info: c.config.Info, Total: c.converted}
	if c.config.Info.ID == nil {
		c.emit(Register{Registration: r})
		return
	}
	for _, o := range c.operations {
		r.Operations = append(r.Operations, o.info)
	}
	for _, f := range c.frameworks.all() {
		r.Frameworks = append(r.Frameworks, f.info)
		for _, e := range f.executors.all() {
			// The master never learns of a generated or ended executor, but
			// of the tasks that still have unacknowledged updates.
			if e.state != terminated && e.kind != CommandExecutor {
				r.Executors = append(r.Executors, link.ExecutorOf{FrameworkID: f.id, Info: e.info})
			}
			r.Tasks = append(r.Tasks, e.reported(f.id)...)
		}
		r.Tasks = append(r.Tasks, c.reportedPending(f)...)
	}
	c.emit(Reregister{Registration: r})
}

// Registered is the master's answer to Register. From now on it pings, at least
// once in pingTimeout unless that is zero.
func (c *Core) Registered(now time.Time, id mesos.AgentID, pingTimeout time.Duration) {
	if c.phase != Disconnected {
		return
	}
	if c.config.Info.ID != nil && *c.config.Info.ID != id {
		return
	}
	c.config.Info.ID = &id
	c.registered(now, pingTimeout)
}

// Reregistered is the master's answer to Reregister. The tasks that the master
// believes to run and that the agent does not know are reported as dropped.
func (c *Core) Reregistered(now time.Time, id mesos.AgentID, pingTimeout time.Duration, reconcile []mesos.Task) {
	if c.AgentID() != id || (c.phase != Disconnected && c.phase != Registered) {
		return
	}
	c.registered(now, pingTimeout)
	for _, t := range reconcile {
		f, known := c.frameworks.get(t.FrameworkID)
		if known && (f.holders[t.TaskID] != nil || f.pending[t.TaskID] != nil) {
			continue
		}
		state := mesos.TASK_DROPPED
		if known && !f.partitionAware() {
			state = mesos.TASK_LOST
		}
		c.agentUpdate(now, t.FrameworkID, nil, t.TaskID, state, mesos.REASON_RECONCILIATION,
			"Reconciliation: task unknown to the agent", nil)
	}
}

func (c *Core) registered(now time.Time, pingTimeout time.Duration) {
	c.phase = Registered
	if c.config.Checkpoint && !c.kept {
		c.kept = true
		c.emit(Keep{Record: KeepAgent{Info: c.config.Info}})
	}
	c.registerAt, c.registerBackoff = time.Time{}, 0
	c.pingTimeout = pingTimeout
	c.expectPing(now)
	c.resume(now)
}

// resume sends every task's oldest update that is not acknowledged.
func (c *Core) resume(now time.Time) {
	for _, u := range c.streams.resume(now) {
		c.forward(u)
	}
	c.resumeOperations(now)
}

func (c *Core) expectPing(now time.Time) {
	c.pingBy = time.Time{}
	if c.pingTimeout > 0 {
		c.pingBy = now.Add(c.pingTimeout)
	}
}

// Ping is the master's sign of life; connected is false if it takes the agent
// for disconnected. After too long a silence the agent registers again, for the
// master may have been replaced, or have given it up.
func (c *Core) Ping(now time.Time, connected bool) {
	if c.phase != Registered {
		return
	}
	c.expectPing(now)
	if !connected {
		c.Disconnect(now)
	}
}

// Disconnect says that there is no master, or another one: the agent registers
// with it again, and keeps its status updates until then.
func (c *Core) Disconnect(now time.Time) {
	if c.phase != Registered && c.phase != Disconnected {
		return
	}
	c.phase = Disconnected
	c.pingBy = time.Time{}
	c.streams.pause()
	c.pauseOperations()
	c.registerAt, c.registerBackoff = now, 0
}

// Shutdown ends every executor, in its grace period.
func (c *Core) Shutdown(now time.Time) {
	if c.phase == Terminating {
		return
	}
	c.phase = Terminating
	c.registerAt, c.recoveryEnds, c.pingBy = time.Time{}, time.Time{}, time.Time{}
	for _, f := range c.frameworks.all() {
		c.shutdownFramework(now, f)
	}
}
