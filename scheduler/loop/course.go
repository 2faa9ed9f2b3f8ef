package loop

import (
	"github.com/prometheus/client_golang/prometheus"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// course measures what becomes of instances and tasks, as their records change:
// how long they wait and take to start, how many are launched, and how they end.
type course struct {
	waited, started prometheus.Histogram
	attempts        prometheus.Counter
	ended           *prometheus.CounterVec
}

func newCourse() *course {
	name := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "tandem", Name: name, Help: help}
	}
	times := func(n, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "tandem", Name: n, Help: help, Buckets: prometheus.ExponentialBuckets(0.01, 4, 10),
		})
	}
	return &course{
		waited:   times("instance_wait_seconds", "Time that an instance waited before it was launched, in seconds."),
		started:  times("instance_start_seconds", "Time from the launch of an instance until all its tasks ran, in seconds."),
		attempts: prometheus.NewCounter(prometheus.CounterOpts(name("attempts_total", "Times that an instance was launched."))),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts(name("tasks_ended_total",
			"Tasks that have ended, by state and, where Mesos gave one, reason.")), []string{"state", "reason"}),
	}
}

func (c *course) collectors() []prometheus.Collector {
	return []prometheus.Collector{c.waited, c.started, c.attempts, c.ended}
}

// instance notes that a record takes the place of another; so does attempt.
// Either may be nil.
func (c *course) instance(before, now *tandemv1.InstanceRecord) {
	if before.GetPhase() == tandemv1.InstancePhase_INSTANCE_PHASE_WAITING && now.GetPhase() == tandemv1.InstancePhase_INSTANCE_PHASE_LAUNCHING {
		c.waited.Observe(now.Since.AsTime().Sub(before.Since.AsTime()).Seconds())
	}
}

func (c *course) attempt(before, now *tandemv1.AttemptRecord) {
	if now == nil {
		return
	}
	if before == nil {
		c.attempts.Inc()
	}
	if now.Running != nil && before.GetRunning() == nil {
		c.started.Observe(now.Running.AsTime().Sub(now.Created.AsTime()).Seconds())
	}
	for i, t := range now.Tasks {
		if !state.Terminal(t.State) || before != nil && i < len(before.Tasks) && state.Terminal(before.Tasks[i].State) {
			continue
		}
		c.ended.WithLabelValues(t.State.String(), t.Reason).Inc()
	}
}
