package loop_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// BenchmarkBlocked reports how long an event waits before it is taken in, at
// 5,000 a second that are each saved on disk: the 99.9th percentile. It is what
// a save, with its sync, and the steps before it may hold the loop up. Beside it
// stands how long as many values wait in the same moments for a goroutine that
// only takes them: what the machine holds up by itself.
func BenchmarkBlocked(b *testing.B) {
	const rate, instances = 5000, 10000
	records, err := store.OpenBolt(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer records.Close()
	sent := make(chan time.Time, 1<<16)
	done := make(chan struct{}, 1<<16)
	var waits, bare []time.Duration
	control := make(chan time.Time, 1<<16)
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		for at := range control {
			bare = append(bare, time.Since(at))
		}
	}()
	slot := int32(0)
	log := logrus.New()
	log.SetOutput(io.Discard)
	m := newMaster(nil)
	opt := loop.Options{
		Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
			if _, ok := in.(core.Updated); !ok {
				return core.Effects{}
			}
			waits = append(waits, time.Since(<-sent))
			done <- struct{}{}
			slot = (slot + 1) % instances
			return core.Effects{
				Save:  []state.Change{state.PutAttempt(updated(slot))},
				Calls: []*scheduler.Call{{Type: scheduler.Call_ACKNOWLEDGE}},
			}
		}},
		Store: records, Subscribe: m.subscribe, Log: log, Metrics: prometheus.NewRegistry(),
	}
	opt.Framework.Name = "payments"
	l, err := loop.New(opt)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	stream := m.next()
	stream.subscribed("77a7fa47-0002")
	for b.Loop() {
		begin := time.Now()
		for n := range rate {
			if ahead := time.Until(begin.Add(time.Duration(n) * time.Second / rate)); ahead > 100*time.Microsecond {
				time.Sleep(ahead)
			}
			control <- time.Now()
			sent <- time.Now()
			stream.update(fmt.Sprintf("payments_api.%d.1.web", n))
		}
		for range rate {
			<-done
		}
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	close(control)
	<-taken
	slices.Sort(waits)
	slices.Sort(bare)
	b.ReportMetric(float64(waits[len(waits)*999/1000].Microseconds())/1000, "ms-p99.9")
	b.ReportMetric(float64(bare[len(bare)*999/1000].Microseconds())/1000, "ms-p99.9-bare")
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "ms-p50")
}
