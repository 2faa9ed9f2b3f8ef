package agent

import (
	"os"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/native"
)

// Fake makes an agent that starts no process: each executor, whatever its kind,
// is played within the agent and answers for its tasks. So thousands of agents
// fit into one process, with as much as they like to offer. There are no
// sandboxes, nothing is fetched, and the process ID of every executor is the
// agent's own.
type Fake struct {
	// Plan says what becomes of a task. It is called in the agent's loop and
	// must not block. Nil means that tasks run, from their launch until they are
	// killed.
	Plan func(mesos.TaskInfo) native.Plan
}

// fakeHost is the world of an executor that runs nothing.
type fakeHost struct {
	conversation
	container string
}

// launchFake plays a container and its executor.
func (a *Agent) launchFake(l core.Launch) {
	h := &fakeHost{conversation: conversation{agent: a}, container: l.Container}
	settings := native.Settings{
		Framework: *l.Framework.ID, Executor: l.Executor.ExecutorID, Checkpoint: l.Checkpoint,
		Recovery: a.options.RecoveryTimeout, IP: a.ip,
	}
	h.executor = native.NewFake(settings, h, a.options.Fake.Plan, l.Kind != core.CustomExecutor)
	a.fakes[l.Container] = h
	a.report(func(time.Time) {
		a.core.Launched(l.Container, os.Getpid())
		a.perform()
		h.executor.Connected()
	})
}

// end is the end of a fake container.
func (h *fakeHost) end(status int32) {
	h.agent.report(func(now time.Time) {
		if h.agent.fakes[h.container] != h {
			return
		}
		delete(h.agent.fakes, h.container)
		h.executor.Gone()
		h.agent.core.Exited(now, h.container, core.Ending{Status: status})
	})
}

func (h *fakeHost) Exit(status int)                   { h.end(int32(status) << 8) }
func (h *fakeHost) destroy()                          { h.end(int32(syscall.SIGKILL)) }
func (h *fakeHost) Run(native.Process) native.Running { return nil }
func (h *fakeHost) Check(native.Check)                {}
func (h *fakeHost) Log(byte, string, string)          {}
