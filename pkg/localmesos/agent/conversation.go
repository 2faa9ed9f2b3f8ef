package agent

import (
	"time"

	"github.com/google/uuid"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/native"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// eventStream takes the events of an executor's subscription.
type eventStream interface {
	Send(m wire.Message)
	Close()
}

// conversation is what a native executor has of its agent, and the part of its
// world that is the same for all. Its methods are the loop's.
type conversation struct {
	agent    *Agent
	executor native.Executor
	stream   core.StreamID // zero for none
}

// lose tells the executor that the agent is gone.
func (c *conversation) lose() {
	if c.stream != 0 {
		delete(c.agent.events, c.stream)
		c.stream = 0
	}
	c.executor.Disconnected()
}

// post has the loop do something, also while the agent plays dead.
func (c *conversation) post(f func()) {
	c.agent.inputs.post(func(time.Time) { f() })
}

// conversationStream is a subscription of a native executor.
type conversationStream struct {
	*conversation
	id core.StreamID
}

func (s conversationStream) Send(m wire.Message) {
	e, ok := m.(*executor.Event)
	if !ok {
		return
	}
	s.post(func() {
		if s.stream == s.id {
			s.executor.Event(e)
		}
	})
}

func (s conversationStream) Close() {
	s.post(func() {
		if s.stream == s.id {
			s.stream = 0
			s.executor.Disconnected()
		}
	})
}

func (c *conversation) Now() time.Time         { return c.agent.options.Clock.Now() }
func (c *conversation) NewUUID() []byte        { return newUUID() }
func (c *conversation) NewContainerID() string { return uuid.NewString() }

func (c *conversation) After(d time.Duration, f func()) (stop func()) {
	stopped := false
	cancel := c.agent.options.Clock.AfterFunc(d, func() {
		c.post(func() {
			if !stopped {
				f()
			}
		})
	})
	return func() {
		stopped = true
		cancel()
	}
}

func (c *conversation) Call(call *executor.Call) {
	a := c.agent
	if a.down {
		return
	}
	if call.Type != executor.Call_SUBSCRIBE {
		a.core.Call(c.Now(), call)
		return
	}
	id := core.StreamID(a.streams.Add(1))
	a.events[id] = conversationStream{c, id}
	if a.core.Subscribe(c.Now(), call, id) != nil {
		delete(a.events, id)
		return
	}
	c.stream = id
}
