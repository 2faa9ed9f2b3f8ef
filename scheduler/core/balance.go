package core

import (
	"slices"
	"time"

	"github.com/tandem-mesos/tandem/scheduler/match"
)

// balance is what keeps a job even whose file asks for it (RebalancePolicy): every
// interval agents are looked at, and one instance is moved where that makes the
// job more even. It is not saved: after a restart the next look is as good.
type balance struct {
	interval time.Duration
	// looking says that offers are asked for, to see which agents there are: while
	// nothing waits none come. since is when that began.
	looking bool
	since   time.Time
	// timer fires when the next look begins, and when one ends.
	timer timer
}

// keepEven begins or ends the job's looks, as its file asks for now.
func (c *Core) keepEven(j *job) {
	var interval time.Duration
	if !j.rec.Stopped && c.jobs[j.id()] == j {
		interval = j.rec.Spec.GetRebalance().GetInterval().AsDuration()
	}
	b := j.balance
	switch {
	case b == nil && interval == 0, b != nil && b.interval == interval:
		return
	case b != nil:
		c.timers.unset(&b.timer)
		c.endLook(j)
		j.balance = nil
	}
	if interval > 0 {
		j.balance = &balance{interval: interval}
		j.balance.timer.owner = fireFunc(func(c *Core) { c.lookDue(j) })
		c.nextLook(j)
	}
}

// nextLook has the jobs with the same interval look at once, so that offers are
// asked for once, and other schedulers look at other times.
func (c *Core) nextLook(j *job) {
	d := j.balance.interval
	own := time.Duration(c.cfg.Seed % uint64(d))
	c.timers.set(&j.balance.timer, c.now.Add(-own).Truncate(d).Add(d+own))
}

// steady reports whether all of the job serves with its newest version and stays
// where it is.
func (j *job) steady() bool {
	return !j.updating() && j.rec.Update.GetPhase() != failedUpdate && j.unavailable == 0 && j.moves == 0 && j.count() > 1
}

func (c *Core) lookDue(j *job) {
	b := j.balance
	if b.looking {
		c.endLook(j)
		c.nextLook(j)
		if j.steady() {
			c.even(j)
		}
		return
	}
	for _, in := range j.instances {
		if in != nil && in.move != nil && in.move.evens && in.next == nil {
			c.endMove(in) // there was no room for it after all
			c.settle(in)
		}
	}
	if !j.steady() {
		c.nextLook(j)
		return
	}
	b.looking, b.since = true, c.now
	c.offers.looking = append(c.offers.looking, j)
	c.offers.newWork, c.offers.shape.stale = true, true
	c.timers.set(&b.timer, c.now.Add(silence))
}

func (c *Core) endLook(j *job) {
	if j.balance.looking {
		j.balance.looking = false
		c.offers.shape.stale = true
		c.offers.looking = slices.DeleteFunc(c.offers.looking, func(o *job) bool { return o == j })
	}
}

// even begins the move of one instance, if an agent that was offered during the look
// has room for it where there are fewer.
func (c *Core) even(j *job) {
	spread := c.spread(j)
	attribute, fullest, ok := spread.Uneven()
	if !ok {
		return
	}
	v := j.current()
	for _, in := range slices.Backward(j.instances) {
		if in == nil || in.live == nil || in.rec.Phase != running || in.live.rec.KillReason != "" || in.live.uncounted {
			continue
		}
		if at, ok := in.live.value(attribute); !ok || at != fullest {
			continue
		}
		without := spread.Clone()
		without.Remove(in.live.value)
		found := match.Match(c.offeredSince(j.balance.since), []match.Request{{Need: v.need, Rules: v.rules, Spread: without, Count: 1}})
		if len(found) > 0 {
			c.noticeAttempt(Info, in.live, "moving off agent %s: %s %s has more instances than others", in.live.rec.Hostname, attribute, fullest)
			c.startMove(in)
			in.move.evens = true
		}
		return // others of the same value have the same places to go to
	}
}

// offeredSince are the agents that were offered since a time, with what they had
// free then.
func (c *Core) offeredSince(t time.Time) []match.Agent {
	seen, agents := c.seenAgents()
	kept := agents[:0]
	for i, a := range seen {
		if !a.lastSeen.Before(t) {
			kept = append(kept, agents[i])
		}
	}
	return kept
}
