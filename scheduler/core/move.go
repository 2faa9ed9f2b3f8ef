package core

import (
	"fmt"
	"slices"
	"time"
)

// move is an instance's change of agents: a replacement is started elsewhere,
// and only when that serves the old attempt is ended. What is saved of it is
// InstanceRecord.live_attempt; that the instance moves at all follows from its
// agent, unless it evens, which a restart makes an end of.
type move struct {
	told     string // what stands against it, for a person
	evens    bool   // its agent need not be left: elsewhere are fewer of its job
	failures int    // replacements that came to nothing, in a row
	// timer fires when another replacement may be tried, or this one has been up
	// for long enough.
	timer timer
}

// parallel is how many instances of the job may be replaced at once.
func (j *job) parallel() int { return max(1, int(j.rec.Spec.GetUpdate().GetMaxParallel())) }

// startMove has an instance leave its agent.
func (c *Core) startMove(in *instance) {
	c.newMove(in)
	// Where it is now must not keep it from going elsewhere.
	in.uncount(in.live)
	c.queueMove(in)
	c.settle(in)
}

func (c *Core) newMove(in *instance) {
	in.move = &move{}
	in.move.timer.owner = fireFunc(func(c *Core) { c.moveDue(in) })
	in.job.moves++
}

// queueMove lets the instance wait for an offer for its replacement.
func (c *Core) queueMove(in *instance) {
	if v := in.job.versionFor(in); in.rec.JobVersion != v.number {
		c.editInstance(in).JobVersion = v.number
	}
	in.move.told = "waiting for an offer"
	c.enqueue(in)
}

func (c *Core) moveDue(in *instance) {
	if in.move != nil && in.next == nil && in.waitsIn == nil {
		c.queueMove(in)
	}
	c.settle(in)
}

// moveText is what a person is told of the instance's move, or nothing.
func (in *instance) moveText() string {
	switch {
	case in.move == nil:
		return ""
	case in.next != nil:
		return fmt.Sprintf("moving off agent %s: attempt %d starts on agent %s", in.live.rec.Hostname, in.next.rec.Attempt, in.next.rec.Hostname)
	}
	return fmt.Sprintf("moving off agent %s: %s", in.live.rec.Hostname, in.move.told)
}

// settleMove brings a move to where it can be.
func (c *Core) settleMove(in *instance) {
	if in.move == nil || in.live == nil {
		return
	}
	n := in.next
	switch {
	case !in.wanted():
		c.endMove(in)
	case n == nil:
		if in.waitsIn != nil && in.waitsIn != in.job.versionFor(in) {
			c.queueMove(in)
		}
	case n.rec.Unreachable != nil:
		c.abandon(in, "its agent cannot be reached, and it was to replace another attempt")
		c.moveFailed(in, "agent "+n.rec.Hostname+" cannot be reached").about(n)
	case n.rec.KillReason == "":
		if stage, _ := n.stage(); stage != running {
			c.timers.unset(&in.move.timer)
			if n.rec.Running != nil {
				c.editAttempt(n).Running = nil
			}
			return
		}
		if n.rec.Running == nil {
			c.editAttempt(n).Running = c.stamp
		}
		proven := n.rec.Running.AsTime().Add(in.job.rec.Spec.GetUpdate().GetMinHealthyTime().AsDuration())
		if c.now.Before(proven) {
			c.timers.set(&in.move.timer, proven)
			return
		}
		old := in.live
		c.takeOver(in)
		in.old = append(in.old, old)
		c.kill(old, "moved to agent "+n.rec.Hostname)
	}
}

// takeOver makes the replacement the instance's live attempt, and reports false
// when there is none. What becomes of the old one is the caller's.
func (c *Core) takeOver(in *instance) bool {
	n := in.next
	if n == nil {
		return false
	}
	in.uncount(in.live)
	in.live, in.next = n, nil
	c.editInstance(in).LiveAttempt = 0
	c.endMove(in)
	c.noticeAttempt(Info, n, "attempt %d on agent %s takes over", n.rec.Attempt, n.rec.Hostname)
	if n.outdated() && in.job.rec.Update.GetPhase() != failedUpdate && !slices.Contains(in.job.outdated, in) {
		in.job.outdated = append(in.job.outdated, in)
	}
	return true
}

// lostLive leaves the instance without a live attempt, and without a reason to
// move.
func (c *Core) lostLive(in *instance) {
	in.live = nil
	if in.rec.LiveAttempt != 0 {
		c.editInstance(in).LiveAttempt = 0
	}
	if in.move != nil {
		c.endMove(in)
	}
}

// moveFailed is called when a replacement came to nothing: another is tried
// after a delay, unless the move is not needed, and the old attempt stays. It returns
// the line that says so.
func (c *Core) moveFailed(in *instance, why string) *Notice {
	m := in.move
	if m.evens {
		c.endMove(in) // the next look may find a better place
		return c.noticeInstance(Warn, in, "its replacement came to nothing, and it stays where it is: %s", why)
	}
	m.failures++
	d := c.jitter(max(time.Second, restartDelay(in.job.rec.Spec.GetRestart(), m.failures))).Round(time.Millisecond)
	m.told = "its replacement came to nothing, and another is tried after a while: " + why
	c.timers.set(&m.timer, c.now.Add(d))
	return c.noticeInstance(Warn, in, "its replacement came to nothing; trying again in %s: %s", d, why)
}

// abandon ends the replacement that has been started.
func (c *Core) abandon(in *instance, why string) {
	n := in.next
	in.next = nil
	in.uncount(n)
	in.old = append(in.old, n)
	c.kill(n, why)
}

// endMove ends a move, wherever it has come to.
func (c *Core) endMove(in *instance) {
	c.timers.unset(&in.move.timer)
	in.move = nil
	in.job.moves--
	c.dequeue(in)
	if in.next != nil {
		c.abandon(in, "the instance it was to replace stays")
	}
	if a := in.live; a != nil && a.uncounted && !a.over() {
		a.uncounted = false
		in.job.spread.Add(a.value)
	}
	if a := in.live; a != nil && a.outdated() {
		c.markOutdated(in.job)
	}
	for _, h := range c.left { // others may move now
		c.reviewLater(h)
	}
	c.touch(in.job)
}

// uncount has the job's rules count the attempt no more.
func (in *instance) uncount(a *attempt) {
	if a != nil && !a.uncounted {
		a.uncounted = true
		in.job.spread.Remove(a.value)
	}
}

// open are the instance's attempts that are not over.
func (in *instance) open() []*attempt {
	open := slices.Clone(in.old)
	if in.live != nil {
		open = append(open, in.live)
	}
	if in.next != nil {
		open = append(open, in.next)
	}
	return open
}
