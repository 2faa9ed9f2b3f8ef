package master

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// RegisterAgent implements link.Master.
func (m *Master) RegisterAgent(a link.Agent, r link.Registration) {
	m.post(func() { m.core.registerAgent(a, r) })
}

// ReregisterAgent implements link.Master.
func (m *Master) ReregisterAgent(a link.Agent, r link.Registration) {
	m.post(func() { m.core.reregisterAgent(a, r) })
}

// UnregisterAgent implements link.Master.
func (m *Master) UnregisterAgent(id mesos.AgentID) {
	m.post(func() { m.core.unregisterAgent(agentID(id.Value)) })
}

// AgentDisconnected implements link.Master.
func (m *Master) AgentDisconnected(id mesos.AgentID) {
	m.post(func() { m.core.disconnectAgent(agentID(id.Value)) })
}

// Pong implements link.Master.
func (m *Master) Pong(id mesos.AgentID) {
	m.post(func() {
		if a := m.core.agents[agentID(id.Value)]; a != nil {
			a.ponged = true
		}
	})
}

// StatusUpdate implements link.Master.
func (m *Master) StatusUpdate(u link.StatusUpdate) {
	m.post(func() { m.core.statusUpdate(u) })
}

// ExitedExecutor implements link.Master.
func (m *Master) ExitedExecutor(agent mesos.AgentID, framework mesos.FrameworkID, executor mesos.ExecutorID, status int32) {
	m.post(func() {
		m.core.exitedExecutor(agentID(agent.Value), frameworkID(framework.Value), executorID(executor.Value), status)
	})
}

// OperationStatus implements link.Master.
func (m *Master) OperationStatus(u link.OperationUpdate) {
	m.post(func() { m.core.operationStatus(u) })
}

// ExecutorToFramework implements link.Master.
func (m *Master) ExecutorToFramework(agent mesos.AgentID, framework mesos.FrameworkID, executor mesos.ExecutorID, data []byte) {
	m.post(func() {
		m.core.metrics.messages["executor_to_framework"]++
		f := m.core.frameworks[frameworkID(framework.Value)]
		m.core.metrics.counters.valid(f != nil, "executor_to_framework_messages")
		if f != nil {
			f.send(&scheduler.Event{
				Type:    scheduler.Event_MESSAGE,
				Message: &scheduler.Event_Message{AgentID: agent, ExecutorID: executor, Data: data},
			})
		}
	})
}
