package master

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// operate makes a call of the operator API about an agent.
func (w *world) operate(call, agent, more string) string {
	answer := w.do(http.MethodPost, "/api/v1", fmt.Sprintf(`{"type":%q,%q:{"agent_id":{"value":%q}%s}}`, call, strings.ToLower(call), agent, more),
		"Content-Type", "application/json")
	return fmt.Sprintf("%d %s", answer.status, answer.body)
}

// TestDrainIsRefused holds the answers of a real master of 1.12.
func TestDrainIsRefused(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		w.expect(w.operate("DRAIN_AGENT", "x", ""), "400 Unknown agent")
		w.expect(w.operate("DEACTIVATE_AGENT", "x", ""), "400 Unknown agent")
		w.expect(w.operate("REACTIVATE_AGENT", a.id.Value, ""), "400 Agent is not deactivated")
		w.expect(w.operate("MARK_AGENT_GONE", "x", ""), "404 Agent 'x' not found")
	})
}

func TestDeactivatedAgentIsNotOffered(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		w.expect(w.operate("DEACTIVATE_AGENT", a.id.Value, ""), "200 ")
		w.pass(3 * time.Second)
		w.expect(s.transcript(), "RESCIND O0")
		if slaves := w.get("/slaves"); !strings.Contains(slaves, `"active":false,"deactivated":true`) {
			t.Errorf("/slaves says %s", slaves)
		}
		if state := w.get("/state"); !strings.Contains(state, `"activated_slaves":0.0,"deactivated_slaves":1.0`) {
			t.Errorf("/state says %s", state)
		}
		if metrics := w.get("/metrics/snapshot"); !strings.Contains(metrics, `"master/slaves_active":0.0`) || !strings.Contains(metrics, `"master/slaves_connected":1.0`) {
			t.Errorf("/metrics/snapshot says %s", metrics)
		}
		w.expect(w.operate("REACTIVATE_AGENT", a.id.Value, ""), "200 ")
		w.pass(time.Second)
		w.expect(s.transcript(), "OFFERS O1 S0 example ports:31000-32000,cpus:8,mem:8192,disk:20000")
	})
}

// TestDrain: an agent has drained when the last terminal status of its tasks is
// acknowledged; one that is to be gone then is.
func TestDrain(t *testing.T) {
	for _, gone := range []bool{false, true} {
		inWorld(t, Options{}, func(w *world) {
			a := w.agent("127.0.0.1")
			s := w.subscribe(exampleInfo)
			s.transcript()
			s.must(accept("O0", s.group(a, "e", "t")))
			a.update(s, "t", "e", mesos.TASK_RUNNING, 1)
			s.acknowledge(a, "t", 1)
			s.transcript()
			a.heard()
			w.expect(w.operate("DRAIN_AGENT", a.id.Value, fmt.Sprintf(`,"max_grace_period":{"seconds":2},"mark_gone":%t`, gone)), "200 ")
			w.expect(a.heard(), fmt.Sprintf("drain within 2000000000ns, gone %t", gone))
			w.expect(w.operate("REACTIVATE_AGENT", a.id.Value, ""), "400 Agent is still in the DRAINING state")
			a.update(s, "t", "e", mesos.TASK_KILLED, 2)
			if slaves := w.get("/slaves"); !strings.Contains(slaves, `"drain_info":{"state":"DRAINING","config":{"max_grace_period":{"nanoseconds":2000000000},"mark_gone":`) {
				t.Errorf("before the acknowledgement /slaves says %s", slaves)
			}
			s.acknowledge(a, "t", 2)
			slaves, heard := w.get("/slaves"), a.heard()
			if gone {
				if strings.Contains(slaves, a.id.Value) || !strings.Contains(heard, "shutdown: Agent has been marked gone") {
					t.Errorf("an agent that is to be gone is told %s, and /slaves says %s", heard, slaves)
				}
				return
			}
			if !strings.Contains(slaves, `"drain_info":{"state":"DRAINED"`) {
				t.Errorf("after the acknowledgement /slaves says %s", slaves)
			}
			w.expect(w.operate("REACTIVATE_AGENT", a.id.Value, ""), "200 ")
		})
	}
}

func TestMarkAgentGone(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.transcript()
		s.must(accept("O0", s.group(a, "e", "t")))
		a.heard()
		w.expect(w.operate("MARK_AGENT_GONE", a.id.Value, ""), "200 ")
		w.expect(a.heard(), "shutdown: Agent has been marked gone")
		if got := s.transcript(); !strings.Contains(got, "TASK_GONE_BY_OPERATOR") || !strings.Contains(got, "Agent has been marked gone") || !strings.Contains(got, "FAILURE S0") {
			t.Errorf("the framework heard\n%s", got)
		}
		w.expect(w.operate("MARK_AGENT_GONE", a.id.Value, ""), "200 ")
		s.must(`"type":"RECONCILE","reconcile":{"tasks":[{"task_id":{"value":"other"},"agent_id":{"value":"` + a.id.Value + `"}}]}`)
		if got := s.transcript(); !strings.Contains(got, "TASK_GONE_BY_OPERATOR") || !strings.Contains(got, "Reconciliation: Task is gone") {
			t.Errorf("reconciliation says\n%s", got)
		}
	})
}
