package fault

import (
	"sync"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// Master returns the master as the agent with a number sees it through the
// network, in both directions.
func (n *Network) Master(agent int, to link.Master) link.Master {
	return &masterLink{network: n, agent: agent, to: to}
}

type masterLink struct {
	network *Network
	agent   int
	to      link.Master

	mu   sync.Mutex
	seen link.Agent // the agent, and how the master sees it
	back *agentLink
	id   mesos.AgentID // as far as it is known
}

var _ link.Master = (*masterLink)(nil)

// through returns the agent as the master sees it, always the same one.
func (l *masterLink) through(a link.Agent) link.Agent {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen != a {
		l.seen, l.back = a, &agentLink{of: l, to: a}
	}
	return l.back
}

func (l *masterLink) carry(m Message, deliver func()) {
	l.mu.Lock()
	m.Agent, m.AgentID = l.agent, l.id
	l.mu.Unlock()
	l.network.carry(m, deliver)
}

func (l *masterLink) named(id mesos.AgentID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = id
}

func (l *masterLink) RegisterAgent(a link.Agent, r link.Registration) {
	l.carry(Message{Name: "RegisterAgent"}, func() { l.to.RegisterAgent(l.through(a), r) })
}

func (l *masterLink) ReregisterAgent(a link.Agent, r link.Registration) {
	l.carry(Message{Name: "ReregisterAgent"}, func() { l.to.ReregisterAgent(l.through(a), r) })
}

func (l *masterLink) UnregisterAgent(id mesos.AgentID) {
	l.carry(Message{Name: "UnregisterAgent"}, func() { l.to.UnregisterAgent(id) })
}

func (l *masterLink) AgentDisconnected(id mesos.AgentID) {
	l.carry(Message{Name: "AgentDisconnected"}, func() { l.to.AgentDisconnected(id) })
}

func (l *masterLink) Pong(id mesos.AgentID) {
	l.carry(Message{Name: "Pong"}, func() { l.to.Pong(id) })
}

func (l *masterLink) StatusUpdate(u link.StatusUpdate) {
	m := Message{Name: "StatusUpdate", Framework: u.FrameworkID, Task: u.Status.TaskID, State: u.Status.GetState()}
	if u.ExecutorID != nil {
		m.Executor = *u.ExecutorID
	}
	l.carry(m, func() { l.to.StatusUpdate(u) })
}

func (l *masterLink) ExitedExecutor(agent mesos.AgentID, framework mesos.FrameworkID, executor mesos.ExecutorID, status int32) {
	l.carry(Message{Name: "ExitedExecutor", Framework: framework, Executor: executor},
		func() { l.to.ExitedExecutor(agent, framework, executor, status) })
}

func (l *masterLink) OperationStatus(u link.OperationUpdate) {
	m := Message{Name: "OperationStatus"}
	if u.FrameworkID != nil {
		m.Framework = *u.FrameworkID
	}
	l.carry(m, func() { l.to.OperationStatus(u) })
}

func (l *masterLink) ExecutorToFramework(agent mesos.AgentID, framework mesos.FrameworkID, executor mesos.ExecutorID, data []byte) {
	l.carry(Message{Name: "ExecutorToFramework", Framework: framework, Executor: executor},
		func() { l.to.ExecutorToFramework(agent, framework, executor, data) })
}

type agentLink struct {
	of *masterLink
	to link.Agent
}

var _ link.Agent = (*agentLink)(nil)

func (l *agentLink) carry(m Message, deliver func()) { l.of.carry(m, deliver) }

func (l *agentLink) Registered(id mesos.AgentID, m link.MasterView) {
	l.of.named(id)
	l.carry(Message{Name: "Registered"}, func() { l.to.Registered(id, m) })
}

func (l *agentLink) Reregistered(id mesos.AgentID, m link.MasterView, reconcile []mesos.Task) {
	l.carry(Message{Name: "Reregistered"}, func() { l.to.Reregistered(id, m, reconcile) })
}

func (l *agentLink) Shutdown(reason string) {
	l.carry(Message{Name: "Shutdown"}, func() { l.to.Shutdown(reason) })
}

func (l *agentLink) Ping(connected bool) {
	l.carry(Message{Name: "Ping"}, func() { l.to.Ping(connected) })
}

func (l *agentLink) RunTask(framework mesos.FrameworkInfo, task mesos.TaskInfo, launch bool) {
	m := Message{Name: "RunTask", Framework: *framework.ID, Task: task.TaskID}
	if task.Executor != nil {
		m.Executor = task.Executor.ExecutorID
	}
	l.carry(m, func() { l.to.RunTask(framework, task, launch) })
}

func (l *agentLink) RunTaskGroup(framework mesos.FrameworkInfo, executor mesos.ExecutorInfo, group mesos.TaskGroupInfo, launch bool) {
	l.carry(Message{Name: "RunTaskGroup", Framework: *framework.ID, Executor: executor.ExecutorID},
		func() { l.to.RunTaskGroup(framework, executor, group, launch) })
}

func (l *agentLink) KillTask(framework mesos.FrameworkID, task mesos.TaskID, policy *mesos.KillPolicy) {
	l.carry(Message{Name: "KillTask", Framework: framework, Task: task},
		func() { l.to.KillTask(framework, task, policy) })
}

func (l *agentLink) ShutdownExecutor(framework mesos.FrameworkID, executor mesos.ExecutorID) {
	l.carry(Message{Name: "ShutdownExecutor", Framework: framework, Executor: executor},
		func() { l.to.ShutdownExecutor(framework, executor) })
}

func (l *agentLink) ShutdownFramework(framework mesos.FrameworkID) {
	l.carry(Message{Name: "ShutdownFramework", Framework: framework}, func() { l.to.ShutdownFramework(framework) })
}

func (l *agentLink) UpdateFramework(framework mesos.FrameworkInfo) {
	l.carry(Message{Name: "UpdateFramework", Framework: *framework.ID}, func() { l.to.UpdateFramework(framework) })
}

func (l *agentLink) FrameworkToExecutor(framework mesos.FrameworkID, executor mesos.ExecutorID, data []byte) {
	l.carry(Message{Name: "FrameworkToExecutor", Framework: framework, Executor: executor},
		func() { l.to.FrameworkToExecutor(framework, executor, data) })
}

func (l *agentLink) AcknowledgeStatusUpdate(framework mesos.FrameworkID, task mesos.TaskID, uuid []byte) {
	l.carry(Message{Name: "AcknowledgeStatusUpdate", Framework: framework, Task: task},
		func() { l.to.AcknowledgeStatusUpdate(framework, task, uuid) })
}

func (l *agentLink) ApplyOperation(op mesos.Operation) {
	m := Message{Name: "ApplyOperation"}
	if op.FrameworkID != nil {
		m.Framework = *op.FrameworkID
	}
	l.carry(m, func() { l.to.ApplyOperation(op) })
}

func (l *agentLink) AcknowledgeOperationStatus(operation, status []byte) {
	l.carry(Message{Name: "AcknowledgeOperationStatus"}, func() { l.to.AcknowledgeOperationStatus(operation, status) })
}

func (l *agentLink) Drain(config mesos.DrainConfig) {
	l.carry(Message{Name: "Drain"}, func() { l.to.Drain(config) })
}
