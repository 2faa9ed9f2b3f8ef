package loop

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/executor/hands"
	"github.com/tandem-mesos/tandem/pkg/mesos/executorapi"
)

const (
	// lanes is how many calls are under way at once. All of a task go by the
	// same lane, and so keep their order.
	lanes = 4
	// retry is the wait before a call that failed is made again.
	retry = 100 * time.Millisecond
)

// sender makes the calls of one subscription, each until the agent has taken
// it. What is left when the subscription ends is dropped: the next SUBSCRIBE
// holds it.
type sender struct {
	ctx   context.Context
	stop  context.CancelFunc
	agent Agent
	hands *hands.Hands
	log   logrus.FieldLogger
	// lost is called when the agent says that there is no subscription, or
	// that it does not know this executor.
	lost  func()
	seed  maphash.Seed
	lanes [lanes]lane
}

// lane is a queue with one goroutine, which is there as long as the queue is
// not empty.
type lane struct {
	mu    sync.Mutex // guards what follows
	queue []*executor.Call
	busy  bool
}

func newSender(ctx context.Context, agent Agent, h *hands.Hands, log logrus.FieldLogger, lost func()) *sender {
	s := &sender{agent: agent, hands: h, log: log, lost: lost, seed: maphash.MakeSeed()}
	s.ctx, s.stop = context.WithCancel(ctx)
	return s
}

// send queues a call. It does not block.
func (s *sender) send(call *executor.Call) {
	at := &s.lanes[0]
	if call.Update != nil {
		at = &s.lanes[maphash.String(s.seed, call.Update.Status.TaskID.Value)%lanes]
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	at.queue = append(at.queue, call)
	if !at.busy {
		at.busy = true
		s.hands.Go(func() { s.work(at) })
	}
}

func (s *sender) work(at *lane) {
	for {
		at.mu.Lock()
		if len(at.queue) == 0 || s.ctx.Err() != nil {
			at.queue, at.busy = nil, false
			at.mu.Unlock()
			return
		}
		call := at.queue[0]
		at.queue = at.queue[1:]
		at.mu.Unlock()
		s.deliver(call)
	}
}

// deliver makes a call until the agent has taken it, it is hopeless, or the
// subscription has ended.
func (s *sender) deliver(call *executor.Call) {
	for s.ctx.Err() == nil {
		err := s.agent.Send(s.ctx, call)
		if err == nil || s.ctx.Err() != nil {
			return
		}
		switch executorapi.ClassOf(err) {
		case executorapi.NotSubscribed, executorapi.Gone, executorapi.Forbidden:
			s.log.WithError(err).Warn("The agent does not take updates any more; subscribing anew")
			s.stop() // Nothing may overtake this one.
			s.lost()
			return
		case executorapi.Invalid:
			s.log.WithError(err).Error("The agent will never take an update: this is a bug in the executor")
			return
		}
		s.log.WithError(err).Debug("An update did not get through; sending it again")
		wait := time.NewTimer(retry)
		select {
		case <-wait.C:
		case <-s.ctx.Done():
			wait.Stop()
		}
	}
}
