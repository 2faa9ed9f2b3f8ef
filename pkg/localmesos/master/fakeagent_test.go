package master

import (
	"fmt"
	"strings"
	"sync"
	"testing/synctest"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// fakeAgent notes what the master tells it.
type fakeAgent struct {
	w *world

	mu    sync.Mutex
	id    mesos.AgentID
	notes []string
	pid   string
	deaf  bool // does not answer pings
	last  struct {
		executor  mesos.ExecutorInfo
		group     mesos.TaskGroupInfo
		reconcile []mesos.Task
		operation mesos.Operation
	}
}

var _ link.Agent = (*fakeAgent)(nil)

func (a *fakeAgent) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

// hears lets the agent answer pings, or not.
func (a *fakeAgent) hears(pings bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deaf = !pings
}

// heard takes the notes.
func (a *fakeAgent) heard() string {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	out := strings.Join(a.notes, "\n")
	a.notes = nil
	return out
}

func (a *fakeAgent) Registered(id mesos.AgentID, _ link.MasterView) {
	a.mu.Lock()
	a.id = id
	a.mu.Unlock()
	a.note("registered %s", short(id.Value))
}

func (a *fakeAgent) Reregistered(id mesos.AgentID, _ link.MasterView, reconcile []mesos.Task) {
	a.note("reregistered %s, %d to reconcile", short(id.Value), len(reconcile))
}
func (a *fakeAgent) Shutdown(reason string) { a.note("shutdown: %s", reason) }
func (a *fakeAgent) Ping(bool) {
	a.mu.Lock()
	id, deaf := a.id, a.deaf
	a.mu.Unlock()
	if !deaf && id.Value != "" {
		a.w.m.Pong(id)
	}
}
func (a *fakeAgent) RunTask(_ mesos.FrameworkInfo, task mesos.TaskInfo, _ bool) {
	a.note("run %s", task.TaskID.Value)
}

func (a *fakeAgent) RunTaskGroup(_ mesos.FrameworkInfo, e mesos.ExecutorInfo, g mesos.TaskGroupInfo, _ bool) {
	a.mu.Lock()
	a.last.executor, a.last.group = e, g
	a.mu.Unlock()
	ids := make([]string, len(g.Tasks))
	for i := range g.Tasks {
		ids[i] = g.Tasks[i].TaskID.Value
	}
	a.note("run group %s with %s", strings.Join(ids, ","), e.ExecutorID.Value)
}

func (a *fakeAgent) KillTask(_ mesos.FrameworkID, task mesos.TaskID, policy *mesos.KillPolicy) {
	if policy != nil {
		a.note("kill %s within %dns", task.Value, policy.GetGracePeriod().GetNanoseconds())
		return
	}
	a.note("kill %s", task.Value)
}

func (a *fakeAgent) ShutdownExecutor(_ mesos.FrameworkID, e mesos.ExecutorID) {
	a.note("shutdown executor %s", e.Value)
}
func (a *fakeAgent) ShutdownFramework(f mesos.FrameworkID) {
	a.note("shutdown framework %s", short(f.Value))
}
func (a *fakeAgent) UpdateFramework(f mesos.FrameworkInfo) { a.note("framework is now %s", f.Name) }
func (a *fakeAgent) FrameworkToExecutor(_ mesos.FrameworkID, e mesos.ExecutorID, data []byte) {
	a.note("to %s: %s", e.Value, data)
}

func (a *fakeAgent) AcknowledgeStatusUpdate(_ mesos.FrameworkID, task mesos.TaskID, uuid []byte) {
	a.note("acknowledged %s %x", task.Value, uuid[len(uuid)-1])
}

func (a *fakeAgent) Drain(config mesos.DrainConfig) {
	a.note("drain within %dns, gone %t", config.GetMaxGracePeriod().GetNanoseconds(), config.GetMarkGone())
}

func (a *fakeAgent) ApplyOperation(op mesos.Operation) {
	a.mu.Lock()
	a.last.operation = op
	a.mu.Unlock()
	a.note("apply %s %s", op.Info.Type, op.Info.GetID().GetValue())
}

func (a *fakeAgent) AcknowledgeOperationStatus(_, status []byte) {
	a.note("acknowledged operation %x", status[len(status)-1])
}

func scalar(name string, v float64) mesos.Resource {
	return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: v}}
}

func agentInfo(hostname string, cpus float64) mesos.AgentInfo {
	return mesos.AgentInfo{
		Hostname: hostname,
		Port:     new(int32(5051)),
		Resources: []mesos.Resource{
			scalar("cpus", cpus), scalar("mem", 8192), scalar("disk", 20000),
			{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 32000}}}},
		},
		Attributes: []mesos.Attribute{
			{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: "r1"}},
			{Name: "zone", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: "a"}},
		},
	}
}

// agent registers an agent of 8 cpus, or as many as given.
func (w *world) agent(hostname string, cpus ...float64) *fakeAgent {
	w.Helper()
	w.agents++
	a := &fakeAgent{w: w, pid: fmt.Sprintf("slave(%d)@127.0.0.1:5051", w.agents)}
	n := 8.0
	if len(cpus) > 0 {
		n = cpus[0]
	}
	w.m.RegisterAgent(a, link.Registration{Info: agentInfo(hostname, n), PID: a.pid, Version: "1.11.0"})
	synctest.Wait()
	a.heard()
	return a
}

// update sends a status of a task from the agent; n ends its uuid.
func (a *fakeAgent) update(s *fakeScheduler, task, executor string, state mesos.TaskState, n byte) {
	uuid := []byte{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x46, 0x17, 0x98, 0x19, 0x1a, 0x1b, 0, 0, 0, n}
	a.w.m.StatusUpdate(link.StatusUpdate{
		FrameworkID: mesos.FrameworkID{Value: s.id},
		ExecutorID:  &mesos.ExecutorID{Value: executor},
		AgentID:     a.id,
		LatestState: state,
		Status: mesos.TaskStatus{
			TaskID:     mesos.TaskID{Value: task},
			State:      &state,
			Source:     mesos.SOURCE_EXECUTOR.Enum(),
			AgentID:    &mesos.AgentID{Value: a.id.Value},
			ExecutorID: &mesos.ExecutorID{Value: executor},
			UUID:       uuid,
			Timestamp:  new(1795412010.380184),
			ContainerStatus: &mesos.ContainerStatus{
				ContainerID: &mesos.ContainerID{Value: "11e5f6e1-b3cf-4086-b51e-a4e9930f2cb7"},
			},
		},
	})
	synctest.Wait()
}
