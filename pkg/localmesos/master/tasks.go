package master

import (
	"bytes"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// terminal tells whether a task in the state has ended.
func terminal(s mesos.TaskState) bool {
	switch s {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_ERROR, mesos.TASK_LOST,
		mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR:
		return true
	}
	return false
}

func (t *task) id() taskID             { return taskID(t.info.TaskID.Value) }
func (t *task) agent() agentID         { return agentID(t.info.AgentID.Value) }
func (t *task) state() mesos.TaskState { return t.info.GetState() }

// identify fills in what every status of the task names.
func (t *task) identify(s *mesos.TaskStatus) {
	s.AgentID = &mesos.AgentID{Value: t.info.AgentID.Value}
	s.ExecutorID = t.info.ExecutorID
}

// describe fills in what the latest status of the task told.
func (t *task) describe(s *mesos.TaskStatus) {
	t.identify(s)
	if n := len(t.info.Statuses); n > 0 {
		last := &t.info.Statuses[n-1]
		s.Healthy, s.CheckStatus, s.Labels, s.ContainerStatus = last.Healthy, last.CheckStatus, last.Labels, last.ContainerStatus
	}
}

// addStatus notes a status; of several of one state the last is kept, and data
// of none.
func (t *task) addStatus(s mesos.TaskStatus) {
	s.Data = nil
	// Statuses that were shown may still be read, so the list is not changed in
	// place.
	statuses := t.info.Statuses
	if n := len(statuses); n > 0 && statuses[n-1].GetState() == s.GetState() {
		statuses = statuses[:n-1]
	}
	t.info.Statuses = append(slices.Clip(statuses), s)
}

// status makes a status of the master's own.
func (c *core) status(id mesos.TaskID, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) mesos.TaskStatus {
	return mesos.TaskStatus{
		TaskID:    id,
		State:     &state,
		Source:    mesos.SOURCE_MASTER.Enum(),
		Reason:    &reason,
		Message:   &message,
		Timestamp: new(timestamp(c.now())),
	}
}

func (f *framework) partitionAware() bool {
	return validation.HasCapability(&f.info, mesos.FrameworkInfo_Capability_PARTITION_AWARE)
}

// update sends a framework a status.
func (f *framework) update(s mesos.TaskStatus) {
	f.send(&scheduler.Event{Type: scheduler.Event_UPDATE, Update: &scheduler.Event_Update{Status: s}})
}

// insertTask adds a task to its framework and agent.
func (c *core) insertTask(f *framework, a *agent, t *task) {
	c.nextTask++
	t.seq = c.nextTask
	f.tasks[t.id()] = t
	if a.tasks[f.id] == nil {
		a.tasks[f.id] = make(map[taskID]*task)
	}
	a.tasks[f.id][t.id()] = t
}

// freeTask gives back the resources of a task that has ended, or is
// unreachable, once.
func (c *core) freeTask(f *framework, t *task) {
	if t.freed {
		return
	}
	t.freed = true
	c.allocator.Recover(string(f.id), string(t.agent()), t.resources, 0, c.now())
}

// removeTask moves a task to those that are completed.
func (c *core) removeTask(f *framework, t *task) {
	c.forgetTask(f, t)
	f.finished = append(f.finished, t)
	if len(f.finished) > maxCompletedTasks {
		f.finished = f.finished[1:]
	}
}

func (c *core) forgetTask(f *framework, t *task) {
	delete(f.tasks, t.id())
	if a := c.agents[t.agent()]; a != nil {
		delete(a.tasks[f.id], t.id())
		if len(a.tasks[f.id]) == 0 {
			delete(a.tasks, f.id)
		}
	}
}

// addExecutor adds an executor, whose resources are accounted for already.
func (c *core) addExecutor(f *framework, a *agent, info mesos.ExecutorInfo) *executor {
	resources, err := resource.FromMesos(info.Resources)
	if err != nil {
		c.options.Logger.WithError(err).Warn("cannot take the resources of an executor")
	}
	id := executorID(info.ExecutorID.Value)
	e := &executor{agent: a.id, info: info, resources: resources}
	if f.executors[a.id] == nil {
		f.executors[a.id] = make(map[executorID]*executor)
	}
	f.executors[a.id][id] = e
	if a.executors[f.id] == nil {
		a.executors[f.id] = make(map[executorID]*executor)
	}
	a.executors[f.id][id] = e
	return e
}

// removeExecutor takes an executor away and gives its resources back.
func (c *core) removeExecutor(on agentID, of frameworkID, id executorID) bool {
	var e *executor
	if a := c.agents[on]; a != nil {
		e = a.executors[of][id]
		delete(a.executors[of], id)
		if len(a.executors[of]) == 0 {
			delete(a.executors, of)
		}
	}
	if f := c.frameworks[of]; f != nil {
		delete(f.executors[on], id)
		if len(f.executors[on]) == 0 {
			delete(f.executors, on)
		}
	}
	if e == nil {
		return false
	}
	c.allocator.Recover(string(of), string(on), e.resources, 0, c.now())
	return true
}

// exitedExecutor handles the end of an executor; what becomes of its tasks
// comes as updates.
func (c *core) exitedExecutor(on agentID, of frameworkID, id executorID, status int32) {
	c.metrics.messages["exited_executor"]++
	if c.agents[on] == nil || !c.removeExecutor(on, of, id) {
		return
	}
	if f := c.frameworks[of]; f != nil {
		f.send(&scheduler.Event{
			Type: scheduler.Event_FAILURE,
			Failure: &scheduler.Event_Failure{
				AgentID:    &mesos.AgentID{Value: string(on)},
				ExecutorID: &mesos.ExecutorID{Value: string(id)},
				Status:     &status,
			},
		})
	}
}

// statusUpdate forwards an agent's update to its framework. A task's resources
// are free once its latest state is terminal; the task stays among the live
// ones until the framework has acknowledged a terminal status.
func (c *core) statusUpdate(u link.StatusUpdate) {
	c.metrics.messages["status_update"]++
	a, f := c.agents[agentID(u.AgentID.Value)], c.frameworks[frameworkID(u.FrameworkID.Value)]
	var t *task
	if a != nil && f != nil {
		f.update(u.Status)
		t = f.tasks[taskID(u.Status.TaskID.Value)]
	}
	c.metrics.counters.valid(t != nil && f.connected, "status_updates")
	if t == nil {
		return
	}
	if f.connected {
		t.updateState, t.updateUUID = u.Status.GetState(), u.Status.UUID
	}
	news := t.news(&u.Status)
	if !terminal(t.state()) {
		latest := u.LatestState
		t.info.State = &latest
		if !t.freed && (terminal(latest) || latest == mesos.TASK_UNREACHABLE) {
			// Counted is what is told, which a real master counts too: what ran
			// ahead of it is not.
			c.metrics.states[u.Status.GetState()]++
			c.metrics.counters.task(&u.Status)
			f.countEnded(latest)
			c.freeTask(f, t)
		}
	}
	t.addStatus(u.Status)
	if news {
		c.tellTaskUpdated(t, u.Status)
	}
}

// acknowledge handles ACKNOWLEDGE: the agent hears of it, and a task whose
// terminal status is acknowledged is completed. What fits nothing is ignored.
func (c *core) acknowledge(f *framework, call *scheduler.Call_Acknowledge) {
	c.metrics.messages["status_update_acknowledgement"]++
	a := c.agents[agentID(call.AgentID.Value)]
	var t *task
	known := a != nil && a.connected
	if known {
		t = a.tasks[f.id][taskID(call.TaskID.Value)]
		known = t == nil || len(t.updateUUID) > 0
	}
	c.metrics.counters.valid(known, "status_update_acknowledgements")
	if !known {
		return
	}
	if t != nil && terminal(t.updateState) && bytes.Equal(t.updateUUID, call.UUID) {
		c.removeTask(f, t)
	}
	a.link.AcknowledgeStatusUpdate(mesos.FrameworkID{Value: string(f.id)}, call.TaskID, call.UUID)
	c.checkDrained(a)
}

// kill handles KILL. A task that is not there is answered as if it had been
// reconciled.
func (c *core) kill(f *framework, call *scheduler.Call_Kill) {
	c.metrics.messages["kill_task"]++
	t := f.tasks[taskID(call.TaskID.Value)]
	if t == nil {
		c.reconcileTask(f, call.TaskID, call.AgentID)
		return
	}
	if call.AgentID != nil && call.AgentID.Value != string(t.agent()) {
		return // the task is another agent's
	}
	t.killed = true
	if a := c.agents[t.agent()]; a != nil && a.connected {
		a.link.KillTask(mesos.FrameworkID{Value: string(f.id)}, call.TaskID, call.KillPolicy)
	}
}

// shutdownExecutor handles SHUTDOWN.
func (c *core) shutdownExecutor(f *framework, call *scheduler.Call_Shutdown) {
	if a := c.agents[agentID(call.AgentID.Value)]; a != nil && a.connected {
		a.link.ShutdownExecutor(mesos.FrameworkID{Value: string(f.id)}, call.ExecutorID)
	}
}

// message handles MESSAGE, for which nobody answers.
func (c *core) message(f *framework, call *scheduler.Call_Message) {
	c.metrics.messages["framework_to_executor"]++
	a := c.agents[agentID(call.AgentID.Value)]
	known := a != nil && a.connected
	c.metrics.counters.valid(known, "framework_to_executor_messages")
	if known {
		a.link.FrameworkToExecutor(mesos.FrameworkID{Value: string(f.id)}, call.ExecutorID, call.Data)
	}
}

// reconcile handles RECONCILE: without tasks it tells the state of all live
// ones.
func (c *core) reconcile(f *framework, call *scheduler.Call_Reconcile) {
	c.metrics.messages["reconcile_tasks"]++
	if len(call.Tasks) == 0 {
		for _, t := range sortedTasks(f.tasks) {
			c.tellLatest(f, t)
		}
		return
	}
	for _, asked := range call.Tasks {
		c.reconcileTask(f, asked.TaskID, asked.AgentID)
	}
}

// tellLatest tells the state of the last status that the framework was sent,
// which the task may have left since.
func (c *core) tellLatest(f *framework, t *task) {
	state := t.state()
	if len(t.updateUUID) > 0 {
		state = t.updateState
	}
	status := c.status(t.info.TaskID, state, mesos.REASON_RECONCILIATION, "Reconciliation: Latest task state")
	t.describe(&status)
	f.update(status)
}

func (c *core) reconcileTask(f *framework, id mesos.TaskID, on *mesos.AgentID) {
	if t := f.tasks[taskID(id.Value)]; t != nil {
		c.tellLatest(f, t)
		return
	}
	if c.inTransition(on) {
		return
	}
	var status mesos.TaskStatus
	lost := func(state mesos.TaskState) mesos.TaskState {
		if f.partitionAware() {
			return state
		}
		return mesos.TASK_LOST
	}
	switch since, gone := c.unreachable[agentID(on.GetValue())]; {
	case on != nil && c.agents[agentID(on.Value)] != nil:
		status = c.status(id, lost(mesos.TASK_GONE), mesos.REASON_RECONCILIATION, "Reconciliation: Task is unknown to the agent")
	case on != nil && gone:
		status = c.status(id, lost(mesos.TASK_UNREACHABLE), mesos.REASON_RECONCILIATION, "Reconciliation: Task is unreachable")
		status.UnreachableTime = &mesos.TimeInfo{Nanoseconds: since.UnixNano()}
	case on != nil && c.isGone(agentID(on.Value)):
		status = c.status(id, lost(mesos.TASK_GONE_BY_OPERATOR), mesos.REASON_RECONCILIATION, "Reconciliation: Task is gone")
	default:
		status = c.status(id, lost(mesos.TASK_UNKNOWN), mesos.REASON_RECONCILIATION, "Reconciliation: Task is unknown")
	}
	status.AgentID = on
	f.update(status)
}
