package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// reconcileState is a reconciliation of all tasks under way.
type reconcileState struct {
	queue    []*attempt // to be asked about
	implicit bool       // the question that names no task is still to come
	timer    timer      // for the next call, or the next reconciliation
	asking   []scheduler.Call_Reconcile_Task
	// owed are the tasks that were asked about and not yet answered for, unless
	// they were given up waiting for.
	owed int
}

func (c *Core) onSubscribed(s Subscribed) {
	again := c.framework.GetFrameworkId() == s.FrameworkID.Value
	if c.framework.GetFrameworkId() != s.FrameworkID.Value {
		if c.framework.GetFrameworkId() != "" {
			c.notice(Warn, nil, "the master calls this framework %s and no longer %s: what runs under the old name is beyond reach",
				s.FrameworkID.Value, c.framework.FrameworkId)
		}
		r := &tandemv1.FrameworkRecord{FrameworkId: s.FrameworkID.Value, Created: c.stamp, AttemptFloor: c.framework.GetAttemptFloor()}
		c.framework, c.frameworkEdited = r, true
	}
	c.subscribed = true
	c.subscription++
	// A subscription is suppressed if it says so. Filters of the one before are still
	// there if the master had not noticed its end (only the activation of a
	// framework clears them, and one that seemed connected is active): a
	// scheduler that was frozen, say, and whose work another takes up.
	o := &c.offers
	o.suppressed, o.filtered, o.newWork, o.lastRevive = s.Suppressed, again, again || s.Suppressed, time.Time{}
	o.shape.subscribed(s)
	c.volumes.feedback = answers(s.Master.GetVersion())
	o.asked = c.now
	o.round++
	c.timers.unset(&o.timer)
	c.rehost()
	for _, a := range c.openAttempts() {
		if a.rec.KillReason != "" {
			a.kills = 0
			c.sendKill(a)
			c.arm(a)
		}
	}
	for _, id := range sortedKeys(c.strays) {
		c.strays[id].kills = 0
		c.strays[id].fired(c)
	}
	c.reconcileAll()
}

func (c *Core) onDisconnected() {
	c.unsay()
	c.subscribed, c.tearing = false, false
	c.timers.unset(&c.reconcile.timer)
	c.reconcile.queue = nil
}

// reconcileAll asks about every task that has not ended, and then for all that
// the master knows, so that both sides learn of tasks that only one knows.
func (c *Core) reconcileAll() {
	r := &c.reconcile
	r.queue, r.implicit, r.owed = c.openAttempts(), true, 0
	c.reconcileDue()
}

// reconcileDue asks about the next batch of tasks, or begins anew.
func (c *Core) reconcileDue() {
	if !c.subscribed {
		return
	}
	r := &c.reconcile
	if len(r.queue) == 0 && !r.implicit {
		c.reconcileAll()
		return
	}
	if r.owed > c.cfg.ReconcileBatch/2 {
		r.owed = 0 // the rest comes late, or never
	}
	asked := 0
	for len(r.queue) > 0 && asked < c.cfg.ReconcileBatch {
		a := r.queue[0]
		r.queue = r.queue[1:]
		if a.over() {
			continue
		}
		a.unanswered, a.asks = 0, 0
		for i, t := range a.rec.Tasks {
			if !state.Terminal(t.State) {
				a.unanswered |= 1 << i
				asked++
			}
		}
		c.ask(a)
		c.arm(a)
	}
	r.owed += asked
	if len(r.queue) > 0 {
		c.timers.set(&r.timer, c.now.Add(c.cfg.ReconcilePace))
		return
	}
	r.queue, r.implicit = nil, false
	c.flushReconcile()
	c.calls.reconcile = append(c.calls.reconcile, &scheduler.Call{
		Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{},
	})
	c.timers.set(&r.timer, c.now.Add(c.jitter(c.cfg.ReconcileInterval)))
}

// ask asks about the tasks of an attempt that no word has come of, and plans to
// ask again. A master that has just failed over says nothing of the tasks of
// agents that have not returned to it.
func (c *Core) ask(a *attempt) {
	a.askAt = 0
	if a.unanswered == 0 || !c.subscribed {
		return
	}
	for i, t := range a.rec.Tasks {
		if a.unanswered&(1<<i) != 0 {
			c.reconcile.asking = append(c.reconcile.asking, scheduler.Call_Reconcile_Task{
				TaskID:  mesos.TaskID{Value: t.TaskId},
				AgentID: &mesos.AgentID{Value: a.rec.AgentId},
			})
		}
	}
	wait := min(c.cfg.AnswerTimeout<<min(a.asks, 16), c.cfg.ReconcileInterval)
	a.asks++
	// The jitter keeps many that were asked for at once from falling due at once.
	a.askAt = c.now.Add(c.jitter(wait)).UnixNano()
}

// answered notes that word of a task has come. The next questions of a
// reconciliation go out once most of the latest have been answered: a master is
// asked as fast as it answers, and never has a heap of them before it.
func (c *Core) answered(a *attempt, i int) {
	if a.unanswered&(1<<i) == 0 {
		return
	}
	if a.unanswered &^= 1 << i; a.unanswered == 0 {
		a.askAt, a.asks = 0, 0
		c.arm(a)
	}
	if r := &c.reconcile; r.owed > 0 {
		if r.owed--; r.owed == c.cfg.ReconcileBatch/2 && len(r.queue) > 0 {
			c.timers.set(&r.timer, c.now)
		}
	}
}

// flushReconcile puts what is to be asked into calls.
func (c *Core) flushReconcile() {
	for asking := c.reconcile.asking; len(asking) > 0; {
		n := min(len(asking), c.cfg.ReconcileBatch)
		c.calls.reconcile = append(c.calls.reconcile, &scheduler.Call{
			Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{Tasks: asking[:n:n]},
		})
		asking = asking[n:]
	}
	c.reconcile.asking = nil
}
