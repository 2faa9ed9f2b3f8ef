package loop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// accept answers every command by saving its job.
func accept(in core.Input) core.Effects {
	c, ok := in.(core.Command)
	if !ok {
		return core.Effects{}
	}
	return core.Effects{
		Save:    []state.Change{state.PutJob(job(c.Submit.Job.Id, 1))},
		Replies: []core.Reply{{ID: c.ID, Version: 1, Changed: true}},
	}
}

func submission(id string) core.Submit { return core.Submit{Job: &tandemv1.Job{Id: id}} }

// TestOrder: nothing is called, answered or shown that is not durable.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		m := newMaster(s)
		var l *running
		l = start(t, loop.Options{
			Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
				e := accept(in)
				if e.Save != nil {
					e.Calls = []*scheduler.Call{call(scheduler.Call_REVIVE)}
					e.Show = []core.Notice{{Level: core.Info, Text: "has a new job", Job: "/payments/api"}}
				}
				return e
			}},
			Store: &fakeStore{WriteFn: func(changes []state.Change) error {
				s.say("write %s", describe(changes))
				time.Sleep(time.Second)
				settle()
				s.say("written; called %v, shown %d, logged %q", m.streams[0].master.script.lines[1:], len(l.View().Jobs()), l.logged())
				return nil
			}},
		}, m)
		m.next().subscribed("77a7fa47-0002")
		settle()
		l.logged()
		r, err := l.Submit(context.Background(), submission("/payments/api"))
		if err != nil || r.Version != 1 || !r.Changed {
			t.Fatalf("got %+v, %v", r, err)
		}
		if len(l.View().Jobs()) != 1 {
			t.Error("whoever was answered does not find its job")
		}
		settle()
		equal(t, "what happened", s.take(), "write /payments/api\nwritten; called [], shown 0, logged \"\"\ncall REVIVE")
		equal(t, "the log", l.logged(), "info has a new job")
		equal(t, "the call's framework", m.sent[0].GetFrameworkID().GetValue(), "77a7fa47-0002")
	})
}

func TestNothingHappensAfterAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		m := newMaster(s)
		l := start(t, loop.Options{
			Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
				e := accept(in)
				if e.Save != nil {
					e.Calls = []*scheduler.Call{call(scheduler.Call_ACCEPT)}
				}
				return e
			}},
			Store: &fakeStore{WriteFn: func([]state.Change) error { return errors.New("no space left on device") }},
		}, m)
		m.next().subscribed("77a7fa47-0002")
		settle()
		if _, err := l.Submit(context.Background(), submission("/payments/api")); !errors.Is(err, loop.ErrEnded) {
			t.Errorf("the command was answered by %v, want ErrEnded", err)
		}
		if err := l.wait(); err == nil || err.Error() != "cannot save what has happened, and so stops: no space left on device" {
			t.Errorf("Run returned %v", err)
		}
		equal(t, "what happened", s.take(), "close")
		if len(l.View().Jobs()) != 0 {
			t.Error("what was not saved is shown")
		}
		if _, err := l.Submit(context.Background(), submission("/payments/api")); !errors.Is(err, loop.ErrEnded) {
			t.Errorf("a later command was answered by %v, want ErrEnded", err)
		}
	})
}

// TestInputsShareAWrite: what comes while the store writes is saved by the next
// write, and of several changes under a key only the last.
func TestInputsShareAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		m := newMaster(nil)
		version := uint64(0)
		l := start(t, loop.Options{
			Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
				u, ok := in.(core.Updated)
				if !ok {
					return core.Effects{}
				}
				version++
				return core.Effects{Save: []state.Change{state.PutJob(job(u.Status.TaskID.Value, version))}}
			}},
			Store: &fakeStore{WriteFn: func(changes []state.Change) error {
				s.say("%s", describe(changes))
				time.Sleep(time.Second)
				return nil
			}},
		}, m)
		stream := m.next()
		stream.subscribed("77a7fa47-0002")
		settle()
		stream.update("/first")
		settle()
		for range 3 {
			stream.update("/a")
			stream.update("/b")
		}
		time.Sleep(time.Hour)
		settle()
		equal(t, "the writes", s.take(), "/first\n/a /b")
		if got := l.View().Jobs()[0].Version; got != 6 {
			t.Errorf("version %d is shown, want the last, 6", got)
		}
	})
}

func TestABatchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		var writes []int
		start(t, loop.Options{
			Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
				u, ok := in.(core.Updated)
				if !ok {
					return core.Effects{}
				}
				return core.Effects{Save: []state.Change{state.PutJob(job(u.Status.TaskID.Value, 1))}}
			}},
			Store: &fakeStore{WriteFn: func(changes []state.Change) error {
				time.Sleep(time.Second)
				writes = append(writes, len(changes))
				return nil
			}},
		}, m)
		stream := m.next()
		stream.subscribed("77a7fa47-0002")
		for i := range 5000 {
			stream.update(fmt.Sprintf("/j%d", i))
		}
		time.Sleep(time.Hour)
		settle()
		total := 0
		for _, n := range writes {
			total += n
			if n > 1024 {
				t.Errorf("a write had %d changes, want 1024 at most", n)
			}
		}
		if total != 5000 {
			t.Errorf("%d changes were written, want 5000", total)
		}
	})
}

func TestFailedCallsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		m := newMaster(nil)
		m.SendFn = func(c *scheduler.Call) error {
			switch c.Type {
			case scheduler.Call_ACCEPT:
				return &schedulerapi.Error{Kind: schedulerapi.Uncertain, Master: "10.0.0.1:5050", Err: errors.New("connection reset")}
			case scheduler.Call_KILL:
				return &schedulerapi.Error{Kind: schedulerapi.Refused, Master: "10.0.0.1:5050", Status: 400, Text: "Expecting 'kill' to be present"}
			case scheduler.Call_DECLINE:
				return &schedulerapi.Error{Kind: schedulerapi.Unavailable, Master: "10.0.0.1:5050", Err: errors.New("connection refused")}
			}
			return nil
		}
		start(t, loop.Options{Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
			switch in := in.(type) {
			case core.Offers:
				return core.Effects{Calls: []*scheduler.Call{
					{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{}}, call(scheduler.Call_REVIVE),
					call(scheduler.Call_KILL), {Type: scheduler.Call_DECLINE, Decline: &scheduler.Call_Decline{}},
				}}
			case core.CallFailed:
				s.say("%s uncertain=%v: %s", in.Call.Type, in.Uncertain, in.Reason)
			}
			return core.Effects{}
		}}}, m)
		stream := m.next()
		stream.subscribed("77a7fa47-0002")
		stream.offers("O1")
		settle()
		equal(t, "what failed", s.take(), `ACCEPT uncertain=true: lost the connection to the master at 10.0.0.1:5050 before it answered: connection reset
KILL uncertain=false: the master at 10.0.0.1:5050 refuses the call (400): Expecting 'kill' to be present
DECLINE uncertain=false: cannot reach the master at 10.0.0.1:5050: connection refused`)
	})
}

// TestCallsBelongToASubscription: what was decided without one, or under one
// that has ended, is not sent under another.
func TestCallsBelongToASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		m := newMaster(s)
		start(t, loop.Options{Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
			switch in := in.(type) {
			case core.Subscribed:
				s.say("subscribed as %s with %s", in.FrameworkID.Value, in.Master.ID)
			case core.Disconnected:
				s.say("disconnected")
				return core.Effects{Calls: []*scheduler.Call{call(scheduler.Call_KILL)}}
			case core.CallFailed:
				s.say("failed: %s: %s uncertain=%v", in.Call.Type, in.Reason, in.Uncertain)
			}
			return core.Effects{}
		}}}, m)
		first := m.next()
		first.subscribed("77a7fa47-0002")
		settle()
		close(first.events)
		m.next().subscribed("77a7fa47-0002")
		settle()
		equal(t, "what happened", s.take(), `subscribed as 77a7fa47-0002 with b97872a1
close
disconnected
failed: KILL: not subscribed uncertain=false
subscribed as 77a7fa47-0002 with b97872a1`)
	})
}

func TestTimePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		due := began.Add(time.Minute)
		s := &script{}
		start(t, loop.Options{Core: &fakeCore{
			NextFn: func() (time.Time, bool) { return due, !due.IsZero() },
			StepFn: func(now time.Time, in core.Input) core.Effects {
				if _, ok := in.(core.Ticked); ok {
					s.say("ticked at %s", now.Sub(began))
					due = now.Add(time.Hour)
					if now.Sub(began) > 2*time.Hour {
						due = time.Time{}
					}
				}
				return core.Effects{}
			},
		}}, newMaster(nil))
		time.Sleep(24 * time.Hour)
		settle()
		equal(t, "ticks", s.take(), "ticked at 1m0s\nticked at 1h1m0s\nticked at 2h1m0s")
	})
}

// TestStop: calls that were decided are still sent, and the framework is left
// registered.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		m := newMaster(s)
		m.SendFn = func(*scheduler.Call) error {
			time.Sleep(time.Second)
			return nil
		}
		l := start(t, loop.Options{Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
			if _, ok := in.(core.Updated); ok {
				return core.Effects{Calls: []*scheduler.Call{call(scheduler.Call_ACKNOWLEDGE)}}
			}
			return core.Effects{}
		}}}, m)
		stream := m.next()
		stream.subscribed("77a7fa47-0002")
		stream.update("payments_api.0.1.web")
		settle()
		watched := make(chan error, 1)
		go func() {
			for _, err := range l.View().Watch(context.Background(), &tandemv1.WatchRequest{}) {
				if err != nil {
					watched <- err
				}
			}
		}()
		settle()
		if err := l.finish(); err != nil {
			t.Error(err)
		}
		equal(t, "what happened", s.take(), "call ACKNOWLEDGE\nclose")
		if err := <-watched; !errors.Is(err, loop.ErrEnded) {
			t.Errorf("the watch ended with %v, want ErrEnded", err)
		}
	})
}

func TestStopDoesNotWaitForADeadMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		m.SendFn = func(*scheduler.Call) error {
			time.Sleep(time.Minute)
			return nil
		}
		l := start(t, loop.Options{Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
			if _, ok := in.(core.Updated); ok {
				return core.Effects{Calls: []*scheduler.Call{call(scheduler.Call_ACKNOWLEDGE)}}
			}
			return core.Effects{}
		}}}, m)
		stream := m.next()
		stream.subscribed("77a7fa47-0002")
		for range 1000 {
			stream.update("payments_api.0.1.web")
		}
		settle()
		if err := l.finish(); err != nil {
			t.Error(err)
		}
	})
}

func TestARefusedCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, loop.Options{Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
			if c, ok := in.(core.Command); ok {
				return core.Effects{Replies: []core.Reply{{ID: c.ID, Refused: &core.Refused{Code: core.NotFound, Reason: "there is no job /" + c.Stop.JobID}}}}
			}
			return core.Effects{}
		}}}, newMaster(nil))
		_, err := l.Stop(context.Background(), core.Stop{JobID: "x"})
		var refused *core.Refused
		if !errors.As(err, &refused) || refused.Code != core.NotFound {
			t.Errorf("got %v, want the refusal", err)
		}
	})
}

func TestACommandWhoseCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		l := start(t, loop.Options{
			Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects { return accept(in) }},
			Store: &fakeStore{WriteFn: func([]state.Change) error {
				time.Sleep(time.Minute)
				s.say("written")
				return nil
			}},
		}, newMaster(nil))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := l.Submit(ctx, submission("/payments/api")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		time.Sleep(time.Hour)
		settle()
		equal(t, "what happened", s.take(), "written")
	})
}

func TestNoticesAreLoggedWithWhatTheyAreAbout(t *testing.T) {
	all := core.Notice{
		Level: core.Warn, Text: "has failed", Job: "/payments/api", OfInstance: true, Slot: 2, Attempt: 3,
		Task: "payments_api.2.3.web", Agent: "77a7fa47-S0",
	}
	first := core.Notice{Level: core.Warn, Text: "has failed", Job: "/payments/api", OfInstance: true}
	whole := core.Notice{Level: core.Warn, Text: "has failed", Job: "/payments/api"}
	synctest.Test(t, func(t *testing.T) {
		m := newMaster(nil)
		l := start(t, loop.Options{Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
			if _, ok := in.(core.Updated); ok {
				return core.Effects{Show: []core.Notice{all, first, whole}}
			}
			return core.Effects{}
		}}}, m)
		stream := m.next()
		stream.subscribed("77a7fa47-0002")
		settle()
		l.log.Reset()
		stream.update("payments_api.2.3.web")
		settle()
		var lines []string
		for _, e := range l.log.AllEntries() {
			line := []string{e.Level.String(), e.Message}
			for _, name := range []string{"job", "instance", "attempt", "task", "agent"} {
				if v, given := e.Data[name]; given {
					line = append(line, fmt.Sprintf("%s=%v", name, v))
				}
			}
			lines = append(lines, strings.Join(line, " "))
		}
		equal(t, "the lines", strings.Join(lines, "\n"), "warning has failed job=/payments/api instance=2 attempt=3 task=payments_api.2.3.web agent=77a7fa47-S0\n"+
			"warning has failed job=/payments/api instance=0\n"+
			"warning has failed job=/payments/api")
	})
}

func TestOptions(t *testing.T) {
	_, err := loop.New(loop.Options{})
	if err == nil || !strings.Contains(err.Error(), "Core is missing") || !strings.Contains(err.Error(), "Log is missing") {
		t.Errorf("got %v, want all that is missing", err)
	}
}
