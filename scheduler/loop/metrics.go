package loop

import (
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/prometheus/client_golang/prometheus"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

type metrics struct {
	inputs    *prometheus.CounterVec
	batch     prometheus.Histogram
	busy      prometheus.Histogram
	save      prometheus.Histogram
	send      prometheus.Histogram
	calls     *prometheus.CounterVec
	failures  *prometheus.CounterVec
	offerHeld prometheus.Histogram
	longest   prometheus.Gauge
	refused   prometheus.Histogram

	received, declined, used counter
	subscribed, suppressed   prometheus.Gauge
}

// counter follows a figure that only grows and that somebody else counts.
type counter struct {
	prometheus.Counter
	last uint64
}

func (c *counter) follow(n uint64) {
	c.Add(float64(n - c.last))
	c.last = n
}

// figures are those that somebody else keeps: how much waits, and what readers
// have missed.
type figures struct {
	inputsWaiting, callsWaiting func() int
	watchesCut, samplesMissed   func() uint64
}

// newMetrics registers the loop's metrics, and those of its course.
func newMetrics(to prometheus.Registerer, f figures, c *course) (*metrics, error) {
	name := func(subsystem, name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "tandem", Subsystem: subsystem, Name: name, Help: help}
	}
	count := func(n, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(name("mesos", n, help)))
	}
	gauge := func(n, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(name("mesos", n, help)))
	}
	counts := func(s, n, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(name(s, n, help)), []string{"type"})
	}
	histogram := func(s, n, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "tandem", Subsystem: s, Name: n, Help: help, Buckets: buckets,
		})
	}
	waiting := func(s, n, help string, f func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts(name(s, n, help)), func() float64 { return float64(f()) })
	}
	missed := func(n, help string, f func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts(name("view", n, help)), func() float64 { return float64(f()) })
	}
	m := &metrics{
		inputs: counts("loop", "inputs_total", "Events, commands, failed calls and ticks that the core has taken in, by type."),
		batch: histogram("loop", "batch_inputs", "Inputs that shared one save.",
			prometheus.ExponentialBuckets(1, 2, 11)),
		busy: histogram("loop", "busy_seconds", "Time in which the loop took in and performed one batch, and nothing else, in seconds.",
			prometheus.ExponentialBuckets(0.0001, 2, 16)),
		send: histogram("mesos", "answer_seconds", "Time until the master had answered calls that were sent together, in seconds.",
			prometheus.ExponentialBuckets(0.0001, 4, 10)),
		save: histogram("loop", "save_seconds", "Time that the store took for one batch, in seconds.",
			prometheus.ExponentialBuckets(0.0001, 2, 16)),
		calls:    counts("mesos", "calls_total", "Calls to the master that were decided on, by type."),
		failures: counts("mesos", "call_failures_total", "Calls that did not reach the master or were refused by it, by type."),
		offerHeld: histogram("mesos", "offer_held_seconds", "Time from an offer's arrival to its use, decline or rescission, in seconds.",
			prometheus.ExponentialBuckets(0.0001, 4, 12)),
		longest: gauge("offer_held_longest_seconds", "The longest time that any offer was held since the start, in seconds."),
		refused: histogram("mesos", "offer_refused_seconds", "Filters of declined offers: for how long each agent is not to be offered again, in seconds.",
			prometheus.ExponentialBuckets(1, 4, 8)),
		received:   counter{Counter: count("offers_received_total", "Offers that the master has made.")},
		declined:   counter{Counter: count("offers_declined_total", "Offers that were declined.")},
		used:       counter{Counter: count("offers_used_total", "Offers that were accepted.")},
		subscribed: gauge("subscribed", "1 while the scheduler is subscribed with a master, else 0."),
		suppressed: gauge("suppressed", "1 while the scheduler has asked for no offers, else 0."),
	}
	for _, c := range append(c.collectors(),
		m.inputs, m.batch, m.busy, m.save, m.send, m.calls, m.failures, m.offerHeld, m.longest, m.refused, m.received, m.declined, m.used, m.subscribed, m.suppressed,
		waiting("loop", "inputs_waiting", "Inputs that the core has not taken in yet.", f.inputsWaiting),
		waiting("mesos", "calls_waiting", "Calls that the master has not answered yet.", f.callsWaiting),
		missed("watches_cut_total", "Watches that were ended because their readers took changes too slowly.", f.watchesCut),
		missed("usage_samples_missed_total", "Samples of what tasks use that readers were too slow for.", f.samplesMissed),
	) {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) answered(after time.Duration) { m.send.Observe(after.Seconds()) }

func (m *metrics) held(times ...time.Duration) {
	for _, t := range times {
		m.offerHeld.Observe(t.Seconds())
	}
}

// decline notes the filter of each offer in a call of DECLINE.
func (m *metrics) decline(c *scheduler.Call_Decline) {
	for range c.GetOfferIDs() {
		m.refused.Observe(c.GetFilters().GetRefuseSeconds())
	}
}

func (m *metrics) standing(f *tandemv1.FrameworkView) {
	m.received.follow(f.OffersReceived)
	m.declined.follow(f.OffersDeclined)
	m.longest.Set(f.LongestOfferSeconds)
	m.used.follow(f.OffersUsed)
	m.subscribed.Set(number(f.Subscribed))
	m.suppressed.Set(number(f.Suppressed))
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// inputType names an input as the type label does.
func inputType(in core.Input) string {
	switch in.(type) {
	case core.Subscribed:
		return "subscribed"
	case core.Disconnected:
		return "disconnected"
	case core.Offers:
		return "offers"
	case core.InverseOffers:
		return "inverse_offers"
	case core.InverseRescinded:
		return "inverse_rescinded"
	case core.Rescinded:
		return "rescinded"
	case core.Updated:
		return "updated"
	case core.OperationUpdated:
		return "operation_updated"
	case core.Failed:
		return "failed"
	case core.CallFailed:
		return "call_failed"
	case core.SecretsHeld:
		return "secrets_held"
	case core.Told:
		return "told"
	case core.Ticked:
		return "ticked"
	case core.Command:
		return "command"
	}
	return "unknown"
}
