package core

import (
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// Refusal is why an executor's call was refused, as its HTTP answer says it.
type Refusal struct {
	Status int
	Text   string
}

// The refusals of the executor API, with their exact texts.
var (
	refuseRecovering    = &Refusal{503, "Agent has not finished recovery"}
	refuseNoFramework   = &Refusal{400, "Framework cannot be found"}
	refuseNoExecutor    = &Refusal{400, "Executor cannot be found"}
	refuseNotSubscribed = &Refusal{403, "Executor is not subscribed"}
	refuseUnknownCall   = &Refusal{501, "501 Not Implemented."}
)

// sender finds who sent a call that is not a HEARTBEAT.
func (c *Core) sender(call *executor.Call) (*framework, *executorState, *Refusal) {
	if c.phase == Recovering && call.Type != executor.Call_SUBSCRIBE {
		return nil, nil, refuseRecovering
	}
	f, ok := c.frameworks.get(call.FrameworkID)
	if !ok {
		return nil, nil, refuseNoFramework
	}
	e, ok := f.executors.get(call.ExecutorID)
	if !ok {
		return nil, nil, refuseNoExecutor
	}
	if e.state == registering && call.Type != executor.Call_SUBSCRIBE {
		return nil, nil, refuseNotSubscribed
	}
	return f, e, nil
}

// Call takes an UPDATE or a MESSAGE that has been validated.
func (c *Core) Call(now time.Time, call *executor.Call) *Refusal {
	f, e, refused := c.sender(call)
	if refused != nil {
		return refused
	}
	switch call.Type {
	case executor.Call_UPDATE:
		c.executorUpdate(now, f, call.Update.Status)
	case executor.Call_MESSAGE:
		if c.phase == Registered && !f.ending {
			c.emit(ToFramework{Framework: f.id, Executor: e.id(), Data: call.Message.Data})
		}
	default:
		return refuseUnknownCall
	}
	return nil
}

// Subscribe opens a stream for an executor, and ends its former one. It sends
// SUBSCRIBED and what is queued; or SHUTDOWN alone, to an executor that is to
// end.
func (c *Core) Subscribe(now time.Time, call *executor.Call, stream StreamID) *Refusal {
	f, e, refused := c.sender(call)
	if refused != nil {
		return refused
	}
	if c.phase == Terminating || f.ending || e.state >= terminating {
		c.emit(Send{Stream: stream, Event: &executor.Event{Type: executor.Event_SHUTDOWN}})
		c.emit(Hangup{Stream: stream})
		return nil
	}
	if e.stream != noStream {
		c.emit(Hangup{Stream: e.stream})
	}
	if !e.subscribed {
		e.subscribed = true
		c.keep(f, KeepSubscribed{Run: c.runOf(e)})
	}
	e.state, e.stream, e.registerBy = running, stream, time.Time{}
	e.heartbeatAt = now.Add(heartbeatInterval)
	if !e.everSent && e.queued.len() == 0 {
		c.shutdown(now, e)
		return nil
	}
	c.send(e, &executor.Event{
		Type: executor.Event_SUBSCRIBED,
		Subscribed: &executor.Event_Subscribed{
			ExecutorInfo:  e.info,
			FrameworkInfo: f.info,
			AgentInfo:     c.config.Info,
			ContainerID:   &mesos.ContainerID{Value: e.container},
		},
	})
	for _, u := range call.Subscribe.UnacknowledgedUpdates {
		c.executorUpdate(now, f, u.Status)
	}
	c.dropStaging(now, e, call.Subscribe.UnacknowledgedTasks)
	// Single tasks go first, then the groups, each in the order of launch.
	grouped := map[mesos.TaskID]bool{}
	for _, g := range e.groups {
		for _, t := range g.info.Tasks {
			grouped[t.TaskID] = true
		}
	}
	d := afterLimit{groups: slices.Clone(e.groups)}
	for _, t := range e.queued.all() {
		if !grouped[t.TaskID] {
			d.tasks = append(d.tasks, t)
		}
	}
	c.limit(e, d)
	return nil
}

// dropStaging reports the tasks that were sent to the executor and that it does
// not know: they were lost on the way.
func (c *Core) dropStaging(now time.Time, e *executorState, known []mesos.TaskInfo) {
	unacknowledged := make(map[mesos.TaskID]bool, len(known))
	for _, t := range known {
		unacknowledged[t.TaskID] = true
	}
	id := e.id()
	for _, t := range e.launched.all() {
		if t.state == mesos.TASK_STAGING && !unacknowledged[t.info.TaskID] {
			c.agentUpdate(now, e.framework.id, &id, t.info.TaskID, e.framework.lost(),
				mesos.REASON_AGENT_RESTARTED, "Task launched during agent restart", nil)
		}
	}
}
