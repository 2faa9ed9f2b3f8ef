package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// slowStart is a start under way that is reported as TASK_STARTING if it lasts
// until then.
type slowStart struct {
	task *task
	run  Run
	at   time.Time
}

// beginStart starts a task whose turn it is, or lets it wait for that, and reports
// TASK_STARTING where it does not run in a moment: an update more for each task
// is as much work for executor, agent, master and scheduler as the start is, and an
// agent passes a task's next update on only when the one before is acknowledged.
func (c *Core) beginStart(t *task) {
	t.phase = waiting
	c.ready(t)
	if t.phase != starting || c.config.QuickStart <= 0 {
		c.reportStarting(t)
		return
	}
	c.slow = append(c.slow, slowStart{t, t.run, c.now.Add(c.config.QuickStart)})
}

// settleSlow forgets what starts are over, so that nobody is woken for them, and
// reports those that last.
func (c *Core) settleSlow() {
	for len(c.slow) > 0 {
		s := c.slow[0]
		switch under := s.task.phase == starting && s.task.run == s.run; {
		case under && s.at.After(c.now):
			return
		case under && s.task.kill == nil:
			c.reportStarting(s.task)
		}
		c.slow = c.slow[1:]
	}
	c.slow = nil
}

// slowAt returns when the next start will have lasted too long, or zero.
func (c *Core) slowAt() time.Time {
	if len(c.slow) == 0 {
		return time.Time{}
	}
	return c.slow[0].at
}

func (c *Core) reportStarting(t *task) {
	c.report(t, mesos.TaskStatus{State: mesos.TASK_STARTING.Enum()})
}
