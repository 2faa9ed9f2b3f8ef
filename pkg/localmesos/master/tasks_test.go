package master

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

const notAware = `"user":"root","name":"old","roles":["example"],"checkpoint":true,"failover_timeout":60,` +
	`"capabilities":[{"type":"MULTI_ROLE"},{"type":"RESERVATION_REFINEMENT"}]`

// running launches tasks that run, with filters that keep offers away.
func (w *world) running(a *fakeAgent, info string, tasks ...string) *fakeScheduler {
	w.Helper()
	s := w.subscribe(info)
	offers := s.transcript()
	offer := strings.Fields(offers)[1]
	s.must(strings.Replace(accept(offer, s.group(a, "exec-1", tasks...)), `"refuse_seconds":0`, `"refuse_seconds":1e6`, 1))
	for i, id := range tasks {
		a.update(s, id, "exec-1", mesos.TASK_RUNNING, byte(i+1))
		s.acknowledge(a, id, byte(i+1))
	}
	s.transcript()
	a.heard()
	return s
}

func reconcile(tasks ...string) string {
	return `"type":"RECONCILE","reconcile":{"tasks":[` + strings.Join(tasks, ",") + `]}`
}

// asked is a task to reconcile; no agent if that is empty.
func asked(task, agent string) string {
	if agent == "" {
		return fmt.Sprintf(`{"task_id":{"value":%q}}`, task)
	}
	return fmt.Sprintf(`{"task_id":{"value":%q},"agent_id":{"value":%q}}`, task, agent)
}

func TestReconcile(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1", "t2", "t3")
		a.update(s, "t3", "exec-1", mesos.TASK_FINISHED, 9)
		s.acknowledge(a, "t3", 9)
		s.transcript()
		id := a.id.Value
		const latest = " TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Latest task state agent_id=S0 executor_id=exec-1 container_status"
		for _, tt := range []struct{ ask, want string }{
			{asked("t1", id), "UPDATE t1" + latest},
			{asked("t1", ""), "UPDATE t1" + latest},
			{asked("t1", "wrong-agent"), "UPDATE t1" + latest},
			{asked("t3", id), "UPDATE t3 TASK_GONE SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unknown to the agent agent_id=S0"},
			{asked("nope", id), "UPDATE nope TASK_GONE SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unknown to the agent agent_id=S0"},
			{asked("nope", ""), "UPDATE nope TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unknown"},
			{asked("nope", "unknown-agent"), "UPDATE nope TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unknown agent_id=unknown-agent"},
			{"", "UPDATE t1" + latest + "\nUPDATE t2" + latest},
		} {
			s.must(reconcile(tt.ask))
			w.expect(s.transcript(), tt.want)
		}
		old := w.subscribe(notAware)
		old.transcript()
		old.must(reconcile(asked("nope", id), asked("nope2", "")))
		w.expect(old.transcript(), `
			UPDATE nope TASK_LOST SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unknown to the agent agent_id=S0
			UPDATE nope2 TASK_LOST SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unknown`)
	})
}

func TestAStagingTaskIsReconciledAsThat(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		s.must(accept("O0", s.group(a, "exec-1", "t1")))
		s.must(reconcile(asked("t1", a.id.Value)))
		w.expect(s.transcript(), "UPDATE t1 TASK_STAGING SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Latest task state agent_id=S0 executor_id=exec-1")
	})
}

func TestKillShutdownAndMessage(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1")
		for _, tt := range []struct{ call, heard, told string }{
			{`"type":"KILL","kill":{"task_id":{"value":"t1"}}`, "kill t1", ""},
			{`"type":"KILL","kill":{"task_id":{"value":"t1"},"agent_id":{"value":"` + a.id.Value + `"},"kill_policy":{"grace_period":{"nanoseconds":-5}}}`, "kill t1 within -5ns", ""},
			{`"type":"KILL","kill":{"task_id":{"value":"t1"},"agent_id":{"value":"other"}}`, "", ""},
			{`"type":"KILL","kill":{"task_id":{"value":"nope"}}`, "", "UPDATE nope TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unknown"},
			{`"type":"SHUTDOWN","shutdown":{"executor_id":{"value":"exec-1"},"agent_id":{"value":"` + a.id.Value + `"}}`, "shutdown executor exec-1", ""},
			{`"type":"SHUTDOWN","shutdown":{"executor_id":{"value":"exec-1"},"agent_id":{"value":"other"}}`, "", ""},
			{`"type":"MESSAGE","message":{"executor_id":{"value":"exec-1"},"agent_id":{"value":"` + a.id.Value + `"},"data":"aGVsbG8="}`, "to exec-1: hello", ""},
			{`"type":"MESSAGE","message":{"executor_id":{"value":"exec-1"},"agent_id":{"value":"other"},"data":"aGVsbG8="}`, "", ""},
		} {
			s.must(tt.call)
			w.expect(a.heard(), tt.heard)
			w.expect(s.transcript(), tt.told)
		}
		w.m.ExecutorToFramework(a.id, mesos.FrameworkID{Value: s.id}, mesos.ExecutorID{Value: "exec-1"}, []byte("hi"))
		w.expect(s.transcript(), "MESSAGE exec-1 aGk=")
	})
}

func TestUpdatesOfUnknownTasksAreForwarded(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1")
		a.update(s, "ghost", "exec-1", mesos.TASK_RUNNING, 7)
		w.expect(s.transcript(), "UPDATE ghost TASK_RUNNING SOURCE_EXECUTOR agent_id=S0 executor_id=exec-1 uuid container_status")
		if shown := w.get("/tasks?task_id=ghost"); shown != `{"tasks":[]}` {
			t.Errorf("/tasks shows %s", shown)
		}
		s.acknowledge(a, "ghost", 7)
		w.expect(a.heard(), "acknowledged ghost 7")
	})
}

func TestTheLatestStateRunsAhead(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1", "t2")
		// The agent knows t1 to be finished while RUNNING is still delivered.
		running, uuid := mesos.TASK_RUNNING, []byte{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x46, 0x17, 0x98, 0x19, 0x1a, 0x1b, 0, 0, 0, 5}
		w.m.StatusUpdate(link.StatusUpdate{
			FrameworkID: mesos.FrameworkID{Value: s.id}, AgentID: a.id, LatestState: mesos.TASK_FINISHED,
			Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "t1"}, State: &running, UUID: uuid, AgentID: &a.id, Timestamp: new(2.0)},
		})
		w.settle()
		shown := w.get("/tasks?task_id=t1")
		if !strings.Contains(shown, `"state":"TASK_FINISHED","resources"`) || strings.Contains(shown, `"statuses":[{"state":"TASK_FINISHED"`) {
			t.Errorf("/tasks shows %s", shown)
		}
		s.transcript()
		s.must(reconcile(asked("t1", "")))
		w.expect(s.transcript(), "UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Latest task state agent_id=S0 executor_id=exec-1")
		if used := w.get("/slaves"); !strings.Contains(used, `"used_resources":{"disk":42.0,"mem":96.0,"gpus":0.0,"cpus":0.3}`) {
			t.Errorf("/slaves shows %s", used)
		}
	})
}

func TestUnreachableAndBack(t *testing.T) {
	options := Options{AgentPingTimeout: time.Second, MaxAgentPingTimeouts: 3}
	inWorld(t, options, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1", "t2")
		old := w.subscribe(notAware)
		w.pass(time.Second)
		old.transcript() // it has the rest of the agent
		a.hears(false)
		w.pass(4 * time.Second)
		w.expect(s.transcript(), `
			UPDATE t1 TASK_UNREACHABLE SOURCE_MASTER REASON_AGENT_REMOVED health check timed out agent_id=S0 executor_id=exec-1 unreachable_time
			UPDATE t2 TASK_UNREACHABLE SOURCE_MASTER REASON_AGENT_REMOVED health check timed out agent_id=S0 executor_id=exec-1 unreachable_time
			FAILURE S0 - <nil>`)
		w.expect(old.transcript(), "RESCIND O1\nFAILURE S0 - <nil>")
		const unreachable = " TASK_UNREACHABLE SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unreachable agent_id=S0 unreachable_time"
		for _, tt := range []struct{ call, want string }{
			{reconcile(asked("t1", a.id.Value)), "UPDATE t1" + unreachable},
			{reconcile(asked("nope", a.id.Value)), "UPDATE nope" + unreachable},
			{reconcile(asked("t1", "")), "UPDATE t1 TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unknown"},
			{reconcile(), ""},
			{`"type":"KILL","kill":{"task_id":{"value":"t2"},"agent_id":{"value":"` + a.id.Value + `"}}`, "UPDATE t2" + unreachable},
		} {
			s.must(tt.call)
			w.expect(s.transcript(), tt.want)
		}
		w.expect(w.get("/slaves"), `{"slaves":[],"recovered_slaves":[]}`)
		if shown := w.get("/tasks?task_id=t1"); !strings.Contains(shown, `"state":"TASK_UNREACHABLE"`) {
			t.Errorf("/tasks shows %s", shown)
		}

		// It is back, with t1 running and t2 finished meanwhile.
		info := agentInfo("127.0.0.1", 8)
		info.ID = &a.id
		a.hears(true)
		task := func(id string, state mesos.TaskState) mesos.Task {
			role := "example"
			cpus := scalar("cpus", 0.1)
			cpus.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
			return mesos.Task{
				Name: "task " + id, TaskID: mesos.TaskID{Value: id}, FrameworkID: mesos.FrameworkID{Value: s.id}, AgentID: a.id,
				ExecutorID: &mesos.ExecutorID{Value: "exec-1"}, State: &state, Resources: []mesos.Resource{cpus},
			}
		}
		w.m.ReregisterAgent(a, link.Registration{
			Info: info, PID: a.pid, Version: "1.11.0",
			Tasks: []mesos.Task{task("t1", mesos.TASK_RUNNING), task("t2", mesos.TASK_FINISHED)},
		})
		w.expect(a.heard(), "reregistered S0, 0 to reconcile")
		w.expect(s.transcript(), `
			UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_AGENT_REREGISTERED Unreachable agent re-reregistered agent_id=S0 executor_id=exec-1
			UPDATE t2 TASK_FINISHED SOURCE_MASTER REASON_AGENT_REREGISTERED Unreachable agent re-reregistered agent_id=S0 executor_id=exec-1`)
		s.must(reconcile(asked("t1", "")))
		w.expect(s.transcript(), "UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Latest task state agent_id=S0 executor_id=exec-1")
		w.pass(time.Second)
		if got := old.transcript(); !strings.Contains(got, "cpus:7.9") {
			t.Errorf("the rest of the agent is offered as %s", got)
		}
	})
}

// TestANewAgentAnswersItsFirstPing: it is unreachable no sooner than any other.
func TestANewAgentAnswersItsFirstPing(t *testing.T) {
	inWorld(t, Options{AgentPingTimeout: time.Second, MaxAgentPingTimeouts: 3}, func(w *world) {
		a := w.agent("127.0.0.1")
		a.hears(false)
		w.pass(3500 * time.Millisecond)
		if shown := w.get("/slaves"); !strings.Contains(shown, a.id.Value) {
			t.Errorf("the agent is gone: %s", shown)
		}
		w.pass(time.Second)
		if shown := w.get("/slaves"); strings.Contains(shown, a.id.Value) {
			t.Errorf("the agent is still there: %s", shown)
		}
	})
}

func TestUnreachableForOldFrameworks(t *testing.T) {
	inWorld(t, Options{AgentPingTimeout: time.Second, MaxAgentPingTimeouts: 3}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, notAware, "t1")
		a.hears(false)
		w.pass(4 * time.Second)
		w.expect(s.transcript(), `
			UPDATE t1 TASK_LOST SOURCE_MASTER REASON_AGENT_REMOVED health check timed out agent_id=S0 executor_id=exec-1 unreachable_time
			FAILURE S0 - <nil>`)
	})
}

func TestUnregisteredAgentsLoseTheirTasks(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1")
		w.m.UnregisterAgent(a.id)
		w.expect(s.transcript(), `
			UPDATE t1 TASK_LOST SOURCE_MASTER REASON_AGENT_REMOVED Agent 127.0.0.1 removed: the agent unregistered agent_id=S0 executor_id=exec-1
			FAILURE S0 - <nil>`)
		s.must(reconcile(asked("t1", a.id.Value)))
		w.expect(s.transcript(), "UPDATE t1 TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unknown agent_id=S0")
		info := agentInfo("127.0.0.1", 8)
		info.ID = &a.id
		w.m.ReregisterAgent(a, link.Registration{Info: info, PID: a.pid})
		w.expect(a.heard(), "reregistered S0, 0 to reconcile") // a real master takes it back, too
	})
}

func TestADisconnectedAgentKeepsOnlyWhatIsCheckpointed(t *testing.T) {
	for _, tt := range []struct{ info, want string }{
		{exampleInfo, ""},
		{strings.Replace(exampleInfo, `"checkpoint":true,`, "", 1),
			"UPDATE t1 TASK_LOST SOURCE_MASTER REASON_AGENT_DISCONNECTED Agent 127.0.0.1 disconnected agent_id=S0 executor_id=exec-1"},
	} {
		inWorld(t, Options{}, func(w *world) {
			a := w.agent("127.0.0.1")
			s := w.running(a, tt.info, "t1")
			w.m.AgentDisconnected(a.id)
			w.expect(s.transcript(), tt.want)
		})
	}
}

func TestAKnownAgentIsAskedForWhatItLost(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1", "t2")
		w.m.AgentDisconnected(a.id)
		info := agentInfo("127.0.0.1", 8)
		info.ID = &a.id
		running := mesos.TASK_RUNNING
		w.m.ReregisterAgent(a, link.Registration{
			Info: info, PID: "slave(1)@127.0.0.1:5052", Version: "1.11.0",
			Executors: []link.ExecutorOf{{FrameworkID: mesos.FrameworkID{Value: s.id}, Info: mesos.ExecutorInfo{ExecutorID: mesos.ExecutorID{Value: "exec-1"}}}},
			Tasks:     []mesos.Task{{TaskID: mesos.TaskID{Value: "t1"}, FrameworkID: mesos.FrameworkID{Value: s.id}, AgentID: a.id, State: &running}},
		})
		w.expect(a.heard(), "reregistered S0, 1 to reconcile")
		w.expect(s.transcript(), "") // its tasks never left
		if shown := w.get("/slaves"); !strings.Contains(shown, `"pid":"slave(1)@127.0.0.1:5052"`) || !strings.Contains(shown, `"reregistered_time"`) {
			t.Errorf("/slaves shows %s", shown)
		}
	})
}

func TestAMasterOfAnotherTime(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := &fakeAgent{w: w, id: mesos.AgentID{Value: "old-S0"}, pid: "slave(1)@127.0.0.1:5051"}
		info := agentInfo("127.0.0.1", 8)
		info.ID = &a.id
		running, role := mesos.TASK_RUNNING, "example"
		cpus := scalar("cpus", 1)
		cpus.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
		w.m.ReregisterAgent(a, link.Registration{
			Info: info, PID: a.pid,
			Frameworks: []mesos.FrameworkInfo{{ID: &mesos.FrameworkID{Value: "old-0000"}, Name: "example", User: "root", Roles: []string{"example"},
				Checkpoint: new(true), FailoverTimeout: new(60.0), Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}}}},
			Tasks: []mesos.Task{{TaskID: mesos.TaskID{Value: "t1"}, FrameworkID: mesos.FrameworkID{Value: "old-0000"}, AgentID: a.id, State: &running, Resources: []mesos.Resource{cpus}}},
		})
		w.expect(a.heard(), "reregistered old-S0, 0 to reconcile")
		if shown := w.get("/frameworks"); !strings.Contains(shown, `"active":false,"connected":false,"recovered":true`) || !strings.Contains(shown, `"registered_time":0.0`) {
			t.Errorf("/frameworks shows %s", shown)
		}
		if shown := w.do("POST", "/api/v1", `{"type":"GET_FRAMEWORKS"}`, "Content-Type", "application/json"); shown.status != http.StatusOK || strings.Contains(shown.body, "registered_time") {
			t.Errorf("GET_FRAMEWORKS tells when a framework registered that has not: %s", shown.body)
		}
		s := &fakeScheduler{w: w, id: "old-0000"}
		refused := s.call(`"type":"REVIVE"`)
		w.expect(fmt.Sprint(refused.status, " ", refused.body), "403 Framework is not subscribed")
		s = s.resubscribe(exampleInfo)
		w.pass(time.Second)
		w.expect(s.transcript(), "OFFERS O0 old-S0 example ports:31000-32000,cpus:7,mem:8192,disk:20000")
		s.must(reconcile())
		w.expect(s.transcript(), "UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Latest task state agent_id=old-S0")
	})
}

func TestTeardownTellsNobodyButTheAgents(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1")
		s.must(`"type":"TEARDOWN"`)
		w.expect(s.transcript(), "")
		w.expect(a.heard(), "shutdown framework 0000")
		shown := w.get("/frameworks")
		for _, want := range []string{`{"frameworks":[],"completed_frameworks":[{`, `"state":"TASK_KILLED"`, `"used_resources":{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0}`} {
			if !strings.Contains(shown, want) {
				t.Errorf("%s is not in %s", want, shown)
			}
		}
		next := w.subscribe(exampleInfo)
		w.expect(next.transcript(), "OFFERS O1 S0 example "+whole)
	})
}
