package core_test

import (
	"maps"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/resource"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// carries reports whether an executor is there: it counts once for all its tasks.
func (a *masterAgent) carries(executor string) bool {
	for _, t := range a.tasks {
		if t.executor == executor && !terminal(t.state) {
			return true
		}
	}
	return false
}

func (m *simMaster) read(rs []mesos.Resource) resource.Resources {
	r, err := resource.FromMesos(rs)
	if err != nil {
		m.w.fail("the master cannot read resources: %v", err)
	}
	return r
}

func (m *simMaster) find(task string) (*masterAgent, *masterTask) {
	for _, a := range m.w.agents {
		if known := m.agents[a.id]; known != nil && known.tasks[task] != nil {
			return known, known.tasks[task]
		}
	}
	return nil, nil
}

func (m *simMaster) kill(task, agent string) {
	a, t := m.find(task)
	switch {
	case t != nil && a.state == registered && !terminal(t.state):
		m.tell(a.agent, func() { a.agent.kill(task) })
	default:
		m.answer(task, agent)
	}
}

// answer says what the master knows of a task, or nothing as long as it may
// learn more.
func (m *simMaster) answer(task, agent string) {
	const text = "Reconciliation: Latest task state"
	known := m.agents[agent]
	if a, t := m.find(task); t != nil && a.state == registered {
		m.status(task, a.agent.id, t.told, mesos.REASON_RECONCILIATION, text)
		return
	}
	switch {
	case known == nil:
		m.status(task, agent, mesos.TASK_UNKNOWN, mesos.REASON_RECONCILIATION, "Reconciliation: Task is unknown")
	case known.state == recovering:
	case known.state == registered:
		m.status(task, agent, mesos.TASK_GONE, mesos.REASON_RECONCILIATION, "Reconciliation: Task is unknown to the agent")
	case known.state == gone:
		m.status(task, agent, mesos.TASK_GONE_BY_OPERATOR, mesos.REASON_RECONCILIATION, text)
	default:
		m.status(task, agent, mesos.TASK_UNREACHABLE, mesos.REASON_RECONCILIATION, "Reconciliation: Task is unreachable")
	}
}

func (m *simMaster) reconcile(tasks []scheduler.Call_Reconcile_Task) {
	for _, t := range tasks {
		m.answer(t.TaskID.Value, t.AgentID.GetValue())
	}
	if len(tasks) > 0 {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(m.agents)) {
		a := m.agents[id]
		if a.state != registered {
			continue
		}
		for _, task := range slices.Sorted(maps.Keys(a.tasks)) {
			m.status(task, id, a.tasks[task].told, mesos.REASON_RECONCILIATION, "Reconciliation: Latest task state")
		}
	}
}

// update takes in a status from an agent and forwards it.
func (m *simMaster) update(a *simAgent, s mesos.TaskStatus) {
	m.quiet = false
	known := m.agents[a.id]
	if !m.up || known == nil || known.state != registered {
		return
	}
	if t := known.tasks[s.TaskID.Value]; t != nil {
		if !terminal(t.state) {
			t.state = s.GetState()
		}
		t.told, t.uuid = s.GetState(), string(s.UUID)
	}
	m.send(core.Updated{Status: &s})
	if m.w.faults() && m.w.chance(0.02) && s.CheckStatus == nil && s.Healthy == nil {
		// It comes once more, perhaps after what came later. No real one does, for an
		// agent waits for each to be acknowledged: so what is found by checks has no
		// order but that.
		m.w.after(m.w.latency(), func() { m.send(core.Updated{Status: &s}) })
	}
}

// acknowledged forgets a task whose end the scheduler knows (Master::acknowledge in
// src/master/master.cpp).
func (m *simMaster) acknowledged(k *scheduler.Call_Acknowledge) {
	a := m.agents[k.AgentID.Value]
	if a == nil || a.state != registered {
		return
	}
	if t := a.tasks[k.TaskID.Value]; t != nil && terminal(t.told) && t.uuid == string(k.UUID) {
		delete(a.tasks, k.TaskID.Value)
	}
}

// registers is called when an agent comes, or returns.
func (m *simMaster) registers(a *simAgent) {
	m.quiet = false
	known := m.agents[a.id]
	if known == nil {
		known = &masterAgent{agent: a, tasks: map[string]*masterTask{}}
		m.agents[a.id] = known
	}
	if known.state == gone {
		a.die() // the master tells it to
		return
	}
	was := known.state
	known.state = registered
	a.registrations++
	m.recount(known)
	if !known.deactivated {
		a.draining = false
	}
	before := known.tasks
	known.tasks = map[string]*masterTask{}
	for _, id := range slices.Sorted(maps.Keys(a.tasks)) {
		t := a.tasks[id]
		known.tasks[id] = &masterTask{id: id, executor: t.group.executor, state: t.state, told: t.told(), uuid: t.uuid(), resources: t.resources, executorRes: t.group.resources, volumes: t.group.volumes}
		if was == unreachableAgent {
			m.status(id, a.id, t.state, mesos.REASON_AGENT_REREGISTERED, "Unreachable agent re-reregistered")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if known.tasks[id] == nil && !terminal(before[id].state) {
			m.status(id, a.id, mesos.TASK_GONE, mesos.REASON_RECONCILIATION, "Reconciliation: Task is unknown to the agent")
		}
	}
	a.retry()
}

// loses is called when an agent has not answered for too long.
func (m *simMaster) loses(id string, to agentState) {
	m.quiet = false
	a := m.agents[id]
	if !m.up || a == nil || a.state == gone || a.state == unreachableAgent && to == unreachableAgent {
		return
	}
	m.voidInverse(a)
	a.state = to
	st, reason := mesos.TASK_UNREACHABLE, mesos.REASON_AGENT_REMOVED
	if to == gone {
		st, reason = mesos.TASK_GONE_BY_OPERATOR, mesos.REASON_AGENT_REMOVED_BY_OPERATOR
	}
	for _, task := range slices.Sorted(maps.Keys(a.tasks)) {
		if !terminal(a.tasks[task].state) {
			m.status(task, id, st, reason, "Agent "+a.agent.host+" removed: health check timed out")
		}
	}
	if to == gone {
		clear(a.tasks)
	}
	for _, offer := range slices.Sorted(maps.Keys(m.offers)) {
		if m.offers[offer].agent == a {
			delete(m.offers, offer)
			m.send(core.Rescinded{OfferID: mesos.OfferID{Value: offer}})
		}
	}
	m.send(core.Failed{AgentID: &mesos.AgentID{Value: id}})
}

// failover is the loss of the leading master; the next has the registry only.
func (m *simMaster) failover() {
	m.up, m.failedOver = false, true
	m.endStream()
	for _, a := range m.agents {
		if a.state == registered {
			a.state = recovering
		}
		a.tasks = map[string]*masterTask{}
	}
	m.w.after(time.Second+m.w.upTo(10*time.Second), func() {
		m.up = true
		for _, id := range slices.Sorted(maps.Keys(m.agents)) {
			a := m.agents[id]
			m.w.after(m.w.upTo(20*time.Second), func() { a.agent.reconnect() })
		}
		m.w.after(10*time.Minute, func() {
			for _, id := range slices.Sorted(maps.Keys(m.agents)) {
				if m.agents[id].state == recovering {
					m.loses(id, unreachableAgent)
				}
			}
		})
	})
}

func terminal(s mesos.TaskState) bool {
	switch s {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_LOST, mesos.TASK_ERROR,
		mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR:
		return true
	}
	return false
}
