package core

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// Effect is one thing that the agent has to do.
type Effect interface{ effect() }

// The effects toward the master.
type (
	// Register asks the master for an agent ID.
	Register struct{ Registration link.Registration }
	// Reregister brings the agent back to a master.
	Reregister struct{ Registration link.Registration }
	// Forward sends a status update to the master.
	Forward struct{ Update link.StatusUpdate }
	// ReportExit says that an executor has ended; Status is its raw wait
	// status, or -1.
	ReportExit struct {
		Framework mesos.FrameworkID
		Executor  mesos.ExecutorID
		Status    int32
	}
	// ToFramework carries an executor's message.
	ToFramework struct {
		Framework mesos.FrameworkID
		Executor  mesos.ExecutorID
		Data      []byte
	}
)

// StreamID names one subscription of an executor.
type StreamID uint64

const noStream StreamID = 0

// Admit has Core.Admitted called, after what the agent has been told already: a
// real agent authorizes tasks there, and a KILL may overtake them.
type Admit struct{}

// The effects toward an executor.
type (
	// Send puts an event on an executor's stream; it is lost when the stream
	// has ended.
	Send struct {
		Stream StreamID
		Event  *executor.Event
	}
	// Hangup ends a stream after what was sent on it.
	Hangup struct{ Stream StreamID }
)

// The effects on containers. They name a container that an earlier Launch made,
// and those of one container are done in order, but beside those of the others.
type (
	// Launch makes a sandbox, fetches, and starts an executor in a container
	// of its own. Core.Launched or Core.LaunchFailed answers; either way
	// Core.Exited comes last, once, when nothing is left of the container.
	Launch struct {
		Container string
		Agent     mesos.AgentID
		Framework mesos.FrameworkInfo
		Executor  mesos.ExecutorInfo
		Kind      ExecutorKind
		Limits    Limits
		// Volumes are the persistent volumes to be linked into the sandbox.
		Volumes []mesos.Resource
		// Disk is all that the executor and its tasks use of disks.
		Disk []mesos.Resource
		// Checkpoint tells the executor to outlive the agent.
		Checkpoint bool
	}
	// Limit sets a container's limits, volumes and disk. Core.Limited answers,
	// unless Core.Exited came first.
	Limit struct {
		Container string
		Limits    Limits
		Volumes   []mesos.Resource
		Disk      []mesos.Resource
	}
	// Destroy kills everything in a container. Core.Exited answers.
	Destroy struct{ Container string }
)

// Forget says that a framework has nothing left on the agent.
type Forget struct{ Framework mesos.FrameworkID }

// Discard says that nobody but people needs a container's sandbox any more.
type Discard struct {
	Agent     mesos.AgentID
	Framework mesos.FrameworkID
	Executor  mesos.ExecutorID
	Container string
}

func (Register) effect()    {}
func (Reregister) effect()  {}
func (Forward) effect()     {}
func (ReportExit) effect()  {}
func (ToFramework) effect() {}
func (Send) effect()        {}
func (Hangup) effect()      {}
func (Admit) effect()       {}
func (Launch) effect()      {}
func (Limit) effect()       {}
func (Destroy) effect()     {}
func (Forget) effect()      {}
func (Discard) effect()     {}
