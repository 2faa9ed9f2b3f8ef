package loop

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// maxSend bounds how many calls are on their way together.
const maxSend = 512

// sender makes calls in the order in which they were decided on, many on their
// way together, while the loop goes on. One order for all calls, because the
// master's answers depend on it: a RECONCILE or KILL that overtook the ACCEPT of
// its task would be answered as if there were no such task.
type sender struct {
	secrets Secrets
	// wake has room for one, and holds it while there may be something to send.
	wake chan struct{}

	// mu guards what is below.
	mu    sync.Mutex
	queue []outgoing
	// sending is how many taken from the queue are not answered yet.
	sending int
	// idle, when not nil, is closed once nothing waits or is being sent.
	idle chan struct{}
}

func newSender(secrets Secrets) *sender {
	return &sender{secrets: secrets, wake: make(chan struct{}, 1)}
}

// add has calls sent after those that wait. It never blocks.
func (s *sender) add(calls []outgoing) {
	if len(calls) == 0 {
		return
	}
	s.mu.Lock()
	s.queue = append(s.queue, calls...)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// waiting returns how many calls are not answered yet.
func (s *sender) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) + s.sending
}

// drain waits until everything is sent, but not longer than timeout.
func (s *sender) drain(timeout time.Duration) {
	s.mu.Lock()
	idle := make(chan struct{})
	if len(s.queue)+s.sending == 0 {
		close(idle)
	} else {
		s.idle = idle
	}
	s.mu.Unlock()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// take returns the first calls that share a subscription.
func (s *sender) take() []outgoing {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.queue) && n < maxSend && s.queue[n].stream == s.queue[0].stream {
		n++
	}
	taken := s.queue[:n:n]
	s.queue = s.queue[n:]
	s.sending = n
	if n == 0 {
		s.queue = nil
		if s.idle != nil {
			close(s.idle)
			s.idle = nil
		}
	}
	return taken
}

// run sends until ctx ends. It passes on every call that failed, and how long the
// master took to answer calls that were on their way together.
func (s *sender) run(ctx context.Context, failed func(context.Context, core.CallFailed), answered func(time.Duration)) {
	var calls, sent []*scheduler.Call
	for ctx.Err() == nil {
		taken := s.take()
		if len(taken) == 0 {
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
			continue
		}
		stream := taken[0].stream
		if stream == nil {
			for _, o := range taken {
				failed(ctx, core.CallFailed{Call: o.call, Reason: "not subscribed"})
			}
			continue
		}
		calls, sent = calls[:0], sent[:0]
		for _, o := range taken {
			call, err := s.reveal(o.call)
			if err != nil {
				failed(ctx, core.CallFailed{Call: o.call, Reason: err.Error()})
				continue
			}
			if call.Type == scheduler.Call_UPDATE_FRAMEWORK {
				stream.Constrain(o.constraints)
			}
			calls, sent = append(calls, call), append(sent, o.call)
		}
		if len(calls) == 0 {
			continue
		}
		start := time.Now()
		errs := stream.Send(ctx, calls)
		answered(time.Since(start))
		for i, err := range errs {
			if err != nil {
				failed(ctx, core.CallFailed{Call: sent[i], Reason: err.Error(), Uncertain: uncertain(err)})
			}
		}
		// No secret stays with us, nor a launch of thousands until the next calls.
		clear(calls)
		clear(sent)
	}
}

// uncertain reports whether a call that failed may have taken effect. Of an
// error that says nothing about it the worst is assumed.
func uncertain(err error) bool {
	var e *schedulerapi.Error
	return !errors.As(err, &e) || e.Kind == schedulerapi.Uncertain
}
