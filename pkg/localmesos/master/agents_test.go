package master

import (
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/registry"
)

// returning describes the agent as it comes back with a running task of the
// scheduler's.
func (a *fakeAgent) returning(s *fakeScheduler, tasks ...string) link.Registration {
	info := agentInfo("127.0.0.1", 8)
	info.ID = &a.id
	r := link.Registration{Info: info, PID: a.pid}
	for _, id := range tasks {
		r.Tasks = append(r.Tasks, mesos.Task{
			TaskID: mesos.TaskID{Value: id}, FrameworkID: mesos.FrameworkID{Value: s.id}, AgentID: a.id,
			ExecutorID: &mesos.ExecutorID{Value: "exec-1"}, State: mesos.TASK_RUNNING.Enum(),
		})
	}
	return r
}

func TestAKillThatADisconnectedAgentMissedIsRepeated(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1", "t2")
		w.m.AgentDisconnected(a.id)
		s.must(`"type":"KILL","kill":{"task_id":{"value":"t1"}}`)
		w.expect(a.heard(), "")
		w.m.ReregisterAgent(a, a.returning(s, "t1", "t2"))
		w.expect(a.heard(), `
			reregistered S0, 0 to reconcile
			kill t1`)
	})
}

func TestAnAgentThatComesBackAsItWasIsOfferedInItsTurn(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		w.expect(s.transcript(), "OFFERS O0 S0 example ports:31000-32000,cpus:8,mem:8192,disk:20000")
		w.pass(200 * time.Millisecond)
		w.m.AgentDisconnected(a.id)
		w.m.ReregisterAgent(a, a.returning(s))
		w.expect(s.transcript(), "RESCIND O0")
		w.pass(time.Second)
		w.expect(s.transcript(), "OFFERS O1 S0 example ports:31000-32000,cpus:8,mem:8192,disk:20000")
	})
}

func TestAnAgentMustComeBackFromWhereItWas(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		for _, change := range []func(*link.Registration){
			func(r *link.Registration) { r.Info.Hostname = "elsewhere" },
			func(r *link.Registration) { r.PID = "slave(1)@127.0.0.2:5051" },
		} {
			r := a.returning(nil)
			change(&r)
			w.m.ReregisterAgent(a, r)
			w.expect(a.heard(), "shutdown: Agent attempted to reregister with different IP / hostname")
		}
	})
}

func TestANewAgentTakesThePlaceOfADisconnectedOneAtItsAddress(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1")
		w.m.RegisterAgent(a, link.Registration{Info: agentInfo("127.0.0.1", 8), PID: a.pid})
		w.expect(a.heard(), "registered S0") // it has only not heard that it is
		w.m.AgentDisconnected(a.id)
		w.m.RegisterAgent(a, link.Registration{Info: agentInfo("127.0.0.1", 8), PID: a.pid})
		w.expect(a.heard(), "registered S1")
		w.expect(s.transcript(), `
			UPDATE t1 TASK_LOST SOURCE_MASTER REASON_AGENT_REMOVED Agent 127.0.0.1 removed: a new agent registered at the same address agent_id=S0 executor_id=exec-1
			FAILURE S0 - <nil>
			OFFERS O1 S1 example ports:31000-32000,cpus:8,mem:8192,disk:20000`)
	})
}

func TestARemovedAgentComesBackAsUnknown(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1")
		w.m.UnregisterAgent(a.id)
		s.transcript()
		w.m.ReregisterAgent(a, a.returning(s, "t1"))
		w.expect(a.heard(), "reregistered S0, 0 to reconcile")
		if got := s.transcript(); !strings.HasPrefix(got, "UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_AGENT_REREGISTERED Unknown agent reregistered agent_id=S0 executor_id=exec-1\n") {
			t.Errorf("the framework hears %s", got)
		}
		if shown := w.get("/tasks"); strings.Count(shown, `"id":"t1"`) != 1 {
			t.Errorf("/tasks shows %s", shown)
		}
	})
}

func TestAgentsThatNeverComeBackToANewMasterAreLost(t *testing.T) {
	before := &registry.Registry{Agents: []mesos.AgentInfo{{ID: &mesos.AgentID{Value: "old-S0"}, Hostname: "h"}}}
	inWorld(t, Options{Registry: before, AgentReregisterTimeout: time.Minute}, func(w *world) {
		s := w.subscribe(exampleInfo)
		s.must(reconcile(asked("t1", "old-S0")))
		w.expect(s.transcript(), "")
		w.pass(time.Minute)
		got := strings.ReplaceAll(s.transcript(), "HEARTBEAT\n", "")
		w.expect(got, "FAILURE old-S0 - <nil>")
		s.must(reconcile(asked("t1", "old-S0")))
		w.expect(s.transcript(), "UPDATE t1 TASK_UNREACHABLE SOURCE_MASTER REASON_RECONCILIATION Reconciliation: Task is unreachable agent_id=old-S0 unreachable_time")
	})
}
