package core

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

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

// teardown ends the framework. The master shuts its executors down and says no
// more of their tasks, so that their end is written down here. What is saved has
// no framework ID: started again, the scheduler is a new framework whose jobs
// are stopped.
func (c *Core) teardown(r *Reply) {
	if !c.subscribed {
		r.Refused = &unsubscribed
		return
	}
	r.Tasks = int32(c.openTasks())
	c.notice(Warn, nil, "tearing the framework down: every task ends, and every job is stopped")
	// From here on nothing else is of use to the master.
	c.onDisconnected()
	c.calls = callLists{}
	for _, j := range c.jobsInOrder() {
		c.stopJob(j, false)
	}
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
