package loop_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

var saved = state.Snapshot{Framework: &tandemv1.FrameworkRecord{FrameworkId: "77a7fa47-0002"}}

// TestFrameworkID: none the first time, then the stored one in both places.
func TestFrameworkID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		l := start(t, loop.Options{}, m)
		first := m.next()
		first.subscribed("77a7fa47-0002")
		settle()
		if id := l.View().Framework().FrameworkId; id != "77a7fa47-0002" {
			t.Errorf("readers see the framework ID %q", id)
		}
		close(first.events)
		m.next()
		checkIDs(t, m.calls[0], "")
		checkIDs(t, m.calls[1], "77a7fa47-0002")
	})
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		start(t, loop.Options{Saved: saved}, m)
		m.next()
		checkIDs(t, m.calls[0], "77a7fa47-0002")
	})
}

// TestWantedOffers: a subscription says whether any are wanted, so that a
// scheduler with nothing to do is offered nothing, and whether those of agents
// with graphics processors are; what changes later goes with UPDATE_FRAMEWORK.
func TestWantedOffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		var told core.Subscribed
		c := &fakeCore{wanted: core.Wanted{None: true}}
		c.StepFn = func(_ time.Time, in core.Input) core.Effects {
			switch in := in.(type) {
			case core.Subscribed:
				told = in
			case core.Offers:
				c.wanted = core.Wanted{GPUs: true, Constraints: []byte("constraints")}
				return core.Effects{Calls: []*scheduler.Call{
					{Type: scheduler.Call_UPDATE_FRAMEWORK, UpdateFramework: &scheduler.Call_UpdateFramework{}},
				}}
			}
			return core.Effects{}
		}
		c.NextFn = func() (time.Time, bool) { return time.Time{}, told.FrameworkID.Value == "" }
		l := start(t, loop.Options{Core: c}, m)
		first := m.next()
		first.subscribed("77a7fa47-0002")
		settle()
		if got := m.calls[0].Subscribe.SuppressedRoles; len(got) != 1 || got[0] != "payments" || !told.Suppressed || told.GPUs {
			t.Errorf("subscribed with the roles %v suppressed, and told the core %+v", got, told)
		}
		if !l.View().Framework().Suppressed {
			t.Error("readers do not see that offers are suppressed")
		}
		first.offers("O1")
		settle()
		update := m.sent[len(m.sent)-1].UpdateFramework
		caps := update.GetFrameworkInfo()
		if n := len(caps.Capabilities); n == 0 || caps.Capabilities[n-1].Type != mesos.FrameworkInfo_Capability_GPU_RESOURCES {
			t.Errorf("the framework is updated to %v", update)
		}
		if caps.ID.GetValue() != "77a7fa47-0002" || string(m.constraints) != "constraints" {
			t.Errorf("the update is of framework %v with the constraints %q", caps.ID, m.constraints)
		}
		close(first.events)
		m.next().subscribed("77a7fa47-0002")
		settle()
		again := m.calls[1].Subscribe
		if len(again.SuppressedRoles) > 0 || len(again.FrameworkInfo.Capabilities) == 0 || told.Suppressed || !told.GPUs {
			t.Errorf("subscribed again with %v, and told the core %+v", again, told)
		}
	})
}

func checkIDs(t *testing.T, c *scheduler.Call, want string) {
	t.Helper()
	outer, inner := c.GetFrameworkID().GetValue(), c.Subscribe.FrameworkInfo.GetID().GetValue()
	if outer != want || inner != want {
		t.Errorf("subscribed with the IDs %q and %q, want %q", outer, inner, want)
	}
	if (want == "") != (c.FrameworkID == nil && c.Subscribe.FrameworkInfo.ID == nil) {
		t.Error("an ID is there and empty")
	}
}

// TestEnds are the answers of a master after which there is no use in going on.
func TestEnds(t *testing.T) {
	refused := &schedulerapi.Error{Kind: schedulerapi.Refused, Master: "10.0.0.1:5050", Status: 401, Text: "401 Unauthorized."}
	for _, c := range []struct {
		name    string
		saved   state.Snapshot
		refuse  error
		session func(s *fakeStream)
		want    string
	}{
		{name: "removed", saved: saved,
			session: func(s *fakeStream) { s.error("Framework has been removed") },
			want: "the master at 10.0.0.1:5050 has removed framework 77a7fa47-0002: it was torn down, or its scheduler was away for longer " +
				"than its failover timeout. Its tasks have been ended. After `tandem framework teardown` it can be started again as it is, and otherwise with another state (--state)"},
		{name: "failed over",
			session: func(s *fakeStream) {
				s.subscribed("77a7fa47-0002")
				s.error("Framework failed over")
			},
			want: "another scheduler has subscribed with the master at 10.0.0.1:5050 as framework 77a7fa47-0002, which is this scheduler's: " +
				"only one may run with this state"},
		{name: "another ID", saved: saved,
			session: func(s *fakeStream) { s.subscribed("b97872a1-0000") },
			want: "the master at 10.0.0.1:5050 subscribed this scheduler as framework b97872a1-0000, though its state is that of framework 77a7fa47-0002: " +
				"check that --master names the cluster that the state belongs to"},
		{name: "not authorized",
			session: func(s *fakeStream) {
				s.error("Not authorized to register framework  with roles { allowed, forbidden }")
			},
			want: "the master at 10.0.0.1:5050 refuses this scheduler: Not authorized to register framework  with roles { allowed, forbidden }"},
		{name: "wrong credentials", refuse: refused,
			want: "the master at 10.0.0.1:5050 does not accept the principal and secret of this scheduler (401)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMaster(nil)
				m.SubscribeFn = func(int) error { return c.refuse }
				l := start(t, loop.Options{Saved: c.saved}, m)
				if c.session != nil {
					c.session(m.next())
				}
				if err := l.wait(); err == nil || err.Error() != c.want {
					t.Errorf("Run returned %v\nwant %s", err, c.want)
				}
			})
		})
	}
}

// TestWhatHasWorkedBeforeIsTriedAgain: after one subscription a refusal may be a
// passing fault of the masters'.
func TestWhatHasWorkedBeforeIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		m.SubscribeFn = func(n int) error {
			if n == 1 || n == 2 {
				return &schedulerapi.Error{Kind: schedulerapi.Refused, Master: "10.0.0.1:5050", Status: 401}
			}
			return nil
		}
		l := start(t, loop.Options{}, m)
		first := m.next()
		first.subscribed("77a7fa47-0002")
		settle()
		close(first.events)
		second := m.next()
		second.subscribed("77a7fa47-0002")
		settle()
		second.error("Not authorized to register framework 77a7fa47-0002 with roles { payments }")
		m.next().subscribed("77a7fa47-0002")
		settle()
		if f := l.View().Framework(); !f.Subscribed || f.Problem != "" {
			t.Errorf("readers see %v", f)
		}
	})
}

// TestAnAttemptOfItsOwn, given up by this side, that a master takes in late is not
// another scheduler.
func TestAnAttemptOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		m.SubscribeFn = func(n int) error {
			if n == 0 {
				return &schedulerapi.Error{Kind: schedulerapi.Uncertain, Master: "10.0.0.1:5050", Err: errors.New("no answer in time")}
			}
			return nil
		}
		l := start(t, loop.Options{Saved: saved}, m)
		s := m.next()
		s.subscribed("77a7fa47-0002")
		s.error("Framework failed over")
		s = m.next()
		s.subscribed("77a7fa47-0002")
		time.Sleep(time.Hour)
		s.error("Framework failed over")
		if err := l.wait(); err == nil || !strings.HasPrefix(err.Error(), "another scheduler has subscribed") {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestOneLineForEachChangeOfSituation: a master that is away for hours does not
// fill the log.
func TestOneLineForEachChangeOfSituation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		m.SubscribeFn = func(n int) error {
			switch {
			case n < 20:
				return &schedulerapi.Error{Kind: schedulerapi.Unavailable, Master: "10.0.0.1:5050", Err: errors.New("connection refused")}
			case n < 40:
				return &schedulerapi.Error{Kind: schedulerapi.Unavailable, Master: "10.0.0.1:5050", Status: 503, Text: "Master has not finished recovery"}
			}
			return nil
		}
		l := start(t, loop.Options{}, m)
		time.Sleep(time.Second)
		equal(t, "readers see", l.View().Framework().Problem, "cannot reach the master at 10.0.0.1:5050: connection refused")
		began := time.Now()
		stream := m.next()
		if d := time.Since(began); d > 40*5*time.Second {
			t.Errorf("40 attempts took %s", d)
		}
		stream.subscribed("77a7fa47-0002")
		settle()
		close(stream.events)
		settle()
		equal(t, "the log", l.logged(), `warning cannot subscribe: cannot reach the master at 10.0.0.1:5050: connection refused; trying again
warning cannot subscribe: the master at 10.0.0.1:5050 cannot take the call now (503): Master has not finished recovery; trying again
info subscribed with the master at 10.0.0.1:5050
warning the subscription with the master at 10.0.0.1:5050 ended: the connection was closed; subscribing again`)
	})
}

func TestAfterALostSubscriptionTheNextAttemptComesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		start(t, loop.Options{}, m)
		for range 20 {
			s := m.next()
			s.subscribed("77a7fa47-0002")
			time.Sleep(time.Hour)
			began := time.Now()
			close(s.events)
			again := m.next()
			if d := time.Since(began); d >= 200*time.Millisecond {
				t.Fatalf("it took %s", d)
			}
			again.subscribed("77a7fa47-0002")
			close(again.events)
		}
	})
}

// TestSubscriptionsOfNoUse, one after another, do not come at once, nor fill the
// log.
func TestSubscriptionsOfNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		start(t, loop.Options{}, m)
		began := time.Now()
		for range 10 {
			s := m.next()
			s.subscribed("77a7fa47-0002")
			close(s.events)
		}
		if d := time.Since(began); d < 20*time.Second || d > 10*5*time.Second {
			t.Errorf("ten took %s", d)
		}
	})
}

func TestFirstSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		m.SubscribeFn = func(int) error {
			return &schedulerapi.Error{Kind: schedulerapi.Unavailable, Master: "10.0.0.1:5050", Err: errors.New("connection refused")}
		}
		began := time.Now()
		l := start(t, loop.Options{FirstSubscription: 30 * time.Second}, m)
		err := l.wait()
		if want := "no master could be subscribed to within 30s: cannot reach the master at 10.0.0.1:5050: connection refused"; err == nil || err.Error() != want {
			t.Errorf("Run returned %v, want %s", err, want)
		}
		if d := time.Since(began); d != 30*time.Second {
			t.Errorf("after %s", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		l := start(t, loop.Options{FirstSubscription: 30 * time.Second}, m)
		s := m.next()
		s.subscribed("77a7fa47-0002")
		time.Sleep(time.Hour)
		close(s.events)
		m.next()
		if err := l.finish(); err != nil {
			t.Errorf("Run returned %v after it was subscribed once", err)
		}
	})
}

// TestEvents: every event reaches the core as the input that it is, in order.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		m := newMaster(nil)
		start(t, loop.Options{Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
			s.say("%T", in)
			return core.Effects{}
		}}}, m)
		stream := m.next()
		stream.subscribed("77a7fa47-0002")
		stream.events <- &scheduler.Event{Type: scheduler.Event_HEARTBEAT}
		stream.offers("O1", "O2")
		stream.events <- &scheduler.Event{Type: scheduler.Event_INVERSE_OFFERS, InverseOffers: &scheduler.Event_InverseOffers{}}
		stream.events <- &scheduler.Event{Type: scheduler.Event_RESCIND, Rescind: &scheduler.Event_Rescind{}}
		stream.update("payments_api.0.1.web")
		stream.events <- &scheduler.Event{Type: scheduler.Event_FAILURE, Failure: &scheduler.Event_Failure{}}
		stream.events <- &scheduler.Event{Type: scheduler.Event_MESSAGE, Message: &scheduler.Event_Message{}}
		// These the core has no use for, nor for events without their message.
		stream.events <- &scheduler.Event{Type: scheduler.Event_UNKNOWN}
		stream.events <- &scheduler.Event{Type: scheduler.Event_UPDATE}
		stream.events <- &scheduler.Event{Type: scheduler.Event_RESCIND}
		settle()
		equal(t, "inputs", s.take(), `core.Subscribed
core.Offers
core.InverseOffers
core.Rescinded
core.Updated
core.Failed
core.Told`)
	})
}
