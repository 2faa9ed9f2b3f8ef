package master

import (
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// disconnectAgent withdraws an agent's offers; its tasks wait for its return or
// for the pings to time out.
func (c *core) disconnectAgent(id agentID) {
	a := c.agents[id]
	if a == nil || !a.connected {
		return
	}
	a.connected = false
	c.allocator.ActivateAgent(string(id), false)
	for _, o := range sortedOffers(a.offers) {
		c.rescind(o)
	}
	c.loseUncheckpointed(a)
	c.options.Logger.WithField("agent", string(id)).Info("agent disconnected")
}

// unregisterAgent removes an agent that leaves for good: its tasks are lost
// even to frameworks that know of partitions.
func (c *core) unregisterAgent(id agentID) {
	a := c.agents[id]
	if a == nil {
		return
	}
	c.metrics.messages["unregister_slave"]++
	c.metrics.counters["slave_removals/reason_unregistered"]++
	c.leave(a, "the agent unregistered")
}

// leave removes an agent for good, and says why.
func (c *core) leave(a *agent, why string) {
	c.metrics.counters["slave_removals"]++
	delete(c.draining, a.id)
	delete(c.deactivated, a.id)
	message := fmt.Sprintf("Agent %s removed: %s", a.info.Hostname, why)
	c.dropOperations(a, mesos.OPERATION_UNSUPPORTED, "")
	c.removeAgent(a, func(f *framework, t *task) { c.loseTask(f, t, mesos.REASON_AGENT_REMOVED, message) })
	// Of one that is unreachable, or gone, a real master tells operators nothing.
	c.tellAgentRemoved(a)
}

// loseTask ends a task as lost.
func (c *core) loseTask(f *framework, t *task, reason mesos.TaskStatus_Reason, message string) {
	c.endTask(f, t, c.status(t.info.TaskID, mesos.TASK_LOST, reason, message))
	c.removeTask(f, t)
}

// endTask gives a task a status of the master's own, which ends it or says that
// nobody can reach it; the task is then to be removed or kept as unreachable. A
// task that has ended already and whose framework has yet to acknowledge that
// gets it, too, but stays as it ended.
func (c *core) endTask(f *framework, t *task, status mesos.TaskStatus) {
	t.identify(&status)
	news := t.news(&status)
	if was := t.state(); !terminal(was) {
		t.info.State = status.State
		if was != mesos.TASK_UNREACHABLE {
			c.metrics.states[status.GetState()]++
			c.metrics.counters.task(&status)
			f.countEnded(status.GetState())
		}
	}
	t.addStatus(status)
	c.freeTask(f, t)
	f.update(status)
	if news {
		c.tellTaskUpdated(t, status)
	}
}

// keepUnreachable moves a task to those whose agent is not there.
func (c *core) keepUnreachable(f *framework, t *task) {
	c.forgetTask(f, t)
	f.unreachable = append(f.unreachable, t)
	if len(f.unreachable) > maxUnreachableTasks {
		f.unreachable = f.unreachable[1:]
	}
}

// loseUncheckpointed ends what a disconnected agent runs for frameworks without
// checkpointing, for it does not outlive the agent's process.
func (c *core) loseUncheckpointed(a *agent) {
	for _, f := range c.sortedFrameworks() {
		if f.info.GetCheckpoint() {
			continue
		}
		for _, t := range sortedTasks(a.tasks[f.id]) {
			c.loseTask(f, t, mesos.REASON_AGENT_DISCONNECTED, fmt.Sprintf("Agent %s disconnected", a.info.Hostname))
		}
		for id := range a.executors[f.id] {
			c.removeExecutor(a.id, f.id, id)
		}
	}
}

// markUnreachable notes that nobody can reach an agent.
func (c *core) markUnreachable(id agentID, now time.Time) {
	for _, name := range []string{"slave_unreachable_scheduled", "slave_unreachable_completed", "slave_removals", "slave_removals/reason_unhealthy"} {
		c.metrics.counters[name]++
	}
	c.unreachable[id] = now
}

// loseAgent takes away an agent that nobody can reach.
func (c *core) loseAgent(a *agent) {
	now := c.now()
	c.markUnreachable(a.id, now)
	c.dropOperations(a, mesos.OPERATION_UNREACHABLE, "Agent was marked unreachable")
	c.removeAgent(a, func(f *framework, t *task) {
		state := mesos.TASK_LOST
		if f.partitionAware() {
			state = mesos.TASK_UNREACHABLE
		}
		status := c.status(t.info.TaskID, state, mesos.REASON_AGENT_REMOVED, "health check timed out")
		status.UnreachableTime = &mesos.TimeInfo{Nanoseconds: now.UnixNano()}
		c.endTask(f, t, status)
		c.keepUnreachable(f, t)
	})
}

// removeAgent takes an agent away: its tasks, as lose does it; then its
// executors and offers; then every framework hears of the failure.
func (c *core) removeAgent(a *agent, lose func(*framework, *task)) {
	a.connected = false
	a.pinger.cancel()
	c.allocator.ActivateAgent(string(a.id), false)
	for id, tasks := range a.tasks {
		f := c.frameworks[id]
		for _, t := range sortedTasks(tasks) {
			lose(f, t)
		}
	}
	for framework, executors := range a.executors {
		for id := range executors {
			c.removeExecutor(a.id, framework, id)
		}
	}
	for _, o := range sortedOffers(a.offers) {
		c.rescind(o)
	}
	c.forgetPlan(a)
	c.allocator.RemoveAgent(string(a.id))
	delete(c.agents, a.id)
	c.changed = true
	if c.agentOf[a.pid] == a {
		delete(c.agentOf, a.pid)
	}
	c.tellAgentLost(a.id)
	c.options.Logger.WithField("agent", string(a.id)).Info("agent removed")
}

// tellAgentLost tells all frameworks that an agent is not there any more.
func (c *core) tellAgentLost(id agentID) {
	for _, f := range c.sortedFrameworks() {
		f.send(&scheduler.Event{
			Type:    scheduler.Event_FAILURE,
			Failure: &scheduler.Event_Failure{AgentID: &mesos.AgentID{Value: string(id)}},
		})
	}
}
