package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// heldUpdate is a status update on its way through the agent.
type heldUpdate struct {
	framework mesos.FrameworkID
	executor  *mesos.ExecutorID
	status    mesos.TaskStatus
	// fromExecutor says that the sender waits for an acknowledgement.
	fromExecutor bool
}

// agentUpdate makes an update of the agent's own.
func (c *Core) agentUpdate(now time.Time, framework mesos.FrameworkID, executor *mesos.ExecutorID, id mesos.TaskID,
	state mesos.TaskState, reason mesos.TaskStatus_Reason, text string, limitation *mesos.TaskResourceLimitation,
) {
	source, agent, at := mesos.SOURCE_AGENT, c.AgentID(), seconds(now)
	c.update(now, heldUpdate{
		framework: framework,
		executor:  executor,
		status: mesos.TaskStatus{
			TaskID:     id,
			State:      &state,
			Message:    &text,
			Source:     &source,
			Reason:     &reason,
			AgentID:    &agent,
			ExecutorID: executor,
			Timestamp:  &at,
			UUID:       c.config.NewUUID(),
			Limitation: limitation,
		},
	})
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// executorUpdate takes an update from an executor. It is dropped, without an
// acknowledgement, if it names another agent.
func (c *Core) executorUpdate(now time.Time, f *framework, s mesos.TaskStatus) {
	if s.AgentID != nil && *s.AgentID != c.AgentID() {
		c.metrics.InvalidUpdates++
		return
	}
	agent, source := c.AgentID(), mesos.SOURCE_EXECUTOR
	s.AgentID, s.Source = &agent, &source
	if s.Timestamp == nil {
		at := seconds(now)
		s.Timestamp = &at
	}
	// An update that does not name its executor goes to the framework so.
	c.update(now, heldUpdate{framework: f.id, executor: s.ExecutorID, status: s, fromExecutor: true})
}

func (c *Core) update(now time.Time, u heldUpdate) {
	f, ok := c.frameworks.get(u.framework)
	if (!ok && u.fromExecutor) || (ok && f.ending) {
		c.metrics.InvalidUpdates++
		return
	}
	c.metrics.ValidUpdates++
	if ok {
		c.explainDrain(f, &u.status)
		if f.pending[u.status.TaskID] != nil {
			c.settlePending(now, f, u)
			return
		}
	}
	var e *executorState
	if ok {
		e = f.holders[u.status.TaskID]
	}
	if e == nil {
		// A task that the agent does not know: the framework may still want
		// to hear of it, and the executor gets no acknowledgement.
		u.fromExecutor = false
		c.store(now, u)
		return
	}
	if t, isLaunched := e.launched.get(u.status.TaskID); isLaunched && t.reachedExecutor(u) {
		c.fillContainerStatus(e, &u.status)
	}
	if !e.advance(u.status) {
		// Too late to matter; the executor must not repeat it.
		c.acknowledge(e, u)
		return
	}
	state := u.status.GetState()
	if !terminal(state) {
		c.store(now, u)
		return
	}
	c.metrics.Tasks[state]++
	if e.state == terminated || !e.hasPID {
		c.store(now, u)
		return
	}
	// What the task no longer needs is taken back first.
	c.limit(e, afterLimit{update: &u})
}

// reachedExecutor says whether the update is of a task that the executor got.
func (t *task) reachedExecutor(u heldUpdate) bool {
	s := u.status.GetState()
	return u.fromExecutor || (s != mesos.TASK_DROPPED && s != mesos.TASK_LOST)
}

// fillContainerStatus adds what the agent knows of the container that the
// executor names, which is its own unless it says otherwise. Addresses that the
// executor set stay.
func (c *Core) fillContainerStatus(e *executorState, s *mesos.TaskStatus) {
	status := mesos.ContainerStatus{}
	if s.ContainerStatus != nil {
		status = *s.ContainerStatus
	}
	pid, known := e.pidOf(status.ContainerID)
	if !known {
		return
	}
	if status.ContainerID == nil {
		status.ContainerID = &mesos.ContainerID{Value: e.container}
	}
	status.ExecutorPID = &pid
	if len(status.NetworkInfos) == 0 {
		// The protocol is left to its default, which JSON shows.
		ip := c.config.IP
		status.NetworkInfos = []mesos.NetworkInfo{{
			IPAddresses: []mesos.NetworkInfo_IPAddress{{IPAddress: &ip}},
		}}
	}
	s.ContainerStatus = &status
}

// advance moves a task to the state of an update; it returns false if the task
// has ended before, or cannot take the state.
func (e *executorState) advance(s mesos.TaskStatus) bool {
	t, ok := e.launched.get(s.TaskID)
	if !ok {
		if !e.queued.has(s.TaskID) || !terminal(s.GetState()) {
			return false
		}
		info, _ := e.dequeue(s.TaskID)
		t = &task{info: info}
	}
	if n := len(t.statuses); n > 0 && t.statuses[n-1].GetState() == s.GetState() {
		t.statuses = t.statuses[: n-1 : n-1]
	}
	t.statuses = append(t.statuses, s)
	t.state = s.GetState()
	if terminal(t.state) {
		e.demand.remove(&t.info)
		e.launched.remove(s.TaskID)
		e.ended.put(s.TaskID, t)
	}
	return true
}

// store keeps an update until the framework acknowledges it, forwards it if it
// is the first of its task, and acknowledges it to the executor.
func (c *Core) store(now time.Time, u heldUpdate) {
	update := link.StatusUpdate{
		FrameworkID: u.framework,
		ExecutorID:  u.executor,
		AgentID:     c.AgentID(),
		Status:      u.status,
		LatestState: u.status.GetState(),
	}
	fresh, send := c.streams.add(now, update)
	if fresh {
		c.keepOf(u.framework, u.status.TaskID, func(r Run) Record { return KeepUpdate{Run: r, Update: update} })
	}
	if send {
		c.forward(update)
	}
	if !u.fromExecutor {
		return
	}
	if f, ok := c.frameworks.get(u.framework); ok {
		if e := f.holders[u.status.TaskID]; e != nil {
			c.acknowledge(e, u)
		}
	}
}

func (c *Core) acknowledge(e *executorState, u heldUpdate) {
	if u.fromExecutor {
		c.send(e, &executor.Event{
			Type:         executor.Event_ACKNOWLEDGED,
			Acknowledged: &executor.Event_Acknowledged{TaskID: u.status.TaskID, UUID: u.status.UUID},
		})
	}
}

// forward sends an update to the master, with the latest state of its task.
func (c *Core) forward(u link.StatusUpdate) {
	if c.phase != Registered {
		return
	}
	if f, ok := c.frameworks.get(u.FrameworkID); ok {
		if e := f.holders[u.Status.TaskID]; e != nil {
			t, ok := e.launched.get(u.Status.TaskID)
			if !ok {
				t, ok = e.ended.get(u.Status.TaskID)
			}
			if ok {
				t.updateState, t.updateUUID = u.Status.State, u.Status.UUID
				u.LatestState = t.state
			}
		}
	}
	c.emit(Forward{Update: u})
}

// Acknowledge takes a framework's acknowledgement; one that does not fit is
// ignored.
func (c *Core) Acknowledge(now time.Time, framework mesos.FrameworkID, id mesos.TaskID, uuid []byte) {
	if c.phase != Registered {
		return
	}
	next, last, ok := c.streams.acknowledge(now, framework, id, uuid)
	if ok {
		c.keepOf(framework, id, func(r Run) Record { return KeepAcknowledged{Run: r, Task: id, UUID: uuid} })
	}
	if next != nil {
		c.forward(*next)
	}
	f, known := c.frameworks.get(framework)
	if !ok || !known {
		return
	}
	e := f.holders[id]
	if e == nil {
		c.removeIfIdle(f)
		return
	}
	if t, ended := e.ended.get(id); ended && last {
		e.ended.remove(id)
		e.remember(t)
	}
	if e.state == terminated && !e.incomplete() {
		c.removeExecutor(e)
	}
	c.removeIfIdle(f)
}
