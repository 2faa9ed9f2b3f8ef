package integration

import (
	"encoding/json"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestTalk: what a person asks of a running task reaches its executor by MESSAGE,
// through the master and the agent, and so does the answer.
func TestTalk(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(prefer(`
id: /listener
restart: {delay: 100ms}
workloads:
- name: main
  cmd: 'trap "echo hup" HUP; trap "echo usr1" USR1; echo ready; sh -c "trap \"echo child\" USR1; while :; do sleep 0.05; done" & while :; do wait; done'
  resources: {cpus: 0.1, mem: 32}
  limits: {policy: prefer, disk: 64}
`))
	const id = "listener.0.1.main"
	s.awaitTask(id, inState(tandemv1.TaskState_TASK_RUNNING))
	said := func(line string) {
		t.Helper()
		eventually(t, func() string {
			if r := s.tandem("logs", id); !strings.Contains(r.stdout, line+"\n") {
				return "the task has not said " + line + ": " + r.String()
			}
			return ""
		})
	}
	said("ready")
	tandem := func(status int, want string, args ...string) result {
		t.Helper()
		r := s.tandem(args...)
		if r.status != status || !strings.Contains(r.stdout+r.stderr, want) {
			t.Fatalf("tandem %s: %s\nwant status %d and %q", strings.Join(args, " "), r, status, want)
		}
		return r
	}
	tandem(0, "SIGHUP delivered to the main process", "signal", id, "HUP")
	said("hup")
	tandem(0, "SIGUSR1 delivered to all processes", "signal", "--all", id, "SIGUSR1")
	said("usr1")
	said("child")
	tandem(4, "there is no task listener.0.9.main", "signal", "listener.0.9.main", "HUP")

	var usage tandemv1.WatchUsageResponse
	looked := tandem(0, "", "stats", "-o", "json", "/listener")
	if err := protojson.Unmarshal(json.RawMessage(looked.stdout), &usage); err != nil {
		t.Fatalf("cannot read %s: %v", looked.stdout, err)
	}
	if len(usage.Samples) != 2 || usage.Samples[0].TaskId != id {
		t.Fatalf("the task was not measured twice: %s", looked)
	}
	from, to := usage.Samples[0], usage.Samples[1]
	if !to.Time.AsTime().After(from.Time.AsTime()) || to.Usage.GetWallTime().AsDuration() <= from.Usage.GetWallTime().AsDuration() {
		t.Errorf("time stands still between the samples: %s", looked)
	}
	if to.Usage.Source != "rusage" {
		if to.Usage.GetMemoryBytes() == 0 || to.Usage.CpuTime.AsDuration() < from.Usage.CpuTime.AsDuration() {
			t.Errorf("it uses nothing: %s", looked)
		}
		tandem(0, id, "stats")
	}

	eventually(t, func() string { // Its directory is looked through every few seconds.
		if r := s.tandem("stats", "-o", "json", id); !strings.Contains(r.stdout, `"diskBytes"`) || !strings.Contains(r.stdout, `"67108864"`) {
			return "nobody knows what disk it takes: " + r.String()
		}
		return ""
	})

	// To the restart policy somebody else has killed the task.
	tandem(0, "TASK_KILLED", "kill", "--wait", id)
	s.awaitTask("listener.0.2.main", inState(tandemv1.TaskState_TASK_RUNNING))
	tandem(4, "has ended", "kill", id)
	tandem(4, "has ended", "signal", id, "HUP")
}

// TestAnySchedulerTalks: the messages are there for schedulers that know the
// executor and nothing else of Tandem. Mesos carries more than the messages may
// have; the executor takes no notice of what is none, or too large.
func TestAnySchedulerTalks(t *testing.T) {
	needCgroups(t) // Plain tasks cannot say that they would rather run without.
	c := startMesos(t)
	o := startOtherScheduler(t, c)
	offer := o.offer()
	o.accept(offer, calls.OpLaunchGroup(*o.executor("talker"), o.task(offer, "t1", "exec sleep 1000"), o.task(offer, "t2", "exec sleep 1000")))
	o.until("the tasks run", func() bool {
		a, b := o.last["t1"], o.last["t2"]
		return a.GetState() == mesos.TASK_RUNNING && b.GetState() == mesos.TASK_RUNNING
	})
	say := func(data []byte) { o.send(calls.Message(offer.AgentID.Value, "talker", data)) }
	ask := func(m *tandemv1.ToExecutor) {
		data, err := talk.EncodeToExecutor(m)
		if err != nil {
			t.Fatal(err)
		}
		say(data)
	}
	hear := func(what string, holds func(*tandemv1.FromExecutor) bool) {
		o.until(what, func() bool {
			for _, data := range o.messages {
				if m, err := talk.ParseFromExecutor(data); err == nil && holds(m) {
					return true
				}
			}
			return false
		})
	}
	say([]byte("hello"))
	say(make([]byte, 1<<20))
	large := &tandemv1.ToExecutor{Request: 1, Ask: &tandemv1.ToExecutor_SendSignal{
		SendSignal: &tandemv1.SendSignal{TaskId: strings.Repeat("x", talk.MaxSize-100), Signal: "SIGHUP"},
	}}
	ask(large)
	hear("a message of the largest size is answered", func(m *tandemv1.FromExecutor) bool {
		return m.GetAnswer().GetRequest() == 1 && strings.HasPrefix(m.GetAnswer().GetProblem(), "there is no task xxx")
	})
	ask(&tandemv1.ToExecutor{Ask: &tandemv1.ToExecutor_SampleUsage{SampleUsage: &tandemv1.SampleUsage{}}})
	hear("the samples of both tasks come in one message", func(m *tandemv1.FromExecutor) bool {
		s := m.GetSamples().GetSamples()
		return len(s) == 2 && s[0].TaskId == "t1" && s[1].TaskId == "t2" && s[0].GetUsage().GetMemoryBytes() > 0
	})
	ask(&tandemv1.ToExecutor{Request: 2, Ask: &tandemv1.ToExecutor_SendSignal{SendSignal: &tandemv1.SendSignal{TaskId: "t1", Signal: "SIGTERM"}}})
	hear("the signal is answered", func(m *tandemv1.FromExecutor) bool {
		return m.GetAnswer().GetRequest() == 2 && m.GetAnswer().GetProblem() == ""
	})
	o.until("the task has ended", o.ended("t1"))
	// Nobody listens where the executor is told to call.
	ask(&tandemv1.ToExecutor{Request: 3, Ask: &tandemv1.ToExecutor_OpenSession{OpenSession: &tandemv1.OpenSession{TaskId: "t1", Address: "http://127.0.0.1:1/x", Token: "y"}}})
	hear("the session is refused", func(m *tandemv1.FromExecutor) bool {
		return m.GetAnswer().GetRequest() == 3 && m.GetAnswer().GetProblem() != ""
	})
}
