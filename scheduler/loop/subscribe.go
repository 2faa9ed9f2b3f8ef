package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// The waits between attempts to subscribe. After a subscription that was of some
// use has ended the next attempt comes almost at once, since most ends are a
// master's restart or failover; the wait then doubles. Each is multiplied by a
// random part, so that the frameworks of a cluster do not come back in step.
const (
	firstWait = 200 * time.Millisecond
	maxWait   = 5 * time.Second
	// ofUse is for how long a subscription must last to count as such.
	ofUse = 10 * time.Second
)

// errFirst is why attempts to subscribe end after Options.FirstSubscription.
var errFirst = errors.New("no master in time")

// errorEvent is what the master said in an ERROR event, after which it ends the
// stream.
type errorEvent struct{ master, message string }

func (e *errorEvent) Error() string {
	return fmt.Sprintf("the master at %s says: %s", e.master, e.message)
}

// subscriber keeps the scheduler subscribed. Its goroutine brings the master's
// events to the loop, in their order.
type subscriber struct {
	*Loop
	// frameworkID is empty until the first SUBSCRIBED ever.
	frameworkID string
	// first stops the clock of Options.FirstSubscription; nil without one.
	first *time.Timer
	// ever is set once this process has been subscribed.
	ever bool
	// doubt is when it was last unknown what became of an attempt to subscribe.
	doubt time.Time
	// said is what the latest subscription said of the offers that are wanted.
	said core.Wanted
}

// forgiven is for how long an attempt to subscribe whose outcome is unknown may
// still be in the way of a later one: a master that has stood still takes in
// what has come meanwhile in any order.
const forgiven = 2 * time.Minute

// subscribe subscribes again and again until ctx ends, and then returns nil, or
// until there is no use in it, and then says why and what to do.
func (l *Loop) subscribe(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &subscriber{Loop: l, frameworkID: l.opt.Saved.Framework.GetFrameworkId()}
	if d := l.opt.FirstSubscription; d > 0 {
		s.first = time.AfterFunc(d, func() { cancel(errFirst) })
		defer s.first.Stop()
	}
	wait := firstWait
	last := ""
	for {
		began := time.Now()
		subscribed, err := s.session(ctx)
		if ctx.Err() == nil {
			if fatal := s.fatal(err); fatal != nil {
				return fatal
			}
			problem := err.Error()
			if subscribed {
				l.opt.Log.Warnf("%s; subscribing again", problem)
				last = ""
				if time.Since(began) >= ofUse {
					wait = firstWait
				}
			} else if problem != last {
				l.opt.Log.Warnf("cannot subscribe: %s; trying again", problem)
				last = problem
			}
			l.put(ctx, input{core: core.Disconnected{}, problem: problem})
			sleep(ctx, time.Duration(l.opt.Jitter()*float64(wait)))
			wait = min(2*wait, maxWait)
		}
		if ctx.Err() != nil {
			if errors.Is(context.Cause(ctx), errFirst) {
				if last == "" {
					last = "nothing has answered"
				}
				return fmt.Errorf("no master could be subscribed to within %s: %s", l.opt.FirstSubscription, last)
			}
			return nil
		}
	}
}

// session subscribes and brings events to the loop until the subscription ends.
// It reports whether there was one, and why it ended.
func (s *subscriber) session(ctx context.Context) (subscribed bool, err error) {
	stream, err := s.opt.Subscribe(ctx, s.call())
	if err != nil {
		if uncertain(err) {
			s.doubt = time.Now()
		}
		return false, err
	}
	defer stream.Close()
	for {
		e, err := stream.Next()
		if err != nil {
			return subscribed, err
		}
		switch {
		case e.Type == scheduler.Event_SUBSCRIBED && e.Subscribed != nil:
			in, err := s.subscribed(e.Subscribed, stream)
			if err != nil {
				return subscribed, err
			}
			subscribed = true
			s.put(ctx, in)
		case e.Type == scheduler.Event_ERROR:
			return subscribed, &errorEvent{stream.Master(), e.GetError().GetMessage()}
		default:
			if in := inputOf(e); in != nil {
				s.put(ctx, input{core: in})
			} else if e.Type != scheduler.Event_HEARTBEAT {
				s.opt.Log.Debugf("took no notice of an event %s", e.Type)
			}
		}
	}
}

func (s *subscriber) call() *scheduler.Call {
	s.said = *s.wanted.Load()
	info := s.framework(s.said, nil)
	call := &scheduler.Call{
		Type:      scheduler.Call_SUBSCRIBE,
		Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info},
	}
	if s.said.None {
		call.Subscribe.SuppressedRoles = info.Roles
	}
	// The ID stands in both places or in neither (master/validation.cpp).
	if s.frameworkID != "" {
		info.ID = &mesos.FrameworkID{Value: s.frameworkID}
		call.FrameworkID = info.ID
	}
	return call
}

func (s *subscriber) subscribed(e *scheduler.Event_Subscribed, stream Stream) (input, error) {
	id := e.GetFrameworkID().GetValue()
	if s.frameworkID != "" && id != s.frameworkID {
		return input{}, &wrongFrameworkError{stream.Master(), id, s.frameworkID}
	}
	if s.first != nil {
		s.first.Stop()
	}
	s.ever, s.frameworkID = true, id
	s.opt.Log.WithField("framework", id).Infof("subscribed with the master at %s", stream.Master())
	c := core.Subscribed{FrameworkID: mesos.FrameworkID{Value: id}, Suppressed: s.said.None, GPUs: s.said.GPUs}
	if e.MasterInfo != nil {
		c.Master = *e.MasterInfo
	}
	return input{core: c, stream: stream}, nil
}

// wrongFrameworkError: the master has subscribed the scheduler as another
// framework than it said it was.
type wrongFrameworkError struct{ master, got, want string }

func (e *wrongFrameworkError) Error() string {
	return fmt.Sprintf("the master at %s subscribed this scheduler as framework %s, though its state is that of framework %s: "+
		"check that --master names the cluster that the state belongs to", e.master, e.got, e.want)
}

// fatal says why there is no use in subscribing again, and what to do, or
// returns nil.
func (s *subscriber) fatal(err error) error {
	var event *errorEvent
	var wrong *wrongFrameworkError
	var api *schedulerapi.Error
	var hopeless *HopelessError
	switch {
	case errors.As(err, &hopeless):
		return hopeless
	case errors.As(err, &wrong):
		return wrong
	case errors.As(err, &event) && event.message == "Framework has been removed":
		return fmt.Errorf("the master at %s has removed framework %s: it was torn down, or its scheduler was away for longer "+
			"than its failover timeout. Its tasks have been ended. After `tandem framework teardown` it can be started again as it is, "+
			"and otherwise with another state (--state)",
			event.master, s.frameworkID)
	case errors.As(err, &event) && event.message == "Framework failed over":
		if !s.doubt.IsZero() && time.Since(s.doubt) < forgiven {
			// The other one may have been this scheduler itself.
			return nil
		}
		return fmt.Errorf("another scheduler has subscribed with the master at %s as framework %s, which is this scheduler's: "+
			"only one may run with this state", event.master, s.frameworkID)
	case s.ever:
		// It was accepted before with what it says, so this may pass.
		return nil
	case errors.As(err, &event):
		return fmt.Errorf("the master at %s refuses this scheduler: %s", event.master, event.message)
	case errors.As(err, &api) && api.Kind == schedulerapi.Refused:
		return api
	}
	return nil
}

// inputOf is the event as the core takes it in, or nil for events that it has
// no use for.
func inputOf(e *scheduler.Event) core.Input {
	switch e.Type {
	case scheduler.Event_OFFERS:
		return core.Offers{Offers: e.GetOffers().GetOffers()}
	case scheduler.Event_INVERSE_OFFERS:
		return core.InverseOffers{Offers: e.GetInverseOffers().GetInverseOffers()}
	case scheduler.Event_RESCIND_INVERSE_OFFER:
		if r := e.RescindInverseOffer; r != nil {
			return core.InverseRescinded{OfferID: r.InverseOfferID}
		}
	case scheduler.Event_RESCIND:
		if e.Rescind != nil {
			return core.Rescinded{OfferID: e.Rescind.OfferID}
		}
	case scheduler.Event_UPDATE:
		if e.Update != nil {
			return core.Updated{Status: &e.Update.Status}
		}
	case scheduler.Event_UPDATE_OPERATION_STATUS:
		if u := e.UpdateOperationStatus; u != nil {
			return core.OperationUpdated{Status: u.Status}
		}
	case scheduler.Event_MESSAGE:
		if m := e.Message; m != nil {
			return core.Told{AgentID: m.AgentID, ExecutorID: m.ExecutorID, Data: m.Data}
		}
	case scheduler.Event_FAILURE:
		if f := e.Failure; f != nil {
			return core.Failed{AgentID: f.AgentID, ExecutorID: f.ExecutorID, Status: f.Status}
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
