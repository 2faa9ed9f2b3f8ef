package core

import (
	"slices"
	"strconv"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// workload returns what the job says of an attempt's task, or nil when the
// attempt's version is not kept any more.
func (a *attempt) workload(i int) *tandemv1.Workload {
	if a.version == nil || i >= len(a.version.spec.Workloads) {
		return nil
	}
	return a.version.spec.Workloads[i]
}

// essential reports whether the failure of a task ends its group.
func (a *attempt) essential(i int) bool {
	w := a.workload(i)
	return w == nil || w.GetEssential()
}

// main reports whether a task is one of the group's mains.
func (a *attempt) main(i int) bool {
	w := a.workload(i)
	return w == nil || w.Lifecycle == tandemv1.Lifecycle_LIFECYCLE_MAIN
}

// dismissed reports whether a task is a sidecar that is or was killed because its
// mains have ended, as every sidecar is. An essential one that somebody else kills
// takes its mains along.
func (a *attempt) dismissed(i int) bool {
	t := a.rec.Tasks[i]
	if t.State != tandemv1.TaskState_TASK_KILLED && t.State != tandemv1.TaskState_TASK_KILLING ||
		a.workload(i).GetLifecycle() != tandemv1.Lifecycle_LIFECYCLE_SIDECAR {
		return false
	}
	for n, t := range a.rec.Tasks {
		if a.main(n) && (!state.Terminal(t.State) || t.State == tandemv1.TaskState_TASK_KILLED) {
			return false
		}
	}
	return true
}

// outdated reports whether the attempt is to be replaced in its turn: it runs
// another group than the job's current one, or a restart was asked for.
func (a *attempt) outdated() bool {
	return a.version == nil || a.version.group != a.instance.job.current().group ||
		a.rec.Attempt <= a.instance.rec.RestartThrough
}

// stage is the phase that the attempt's tasks make of its instance, and what is missing
// to running: it is stopping when a workload that the group needs ends, for that ends
// the group.
func (a *attempt) stage() (tandemv1.InstancePhase, string) {
	stage, missing := running, ""
	for i := range a.rec.Tasks {
		switch phase, why := a.taskStage(i); {
		case phase == stopping:
			return stopping, why
		case phase == launching && stage == running:
			stage, missing = launching, why
		}
	}
	return stage, missing
}

// taskStage is stage for one task. Running is what every workload of the group's middle,
// its mains and sidecars, has to be or to have finished, and to be found healthy and
// ready where it is checked.
func (a *attempt) taskStage(i int) (tandemv1.InstancePhase, string) {
	t, w := a.rec.Tasks[i], a.workload(i)
	switch t.State {
	case tandemv1.TaskState_TASK_STAGING, tandemv1.TaskState_TASK_STARTING:
		// What runs last is not waited for.
		if w.GetLifecycle() != tandemv1.Lifecycle_LIFECYCLE_POSTSTOP {
			return launching, t.Workload + " is starting"
		}
	case tandemv1.TaskState_TASK_RUNNING:
		switch {
		case w.GetLifecycle() == tandemv1.Lifecycle_LIFECYCLE_INIT:
			return launching, t.Workload + " runs first"
		case w.GetRestart() != nil && t.Healthy != nil && !*t.Healthy && t.Report.GetRestarts() > 0:
			return launching, t.Workload + " is started again in place: restart " + strconv.FormatUint(uint64(t.Report.GetRestarts()), 10)
		case w.GetHealthCheck() != nil && t.Healthy == nil:
			return launching, t.Workload + " was not found healthy yet"
		case w.GetHealthCheck() != nil && !t.GetHealthy():
			return launching, t.Workload + " is not healthy"
		case w.GetReadinessCheck() != nil && !t.GetReady():
			return launching, t.Workload + " is not ready"
		}
	case tandemv1.TaskState_TASK_KILLING:
		switch {
		case a.dismissed(i):
		case a.essential(i):
			return stopping, t.Workload + " is ending"
		default:
			return launching, t.Workload + " is ending"
		}
	case tandemv1.TaskState_TASK_FINISHED:
	default:
		if a.essential(i) && !a.dismissed(i) {
			return stopping, taskText(t)
		}
	}
	return running, ""
}

// close is called when an attempt's last task has ended or was given up.
func (c *Core) close(a *attempt) {
	in := a.instance
	if a.rec.Ended == nil {
		c.editAttempt(a).Ended = c.stamp
	}
	a.open, a.unanswered = 0, 0
	a.askAt, a.killAt = 0, 0
	c.timers.unset(&a.timer)
	c.leave(a)
	c.vacate(a)
	c.volumesLeft(a)
	in.uncount(a)
	switch {
	case in.live == a:
	case in.next == a:
		in.next = nil
		c.keep(in, a)
		_, why := a.outcome()
		c.moveFailed(in, why).about(a)
	default:
		in.old = slices.DeleteFunc(in.old, func(o *attempt) bool { return o == a })
		c.keep(in, a)
	}
	c.settle(in)
}

// keep puts an attempt that is over among the latest ones, and forgets the
// oldest when there are too many.
func (c *Core) keep(in *instance, a *attempt) {
	in.ended = append(in.ended, a)
	for len(in.ended) > c.cfg.KeepAttempts {
		c.removeAttempt(in.ended[0])
		in.ended = slices.Delete(in.ended, 0, 1)
	}
}

func (c *Core) removeAttempt(a *attempt) {
	a.edited = 0
	c.save = append(c.save, removal(a.rec))
}

// changed is called when the state of one of an attempt's tasks has changed.
func (c *Core) changed(a *attempt) {
	open, lost := 0, false
	for _, t := range a.rec.Tasks {
		if !state.Terminal(t.State) {
			open++
			lost = lost || outOfReach(t.State)
		}
	}
	a.open = open
	switch {
	case open == 0:
		c.close(a)
		return
	case lost && a.rec.Unreachable == nil:
		c.editAttempt(a).Unreachable = c.stamp
		c.arm(a)
	case !lost && a.rec.Unreachable != nil:
		c.editAttempt(a).Unreachable = nil
		if a.rec.KillReason != "" {
			a.killAt = c.now.UnixNano()
		} else if a.instance.live != a && a.instance.next != a && !c.takeBack(a) {
			c.kill(a, "replaced while its agent could not be reached")
		}
		c.arm(a)
	}
	if broken := a.broken(); a.rec.KillReason == "" && broken != (a.killAt != 0) {
		// The executor ends the group itself; this is for one that does not.
		a.killAt = 0
		if broken {
			a.killAt = c.now.Add(a.grace() + c.cfg.KillRetry).UnixNano()
		}
		c.arm(a)
	}
	c.settle(a.instance)
}

// outOfReach reports whether nobody can say whether the task runs.
func outOfReach(s tandemv1.TaskState) bool {
	return s == tandemv1.TaskState_TASK_UNREACHABLE || s == tandemv1.TaskState_TASK_UNKNOWN
}

// broken reports whether an essential workload has ended otherwise than well, and more
// of the group is left than what runs last, which has all the time that its own limits
// leave it.
func (a *attempt) broken() bool {
	failed, left := false, false
	for i, t := range a.rec.Tasks {
		switch {
		case !state.Terminal(t.State):
			left = left || a.workload(i).GetLifecycle() != tandemv1.Lifecycle_LIFECYCLE_POSTSTOP
		case t.State != tandemv1.TaskState_TASK_FINISHED && a.essential(i) && !a.dismissed(i):
			failed = true
		}
	}
	return failed && left
}

// grace is the longest kill grace of the attempt's tasks.
func (a *attempt) grace() time.Duration {
	longest := time.Duration(0)
	for i := range a.rec.Tasks {
		if w := a.workload(i); w != nil {
			longest = max(longest, w.GetKill().GetGracePeriod().AsDuration())
		}
	}
	return longest
}

// arm sets the attempt's timer for the first of what it waits for.
func (c *Core) arm(a *attempt) {
	at := int64(0)
	first := func(t int64) {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	first(a.askAt)
	if since := a.rec.Unreachable; since != nil {
		policy := a.instance.job.rec.Spec.GetUnreachable()
		if a.replaceable() {
			first(since.AsTime().Add(policy.GetInactiveAfter().AsDuration()).UnixNano())
		}
		first(since.AsTime().Add(policy.GetExpungeAfter().AsDuration()).UnixNano())
	} else {
		first(a.killAt)
	}
	c.timers.setNano(&a.timer, at)
}

// fired is called when something that the attempt waits for is due.
func (a *attempt) fired(c *Core) {
	now := c.now.UnixNano()
	if since := a.rec.Unreachable; since != nil {
		policy := a.instance.job.rec.Spec.GetUnreachable()
		switch {
		case !c.now.Before(since.AsTime().Add(policy.GetExpungeAfter().AsDuration())):
			c.expunge(a)
			return
		case a.replaceable() &&
			!c.now.Before(since.AsTime().Add(policy.GetInactiveAfter().AsDuration())):
			c.replace(a)
		}
	} else if a.killAt != 0 && a.killAt <= now {
		if a.rec.KillReason == "" {
			c.kill(a, groupDidNotEnd)
			c.settle(a.instance)
		} else {
			c.sendKill(a)
		}
	}
	if a.askAt != 0 && a.askAt <= now {
		c.ask(a)
	}
	c.arm(a)
}

// replaceable reports whether the instance may be started anew while the
// attempt's agent is out of reach. One of a daemon job belongs on that agent, and
// so does one whose volumes are there.
func (a *attempt) replaceable() bool {
	return a.instance.live == a && a.rec.KillReason == "" && !a.instance.job.daemon() && len(a.rec.Volumes) == 0
}

// replace lets the instance start anew while nobody knows whether the attempt
// still runs. Should it come back it is killed, or is the live one again where no other
// was launched.
func (c *Core) replace(a *attempt) {
	in := a.instance
	in.uncount(a)
	moved := c.takeOver(in)
	if !moved {
		c.lostLive(in)
	}
	in.old = append(in.old, a)
	c.noticeAttempt(Info, a, "replacing it: agent %s has been out of reach for %s",
		a.rec.Hostname, in.job.rec.Spec.GetUnreachable().GetInactiveAfter().AsDuration())
	if in.wanted() && !moved {
		c.await(in, "its agent "+a.rec.Hostname+" cannot be reached")
	}
	c.settle(in)
}

// takeBack makes an attempt that has come back the live one again, unless its instance
// has another meanwhile, is to run something else, or its place is no good any more.
func (c *Core) takeBack(a *attempt) bool {
	in := a.instance
	if in.live != nil || in.rec.Phase != waiting || !in.wanted() || a.rec.Attempt != in.rec.Attempt ||
		a.outdated() || !in.job.spread.Allows(a.version.rules, a.value) {
		return false
	}
	in.old = slices.DeleteFunc(in.old, func(o *attempt) bool { return o == a })
	in.live = a
	a.uncounted = false
	in.job.spread.Add(a.value)
	c.dequeue(in)
	c.reviewLater(a.host)
	c.noticeAttempt(Info, a, "agent %s is back, and nothing has replaced attempt %d yet: it stays", a.rec.Hostname, a.rec.Attempt)
	return true
}

// expunge gives an attempt up whose agent has been out of reach for too long.
func (c *Core) expunge(a *attempt) {
	in := a.instance
	c.noticeAttempt(Warn, a, "forgetting attempt %d: agent %s has been out of reach for %s", a.rec.Attempt,
		a.rec.Hostname, in.job.rec.Spec.GetUnreachable().GetExpungeAfter().AsDuration())
	if a.rec.KillReason == "" {
		c.editAttempt(a).KillReason = "its agent could not be reached"
	}
	c.close(a)
}
