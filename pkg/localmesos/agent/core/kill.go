package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// KillTask kills a task. One that its executor does not have yet is killed on
// the spot, with its whole group; for any other the executor is asked.
func (c *Core) KillTask(now time.Time, framework mesos.FrameworkID, id mesos.TaskID, policy *mesos.KillPolicy) {
	if c.phase == Recovering || c.phase == Terminating {
		return
	}
	f, ok := c.frameworks.get(framework)
	if !ok || f.ending {
		return
	}
	if a := f.pending[id]; a != nil {
		c.killPending(now, a)
		return
	}
	e := f.holders[id]
	if e == nil {
		c.agentUpdate(now, f.id, nil, id, f.lost(), mesos.REASON_EXECUTOR_TERMINATED, "Cannot find executor", nil)
		return
	}
	if e.state >= terminating {
		return
	}
	if !e.queued.has(id) {
		if e.state == running {
			c.send(e, &executor.Event{
				Type: executor.Event_KILL,
				Kill: &executor.Event_Kill{TaskID: id, KillPolicy: policy},
			})
		}
		return
	}
	c.killQueued(now, e, id)
	// An executor that never gets a task may not know how to end.
	if e.state == running && !e.everSent && e.queued.len() == 0 {
		c.shutdown(now, e)
	}
}

func (c *Core) killQueued(now time.Time, e *executorState, id mesos.TaskID) {
	ids := []mesos.TaskID{id}
	text := "Killed before delivery to the executor"
	if g := e.groupOf(id); g != nil {
		ids = ids[:0]
		for _, t := range g.info.Tasks {
			ids = append(ids, t.TaskID)
		}
		if e.state == registering {
			text = "A task within the task group was killed before delivery to the executor"
		}
	}
	own := e.id()
	for _, id := range ids {
		c.agentUpdate(now, e.framework.id, &own, id, mesos.TASK_KILLED, mesos.REASON_TASK_KILLED_DURING_LAUNCH, text, nil)
	}
}

// ShutdownExecutor asks an executor to end, and destroys its container when
// the grace period is over.
func (c *Core) ShutdownExecutor(now time.Time, framework mesos.FrameworkID, id mesos.ExecutorID) {
	if c.phase == Recovering || c.phase == Disconnected {
		return
	}
	f, ok := c.frameworks.get(framework)
	if !ok || f.ending {
		return
	}
	if e, ok := f.executors.get(id); ok && e.state < terminating {
		c.shutdown(now, e)
	}
}

func (c *Core) shutdown(now time.Time, e *executorState) {
	e.state = terminating
	c.send(e, &executor.Event{Type: executor.Event_SHUTDOWN})
	grace := c.config.ShutdownGracePeriod
	if p := e.info.ShutdownGracePeriod; p != nil {
		grace = time.Duration(p.Nanoseconds)
	}
	e.destroyAt = now.Add(grace)
}

// ShutdownFramework ends a framework's executors; no update of it is sent any
// more.
func (c *Core) ShutdownFramework(now time.Time, framework mesos.FrameworkID) {
	if c.phase == Recovering || c.phase == Disconnected {
		return
	}
	if f, ok := c.frameworks.get(framework); ok {
		c.shutdownFramework(now, f)
	}
}

func (c *Core) shutdownFramework(now time.Time, f *framework) {
	if f.ending {
		return
	}
	f.ending = true
	for _, e := range f.executors.all() {
		switch {
		case e.state < terminating:
			c.shutdown(now, e)
		case e.state == terminated:
			c.removeExecutor(e)
		}
	}
	c.removeIfIdle(f)
}

// UpdateFramework brings a FrameworkInfo that may have changed. It comes when
// the framework subscribes, too, so what it may not have got is sent again.
func (c *Core) UpdateFramework(now time.Time, info mesos.FrameworkInfo) {
	if c.phase != Registered {
		return
	}
	if f, ok := c.frameworks.get(*info.ID); ok && !f.ending {
		f.info = info
		c.keep(f, KeepFramework{Agent: c.AgentID(), Info: info})
		c.resume(now)
	}
}

// FrameworkMessage carries a scheduler's message to an executor, or nowhere if
// that is not running.
func (c *Core) FrameworkMessage(framework mesos.FrameworkID, id mesos.ExecutorID, data []byte) {
	f, ok := c.frameworks.get(framework)
	if c.phase == Registered && ok && !f.ending {
		if e, ok := f.executors.get(id); ok && e.state == running {
			c.metrics.ValidFrameworkMsgs++
			if data == nil {
				data = []byte{} // a message must have data, if none
			}
			c.send(e, &executor.Event{
				Type:    executor.Event_MESSAGE,
				Message: &executor.Event_Message{Data: data},
			})
			return
		}
	}
	c.metrics.InvalidFrameworkMsgs++
}

// removeExecutor forgets an executor whose container is gone and whose tasks
// are settled, but for the record.
func (c *Core) removeExecutor(e *executorState) {
	for _, t := range e.ended.all() {
		e.remember(t)
	}
	e.ended = newTable[mesos.TaskID, *task]()
	f := e.framework
	f.executors.remove(e.id())
	delete(c.containers, e.container)
	f.completed = appendBounded(f.completed, e, maxCompletedExecutors)
	c.keep(f, KeepEnd{Run: c.runOf(e)})
	c.emit(Discard{Agent: c.AgentID(), Framework: f.id, Executor: e.id(), Container: e.container})
}

// removeIfIdle forgets a framework that has nothing left here.
func (c *Core) removeIfIdle(f *framework) {
	if f.executors.len() > 0 || len(f.pending) > 0 || !c.frameworks.has(f.id) {
		return
	}
	c.streams.drop(f.id)
	c.frameworks.remove(f.id)
	c.completed = appendBounded(c.completed, f, maxCompletedFrameworks)
	c.emit(Forget{Framework: f.id})
	c.drained()
}
