package native_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/native"
)

// script is a World that writes down what an executor does, a line for each.
type script struct {
	testing.TB
	executor  native.Executor
	now       time.Time
	uuids     int
	tasks     map[string]mesos.TaskID // of updates, by UUID
	timers    []*timer
	processes map[string]*process
	checks    []native.Check
	lines     []string
	logged    []string
}

type timer struct {
	at      time.Time
	f       func()
	stopped bool
}

type process struct {
	s    *script
	name string
	native.Process
}

func (p *process) Signal(sig syscall.Signal, tree bool) {
	whom := "process"
	if tree {
		whom = "tree"
	}
	p.s.line("signal %s of %s: %v", whom, p.name, sig)
}

func (s *script) line(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *script) Now() time.Time         { return s.now }
func (s *script) NewUUID() []byte        { s.uuids++; return fmt.Appendf(nil, "u%d", s.uuids) }
func (s *script) NewContainerID() string { return fmt.Sprintf("n%d", len(s.processes)+s.uuids) }

func (s *script) After(d time.Duration, f func()) func() {
	t := &timer{at: s.now.Add(d), f: f}
	s.timers = append(s.timers, t)
	return func() { t.stopped = true }
}

func (s *script) Call(c *executor.Call) {
	if c.Type == executor.Call_SUBSCRIBE {
		s.line("subscribe with %d updates, %d tasks", len(c.Subscribe.UnacknowledgedUpdates), len(c.Subscribe.UnacknowledgedTasks))
		return
	}
	u := c.Update.Status
	s.tasks[string(u.UUID)] = u.TaskID
	words := []string{"update", u.TaskID.Value, u.GetState().String()}
	if u.Reason != nil {
		words = append(words, u.Reason.String())
	}
	if u.Healthy != nil {
		words = append(words, fmt.Sprintf("healthy=%t", *u.Healthy))
	}
	if u.CheckStatus.GetCommand().GetExitCode() != 0 {
		words = append(words, fmt.Sprintf("check=%d", u.CheckStatus.Command.GetExitCode()))
	}
	if u.Message != nil {
		words = append(words, "'"+*u.Message+"'")
	}
	s.line("%s", strings.Join(words, " "))
}

func (s *script) Run(p native.Process) native.Running {
	r := &process{s, p.Task.Value, p}
	s.processes[p.Task.Value] = r
	where := ""
	if p.Container != "" {
		where = " in a container of its own"
	}
	s.line("run %s%s", p.Task.Value, where)
	return r
}

func (s *script) Check(c native.Check) {
	s.checks = append(s.checks, c)
	s.line("check")
}

func (s *script) Exit(status int) { s.line("exit %d", status) }

func (s *script) Log(severity byte, place, text string) { s.logged = append(s.logged, text) }

// want compares what has happened since the last call.
func (s *script) want(lines ...string) {
	s.Helper()
	if diff := cmp.Diff(lines, s.lines); diff != "" {
		s.Errorf("the executor did (-want +got):\n%s", diff)
	}
	s.lines = nil
}

// advance lets time pass, and timers run out in order.
func (s *script) advance(d time.Duration) {
	end := s.now.Add(d)
	for {
		var next *timer
		for _, t := range s.timers {
			if !t.stopped && !t.at.After(end) && (next == nil || t.at.Before(next.at)) {
				next = t
			}
		}
		if next == nil {
			s.now = end
			return
		}
		s.now, next.stopped = next.at, true
		next.f()
	}
}

func (s *script) event(e executor.Event) { s.executor.Event(&e) }

func (s *script) kill(task string, grace time.Duration) {
	k := &executor.Event_Kill{TaskID: mesos.TaskID{Value: task}}
	if grace >= 0 {
		k.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(grace)}}
	}
	s.event(executor.Event{Type: executor.Event_KILL, Kill: k})
}

// ack acknowledges all updates so far.
func (s *script) ack() {
	for n := 1; n <= s.uuids; n++ {
		id := fmt.Appendf(nil, "u%d", n)
		s.event(executor.Event{Type: executor.Event_ACKNOWLEDGED, Acknowledged: &executor.Event_Acknowledged{
			UUID: id, TaskID: s.tasks[string(id)],
		}})
	}
}

func (s *script) started(tasks ...string) {
	for _, t := range tasks {
		s.processes[t].Started(100, nil)
	}
}

func (s *script) fails(task string, err error) { s.processes[task].Started(0, err) }

// ended ends a process with a wait status.
func (s *script) ended(task string, status int) {
	s.processes[task].Ended(syscall.WaitStatus(status), nil)
}

func newScript(t testing.TB, start func(native.Settings, native.World) native.Executor) *script {
	s := &script{TB: t, now: time.Unix(1000, 0), processes: map[string]*process{}, tasks: map[string]mesos.TaskID{}}
	s.executor = start(native.Settings{
		Checkpoint: true, Recovery: 15 * time.Minute, ShutdownGrace: 5 * time.Second, IP: "127.0.0.1",
		Version: "1.11.0", API: "http://agent/slave(1)/api/v1",
	}, s)
	s.executor.Connected()
	s.want("subscribe with 0 updates, 0 tasks")
	s.subscribed()
	return s
}

func (s *script) subscribed() {
	s.event(executor.Event{Type: executor.Event_SUBSCRIBED, Subscribed: &executor.Event_Subscribed{
		ContainerID: &mesos.ContainerID{Value: "c1"},
		AgentInfo:   mesos.AgentInfo{ID: &mesos.AgentID{Value: "a1"}, Hostname: "host-a"},
		FrameworkInfo: mesos.FrameworkInfo{Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_TASK_KILLING_STATE},
		}},
	}})
}

func command(s native.Settings, w native.World) native.Executor { return native.NewCommand(s, w) }
func group(s native.Settings, w native.World) native.Executor   { return native.NewGroup(s, w) }

func task(id string) mesos.TaskInfo {
	return mesos.TaskInfo{TaskID: mesos.TaskID{Value: id}, Command: &mesos.CommandInfo{Value: new("true")}}
}

func (s *script) launch(t mesos.TaskInfo) {
	s.event(executor.Event{Type: executor.Event_LAUNCH, Launch: &executor.Event_Launch{Task: t}})
}

func (s *script) launchGroup(tasks ...mesos.TaskInfo) {
	s.event(executor.Event{Type: executor.Event_LAUNCH_GROUP, LaunchGroup: &executor.Event_LaunchGroup{
		TaskGroup: mesos.TaskGroupInfo{Tasks: tasks},
	}})
}

var errNoUser = errors.New("No such user 'x'") //lint:ignore ST1005 as a real agent words it

// told says whether the executor has logged a line.
func (s *script) told(line string) bool { return slices.Contains(s.logged, line) }
