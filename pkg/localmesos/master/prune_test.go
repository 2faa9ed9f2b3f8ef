package master

import (
	"strings"
	"testing"
	"time"
)

// reconciled tells the state that a framework gets for a task on an agent.
func (s *fakeScheduler) reconciled(task, agent string) string {
	s.transcript()
	s.must(reconcile(asked(task, agent)))
	state, _, _ := strings.Cut(strings.TrimPrefix(s.transcript(), "UPDATE "+task+" "), " ")
	return state
}

// lost makes agents, one after the other, that cannot be reached.
func (w *world) lost(n int) []*fakeAgent {
	var all []*fakeAgent
	for range n {
		a := w.agent("127.0.0.1")
		a.hears(false)
		w.pass(3 * time.Second)
		all = append(all, a)
	}
	return all
}

func TestUnreachableAgentsAreForgottenByAge(t *testing.T) {
	const interval, age = time.Minute, 5 * time.Minute
	options := Options{AgentPingTimeout: time.Second, MaxAgentPingTimeouts: 2, RegistryGCInterval: interval, RegistryMaxAgentAge: age}
	inWorld(t, options, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1")
		a.hears(false)
		w.pass(3 * time.Second)
		s.transcript()
		w.pass(age)
		if got := s.reconciled("t1", a.id.Value); got != "TASK_UNREACHABLE" {
			t.Errorf("before the garbage collection t1 is %s", got)
		}
		w.shows("/tasks", "TASK_UNREACHABLE")
		w.pass(interval)
		if got := s.reconciled("t1", a.id.Value); got != "TASK_UNKNOWN" {
			t.Errorf("after it t1 is %s", got)
		}
		w.expect(w.get("/tasks"), `{"tasks":[]}`)
	})
}

func TestTheOldestOfTooManyUnreachableAgentsAreForgotten(t *testing.T) {
	options := Options{AgentPingTimeout: time.Second, MaxAgentPingTimeouts: 2, RegistryGCInterval: time.Minute, RegistryMaxAgentCount: 1}
	inWorld(t, options, func(w *world) {
		agents := w.lost(3)
		s := w.subscribe(exampleInfo)
		w.pass(time.Minute)
		for i, want := range []string{"TASK_UNKNOWN", "TASK_UNKNOWN", "TASK_UNREACHABLE"} {
			if got := s.reconciled("t", agents[i].id.Value); got != want {
				t.Errorf("a task of agent %d is %s, want %s", i, got, want)
			}
		}
	})
}

// TestGoneAgentsAreForgotten: such an agent may then come back.
func TestGoneAgentsAreForgotten(t *testing.T) {
	options := Options{AgentPingTimeout: time.Second, MaxAgentPingTimeouts: 2, RegistryGCInterval: time.Minute, RegistryMaxAgentCount: 1}
	inWorld(t, options, func(w *world) {
		agents := w.lost(2)
		for _, a := range agents {
			w.change(`{"type":"MARK_AGENT_GONE","mark_agent_gone":{"agent_id":{"value":"` + a.id.Value + `"}}}`)
			w.pass(time.Second)
		}
		s := w.subscribe(exampleInfo)
		w.pass(time.Minute)
		for i, want := range []string{"TASK_UNKNOWN", "TASK_GONE_BY_OPERATOR"} {
			if got := s.reconciled("t", agents[i].id.Value); got != want {
				t.Errorf("a task of agent %d is %s, want %s", i, got, want)
			}
		}
	})
}

func TestWhatIsForgottenOfTheRegistryCanBeSet(t *testing.T) {
	inWorld(t, Options{RegistryGCInterval: time.Minute, RegistryMaxAgentAge: time.Hour, RegistryMaxAgentCount: 7}, func(w *world) {
		w.shows("/flags", `"registry_gc_interval":"1mins"`, `"registry_max_agent_age":"1hrs"`, `"registry_max_agent_count":"7"`)
	})
	inWorld(t, Options{}, func(w *world) {
		w.shows("/flags", `"registry_gc_interval":"15mins"`, `"registry_max_agent_age":"2weeks"`, `"registry_max_agent_count":"102400"`)
	})
	if _, err := New(Options{RegistryMaxAgentCount: -1}); err == nil {
		t.Error("a negative number of agents is taken")
	}
}
