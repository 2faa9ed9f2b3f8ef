package api

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
)

// callMetrics counts and times the calls of the service.
type callMetrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	streams *prometheus.GaugeVec
	// tooFast and unproven count requests that were turned away before they were
	// calls.
	tooFast, unproven prometheus.Counter
}

// refused counts what is turned away before it is a call: connections by a Front,
// requests by a Server.
func refused(reason string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name:        "tandem_api_refused_total",
		Help:        "Connections and requests that were turned away before they were calls, by reason: too many connections, too fast, or a wrong proof of who is calling.",
		ConstLabels: prometheus.Labels{"reason": reason},
	})
}

func newCallMetrics(r prometheus.Registerer) (*callMetrics, error) {
	m := &callMetrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tandem_api_calls_total",
			Help: "Calls of the API that have ended, by procedure and code.",
		}, []string{"procedure", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tandem_api_call_seconds",
			Help:    "Time that unary calls of the API took, in seconds.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}, []string{"procedure"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tandem_api_streams",
			Help: "Streams of the API that are open, watches and logs, by procedure.",
		}, []string{"procedure"}),
		tooFast: refused("rate"), unproven: refused("unproven"),
	}
	for _, c := range []prometheus.Collector{m.calls, m.seconds, m.streams, m.tooFast, m.unproven} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("cannot register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *callMetrics) ended(procedure string, err error) {
	code := "ok"
	if err != nil {
		code = connect.CodeOf(err).String()
	}
	m.calls.WithLabelValues(procedure, code).Inc()
}

// WrapUnary counts and times a unary call.
func (m *callMetrics) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		start := time.Now()
		res, err := next(ctx, req)
		m.seconds.WithLabelValues(req.Spec().Procedure).Observe(time.Since(start).Seconds())
		m.ended(req.Spec().Procedure, err)
		return res, err
	}
}

// WrapStreamingClient is not used on a server.
func (m *callMetrics) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler counts a stream.
func (m *callMetrics) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		open := m.streams.WithLabelValues(conn.Spec().Procedure)
		open.Inc()
		defer open.Dec()
		err := next(ctx, conn)
		m.ended(conn.Spec().Procedure, err)
		return err
	}
}
