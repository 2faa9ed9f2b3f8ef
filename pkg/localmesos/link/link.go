// Package link is what an embedded master and its agents say to each other.
//
// A real Mesos sends these as libprocess messages (src/messages/messages.proto
// in its source); they are not part of any public API, so here they are two Go
// interfaces with one method a message, named as the messages are. Every method
// only enqueues: it never blocks, is safe for concurrent use, keeps the order
// of one caller's calls, and may be called after its receiver has stopped, when
// it does nothing. Delivery is not guaranteed, as it is not between real
// processes: whoever needs an answer repeats itself.
//
// The package must never hold behaviour: only messages.
package link

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Master is the master as an agent sees it.
type Master interface {
	// RegisterAgent asks for a new agent ID (RegisterSlaveMessage). The answer
	// is Agent.Registered.
	RegisterAgent(a Agent, r Registration)
	// ReregisterAgent brings back an agent that has an ID
	// (ReregisterSlaveMessage), with everything that it still runs. The answer
	// is Agent.Reregistered or, for an agent that was removed, Agent.Shutdown.
	ReregisterAgent(a Agent, r Registration)
	// UnregisterAgent says that the agent leaves for good
	// (UnregisterSlaveMessage), as on SIGUSR1.
	UnregisterAgent(id mesos.AgentID)
	// AgentDisconnected says that the agent's process is gone, as a broken
	// socket does: the master withdraws its offers, and waits for it.
	AgentDisconnected(id mesos.AgentID)
	// Pong answers Agent.Ping.
	Pong(id mesos.AgentID)
	// StatusUpdate forwards an update of a task (StatusUpdateMessage).
	StatusUpdate(u StatusUpdate)
	// ExitedExecutor says that an executor has ended (ExitedExecutorMessage);
	// status is its raw wait status.
	ExitedExecutor(agent mesos.AgentID, framework mesos.FrameworkID, executor mesos.ExecutorID, status int32)
	// OperationStatus forwards an update of an operation on resources
	// (UpdateOperationStatusMessage).
	OperationStatus(u OperationUpdate)
	// ExecutorToFramework carries an executor's MESSAGE.
	ExecutorToFramework(agent mesos.AgentID, framework mesos.FrameworkID, executor mesos.ExecutorID, data []byte)
}

// Agent is an agent as the master sees it.
type Agent interface {
	// Registered answers RegisterAgent with the new ID.
	Registered(id mesos.AgentID, m MasterView)
	// Reregistered answers ReregisterAgent. The master lists the tasks that it
	// believes the agent to run; the agent reports the unknown among them as
	// TASK_DROPPED (ReconcileTasksMessage).
	Reregistered(id mesos.AgentID, m MasterView, reconcile []mesos.Task)
	// Shutdown ends the agent with the reason (ShutdownMessage).
	Shutdown(reason string)
	// Ping asks for Master.Pong; connected is false when the master regards the
	// agent as disconnected, upon which the agent registers again.
	Ping(connected bool)
	// RunTask launches a single task (RunTaskMessage). Launch says that the master
	// knows of no such executor as the task's and expects the agent to launch it;
	// an agent that thinks otherwise drops the task.
	RunTask(framework mesos.FrameworkInfo, task mesos.TaskInfo, launch bool)
	// RunTaskGroup launches a task group (RunTaskGroupMessage); launch is as for
	// RunTask.
	RunTaskGroup(framework mesos.FrameworkInfo, executor mesos.ExecutorInfo, group mesos.TaskGroupInfo, launch bool)
	// KillTask kills one task (KillTaskMessage).
	KillTask(framework mesos.FrameworkID, task mesos.TaskID, policy *mesos.KillPolicy)
	// ShutdownExecutor ends one executor (ShutdownExecutorMessage).
	ShutdownExecutor(framework mesos.FrameworkID, executor mesos.ExecutorID)
	// ShutdownFramework ends all executors of a framework
	// (ShutdownFrameworkMessage).
	ShutdownFramework(framework mesos.FrameworkID)
	// UpdateFramework brings a changed FrameworkInfo (UpdateFrameworkMessage).
	UpdateFramework(framework mesos.FrameworkInfo)
	// FrameworkToExecutor carries a scheduler's MESSAGE.
	FrameworkToExecutor(framework mesos.FrameworkID, executor mesos.ExecutorID, data []byte)
	// AcknowledgeStatusUpdate acknowledges an update
	// (StatusUpdateAcknowledgementMessage).
	AcknowledgeStatusUpdate(framework mesos.FrameworkID, task mesos.TaskID, uuid []byte)
	// Drain has the agent kill its tasks and take no others until they are gone
	// (DrainSlaveMessage).
	Drain(config mesos.DrainConfig)
	// ApplyOperation converts resources of the agent (ApplyOperationMessage).
	// The answer is Master.OperationStatus, repeated until it is acknowledged.
	// Of the operation its framework, its info and its UUID are set.
	ApplyOperation(op mesos.Operation)
	// AcknowledgeOperationStatus acknowledges an update of an operation
	// (AcknowledgeOperationStatusMessage); both are UUIDs.
	AcknowledgeOperationStatus(operation, status []byte)
}

// MasterView is what an agent is told of its master.
type MasterView struct {
	Info mesos.MasterInfo
	// PingTimeout is for how long an agent may hear no Ping before it looks for
	// a master again.
	PingTimeout time.Duration
}

// Registration describes an agent to the master.
type Registration struct {
	// Info is complete but for its ID when the agent is new.
	Info mesos.AgentInfo
	// PID is the agent's libprocess address, such as slave(1)@127.0.0.1:5051.
	PID string
	// Version is the version of Mesos that the agent claims.
	Version string
	// Frameworks, Executors and Tasks are what a returning agent still runs;
	// tasks carry the latest state that the agent knows.
	Frameworks []mesos.FrameworkInfo
	Executors  []ExecutorOf
	Tasks      []mesos.Task
	// Total is what a returning agent has by now, after the operations on its
	// resources (UpdateSlaveMessage); empty if that is what Info says.
	Total []mesos.Resource
	// Operations are those that were not acknowledged to a returning agent.
	Operations []mesos.Operation
}

// ExecutorOf is an executor and its framework.
type ExecutorOf struct {
	FrameworkID mesos.FrameworkID
	Info        mesos.ExecutorInfo
}

// StatusUpdate is one update on its way to a framework (StatusUpdate in
// messages.proto).
type StatusUpdate struct {
	FrameworkID mesos.FrameworkID
	ExecutorID  *mesos.ExecutorID
	AgentID     mesos.AgentID
	// Status is what the framework gets; its uuid is set.
	Status mesos.TaskStatus
	// LatestState is the latest state of the task that the agent knows, which
	// runs ahead of Status while earlier updates wait for acknowledgement.
	LatestState mesos.TaskState
}

// OperationUpdate is one update of an operation (UpdateOperationStatusMessage).
type OperationUpdate struct {
	AgentID mesos.AgentID
	// FrameworkID is nil for an operation of an operator.
	FrameworkID *mesos.FrameworkID
	// Operation is the operation's UUID.
	Operation []byte
	// Status is what the framework gets; its UUID is set.
	Status mesos.OperationStatus
}
