package core

import (
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// unsubscribed is why something cannot be asked of the master.
var unsubscribed = Refused{Conflict, "the scheduler is not subscribed with a master: `tandem status` says why; try again when it is"}

// reconcileNow asks about every task, as is done from time to time anyway.
func (c *Core) reconcileNow(r *Reply) {
	if !c.subscribed {
		r.Refused = &unsubscribed
		return
	}
	r.Tasks = int32(c.openTasks())
	c.notice(Info, nil, "asking the master about all tasks")
	c.reconcileAll()
}

func (c *Core) openTasks() int {
	n := 0
	for _, a := range c.openAttempts() {
		n += a.open
	}
	return n
}

// landing is how long a group that was launched may be on its way to its agent. A
// framework that is torn down meanwhile leaves an executor there that nobody ends,
// and for which later drains of the agent wait for ever: a Mesos 1.12 agent forgets
// the framework, and starts the executor all the same.
const landing = 5 * time.Second

// farewell is a teardown that waits for launches on their way.
type farewell struct {
	command uint64
	tasks   int32
	unheard []*attempt // among others, that were heard of since
	until   time.Time
	timer   timer
}

func (f *farewell) fired(c *Core) { c.endWhenLanded() }

// teardown stops every job and ends the framework: at once, or as soon as no launch
// is on its way. It reports false where the reply comes later.
func (c *Core) teardown(command uint64, r *Reply) bool {
	switch {
	case !c.subscribed:
		r.Refused = &unsubscribed
		return true
	case c.farewell != nil:
		r.Refused = &Refused{Conflict, "the framework is being torn down already"}
		return true
	}
	r.Tasks = int32(c.openTasks())
	c.notice(Warn, nil, "tearing the framework down: every task ends, and every job is stopped")
	c.stopAll()
	f := &farewell{command: command, tasks: r.Tasks, until: c.now, unheard: c.openAttempts()}
	f.unheard = slices.DeleteFunc(f.unheard, func(a *attempt) bool { return a.heard() || !a.there().After(c.now) })
	for _, a := range f.unheard {
		if a.there().After(f.until) {
			f.until = a.there()
		}
	}
	if len(f.unheard) == 0 {
		c.endFramework()
		return true
	}
	c.notice(Info, nil, "the framework ends when something was heard of every group just launched (%d), or at %s",
		len(f.unheard), f.until.UTC().Format(time.RFC3339))
	c.farewell = f
	f.timer.owner = f
	c.timers.set(&f.timer, f.until)
	return false
}

func (c *Core) stopAll() {
	for _, j := range c.jobsInOrder() {
		c.stopJob(j, false)
	}
}

// heard reports whether an agent or executor has said something of every task.
func (a *attempt) heard() bool {
	return !slices.ContainsFunc(a.rec.Tasks, func(t *tandemv1.TaskRecord) bool { return t.State == tandemv1.TaskState_TASK_STAGING })
}

// there is when the attempt's group is at its agent, whatever is heard.
func (a *attempt) there() time.Time { return a.rec.Created.AsTime().Add(landing) }

// endWhenLanded ends the framework if that waits for nothing any more.
func (c *Core) endWhenLanded() {
	f := c.farewell
	if f == nil {
		return
	}
	for n := len(f.unheard) - 1; n >= 0 && f.unheard[n].heard(); n-- {
		f.unheard = f.unheard[:n]
	}
	if len(f.unheard) > 0 && c.now.Before(f.until) {
		return
	}
	c.farewell = nil
	c.timers.unset(&f.timer)
	c.stopAll() // what was submitted since
	c.endFramework()
	c.farewellOver(f, Reply{Tasks: f.tasks})
}

// unsay gives up a teardown that waited while the master was lost.
func (c *Core) unsay() {
	if f := c.farewell; f != nil {
		c.farewell = nil
		c.timers.unset(&f.timer)
		c.farewellOver(f, Reply{Refused: &Refused{Conflict, "the master was lost before the framework could be torn down: every job is stopped; " +
			"tear it down again when the scheduler is subscribed (`tandem status`)"}})
	}
}

func (c *Core) farewellOver(f *farewell, r Reply) {
	r.ID = f.command
	c.replies = append(c.replies, r)
	c.answerRequest(c.taken.open[f.command], r, true)
}

// endFramework has the master shut the executors down. It says no more of their
// tasks, so that their end is written down here. What is saved has no framework ID:
// started again, the scheduler is a new framework whose jobs are stopped.
func (c *Core) endFramework() {
	// From here on nothing else is of use to the master.
	c.onDisconnected()
	c.calls = callLists{}
	killed, source, reason, why := mesos.TASK_KILLED, mesos.SOURCE_MASTER, mesos.REASON_FRAMEWORK_REMOVED, "the framework was torn down"
	for _, a := range c.openAttempts() {
		if a.rec.KillReason == "" {
			c.editAttempt(a).KillReason = why
		}
		for i, t := range a.rec.Tasks {
			if !state.Terminal(t.State) {
				c.record(a, i, &mesos.TaskStatus{State: &killed, Source: &source, Reason: &reason, Message: &why})
			}
		}
		c.changed(a)
	}
	for id := range c.strays {
		c.timers.unset(&c.strays[id].timer)
		delete(c.strays, id)
	}
	framework := state.CopyFramework(c.framework)
	framework.FrameworkId = ""
	c.framework, c.frameworkEdited = framework, true
	c.tearing = true
	c.sayTeardown()
}

// sayTeardown makes the call, again and again if it fails, until the subscription
// ends. Should there be another under the old ID, it has to be asked for anew.
func (c *Core) sayTeardown() {
	if !c.tearing {
		return
	}
	c.calls.demand = append(c.calls.demand, &scheduler.Call{Type: scheduler.Call_TEARDOWN})
}

func (c *Core) retryTeardown() {
	c.timers.set(&timer{owner: fireFunc((*Core).sayTeardown)}, c.now.Add(c.cfg.CallRetry))
}
