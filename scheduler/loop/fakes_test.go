package loop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// script writes down what happens, in order.
type script struct {
	mu    sync.Mutex
	lines []string
}

func (s *script) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// take returns what was said since the last time.
func (s *script) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Join(s.lines, "\n")
	s.lines = nil
	return lines
}

// fakeCore steps as StepFn says, and has no time of its own unless NextFn is set.
type fakeCore struct {
	wanted core.Wanted
	StepFn func(now time.Time, in core.Input) core.Effects
	NextFn func() (time.Time, bool)
}

func (c *fakeCore) Step(now time.Time, in core.Input) core.Effects {
	if c.StepFn == nil {
		return core.Effects{}
	}
	return c.StepFn(now, in)
}

func (c *fakeCore) Wanted() core.Wanted { return c.wanted }

func (c *fakeCore) Next() (time.Time, bool) {
	if c.NextFn == nil {
		return time.Time{}, false
	}
	return c.NextFn()
}

type fakeStore struct {
	WriteFn func(changes []state.Change) error
}

func (s *fakeStore) Write(changes []state.Change) error { return s.WriteFn(changes) }

// fakeMaster accepts subscriptions. It is used from within a synctest bubble.
type fakeMaster struct {
	script *script
	// SubscribeFn refuses a subscription by an error; nil accepts all.
	SubscribeFn func(n int) error
	// SendFn answers a call; nil takes all.
	SendFn func(call *scheduler.Call) error

	calls   []*scheduler.Call
	sent    []*scheduler.Call
	streams []*fakeStream
	// constraints are what goes with UPDATE_FRAMEWORK.
	constraints []byte
	waiting     chan *fakeStream
}

type fakeStream struct {
	ctx    context.Context
	master *fakeMaster
	events chan *scheduler.Event
	closed chan struct{}
	once   sync.Once
}

func newMaster(s *script) *fakeMaster {
	return &fakeMaster{script: s, waiting: make(chan *fakeStream, 100)}
}

func (m *fakeMaster) subscribe(ctx context.Context, call *scheduler.Call) (loop.Stream, error) {
	n := len(m.calls)
	m.calls = append(m.calls, call)
	if m.SubscribeFn != nil {
		if err := m.SubscribeFn(n); err != nil {
			return nil, err
		}
	}
	s := &fakeStream{ctx: ctx, master: m, events: make(chan *scheduler.Event, 10000), closed: make(chan struct{})}
	m.streams = append(m.streams, s)
	m.waiting <- s
	return s, nil
}

// next returns the next subscription.
func (m *fakeMaster) next() *fakeStream { return <-m.waiting }

func (s *fakeStream) Next() (*scheduler.Event, error) {
	select {
	case e, ok := <-s.events:
		if !ok {
			return nil, errors.New("the subscription with the master at 10.0.0.1:5050 ended: the connection was closed")
		}
		return e, nil
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

func (s *fakeStream) Constrain(constraints []byte) { s.master.constraints = constraints }

func (s *fakeStream) Send(_ context.Context, calls []*scheduler.Call) []error {
	errs := make([]error, len(calls))
	s.master.sent = append(s.master.sent, calls...)
	for i, c := range calls {
		if s.master.script != nil {
			s.master.script.say("call %s", c.Type)
		}
		if s.master.SendFn != nil {
			errs[i] = s.master.SendFn(c)
		}
	}
	return errs
}

func (s *fakeStream) Master() string { return "10.0.0.1:5050" }

func (s *fakeStream) Close() {
	s.once.Do(func() {
		if s.master.script != nil {
			s.master.script.say("close")
		}
		close(s.closed)
	})
}

func (s *fakeStream) subscribed(framework string) {
	s.events <- &scheduler.Event{Type: scheduler.Event_SUBSCRIBED, Subscribed: &scheduler.Event_Subscribed{
		FrameworkID: &mesos.FrameworkID{Value: framework},
		MasterInfo:  &mesos.MasterInfo{ID: "b97872a1"},
	}}
}

func (s *fakeStream) error(message string) {
	s.events <- &scheduler.Event{Type: scheduler.Event_ERROR, Error: &scheduler.Event_Error{Message: message}}
	close(s.events)
}

func (s *fakeStream) offers(ids ...string) {
	e := &scheduler.Event{Type: scheduler.Event_OFFERS, Offers: &scheduler.Event_Offers{}}
	for _, id := range ids {
		e.Offers.Offers = append(e.Offers.Offers, mesos.Offer{ID: mesos.OfferID{Value: id}})
	}
	s.events <- e
}

func (s *fakeStream) update(task string) {
	s.events <- &scheduler.Event{Type: scheduler.Event_UPDATE, Update: &scheduler.Event_Update{
		Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: task}},
	}}
}

// running is a loop at work within a synctest bubble.
type running struct {
	*loop.Loop
	t       *testing.T
	log     *logtest.Hook
	metrics *prometheus.Registry
	stop    context.CancelFunc
	done    chan error
	ended   bool
	err     error
}

// start runs a loop with what the options lack filled in.
func start(t *testing.T, opt loop.Options, m *fakeMaster) *running {
	t.Helper()
	log, hook := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	r := &running{t: t, log: hook, metrics: prometheus.NewRegistry(), done: make(chan error, 1)}
	opt.Log, opt.Metrics, opt.Subscribe = log, r.metrics, m.subscribe
	if opt.Core == nil {
		opt.Core = &fakeCore{}
	}
	if opt.Store == nil {
		opt.Store = &fakeStore{WriteFn: func([]state.Change) error { return nil }}
	}
	opt.Framework.Name, opt.Framework.Roles = "payments", []string{"payments"}
	if opt.Jitter == nil {
		opt.Jitter = func() float64 { return 0.999 }
	}
	var err error
	if r.Loop, err = loop.New(opt); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.done <- r.Run(ctx) }()
	t.Cleanup(func() { r.finish() })
	return r
}

// finish stops the loop if it still runs, and returns what Run returned.
func (r *running) finish() error {
	if !r.ended {
		r.stop()
		r.err = <-r.done
		r.ended = true
	}
	return r.err
}

// wait returns what Run returns without being stopped.
func (r *running) wait() error {
	r.err = <-r.done
	r.ended = true
	return r.err
}

func (r *running) logged() string {
	var lines []string
	for _, e := range r.log.AllEntries() {
		lines = append(lines, e.Level.String()+" "+e.Message)
	}
	r.log.Reset()
	return strings.Join(lines, "\n")
}

func settle() { synctest.Wait() }

func call(kind scheduler.Call_Type) *scheduler.Call { return &scheduler.Call{Type: kind} }

func job(id string, version uint64) *tandemv1.JobRecord {
	return &tandemv1.JobRecord{Spec: &tandemv1.Job{Id: id}, Version: version}
}

func instance(job string, slot int32, phase tandemv1.InstancePhase) *tandemv1.InstanceRecord {
	return &tandemv1.InstanceRecord{JobId: job, Slot: slot, Phase: phase}
}

func attempt(job string, slot int32, n uint64) *tandemv1.AttemptRecord {
	return &tandemv1.AttemptRecord{JobId: job, Slot: slot, Attempt: n}
}

// describe is a change in a few letters.
func describe(changes []state.Change) string {
	var parts []string
	for _, c := range changes {
		if c.Record == nil {
			parts = append(parts, "-"+c.Key.String())
		} else {
			parts = append(parts, c.Key.String())
		}
	}
	return strings.Join(parts, " ")
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}
