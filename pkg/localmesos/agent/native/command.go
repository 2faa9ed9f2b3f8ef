package native

import (
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// Command is the command executor: it runs one task as a child of its own, and
// ends a second after it.
type Command struct {
	base
	task    *mesos.TaskInfo
	running Running
	pid     int
	// greeted and registered say that it has said what it is, and that an agent
	// has answered it.
	greeted, registered bool
	// acked says that an update was acknowledged: the agent knows the task.
	acked    bool
	launched bool
	killed   bool
	// waiting is a kill that came before the process was there.
	waiting     func()
	terminated  bool
	unhealthy   bool
	timedOut    bool
	last        mesos.TaskStatus
	killStart   time.Time
	killBy      time.Time
	stopKill    func()
	stopTimeout func()
	checks      []*checker
}

// Two times of a real executor: how long it may take to notice that a process
// has ended, and how long it lives on to be sure that the last update was sent.
const (
	maxReap    = time.Second
	lastMoment = time.Second
)

// defaultGrace is between SIGTERM and SIGKILL when nobody says otherwise.
const defaultGrace = 3 * time.Second

// NewCommand makes the executor of a single task.
func NewCommand(s Settings, w World) *Command {
	c := &Command{base: base{Settings: s, world: w}}
	c.shutdown = c.end
	c.unackedTasks = func() []mesos.TaskInfo {
		if c.task == nil || c.acked {
			return nil
		}
		return []mesos.TaskInfo{*c.task}
	}
	return c
}

const commandSource = "executor.cpp"

// Connected implements Executor.
func (c *Command) Connected() {
	if !c.greeted {
		c.greeted = true
		c.log("exec.cpp:164", "Version: %s", c.Version)
	}
	c.base.Connected()
}

// Event implements Executor.
func (c *Command) Event(e *executor.Event) {
	if c.gone {
		return
	}
	if e.Type == executor.Event_SUBSCRIBED {
		place, how := "exec.cpp:237", "registered"
		if c.registered {
			place, how = "exec.cpp:260", "reregistered"
		}
		c.registered = true
		c.log(place, "Executor %s on agent %s", how, e.Subscribed.AgentInfo.GetID().GetValue())
	}
	// The real one is spared ACKNOWLEDGED by an adapter of the older driver.
	if e.Type != executor.Event_ACKNOWLEDGED {
		c.log(commandSource+":190", "Received %s event", e.Type)
	}
	switch e.Type {
	case executor.Event_SUBSCRIBED:
		c.greet(commandSource+":194", e.Subscribed)
	case executor.Event_LAUNCH:
		c.launch(e.Launch.Task)
	case executor.Event_LAUNCH_GROUP:
		c.world.Log('E', commandSource+":204", "LAUNCH_GROUP event is not supported")
		c.end()
	case executor.Event_KILL:
		c.kill(e.Kill.KillPolicy)
	case executor.Event_ACKNOWLEDGED:
		c.acked = true
		c.acknowledged(e.Acknowledged)
	case executor.Event_SHUTDOWN:
		c.end()
	}
}

func (c *Command) launch(t mesos.TaskInfo) {
	if c.task != nil {
		s := c.status(&t, mesos.TASK_FAILED)
		s.Message = new(`Attempted to run multiple tasks using a "command" executor`)
		c.forward(s)
		return
	}
	c.task = &t
	c.update(c.status(&t, mesos.TASK_STARTING))
	if d := t.MaxCompletionTime; d != nil && d.Nanoseconds > 0 {
		limit := nanoseconds(d)
		c.log(commandSource+":716", "Task %s has a max completion time of %s", t.TaskID.Value, core.FormatDuration(limit))
		c.stopTimeout = c.later(limit, func() { c.overdue(limit) })
	}
	c.log(commandSource+":722", "Starting task %s", t.TaskID.Value)
	p := Process{
		Task: t.TaskID, Role: roleOf(&t), Started: c.started, Ended: func(status syscall.WaitStatus, _ *core.Limitation) { c.ended(status) },
	}
	if t.Command != nil {
		p.Command = *t.Command
	}
	c.running = c.world.Run(p)
}

func (c *Command) started(pid int, err error) {
	if c.gone {
		return
	}
	if err != nil {
		// As a real executor, which aborts.
		c.world.Log('F', commandSource+":551", "Failed to launch task subprocess: "+err.Error())
		c.world.Exit(abortStatus)
		return
	}
	c.pid = pid
	c.log(commandSource+":740", "Forked command at %d", pid)
	c.checks = startChecks(&c.base, c.task, c.running, c.checked, c.health)
	c.update(c.status(c.task, mesos.TASK_RUNNING))
	c.launched = true
	if c.waiting != nil {
		c.waiting()
		c.waiting = nil
	}
}

// abortStatus is what a shell makes of a process that has aborted.
const abortStatus = 128 + int(syscall.SIGABRT)

func (c *Command) update(s mesos.TaskStatus) {
	c.last = s
	c.forward(s)
}

func (c *Command) checked(s *mesos.CheckStatusInfo) {
	if c.killed || c.terminated {
		return
	}
	c.log(commandSource+":329", "Received check update '%s'", describe(s))
	update := c.again(c.last, mesos.REASON_TASK_CHECK_STATUS_UPDATED)
	update.CheckStatus = s
	c.update(update)
}

func (c *Command) health(healthy, kill bool) {
	if c.killed || c.terminated {
		return
	}
	c.log(commandSource+":362", "Received task health update, healthy: %t", healthy)
	update := c.again(c.last, mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED)
	update.Healthy = &healthy
	c.update(update)
	if kill {
		c.unhealthy = true
		c.kill(nil)
	}
}

func (c *Command) kill(override *mesos.KillPolicy) {
	c.cancelTimeout()
	if c.task == nil {
		return
	}
	grace := graceOf(c.task, override)
	c.log(commandSource+":835", "Received kill for task %s with grace period of %s", c.task.TaskID.Value, core.FormatDuration(grace))
	c.killWithin(grace)
}

// graceOf is the time between SIGTERM and SIGKILL.
func graceOf(t *mesos.TaskInfo, override *mesos.KillPolicy) time.Duration {
	for _, policy := range []*mesos.KillPolicy{override, t.KillPolicy} {
		if policy != nil && policy.GracePeriod != nil {
			return nanoseconds(policy.GracePeriod)
		}
	}
	return defaultGrace
}

// end is what SHUTDOWN does. The grace period leaves room for the last update.
func (c *Command) end() {
	if c.gone {
		return
	}
	c.log(commandSource+":843", "Shutting down")
	if c.task == nil {
		c.world.Exit(0)
		return
	}
	c.killWithin(c.ShutdownGrace - maxReap - time.Second)
}

func (c *Command) killWithin(grace time.Duration) {
	switch {
	case c.terminated:
	case !c.launched:
		c.waiting = func() { c.killWithin(grace) }
	case c.killed:
		// A later kill may only shorten the time.
		by := c.killStart.Add(grace)
		if by.After(c.killBy) {
			return
		}
		remaining := max(0, by.Sub(c.world.Now()))
		c.log(commandSource+":912", "Rescheduling escalation to SIGKILL in %s from now", core.FormatDuration(remaining))
		c.stopKill()
		c.escalateAfter(remaining, grace)
	default:
		c.firstKill(grace)
	}
}

func (c *Command) firstKill(grace time.Duration) {
	if !c.timedOut && c.kills() {
		c.update(c.status(c.task, mesos.TASK_KILLING))
	}
	pauseAll(c.checks)
	c.log(commandSource+":956", "Sending SIGTERM to process tree")
	c.running.Signal(syscall.SIGTERM, true)
	c.log(commandSource+":973", "Scheduling escalation to SIGKILL in %s from now", core.FormatDuration(grace))
	c.killStart, c.killed = c.world.Now(), true
	c.escalateAfter(max(0, grace), grace)
}

func (c *Command) escalateAfter(d, grace time.Duration) {
	c.killBy = c.world.Now().Add(d)
	c.stopKill = c.later(d, func() {
		if c.terminated {
			return
		}
		c.log(commandSource+":1101", "Process did not terminate after %s, sending SIGKILL to process tree", core.FormatDuration(grace))
		c.running.Signal(syscall.SIGKILL, true)
	})
}

func (c *Command) overdue(limit time.Duration) {
	c.log(commandSource+":1135", "Killing task %s which exceeded its maximum completion time of %s",
		c.task.TaskID.Value, core.FormatDuration(limit))
	c.stopTimeout, c.timedOut = nil, true
	c.killWithin(0)
}

func (c *Command) cancelTimeout() {
	if c.stopTimeout != nil {
		c.stopTimeout()
		c.stopTimeout = nil
	}
}

func (c *Command) ended(status syscall.WaitStatus) {
	if c.gone {
		return
	}
	c.terminated = true
	pauseAll(c.checks)
	if c.stopKill != nil {
		c.stopKill()
	}
	c.cancelTimeout()
	state := mesos.TASK_FAILED
	switch {
	case c.timedOut:
	case c.killed:
		state = mesos.TASK_KILLED
	case status.Exited() && status.ExitStatus() == 0:
		state = mesos.TASK_FINISHED
	}
	s := c.status(c.task, state)
	if c.timedOut {
		s.Reason = mesos.REASON_MAX_COMPLETION_TIME_REACHED.Enum()
	}
	text := "Command " + Explain(status)
	s.Message = &text
	c.log(commandSource+":1041", "%s (pid: %d)", text, c.pid)
	if c.killed && c.unhealthy {
		s.Healthy = new(false)
	}
	c.update(s)
	c.later(lastMoment, func() { c.world.Exit(0) })
}

// Gone implements Executor.
func (c *Command) Gone() {
	c.base.Gone()
	pauseAll(c.checks)
}
