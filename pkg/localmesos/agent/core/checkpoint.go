package core

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// Keep puts a record where the agent's next process finds it. It is done before
// the effects that come after it, for they tell others what the record says.
type Keep struct{ Record Record }

func (Keep) effect() {}

// Record is something that an agent's next process has to know. Those of
// frameworks are kept for frameworks that checkpoint only.
type Record interface{ record() }

// Run names one run of an executor.
type Run struct {
	Agent     mesos.AgentID
	Framework mesos.FrameworkID
	Executor  mesos.ExecutorID
	Container string
}

// The records, in the order in which they come.
type (
	// KeepAgent is the agent as a master has registered it.
	KeepAgent struct{ Info mesos.AgentInfo }
	// KeepResources is what operations have made of the agent's resources, and the
	// operations that are not acknowledged.
	KeepResources struct {
		Resources  []mesos.Resource
		Operations []mesos.Operation
	}
	// KeepDrain is what the agent drains by; nil when it does not, or no longer.
	KeepDrain struct {
		Agent  mesos.AgentID
		Config *mesos.DrainConfig
	}
	// KeepFramework is a framework that has something on the agent.
	KeepFramework struct {
		Agent mesos.AgentID
		Info  mesos.FrameworkInfo
	}
	// KeepExecutor is an executor that is about to be launched.
	KeepExecutor struct {
		Run  Run
		Info mesos.ExecutorInfo
		Kind ExecutorKind
	}
	// KeepTask is a task that is about to be handed to its executor.
	KeepTask struct {
		Run    Run
		Task   mesos.Task
		Limits map[string]mesos.Value_Scalar
	}
	// KeepSubscribed says that the executor has subscribed.
	KeepSubscribed struct{ Run Run }
	// KeepUpdate is an update that the framework is to acknowledge.
	KeepUpdate struct {
		Run    Run
		Update link.StatusUpdate
	}
	// KeepAcknowledged says that the framework has acknowledged an update.
	KeepAcknowledged struct {
		Run  Run
		Task mesos.TaskID
		UUID []byte
	}
	// KeepEnd says that nothing more is to be done for the executor.
	KeepEnd struct{ Run Run }
)

func (KeepAgent) record()        {}
func (KeepResources) record()    {}
func (KeepDrain) record()        {}
func (KeepFramework) record()    {}
func (KeepExecutor) record()     {}
func (KeepTask) record()         {}
func (KeepSubscribed) record()   {}
func (KeepUpdate) record()       {}
func (KeepAcknowledged) record() {}
func (KeepEnd) record()          {}

// keep keeps a record of a framework, if that checkpoints.
func (c *Core) keep(f *framework, r Record) {
	if c.config.Checkpoint && f.info.GetCheckpoint() {
		c.emit(Keep{Record: r})
	}
}

func (c *Core) runOf(e *executorState) Run {
	return Run{Agent: c.AgentID(), Framework: e.framework.id, Executor: e.id(), Container: e.container}
}

func (c *Core) keepTasks(e *executorState, tasks []mesos.TaskInfo) {
	for i := range tasks {
		t := task{info: tasks[i], state: mesos.TASK_STAGING}
		c.keep(e.framework, KeepTask{Run: c.runOf(e), Task: t.message(e.framework.id, e), Limits: tasks[i].Limits})
	}
}

// keepOf keeps an update, or its acknowledgement, with the executor of its
// task. One of a task that has none cannot be kept, as by a real agent.
func (c *Core) keepOf(framework mesos.FrameworkID, id mesos.TaskID, record func(Run) Record) {
	f, ok := c.frameworks.get(framework)
	if !ok {
		return
	}
	if e := f.holders[id]; e != nil {
		c.keep(f, record(c.runOf(e)))
	}
}
