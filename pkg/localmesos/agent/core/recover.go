package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Restart is the death and recovery of the agent's process, in one step: the
// streams are gone, executors that checkpoint have ReregistrationTimeout to
// come back, and only after that does the agent register. Executors that do not
// checkpoint are destroyed.
//
// The memory of the dead process is taken for what it has kept, which Recover
// reads. What a dead agent can no longer know (an unanswered Limit) is forgotten.
func (c *Core) Restart(now time.Time) {
	c.effects, c.arrivals = nil, nil
	c.streams.pause()
	c.pauseOperations()
	c.registerBackoff = 0
	c.pingBy = time.Time{}
	c.awaitExecutors(now)
	for _, f := range c.frameworks.all() {
		clear(f.pending)
		for _, e := range f.executors.all() {
			if e.state == terminated {
				continue
			}
			held := e.afterLimit
			e.stream, e.afterLimit = noStream, nil
			e.unheard += len(held)
			e.registerBy, e.destroyAt, e.heartbeatAt = time.Time{}, time.Time{}, time.Time{}
			for _, h := range held {
				if h.update != nil {
					c.store(now, *h.update)
				}
			}
			if !f.info.GetCheckpoint() {
				c.emit(Destroy{Container: e.container})
			}
			if e.state == running {
				e.state = registering
			}
		}
	}
}

// awaitExecutors gives the executors the time to come back. With nothing to wait
// for it does not wait.
func (c *Core) awaitExecutors(now time.Time) {
	c.phase = Recovering
	c.registerAt, c.recoveryEnds = time.Time{}, now
	if len(c.frameworks.all()) > 0 {
		c.recoveryEnds = now.Add(c.config.ReregistrationTimeout)
	}
}

// recoveryTimedOut ends the executors that did not come back, and registers.
func (c *Core) recoveryTimedOut(now time.Time) {
	c.recoveryEnds = time.Time{}
	for _, f := range c.frameworks.all() {
		for _, e := range f.executors.all() {
			if e.state != registering {
				continue
			}
			e.state = terminating
			e.verdict = &Verdict{
				State:   f.gone(),
				Reason:  mesos.REASON_EXECUTOR_REREGISTRATION_TIMEOUT,
				Message: "Executor did not reregister within " + FormatDuration(c.config.ReregistrationTimeout),
			}
			c.emit(Destroy{Container: e.container})
		}
	}
	c.phase = Disconnected
	c.registerAt = now
	c.drainOn(now)
}
