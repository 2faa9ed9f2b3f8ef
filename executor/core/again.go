package core

import (
	"fmt"
	"math"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// restarts is what is known of a task whose workload is started again in place.
// Mesos uses a task's ID once, and a scheduler can launch nothing into a group:
// so the task stays TASK_RUNNING from the first start to the last end, and what
// happens in between is told by healthy, a message and a TaskReport.
type restarts struct {
	total uint32
	// latest are the times of those within the policy's interval, the oldest
	// first, and row counts those that came without a long run between them.
	latest []time.Time
	row    int
	began  time.Time // of the present run
	at     time.Time // when the next begins, in phase resting
	usage  *tandemv1.Usage
}

// mayRestart says whether one more restart is allowed now.
func (c *Core) mayRestart(t *task) bool {
	policy := t.settings.GetRestart()
	if policy == nil || c.closing != nil {
		return false
	}
	since := c.now.Add(-policy.GetInterval().AsDuration())
	r := &t.restarts
	r.latest = slices.DeleteFunc(r.latest, func(at time.Time) bool { return !at.After(since) })
	return len(r.latest) < int(policy.GetAttempts())
}

// goesOn says whether a task's workload that has ended is started again, rather
// than the task being over.
func (c *Core) goesOn(t *task, v verdict) bool {
	switch {
	case t.kill != nil:
		return t.kill.again && c.mayRestart(t)
	case v.state == mesos.TASK_FINISHED:
		return t.settings.GetRestartFinished() && c.mayRestart(t)
	}
	return v.state == mesos.TASK_FAILED && c.mayRestart(t)
}

// rest lets a task wait for its next start.
func (c *Core) rest(t *task, v verdict) {
	policy, r := t.settings.GetRestart(), &t.restarts
	c.stopChecks(t)
	if v.exit != nil {
		r.usage = together(r.usage, v.exit.Usage)
		for _, w := range v.exit.Warnings {
			if !slices.Contains(t.warnings, w) {
				t.warnings = append(t.warnings, w)
			}
		}
	}
	if c.now.Sub(r.began) >= policy.GetInterval().AsDuration() {
		r.row = 0
	}
	delay := restartDelay(policy, r.row)
	r.row++
	r.total++
	r.latest = append(r.latest, c.now)
	r.at = c.now.Add(delay)
	t.kill, t.phase = nil, resting
	healthy := false
	t.healthy = &healthy
	if t.checkStatus != nil {
		t.checkStatus = t.readiness().emptyStatus()
	}
	message := fmt.Sprintf("%s; restart %d follows in %s (at most %d in %s)",
		v.message, r.total, delay, policy.GetAttempts(), policy.GetInterval().AsDuration())
	c.note(Warn, t, "%s", message)
	c.reportRestart(t, message)
	c.arm(t)
}

// restartDelay returns the wait before a restart that follows so many others.
func restartDelay(policy *tandemv1.WorkloadRestart, row int) time.Duration {
	delay := float64(policy.GetDelay().AsDuration()) * math.Pow(max(1, policy.GetFactor()), float64(row))
	return time.Duration(min(delay, float64(policy.GetMaxDelay().AsDuration())))
}

// reportRestart says what became of a restart. It holds nothing of the runs but
// their number, for the task has not ended.
func (c *Core) reportRestart(t *task, message string) {
	// Numbers can always be encoded.
	data, _ := proto.MarshalOptions{Deterministic: true}.Marshal(&tandemv1.TaskReport{Magic: reportMagic, Restarts: t.restarts.total})
	c.report(t, mesos.TaskStatus{State: mesos.TASK_RUNNING.Enum(), Message: &message, Data: data})
}

// wakeResting starts a workload again whose time has come, or ends its task where
// that has run for too long in all.
func (c *Core) wakeResting(t *task) {
	if due(t.expires, c.now) {
		c.finish(t, verdict{
			state:   mesos.TASK_FAILED,
			reason:  mesos.REASON_MAX_COMPLETION_TIME_REACHED.Enum(),
			message: "Not started again: its max_completion_time of " + t.maxTime().String() + " is over",
		})
		return
	}
	if !due(t.restarts.at, c.now) || c.holding() {
		return
	}
	// A run of its own: what still comes of the one before means nothing to it.
	delete(c.runs, t.run)
	c.lastRun++
	t.run = c.lastRun
	c.runs[t.run] = t
	t.restarts.at, t.armed = time.Time{}, time.Time{}
	c.start(t)
}

// startedAgain reports a restart that has taken place. A task with a health check
// is healthy when that passes, and one without when it runs.
func (c *Core) startedAgain(t *task) {
	healthy := t.info.HealthCheck == nil
	t.healthy = &healthy
	c.reportRestart(t, fmt.Sprintf("Started again: restart %d", t.restarts.total))
	c.note(Info, t, "running again")
}

// together adds up what two runs of a task have used.
func together(a, b *tandemv1.Usage) *tandemv1.Usage {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	sum := proto.CloneOf(b)
	sum.WallTime = addDurations(a.WallTime, b.WallTime)
	sum.CpuTime = addDurations(a.CpuTime, b.CpuTime)
	sum.ThrottledTime = addDurations(a.ThrottledTime, b.ThrottledTime)
	sum.OomKills += a.OomKills
	sum.ForksRefused += a.ForksRefused
	if a.MemoryPeakBytes != nil {
		sum.MemoryPeakBytes = proto.Uint64(max(a.GetMemoryPeakBytes(), b.GetMemoryPeakBytes()))
	}
	return sum
}

func addDurations(a, b *durationpb.Duration) *durationpb.Duration {
	if a == nil && b == nil {
		return nil
	}
	return durationpb.New(a.AsDuration() + b.AsDuration())
}
