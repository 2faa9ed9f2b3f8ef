package native

import (
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// Executor is an executor as its agent sees it.
type Executor interface {
	// Connected says that the agent can be reached: at the start, and whenever
	// it is back.
	Connected()
	// Disconnected says that the agent cannot be reached any more.
	Disconnected()
	// Event brings an event of the executor's stream.
	Event(e *executor.Event)
	// Gone says that nothing is left of the container. The executor does
	// nothing any more.
	Gone()
}

// World is what an executor acts upon. Functions that it is given are called
// later, never from within.
type World interface {
	Now() time.Time
	NewUUID() []byte
	NewContainerID() string
	// After calls a function when a time has passed, unless stop is called
	// before.
	After(d time.Duration, f func()) (stop func())
	// Call makes a SUBSCRIBE or an UPDATE; it is lost when the agent cannot be
	// reached, or refuses it.
	Call(c *executor.Call)
	// Run starts a task's process, and Check carries out a check.
	Run(p Process) Running
	Check(c Check)
	// Exit ends the executor's process, and with it the container.
	Exit(status int)
	// Log writes a line to the executor's stderr. The severity is that of glog
	// (I, W, E), and place is the file and line of the original.
	Log(severity byte, place, text string)
}

// Process is a task's process.
type Process struct {
	Task    mesos.TaskID
	Command mesos.CommandInfo
	// Role is what the task's resources are allocated to.
	Role string
	// Resources and Limits are the task's.
	Resources []mesos.Resource
	Limits    map[string]mesos.Value_Scalar
	// Container is the nested container to run in, with a sandbox and files of
	// its own; empty means that the process is the executor's child.
	Container string
	// Info describes a nested container; nil is what is usual.
	Info *mesos.ContainerInfo
	// Started says that the process runs, or why it does not.
	Started func(pid int, err error)
	// Ended says how the process has ended, once it was started; also when a
	// nested container was made for it and killed (LaunchError.Made). The
	// limitation, if any, is why a nested container was killed.
	Ended func(status syscall.WaitStatus, why *core.Limitation)
}

// Running is a process that was started, or is about to be.
type Running interface {
	// Signal sends a signal to the process, or to the whole tree of what came
	// of it.
	Signal(s syscall.Signal, tree bool)
}

// Check is one execution of a check or a health check.
type Check struct {
	// Of is the task's process, whose sandbox and environment a command has.
	Of Running
	// One of these is set.
	Command *mesos.CommandInfo
	URL     string // for HTTP
	Address string // for TCP
	// Timeout is zero for none.
	Timeout time.Duration
	// Done brings the exit code, the HTTP status, or 0 for a connection that
	// was made and 1 for one that was not; or why none of that can be told.
	Done func(result int, err error)
}
