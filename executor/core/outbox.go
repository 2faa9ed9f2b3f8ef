package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// pending is one update that the agent has not acknowledged.
type pending struct {
	uuid     [16]byte
	call     *executor.Call
	task     *task
	terminal bool
	// sent says that it is on its way by the present connection, by itself or
	// in the SUBSCRIBE.
	sent bool
}

// report puts an update into the outbox. It fills in all that updates of a
// task have in common.
func (c *Core) report(t *task, status mesos.TaskStatus) {
	uuid := c.config.NewUUID()
	status.TaskID = t.info.TaskID
	status.AgentID = &t.info.AgentID
	status.ExecutorID = &c.config.ExecutorID
	status.Source = mesos.SOURCE_EXECUTOR.Enum()
	status.UUID = uuid[:]
	timestamp := float64(c.now.UnixNano()) / float64(time.Second)
	status.Timestamp = &timestamp
	if t.healthy != nil && !(t.ended() && *t.healthy) {
		status.Healthy = t.healthy // Of an ended task only that it was not well.
	}
	status.CheckStatus = t.checkStatus

	call := c.call(executor.Call_UPDATE)
	call.Update = &executor.Call_Update{Status: status}
	p := &pending{uuid: uuid, call: call, task: t, terminal: t.ended()}
	c.outboxByUUID[uuid] = c.outbox.PushBack(p)
	if c.connected {
		c.send(p)
	}
}

func (c *Core) send(p *pending) {
	p.sent = true
	c.out.Sends = append(c.out.Sends, p.call)
}

// acknowledged removes an update from the outbox, and with a task's last update
// the task.
func (c *Core) acknowledged(in Acknowledged) {
	var uuid [16]byte
	if copy(uuid[:], in.UUID); len(in.UUID) != len(uuid) {
		c.note(Warn, nil, "ignored an acknowledgement whose UUID has %d bytes", len(in.UUID))
		return
	}
	element, ok := c.outboxByUUID[uuid]
	if !ok {
		// An update that was sent twice is acknowledged twice.
		c.note(Debug, nil, "ignored an acknowledgement of an update that is not waited for")
		return
	}
	p := c.outbox.Remove(element).(*pending)
	delete(c.outboxByUUID, uuid)
	p.task.acknowledged = true
	if p.terminal {
		delete(c.tasks, p.task.id)
		delete(c.runs, p.task.run)
	}
	if c.live == 0 && c.outbox.Len() == 0 {
		c.quiet = c.now
	}
}

// subscribeCall returns the SUBSCRIBE with all that the agent may not know:
// tasks that it could take for lost otherwise, and updates in their order.
func (c *Core) subscribeCall() *executor.Call {
	call := c.call(executor.Call_SUBSCRIBE)
	call.Subscribe = &executor.Call_Subscribe{}
	for _, t := range c.inOrder() {
		if !t.acknowledged {
			call.Subscribe.UnacknowledgedTasks = append(call.Subscribe.UnacknowledgedTasks, *t.info)
		}
	}
	c.eachPending(func(p *pending) {
		p.sent = true
		call.Subscribe.UnacknowledgedUpdates = append(call.Subscribe.UnacknowledgedUpdates, *p.call.Update)
	})
	return call
}

// sendUnsent sends what was reported between the SUBSCRIBE and its answer.
func (c *Core) sendUnsent() {
	c.eachPending(func(p *pending) {
		if !p.sent {
			c.send(p)
		}
	})
}

func (c *Core) markUnsent() { c.eachPending(func(p *pending) { p.sent = false }) }

func (c *Core) eachPending(do func(*pending)) {
	for e := c.outbox.Front(); e != nil; e = e.Next() {
		do(e.Value.(*pending))
	}
}
