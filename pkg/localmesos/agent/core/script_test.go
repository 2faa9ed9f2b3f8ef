package core_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/mesos/mesos-go/api/v1/lib/resources"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

var (
	frameworkID = mesos.FrameworkID{Value: "fw"}
	agentID     = mesos.AgentID{Value: "S0"}
	execID      = mesos.ExecutorID{Value: "exec-1"}
	epoch       = time.Unix(1_795_412_844, 0)
)

// script drives a Core and writes down what it decides, a line for each effect.
type script struct {
	testing.TB
	*core.Core
	now        time.Time
	containers int
	uuids      int
	lines      []string
	// last are the updates last forwarded for each task.
	last map[string][]byte
	// disk has what the core wants kept, if it does.
	disk   *disk
	config core.Config
}

func newScript(t testing.TB, change func(*core.Config)) *script {
	s := &script{TB: t, now: epoch, last: map[string][]byte{}}
	config := core.Config{
		IP:                    "127.0.0.1",
		RegistrationTimeout:   time.Minute,
		ReregistrationTimeout: 2 * time.Second,
		ShutdownGracePeriod:   5 * time.Second,
		NewContainerID: func() string {
			s.containers++
			return fmt.Sprintf("c%d", s.containers)
		},
		NewUUID: func() []byte {
			s.uuids++
			return []byte(fmt.Sprintf("agent-uuid-%d", s.uuids))
		},
	}
	if change != nil {
		change(&config)
	}
	s.config = config
	if config.Checkpoint {
		s.disk = &disk{pid: 1951}
	}
	s.Core = core.New(s.now, config)
	s.Tick(s.now)
	s.want("register")
	s.Registered(s.now, agentID, 0)
	if config.Checkpoint {
		s.want("keep agent")
	} else {
		s.want()
	}
	return s
}

// RunTask has a task arrive and admits it.
func (s *script) RunTask(f mesos.FrameworkInfo, t mesos.TaskInfo, launch bool) {
	s.Core.RunTask(f, t, launch)
	s.Admitted(s.now)
}

// RunTaskGroup has a group arrive and admits it.
func (s *script) RunTaskGroup(f mesos.FrameworkInfo, e mesos.ExecutorInfo, g mesos.TaskGroupInfo, launch bool) {
	s.Core.RunTaskGroup(f, e, g, launch)
	s.Admitted(s.now)
}

// Effects returns what the agent decided but for Admit, which the script
// answers.
func (s *script) Effects() []core.Effect {
	return slices.DeleteFunc(s.Core.Effects(), func(e core.Effect) bool { return e == core.Admit{} })
}

// drain turns the effects into lines.
func (s *script) drain() {
	for _, e := range s.Effects() {
		s.lines = append(s.lines, s.line(e))
	}
}

func (s *script) line(e core.Effect) string {
	switch e := e.(type) {
	case core.Register:
		return "register"
	case core.Reregister:
		return fmt.Sprintf("reregister with %d executors, %d tasks", len(e.Registration.Executors), len(e.Registration.Tasks))
	case core.Forward:
		st := e.Update.Status
		s.last[st.TaskID.Value] = st.UUID
		line := fmt.Sprintf("update %s %s", st.TaskID.Value, st.GetState())
		if e.Update.LatestState != st.GetState() {
			line += " (latest " + e.Update.LatestState.String() + ")"
		}
		if st.Reason != nil {
			line += " " + st.GetReason().String()
		}
		if st.Message != nil {
			line += ": " + st.GetMessage()
		}
		return line
	case core.ReportExit:
		return fmt.Sprintf("exited %s %d", e.Executor.Value, e.Status)
	case core.ToFramework:
		return fmt.Sprintf("message from %s: %s", e.Executor.Value, e.Data)
	case core.Send:
		return fmt.Sprintf("stream %d: %s", e.Stream, describe(e.Event))
	case core.Hangup:
		return fmt.Sprintf("stream %d ends", e.Stream)
	case core.Launch:
		return fmt.Sprintf("launch %s in %s with %s", e.Executor.ExecutorID.Value, e.Container, limits(e.Limits))
	case core.Keep:
		return "keep " + s.disk.keep(e.Record)
	case core.Adopt:
		return fmt.Sprintf("adopt %s with process %d and %s", e.Launch.Container, e.PID, limits(e.Launch.Limits))
	case core.Limit:
		return fmt.Sprintf("limit %s to %s", e.Container, limits(e.Limits))
	case core.Destroy:
		return "destroy " + e.Container
	case core.Discard:
		return "discard " + e.Container
	case core.Forget:
		return "forget " + e.Framework.Value
	default:
		return fmt.Sprintf("%T", e)
	}
}

func limits(l core.Limits) string { return fmt.Sprintf("%g cpus, %g MB", l.CPUs, l.MemMB) }

func describe(e *executor.Event) string {
	ids := func(ts []mesos.TaskInfo) string {
		var all []string
		for _, t := range ts {
			all = append(all, t.TaskID.Value)
		}
		return strings.Join(all, ",")
	}
	switch e.Type {
	case executor.Event_LAUNCH:
		return "LAUNCH " + e.Launch.Task.TaskID.Value
	case executor.Event_LAUNCH_GROUP:
		return "LAUNCH_GROUP " + ids(e.LaunchGroup.TaskGroup.Tasks)
	case executor.Event_KILL:
		return "KILL " + e.Kill.TaskID.Value
	case executor.Event_ACKNOWLEDGED:
		return fmt.Sprintf("ACKNOWLEDGED %s %s", e.Acknowledged.TaskID.Value, e.Acknowledged.UUID)
	case executor.Event_MESSAGE:
		return fmt.Sprintf("MESSAGE %s", e.Message.Data)
	default:
		return e.Type.String()
	}
}

// want asserts the effects since the last time.
func (s *script) want(lines ...string) {
	s.Helper()
	s.drain()
	if diff := cmp.Diff(lines, s.lines); diff != "" && len(lines)+len(s.lines) > 0 {
		s.Fatalf("effects (-want +got):\n%s", diff)
	}
	s.lines = nil
}

// skip drops the effects since the last time.
func (s *script) skip() {
	s.drain()
	s.lines = nil
}

func (s *script) advance(d time.Duration) {
	s.now = s.now.Add(d)
	s.Tick(s.now)
}

func framework() mesos.FrameworkInfo {
	checkpoint := true
	return mesos.FrameworkInfo{
		ID: &frameworkID, Name: "example", User: "root", Checkpoint: &checkpoint,
		Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE}},
	}
}

func executorInfo() mesos.ExecutorInfo {
	value := "./executor"
	return mesos.ExecutorInfo{
		Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: execID, FrameworkID: &frameworkID,
		Command: &mesos.CommandInfo{Value: &value}, Resources: amounts(0.2, 64),
	}
}

func amounts(cpus, mem float64) []mesos.Resource {
	return []mesos.Resource{resources.NewCPUs(cpus).Resource, resources.NewMemory(mem).Resource}
}

func task(id string) mesos.TaskInfo {
	return mesos.TaskInfo{
		Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: agentID, Resources: amounts(0.1, 32),
	}
}

func group(ids ...string) (g mesos.TaskGroupInfo) {
	for _, id := range ids {
		g.Tasks = append(g.Tasks, task(id))
	}
	return g
}

func (s *script) runGroup(ids ...string) {
	s.RunTaskGroup(framework(), executorInfo(), group(ids...), !s.has(execID))
}

// has tells whether the agent has an executor of that ID.
func (s *script) has(id mesos.ExecutorID) bool {
	for _, f := range s.View().Frameworks {
		for _, e := range f.Executors {
			if e.Info.ExecutorID == id {
				return true
			}
		}
	}
	return false
}

func (s *script) call(kind executor.Call_Type) *executor.Call {
	return &executor.Call{Type: kind, FrameworkID: frameworkID, ExecutorID: execID}
}

func (s *script) subscribe(stream core.StreamID, unacknowledged ...string) {
	s.Helper()
	call := s.call(executor.Call_SUBSCRIBE)
	call.Subscribe = &executor.Call_Subscribe{}
	for _, id := range unacknowledged {
		call.Subscribe.UnacknowledgedTasks = append(call.Subscribe.UnacknowledgedTasks, task(id))
	}
	if r := s.Subscribe(s.now, call, stream); r != nil {
		s.Fatalf("SUBSCRIBE was refused: %d %s", r.Status, r.Text)
	}
}

func (s *script) update(id, uuid string, state mesos.TaskState) {
	s.Helper()
	source := mesos.SOURCE_EXECUTOR
	call := s.call(executor.Call_UPDATE)
	call.Update = &executor.Call_Update{Status: mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: id}, State: &state, UUID: []byte(uuid), Source: &source, ExecutorID: &execID,
	}}
	if r := s.Call(s.now, call); r != nil {
		s.Fatalf("UPDATE was refused: %d %s", r.Status, r.Text)
	}
}

// ack acknowledges the update that was last forwarded for a task.
func (s *script) ack(id string) {
	s.drain()
	s.Acknowledge(s.now, frameworkID, mesos.TaskID{Value: id}, s.last[id])
}

func (s *script) kill(id string) {
	s.KillTask(s.now, frameworkID, mesos.TaskID{Value: id}, nil)
}

// started brings a group to its executor.
func (s *script) started(ids ...string) {
	s.Helper()
	s.runGroup(ids...)
	s.Launched("c1", 1951)
	s.subscribe(1)
	s.Limited(s.now, "c1", nil)
	s.skip()
}

//lint:ignore ST1005 the words of a real agent, which travel on the wire
var errBusy = errors.New("Failed to update 'cpu.cfs_quota_us': Invalid argument")
