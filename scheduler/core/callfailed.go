package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// onCallFailed takes back what a call was to bring about, or asks what became
// of it.
func (c *Core) onCallFailed(f CallFailed) {
	retry := c.now.Add(c.cfg.CallRetry)
	switch call := f.Call; call.Type {
	case scheduler.Call_ACCEPT:
		c.onAcceptFailed(f)
	case scheduler.Call_DECLINE:
		// Declining twice does no harm; an offer that stays with us does.
		if c.subscribed {
			c.declineLater(call.Decline.OfferIDs, retry)
		}
	case scheduler.Call_KILL:
		id := call.Kill.TaskID.Value
		if ref, ok := c.findTask(id); ok && ref.attempt.rec.KillReason != "" && !ref.attempt.over() {
			ref.attempt.killAt = retry.UnixNano()
			c.arm(ref.attempt)
		} else if s := c.strays[id]; s != nil {
			c.timers.set(&s.timer, retry)
		}
	case scheduler.Call_MESSAGE:
		c.messageFailed(f)
	case scheduler.Call_SUPPRESS:
		c.offers.suppressed, c.offers.suppressAfter = false, retry
	case scheduler.Call_UPDATE_FRAMEWORK:
		c.shapeFailed(f)
	case scheduler.Call_REVIVE:
		c.offers.newWork, c.offers.filtered = true, true
		c.timers.set(&c.offers.timer, retry)
	case scheduler.Call_TEARDOWN:
		c.retryTeardown()
	case scheduler.Call_RECONCILE, scheduler.Call_ACKNOWLEDGE:
		// Unanswered questions are asked again, and the agent sends again what
		// was not acknowledged.
	case scheduler.Call_ACCEPT_INVERSE_OFFERS, scheduler.Call_DECLINE_INVERSE_OFFERS:
		// Whoever plans the maintenance has no answer then, and looks himself.
	}
	if c.subscribed {
		c.notice(Warn, nil, "call %s failed: %s", f.Call.Type, f.Reason)
	}
}

// onAcceptFailed ends the attempts of a launch that has not taken place. When
// it may have, the master is asked.
func (c *Core) onAcceptFailed(f CallFailed) {
	accept := f.Call.Accept
	failed := mesos.TASK_DROPPED
	message := "the call that launches it failed: " + f.Reason
	for i := range accept.Operations {
		group := accept.Operations[i].LaunchGroup
		if group == nil {
			c.offers.newWork = true // what was to be done with a volume has to be done yet
			continue
		}
		var dropped *attempt
		for n := range group.TaskGroup.Tasks {
			ref, ok := c.findTask(group.TaskGroup.Tasks[n].TaskID.Value)
			if !ok || ref.attempt.over() || state.Terminal(ref.attempt.rec.Tasks[ref.index].State) {
				continue
			}
			if f.Uncertain {
				ref.attempt.doubtful = true
				ref.attempt.askAt = c.now.Add(c.cfg.CallRetry).UnixNano()
				c.arm(ref.attempt)
				continue
			}
			c.record(ref.attempt, ref.index, &mesos.TaskStatus{State: &failed, Message: &message})
			dropped = ref.attempt
		}
		if dropped != nil {
			c.changed(dropped)
		}
	}
	if c.subscribed {
		// The offers may still be with us; where they are not, it does no harm.
		c.decline(accept.OfferIDs)
	}
}

// declineLater declines offers again when the time has come.
func (c *Core) declineLater(ids []mesos.OfferID, at time.Time) {
	t := &timer{}
	subscription := c.subscription
	t.owner = fireFunc(func(c *Core) {
		if c.subscription == subscription {
			c.decline(ids)
		}
	})
	c.timers.set(t, at)
}
