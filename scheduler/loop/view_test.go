package loop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"pgregory.net/rapid"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

const (
	waiting = tandemv1.InstancePhase_INSTANCE_PHASE_WAITING
	runs    = tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING
)

// saves is a loop whose core saves what it is told to, by task ID.
func saves(t *testing.T, before state.Snapshot) (l *running, save func(...state.Change)) {
	m := newMaster(nil)
	var next []state.Change
	l = start(t, loop.Options{Saved: before, Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
		if _, ok := in.(core.Updated); ok {
			return core.Effects{Save: next}
		}
		return core.Effects{}
	}}}, m)
	stream := m.next()
	stream.subscribed("77a7fa47-0002")
	settle()
	return l, func(changes ...state.Change) {
		next = changes
		stream.update("x")
		settle()
	}
}

// shown is everything that a View shows, in a few lines.
func shown(v *loop.View) string {
	var b strings.Builder
	for _, j := range v.Jobs() {
		view, ok := v.Job(j.Spec.Id)
		if !ok {
			fmt.Fprintf(&b, "%s is listed and not there\n", j.Spec.Id)
			continue
		}
		fmt.Fprintf(&b, "%s v%d:", view.Job.Spec.Id, view.Job.Version)
		for _, i := range view.Instances {
			fmt.Fprintf(&b, " %d/%d", i.Instance.Slot, i.Instance.Phase)
			for _, a := range i.Attempts {
				fmt.Fprintf(&b, ",%d", a.Attempt)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, save := saves(t, state.Snapshot{
			Framework: saved.Framework,
			Jobs:      []*tandemv1.JobRecord{job("/b", 1)},
			Instances: []*tandemv1.InstanceRecord{instance("/b", 0, runs), instance("/b", 10, waiting)},
			Attempts:  []*tandemv1.AttemptRecord{attempt("/b", 0, 1), attempt("/b", 0, 2)},
		})
		equal(t, "after the start", shown(l.View()), "/b v1: 0/4,2,1 10/1\n")
		save(state.PutAttempt(attempt("/b", 10, 1)), state.PutJob(job("/a", 1)), state.PutInstance(instance("/b", 10, runs)))
		equal(t, "after changes", shown(l.View()), "/a v1:\n/b v1: 0/4,2,1 10/4,1\n")
		save(state.PutAttempt(attempt("/b", 0, 1)).Removal(), state.PutAttempt(attempt("/b", 0, 3)), state.PutAttempt(attempt("/b", 0, 3)))
		equal(t, "after more", shown(l.View()), "/a v1:\n/b v1: 0/4,3,2 10/4,1\n")
		save(state.PutInstance(instance("/b", 0, runs)).Removal(), state.PutAttempt(attempt("/b", 0, 3)).Removal(), state.PutAttempt(attempt("/b", 0, 2)).Removal())
		equal(t, "scaled down", shown(l.View()), "/a v1:\n/b v1: 10/4,1\n")
		save(state.PutJob(job("/b", 1)).Removal())
		equal(t, "purged", shown(l.View()), "/a v1:\n")
		if _, ok := l.View().Job("/b"); ok {
			t.Error("a purged job is still there")
		}
	})
}

func TestVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		version := func(n uint64) *tandemv1.VersionRecord {
			return &tandemv1.VersionRecord{JobId: "/a", Version: n}
		}
		kept := func(l *running) string {
			var b strings.Builder
			for _, v := range l.View().Versions("/a") {
				fmt.Fprintf(&b, "%d ", v.Version)
			}
			return b.String()
		}
		l, save := saves(t, state.Snapshot{
			Jobs: []*tandemv1.JobRecord{job("/a", 2)}, Versions: []*tandemv1.VersionRecord{version(1), version(2)},
		})
		equal(t, "after the start", kept(l), "2 1 ")
		save(state.PutVersion(version(3)), state.PutJob(job("/a", 3)), state.PutVersion(version(1)).Removal())
		equal(t, "after a change", kept(l), "3 2 ")
		save(state.PutVersion(version(3)).Removal(), state.PutVersion(version(2)).Removal(), state.PutJob(job("/a", 3)).Removal())
		equal(t, "purged", kept(l), "")
		equal(t, "nothing is left", shown(l.View()), "")
	})
}

// words is a response in a few letters.
func words(r *tandemv1.WatchResponse) string {
	switch c := r.Change.(type) {
	case *tandemv1.WatchResponse_Job:
		return fmt.Sprintf("%s v%d", c.Job.Spec.Id, c.Job.Version)
	case *tandemv1.WatchResponse_Instance:
		return fmt.Sprintf("%s#%d/%d", c.Instance.JobId, c.Instance.Slot, c.Instance.Phase)
	case *tandemv1.WatchResponse_Attempt:
		return fmt.Sprintf("%s#%d,%d", c.Attempt.JobId, c.Attempt.Slot, c.Attempt.Attempt)
	case *tandemv1.WatchResponse_Framework:
		return fmt.Sprintf("framework subscribed=%v", c.Framework.Subscribed)
	case *tandemv1.WatchResponse_JobRemoved:
		return "-" + c.JobRemoved
	case *tandemv1.WatchResponse_InstanceRemoved:
		return fmt.Sprintf("-%s#%d", c.InstanceRemoved.JobId, c.InstanceRemoved.Slot)
	case *tandemv1.WatchResponse_InstanceCounts:
		text := c.InstanceCounts.JobId + ":"
		for _, p := range c.InstanceCounts.Phases {
			text += fmt.Sprintf(" %d in %d", p.Count, p.Phase)
		}
		return text
	case *tandemv1.WatchResponse_SnapshotEnd:
		return "end"
	}
	return "nothing"
}

// watch writes down what a watch yields.
func watch(l *running, job string) *script {
	return watchAs(l, &tandemv1.WatchRequest{JobId: job})
}

func watchAs(l *running, ask *tandemv1.WatchRequest) *script {
	s := &script{}
	go func() {
		for r, err := range l.View().Watch(l.t.Context(), ask) {
			if err != nil {
				s.say("%v", err)
				return
			}
			s.say("%d %s", r.Sequence, words(r))
		}
	}()
	settle()
	return s
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, save := saves(t, state.Snapshot{
			Jobs:      []*tandemv1.JobRecord{job("/a", 1), job("/b", 1)},
			Instances: []*tandemv1.InstanceRecord{instance("/a", 0, runs), instance("/b", 0, waiting)},
			Attempts:  []*tandemv1.AttemptRecord{attempt("/a", 0, 1), attempt("/a", 0, 2)},
		})
		all, one, later := watch(l, ""), watch(l, "/b"), watch(l, "/c")
		equal(t, "everything", all.take(), `2 framework subscribed=true
2 /a v1
2 /a#0/4
2 /a#0,1
2 /a#0,2
2 /b v1
2 /b#0/1
2 end`)
		equal(t, "one job", one.take(), "2 /b v1\n2 /b#0/1\n2 end")
		equal(t, "a job that is not there yet", later.take(), "2 end")
		save(state.PutInstance(instance("/a", 0, waiting)), state.PutInstance(instance("/b", 0, runs)), state.PutAttempt(attempt("/b", 0, 1)))
		save(state.PutJob(job("/c", 1)), state.PutJob(job("/b", 1)).Removal())
		equal(t, "everything", all.take(), "3 /b#0,1\n4 /a#0/1\n5 /b#0/4\n6 /c v1\n7 -/b")
		equal(t, "one job", one.take(), "3 /b#0,1\n5 /b#0/4\n7 -/b")
		equal(t, "a job that has come", later.take(), "6 /c v1")
		save(state.PutInstance(instance("/a", 0, waiting)).Removal())
		equal(t, "an instance that was scaled away", all.take(), "8 -/a#0")
	})
}

// TestWatchTellsCausesFirst: whoever waits for a job to finish knows by then how
// its tasks did, and of a new job before its instances.
func TestWatchTellsCausesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, save := saves(t, state.Snapshot{})
		w := watch(l, "/a")
		save(state.PutInstance(instance("/a", 0, waiting)), state.PutJob(job("/a", 1)))
		save(state.PutJob(job("/a", 2)), state.PutInstance(instance("/a", 0, runs)), state.PutAttempt(attempt("/a", 0, 1)))
		equal(t, "the watch", w.take(), "2 end\n3 /a v1\n4 /a#0/1\n5 /a#0,1\n6 /a#0/4\n7 /a v2")
	})
}

// TestWatchHasNoGap: whenever a watch begins, its snapshot and all later changes
// together are what is.
func TestWatchHasNoGap(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		changes := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) state.Change {
			id := rapid.SampledFrom([]string{"/a", "/b"}).Draw(r, "job")
			slot := rapid.Int32Range(0, 3).Draw(r, "slot")
			return []state.Change{
				state.PutJob(job(id, uint64(slot)+1)), state.PutInstance(instance(id, slot, runs)),
				state.PutInstance(instance(id, slot, waiting)), state.PutAttempt(attempt(id, slot, uint64(slot)+1)),
			}[rapid.IntRange(0, 3).Draw(r, "kind")]
		}), 1, 40).Draw(r, "changes")
		begin := rapid.IntRange(0, len(changes)).Draw(r, "begin")
		synctest.Test(t, func(t *testing.T) {
			l, save := saves(t, state.Snapshot{})
			save(changes[:begin]...)
			w := watch(l, "")
			for _, c := range changes[begin:] {
				save(c)
			}
			// What was watched, put into another view, shows the same.
			copied, again := saves(t, state.Snapshot{})
			for line := range strings.Lines(w.take()) {
				var seq, slot, phase, n int
				text := line[strings.IndexByte(line, ' ')+1:]
				id := text[:2]
				if _, err := fmt.Sscanf(text[2:], " v%d", &n); err == nil {
					again(state.PutJob(job(id, uint64(n))))
				} else if _, err := fmt.Sscanf(text[2:], "#%d/%d", &slot, &phase); err == nil {
					again(state.PutInstance(instance(id, int32(slot), tandemv1.InstancePhase(phase))))
				} else if _, err := fmt.Sscanf(text[2:], "#%d,%d", &slot, &n); err == nil {
					again(state.PutAttempt(attempt(id, int32(slot), uint64(n))))
				}
				_ = seq
			}
			if got, want := shown(copied.View()), shown(l.View()); got != want {
				t.Errorf("watched from change %d on:\n%s\nwant:\n%s", begin, got, want)
			}
		})
	})
}

// TestASlowReader is ended by an error, after every change up to there, and does
// not hold the loop up.
func TestASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, save := saves(t, state.Snapshot{})
		var last uint64
		var ended error
		proceed := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for r, err := range l.View().Watch(context.Background(), &tandemv1.WatchRequest{JobId: "/a"}) {
				if err != nil {
					ended = err
					return
				}
				<-proceed
				if last != 0 && r.Sequence != last+1 {
					t.Errorf("%d follows %d", r.Sequence, last)
				}
				last = r.Sequence
			}
		}()
		settle()
		var changes []state.Change
		for slot := range int32(20000) {
			changes = append(changes, state.PutInstance(instance("/a", slot, runs)))
		}
		save(changes...)
		if got, _ := l.View().Job("/a"); got != nil {
			t.Error("instances without a job are shown as a job")
		}
		close(proceed)
		<-done
		if got := metric(t, l, "tandem_view_watches_cut_total"); got != 1 {
			t.Errorf("%v watches were cut", got)
		}
		if !errors.Is(ended, loop.ErrSlowReader) || last < 10000 {
			t.Errorf("the watch ended with %v after change %d", ended, last)
		}
	})
}

func TestAReaderThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, save := saves(t, state.Snapshot{})
		for range l.View().Watch(context.Background(), &tandemv1.WatchRequest{}) {
			break
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			for _, err := range l.View().Watch(ctx, &tandemv1.WatchRequest{}) {
				if err != nil {
					ended <- err
				}
			}
		}()
		settle()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
		save(state.PutJob(job("/a", 1)))
	})
}

// TestGoodNeighbour: readers and metrics see how the scheduler treats offers.
func TestGoodNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		refuse := 3700.0
		offer := func(ids ...string) []mesos.OfferID {
			var all []mesos.OfferID
			for _, id := range ids {
				all = append(all, mesos.OfferID{Value: id})
			}
			return all
		}
		l := start(t, loop.Options{Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
			if u, ok := in.(core.Updated); ok {
				return map[string]core.Effects{
					"use": {Calls: []*scheduler.Call{
						{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{OfferIDs: offer("O1", "O2"), Operations: make([]mesos.Offer_Operation, 1)}},
						{Type: scheduler.Call_DECLINE, Decline: &scheduler.Call_Decline{OfferIDs: offer("O3"), Filters: &mesos.Filters{RefuseSeconds: &refuse}}},
						call(scheduler.Call_SUPPRESS),
					}},
					"more": {Calls: []*scheduler.Call{call(scheduler.Call_REVIVE)}},
				}[u.Status.TaskID.Value]
			}
			return core.Effects{}
		}}}, m)
		stream := m.next()
		stream.subscribed("77a7fa47-0002")
		stream.offers("O1", "O2", "O3", "O4")
		settle()
		w := watch(l, "")
		time.Sleep(2 * time.Second)
		stream.update("use")
		settle()
		f := l.View().Framework()
		if f.OfferSeconds != 6 || f.LongestOfferSeconds != 2 || f.MeanRefuseSeconds != refuse {
			t.Errorf("readers see %v", f)
		}
		if f.OffersReceived != 4 || f.OffersUsed != 2 || f.OffersDeclined != 1 || f.Suppresses != 1 || !f.Suppressed {
			t.Errorf("readers see %v", f)
		}
		stream.update("more")
		settle()
		f = l.View().Framework()
		if f.Revives != 1 || f.Suppressed || f.Master != "10.0.0.1:5050" || f.MesosFrameworksUrl != "http://10.0.0.1:5050/#/frameworks" {
			t.Errorf("readers see %v", f)
		}
		equal(t, "a watch", w.take(), "2 framework subscribed=true\n2 end\n3 framework subscribed=true\n4 framework subscribed=true")
		for name, want := range map[string]float64{
			"tandem_mesos_calls_total ACCEPT": 1, "tandem_mesos_calls_total REVIVE": 1,
			"tandem_mesos_offers_received_total": 4, "tandem_mesos_offers_used_total": 2, "tandem_mesos_offers_declined_total": 1,
			"tandem_mesos_subscribed": 1, "tandem_mesos_suppressed": 0, "tandem_mesos_calls_waiting": 0,
			// Three offers of two seconds each.
			"tandem_mesos_offer_held_seconds": 6, "tandem_mesos_offer_held_longest_seconds": 2,
			"tandem_mesos_offer_refused_seconds": 3700,
			"tandem_loop_inputs_total offers":    1, "tandem_loop_batch_inputs": 4,
		} {
			if got := metric(t, l, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	})
}

// metric returns a counter's or gauge's value, or a histogram's sum. A type
// label may follow the name.
func metric(t *testing.T, l *running, name string) float64 {
	t.Helper()
	families, err := l.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	name, label, _ := strings.Cut(name, " ")
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			if label == "" || m.Label[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
			}
		}
	}
	t.Errorf("there is no metric %s", name)
	return 0
}
