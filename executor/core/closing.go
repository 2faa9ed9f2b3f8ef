package core

import (
	"time"
)

// lastAcks is how long an executor that was told to end, and whose tasks have
// ended, waits for the agent to acknowledge their updates. An agent that ends a
// framework or itself takes them in silence.
const lastAcks = time.Second

// closing is the executor's end under way.
type closing struct {
	reason string
	failed bool
	// grace is how much of a task's own grace period is left: all must be over
	// before the agent destroys the container.
	grace time.Duration
	// deadline is when the executor ends, whatever is left.
	deadline time.Time
}

// close ends everything: the tasks in parallel, then the executor.
func (c *Core) close(reason string, failed bool) {
	if c.closing != nil {
		return
	}
	// The last two seconds are for killing and reporting. An agent may give
	// less time in all than that; then half of it is.
	reserve := min(2*time.Second, c.config.ShutdownGrace/2)
	c.closing = &closing{
		reason:   reason,
		failed:   failed,
		grace:    c.config.ShutdownGrace - reserve,
		deadline: c.now.Add(c.config.ShutdownGrace),
	}
	c.note(Info, nil, "ending: %s", reason)
	for _, t := range c.inOrder() {
		c.kill(t, byClosing, "stopped because the executor ends: "+reason, t.grace())
	}
}

// endsAt returns when the executor is to end, or to close, if nothing else
// happens; zero for never.
func (c *Core) endsAt() time.Time {
	switch {
	case c.closing != nil && c.live == 0:
		return earlier(c.closing.deadline, c.quiet.Add(lastAcks))
	case c.closing != nil:
		return c.closing.deadline
	case !c.everSubscribed:
		return c.registerBy
	}
	var at time.Time
	if !c.connected {
		at = c.disconnectedAt.Add(c.config.RecoveryTimeout)
	}
	if c.live > 0 {
		return at
	}
	switch {
	case !c.hadTasks:
		return earlier(at, c.quiet.Add(c.config.FirstTask))
	case c.outbox.Len() == 0:
		return earlier(at, c.quiet.Add(c.config.Linger))
	case c.connected:
		return c.quiet.Add(c.config.AckTimeout)
	default:
		return at
	}
}

// settle ends the executor when it is time to.
func (c *Core) settle() {
	if c.closing != nil {
		reported := c.outbox.Len() == 0 || !c.connected
		if (c.live == 0 && reported) || due(c.endsAt(), c.now) {
			c.finishAll(c.closing.reason, c.closing.failed || c.live > 0)
		}
		return
	}
	if !due(c.endsAt(), c.now) {
		return
	}
	switch {
	case !c.everSubscribed:
		c.finishAll("the agent did not accept a subscription within "+c.config.RegistrationTimeout.String(), true)
	case c.live > 0:
		c.close("the agent has been away for "+c.config.RecoveryTimeout.String(), true)
		c.settle()
	case c.outbox.Len() > 0:
		c.finishAll("all tasks have ended, and the agent does not acknowledge their last updates", true)
	case !c.hadTasks:
		c.finishAll("no task came", false)
	default:
		c.finishAll("all tasks have ended, and their updates are acknowledged", false)
	}
}

func (c *Core) finishAll(reason string, failed bool) {
	c.end = &End{Reason: reason, Failed: failed}
	c.out.End = c.end
}
