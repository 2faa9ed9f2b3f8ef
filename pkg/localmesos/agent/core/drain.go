package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Drain kills all tasks, with a grace period that is no longer than the
// configuration's, and has new ones dropped until nothing is left here. An agent
// that has nothing need not drain (Slave::drain).
func (c *Core) Drain(now time.Time, config mesos.DrainConfig) {
	if len(c.operations) == 0 && len(c.frameworks.all()) == 0 {
		return
	}
	c.drain = &config
	c.keepDrain()
	for _, f := range c.frameworks.all() {
		for _, e := range f.executors.all() {
			for _, t := range e.launched.all() {
				c.KillTask(now, f.id, t.info.TaskID, shorter(config.MaxGracePeriod, t.info.KillPolicy))
			}
			for _, t := range e.queued.all() {
				c.KillTask(now, f.id, t.TaskID, nil)
			}
		}
	}
}

// shorter returns the policy that limits a task's own; nil if that is short
// enough.
func shorter(longest *mesos.DurationInfo, own *mesos.KillPolicy) *mesos.KillPolicy {
	if longest == nil {
		return nil
	}
	if grace := own.GetGracePeriod(); grace != nil && grace.Nanoseconds <= longest.Nanoseconds {
		return nil
	}
	return &mesos.KillPolicy{GracePeriod: longest}
}

// drained ends the draining once nothing is left.
func (c *Core) drained() {
	if c.drain != nil && len(c.operations) == 0 && len(c.frameworks.all()) == 0 {
		c.drain = nil
		c.keepDrain()
	}
}

// drainOn goes on with a draining that an earlier process began.
func (c *Core) drainOn(now time.Time) {
	if c.drain != nil {
		c.Drain(now, *c.drain)
	}
}

func (c *Core) keepDrain() {
	if c.config.Checkpoint {
		c.emit(Keep{Record: KeepDrain{Agent: c.AgentID(), Config: c.drain}})
	}
}

// explainDrain has the update of a task that was killed say that it was the
// draining.
func (c *Core) explainDrain(f *framework, s *mesos.TaskStatus) {
	if c.drain == nil || s.GetState() != mesos.TASK_KILLING && s.GetState() != mesos.TASK_KILLED {
		return
	}
	s.Reason = mesos.REASON_AGENT_DRAINING.Enum()
	if c.drain.GetMarkGone() && f.partitionAware() {
		s.State = mesos.TASK_GONE_BY_OPERATOR.Enum()
	}
}
