// Package loop performs what the core decides. One goroutine owns the core: it
// takes in everything that has happened, has the core step through it, saves
// what changed in one write, and only then makes calls, shows and answers.
//
// It decides nothing itself beyond how to reach the master: when to subscribe
// again, and which answers of the master are the end. It must never call, answer
// or show what is not durable, never wait for a reader, and never go on after
// the store has failed.
//
// Time is that of package time, so that tests run it in a testing/synctest
// bubble.
package loop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Core decides: *core.Core.
type Core interface {
	Step(now time.Time, in core.Input) core.Effects
	Next() (time.Time, bool)
	// Wanted returns what offers are wanted after the last Step.
	Wanted() core.Wanted
}

// Store saves: one of package store's.
type Store interface {
	// Write saves all changes or none, in one transaction that is durable when
	// it returns. Of several changes under one key the last one counts. After
	// an error nobody can say what was saved.
	Write(changes []state.Change) error
}

// Stream is one subscription: *schedulerapi.Stream.
type Stream interface {
	// Next blocks until the next event, and says why there is none any more.
	Next() (*scheduler.Event, error)
	// Send makes calls in order and returns what became of each; nil is good.
	Send(ctx context.Context, calls []*scheduler.Call) []error
	// Constrain says which offer constraints go with calls of UPDATE_FRAMEWORK
	// from now on. It is called where Send is.
	Constrain(constraints []byte)
	// Master is the address of the master, host:port.
	Master() string
	// Close ends the subscription. The framework stays registered.
	Close()
}

// Secrets holds what jobs name: *secret.Directory. Its methods may be called by
// several goroutines, and read the disk.
type Secrets interface {
	// Names returns the names of the secrets that are there.
	Names() ([]string, error)
	// Value returns what a secret says now.
	Value(name string) ([]byte, error)
}

// Options are what a Loop is made of. All without a default must be given.
type Options struct {
	Core  Core
	Store Store
	// Saved is what the core was made from, to be shown.
	Saved state.Snapshot
	// Subscribe opens a subscription with the leading master that lasts until
	// ctx ends, or says why it cannot (*schedulerapi.Error).
	Subscribe func(ctx context.Context, call *scheduler.Call) (Stream, error)
	// Secrets are what tasks may be launched with; nil holds none.
	Secrets Secrets
	// MastersTLS says that masters speak TLS, and so their pages do.
	MastersTLS bool
	// Framework is who the scheduler is to Mesos. Its ID is filled in.
	Framework mesos.FrameworkInfo
	// ExecutorDigest names the program of new executors, to be shown; empty when
	// that is not known.
	ExecutorDigest string
	// FirstSequence numbers the changes that watches are told of. It must be
	// larger than any number that an earlier run of the same scheduler gave out,
	// so that a watch is never resumed in the wrong place. Default: 1.
	FirstSequence uint64
	// FirstSubscription ends Run with an error when no master could be
	// subscribed to for so long after the start. 0 tries for ever.
	FirstSubscription time.Duration
	// Log gets the core's notices, and one line for every change in how the
	// scheduler stands with its master.
	Log logrus.FieldLogger
	// Metrics is where the loop's metrics are registered.
	Metrics prometheus.Registerer
	// Jitter draws from [0, 1), to spread attempts to subscribe. Default:
	// math/rand/v2.Float64.
	Jitter func() float64
}

func (o *Options) validate() error {
	var errs []error
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"Core", o.Core == nil}, {"Store", o.Store == nil}, {"Subscribe", o.Subscribe == nil},
		{"Framework.Name", o.Framework.Name == ""}, {"Log", o.Log == nil}, {"Metrics", o.Metrics == nil},
	} {
		if f.missing {
			errs = append(errs, fmt.Errorf("%s is missing", f.name))
		}
	}
	return errors.Join(errs...)
}

const (
	// maxBatch bounds how many inputs share one save.
	maxBatch = 1024
	// maxInputs bounds how many wait; whoever brings more waits too.
	maxInputs = 4 * maxBatch
	// stopTimeout bounds how long calls that were decided on are still sent
	// when the scheduler stops. What is not sent is made good by reconciliation.
	stopTimeout = 2 * time.Second
)

// Loop owns the core. Its methods other than Run may be called by any goroutine.
type Loop struct {
	opt     Options
	view    *View
	metrics *metrics
	inputs  chan input
	sender  *sender
	// ended is closed when Run is over.
	ended chan struct{}
	// wanted is what offers are wanted, for the next subscription.
	wanted atomic.Pointer[core.Wanted]

	// Why secrets cannot be listed; owned by whoever looks at them.
	secretsProblem string

	// Owned by the goroutine of Run.
	stream   Stream
	commands map[uint64]chan<- core.Reply
	lastID   uint64
	batch    batch
	standing standing
}

// input is something for the core to step through, with what the loop itself
// wants to know of it.
type input struct {
	core core.Input
	// stream comes with Subscribed.
	stream Stream
	// problem comes with Disconnected: why, for a person.
	problem string
	// answer comes with Command. It has room for the reply.
	answer chan<- core.Reply
}

// New returns a loop that is not running yet. Readers may use its View at once.
func New(opt Options) (*Loop, error) {
	if err := opt.validate(); err != nil {
		return nil, fmt.Errorf("cannot make the loop: %w", err)
	}
	if opt.Jitter == nil {
		opt.Jitter = rand.Float64
	}
	l := &Loop{
		opt:      opt,
		inputs:   make(chan input, maxInputs),
		sender:   newSender(opt.Secrets),
		ended:    make(chan struct{}),
		commands: map[uint64]chan<- core.Reply{},
		batch:    newBatch(),
	}
	l.wanted.Store(&core.Wanted{})
	l.standing = newStanding(&tandemv1.FrameworkView{
		FrameworkId: opt.Saved.Framework.GetFrameworkId(),
		Name:        opt.Framework.Name,
		Roles:       opt.Framework.Roles,
		Principal:   opt.Framework.GetPrincipal(),
		Problem:     "not subscribed yet",

		ExecutorDigest: opt.ExecutorDigest,
	}, opt.MastersTLS)
	l.view = newView(opt.Saved, l.standing.view, max(1, opt.FirstSequence))
	// Records that others have replaced must not be kept.
	l.opt.Saved = state.Snapshot{Framework: opt.Saved.Framework}
	// What was saved is not news.
	l.view.course = newCourse()
	var err error
	l.metrics, err = newMetrics(opt.Metrics, figures{
		inputsWaiting: func() int { return len(l.inputs) }, callsWaiting: l.sender.waiting,
		watchesCut: l.view.cut.Load, samplesMissed: l.view.usage.missed.Load,
	}, l.view.course)
	if err != nil {
		return nil, fmt.Errorf("cannot make the loop: %w", err)
	}
	return l, nil
}

// View returns what readers are shown.
func (l *Loop) View() *View { return l.view }

// Run subscribes, and takes in and performs, until ctx ends or something fails.
// When ctx ends it finishes the batch in hand, closes the subscription without
// ending the framework or its tasks, and returns nil. The error is one line for
// the person who runs the scheduler, and says what to do. Run is called once.
func (l *Loop) Run(ctx context.Context) error {
	defer func() {
		close(l.ended)
		l.view.end()
	}()
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	subscriberErr := make(chan error, 1)
	var wg sync.WaitGroup
	if l.opt.Secrets != nil {
		// They are told before anything else, or what needs one would be put off.
		held := l.lookAtSecrets(inner, nil)
		wg.Go(func() { l.watchSecrets(inner, held) })
	}
	// What waits is known by the first step, and said by the subscription.
	l.stepWaiting()
	if err := l.perform(); err != nil {
		cancel()
		wg.Wait()
		return err
	}
	wg.Go(func() { subscriberErr <- l.subscribe(inner) })
	wg.Go(func() { l.sender.run(inner, l.callFailed, l.metrics.answered) })

	err := l.turn(ctx, subscriberErr)
	if err == nil {
		l.sender.drain(stopTimeout)
	}
	cancel()
	wg.Wait()
	return err
}

// turn is the loop itself.
func (l *Loop) turn(ctx context.Context, subscriberErr <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if next, ok := l.opt.Core.Next(); ok {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
		var start time.Time
		select {
		case in := <-l.inputs:
			start = time.Now()
			l.step(start, in)
			l.stepWaiting()
		case <-timer.C:
			start = time.Now()
			l.stepWaiting()
		case err := <-subscriberErr:
			return err
		case <-ctx.Done():
			return nil
		}
		if err := l.perform(); err != nil {
			return err
		}
		l.metrics.busy.Observe(time.Since(start).Seconds())
	}
}

// stepWaiting steps through what waits, as far as it fits into the batch, and
// lets time pass where that is due.
func (l *Loop) stepWaiting() {
	now := time.Now()
	for l.batch.inputs < maxBatch {
		select {
		case in := <-l.inputs:
			l.step(now, in)
			continue
		default:
		}
		break
	}
	if next, ok := l.opt.Core.Next(); ok && !next.After(now) {
		l.step(now, input{core: core.Ticked{}})
	}
}

// step has the core take one input in, and gathers what it asks for.
func (l *Loop) step(now time.Time, in input) {
	l.metrics.inputs.WithLabelValues(inputType(in.core)).Inc()
	switch c := in.core.(type) {
	case core.Subscribed:
		l.stream = in.stream
		l.standing.subscribed(now, c, in.stream.Master())
	case core.Disconnected:
		if l.stream == nil {
			// Nothing to tell the core; readers hear why it still fails.
			l.standing.disconnected(in.problem)
			return
		}
		l.stream = nil
		l.standing.disconnected(in.problem)
	case core.Offers:
		l.standing.offered(now, c.Offers)
	case core.Failed:
		if c.ExecutorID == nil {
			l.standing.agentGone(c.AgentID.GetValue())
		}
	case core.Rescinded:
		l.metrics.held(l.standing.rescinded(now, c.OfferID)...)
	case core.Command:
		l.lastID++
		c.ID = l.lastID
		l.commands[c.ID] = in.answer
		in.core = c
	}
	e := l.opt.Core.Step(now, in.core)
	wanted := l.opt.Core.Wanted()
	l.wanted.Store(&wanted)
	for _, call := range e.Calls {
		if id := l.standing.frameworkID; id != "" {
			call.FrameworkID = &mesos.FrameworkID{Value: id}
		}
		if u := call.UpdateFramework; u != nil {
			u.FrameworkInfo = l.framework(wanted, call.FrameworkID)
		}
		l.metrics.held(l.standing.called(now, call)...)
	}
	l.batch.add(e, l.stream, wanted.Constraints)
}

// perform does what a batch asks for, in the order that Effects gives. Records
// are shown before commands are answered, so that whoever was answered finds
// what it asked for.
func (l *Loop) perform() error {
	b := &l.batch
	defer b.reset()
	if b.inputs > 0 {
		l.metrics.batch.Observe(float64(b.inputs))
	}
	if len(b.save) > 0 {
		start := time.Now()
		if err := l.opt.Store.Write(b.merged()); err != nil {
			return fmt.Errorf("cannot save what has happened, and so stops: %w", err)
		}
		l.metrics.save.Observe(time.Since(start).Seconds())
	}
	for _, c := range b.calls {
		l.metrics.calls.WithLabelValues(c.call.Type.String()).Inc()
		l.metrics.decline(c.call.Decline)
	}
	l.sender.add(b.calls)
	l.view.show(b.steps)
	l.view.usage.add(b.samples)
	if f, told, changed := l.standing.news(); changed {
		l.view.showFramework(f, told)
		l.metrics.standing(f)
	}
	for _, r := range b.replies {
		if answer, ok := l.commands[r.ID]; ok {
			answer <- r
			delete(l.commands, r.ID)
		}
	}
	for _, n := range b.notices {
		logNotice(l.opt.Log, n)
	}
	return nil
}

// framework is who the scheduler is to Mesos, as it wants to be offered to.
func (l *Loop) framework(w core.Wanted, id *mesos.FrameworkID) mesos.FrameworkInfo {
	info := l.opt.Framework
	info.ID = id
	if w.GPUs {
		info.Capabilities = append(slices.Clone(info.Capabilities),
			mesos.FrameworkInfo_Capability{Type: mesos.FrameworkInfo_Capability_GPU_RESOURCES})
	}
	return info
}

// put gives the loop something to take in, and waits while too much waits.
func (l *Loop) put(ctx context.Context, in input) {
	select {
	case l.inputs <- in:
	case <-ctx.Done():
	}
}

func (l *Loop) callFailed(ctx context.Context, f core.CallFailed) {
	l.metrics.failures.WithLabelValues(f.Call.Type.String()).Inc()
	l.put(ctx, input{core: f})
}
