package loop_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// updated is the record that an update makes, of the size that is usual.
func updated(slot int32) *tandemv1.AttemptRecord {
	a := attempt("/payments/api", slot, 1)
	a.AgentId, a.Hostname, a.ExecutorId = "77a7fa47-7a30-42d9-ac88-e0f25784ed9d-S0", "10.0.0.5", "payments_api.0.1"
	for _, w := range []string{"web", "log"} {
		a.Tasks = append(a.Tasks, &tandemv1.TaskRecord{
			TaskId:   state.TaskName{Job: "/payments/api", Slot: slot, Attempt: 1, Workload: w}.String(),
			Workload: w, State: tandemv1.TaskState_TASK_RUNNING, Source: "EXECUTOR",
			ContainerId: "9a9a5a3e-0f5f-4a7a-8a7a-5a3e0f5f4a7a",
		})
	}
	return a
}

// BenchmarkDurableUpdates brings status updates to a loop with a store on disk,
// each of which is acknowledged when it is durable. Beside it, the bare work: a
// file that gets the same bytes in batches of the same size, and is synced after
// each.
func BenchmarkDurableUpdates(b *testing.B) {
	const instances = 10000
	var perBatch float64
	b.Run("loop", func(b *testing.B) {
		records, err := store.OpenBolt(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		defer records.Close()
		writes := 0
		slot := int32(0)
		m := newMaster(nil)
		acknowledged := make(chan struct{}, 1<<16)
		m.SendFn = func(*scheduler.Call) error {
			acknowledged <- struct{}{}
			return nil
		}
		log := logrus.New()
		log.SetOutput(io.Discard)
		opt := loop.Options{
			Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
				u, ok := in.(core.Updated)
				if !ok {
					return core.Effects{}
				}
				slot = (slot + 1) % instances
				return core.Effects{
					Save: []state.Change{state.PutAttempt(updated(slot))},
					Calls: []*scheduler.Call{{Type: scheduler.Call_ACKNOWLEDGE, Acknowledge: &scheduler.Call_Acknowledge{
						TaskID: u.Status.TaskID, UUID: u.Status.UUID,
					}}},
				}
			}},
			Store: &fakeStore{WriteFn: func(c []state.Change) error {
				writes++
				return records.Write(c)
			}},
			Subscribe: m.subscribe, Log: log, Metrics: prometheus.NewRegistry(),
		}
		opt.Framework.Name = "payments"
		l, err := loop.New(opt)
		if err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		stream := m.next()
		stream.subscribed("77a7fa47-0002")
		b.ResetTimer()
		go func() {
			for range b.N {
				stream.update("payments_api.0.1.web")
			}
		}()
		for range b.N {
			<-acknowledged
		}
		b.StopTimer()
		stop()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		perBatch = float64(b.N) / float64(max(writes, 1))
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
		b.ReportMetric(perBatch, "updates/write")
	})
	b.Run("bare", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "log"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		batch := max(int(perBatch), 1)
		var buf []byte
		n := int32(0)
		b.ResetTimer()
		for i := 0; i < b.N; i += batch {
			buf = buf[:0]
			for range min(batch, b.N-i) {
				n++
				buf, err = proto.MarshalOptions{}.MarshalAppend(buf, updated(n%instances))
				if err != nil {
					b.Fatal(err)
				}
			}
			if _, err := f.Write(buf); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
		b.ReportMetric(float64(batch), "updates/write")
	})
}

// BenchmarkWatchSnapshot is what a reader of everything costs at its start.
func BenchmarkWatchSnapshot(b *testing.B) {
	var s state.Snapshot
	for i := range int32(100) {
		id := fmt.Sprintf("/team/job-%d", i)
		s.Jobs = append(s.Jobs, job(id, 1))
		for slot := range int32(1000) {
			s.Instances = append(s.Instances, instance(id, slot, runs))
			s.Attempts = append(s.Attempts, attempt(id, slot, 1))
		}
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	opt := loop.Options{
		Core: &fakeCore{}, Store: &fakeStore{}, Saved: s, Subscribe: newMaster(nil).subscribe,
		Log: log, Metrics: prometheus.NewRegistry(),
	}
	opt.Framework.Name = "payments"
	l, err := loop.New(opt)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for r := range l.View().Watch(context.Background(), &tandemv1.WatchRequest{}) {
			if r.GetSnapshotEnd() {
				break
			}
		}
	}
}
