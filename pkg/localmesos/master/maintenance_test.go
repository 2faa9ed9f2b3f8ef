package master

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	testMachine  = `{"hostname":"127.0.0.1","ip":"127.0.0.1"}`
	testSchedule = `{"windows":[{"machine_ids":[` + testMachine + `],"unavailability":{"start":{"nanoseconds":5},"duration":{"nanoseconds":7}}}]}`
)

func (w *world) post(path, body string) string {
	answer := w.do(http.MethodPost, path, body, "Content-Type", "application/json")
	return fmt.Sprintf("%d %s", answer.status, answer.body)
}

// TestMaintenanceIsRefused holds the answers of a real master of 1.12.
func TestMaintenanceIsRefused(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		window := func(machines, duration string) string {
			return fmt.Sprintf(`{"windows":[{"machine_ids":[%s],"unavailability":{"start":{"nanoseconds":5},"duration":{"nanoseconds":%s}}}]}`, machines, duration)
		}
		for _, c := range []struct{ path, body, want string }{
			{"/maintenance/schedule", window("", "7"), "400 List of machines in the maintenance window is empty"},
			{"/maintenance/schedule", window("{}", "7"), "400 Both 'hostname' and 'ip' for a machine are empty"},
			{"/maintenance/schedule", window(testMachine+","+testMachine, "7"), "400 Machine '" + testMachine + "' appears more than once in the schedule"},
			{"/maintenance/schedule", window(testMachine, "-1"), "400 Unavailability 'duration' is negative"},
			{"/machine/down", "[]", "400 List of machines is empty"},
			{"/machine/down", `[{"hostname":"x"}]`, `400 Machine '{"hostname":"x"}' is not part of a maintenance schedule`},
			{"/machine/down", "[" + testMachine + "]", "400 Machine '" + testMachine + "' is not in DRAINING mode and cannot be brought down"},
			{"/machine/up", "[" + testMachine + "]", "400 Machine '" + testMachine + "' is not in DOWN mode and cannot be brought up"},
		} {
			w.expect(w.post(c.path, c.body), c.want)
		}
		w.expect(w.get("/maintenance/schedule"), "{}")
	})
}

// inverse returns the IDs of the inverse offers that came, and of those taken
// back with a minus.
func (s *fakeScheduler) inverse() []string {
	s.w.settle()
	var ids []string
	for _, text := range s.events() {
		var e struct {
			Type          string
			InverseOffers struct {
				List []struct{ ID struct{ Value string } } `json:"inverse_offers"`
			} `json:"inverse_offers"`
			Rescind struct {
				ID struct{ Value string } `json:"inverse_offer_id"`
			} `json:"rescind_inverse_offer"`
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			continue
		}
		for _, o := range e.InverseOffers.List {
			ids = append(ids, o.ID.Value)
		}
		if e.Type == "RESCIND_INVERSE_OFFER" {
			ids = append(ids, "-"+e.Rescind.ID.Value)
		}
	}
	return ids
}

// TestInverseOffers: who has something on a machine of the schedule is asked for
// it, and again when the filter of the answer ends; a changed schedule takes the
// question back.
func TestInverseOffers(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s, idle := w.subscribe(exampleInfo), w.subscribe(strings.Replace(exampleInfo, `["example"]`, `["other"]`, 1))
		s.must(accept("O0", s.group(a, "e", "t")))
		idle.must(`"type":"SUPPRESS","suppress":{}`)
		s.must(`"type":"SUPPRESS","suppress":{}`)
		s.transcript()
		w.expect(w.post("/maintenance/schedule", testSchedule), "200 ")
		asked := s.inverse()
		if len(asked) != 1 {
			t.Fatalf("inverse offers: %v", asked)
		}
		if got := idle.inverse(); len(got) != 0 {
			t.Errorf("who has nothing was asked: %v", got)
		}
		answer := func(call, id string, seconds int) {
			field := strings.ToLower(call)
			s.must(fmt.Sprintf(`"type":%q,%q:{"inverse_offer_ids":[{"value":%q}],"filters":{"refuse_seconds":%d}}`, call, field, id, seconds))
		}
		answer("DECLINE_INVERSE_OFFERS", asked[0], 5)
		w.pass(3 * time.Second)
		if got := s.inverse(); len(got) != 0 {
			t.Errorf("asked within the filter: %v", got)
		}
		if status := w.get("/maintenance/status"); !strings.Contains(status, `"status":"DECLINE"`) {
			t.Errorf("/maintenance/status says %s", status)
		}
		w.pass(3 * time.Second)
		again := s.inverse()
		if len(again) != 1 {
			t.Fatalf("after the filter: %v", again)
		}
		w.expect(w.post("/maintenance/schedule", `{"windows":[]}`), "200 ")
		if got := s.inverse(); !slices.Equal(got, []string{"-" + again[0]}) {
			t.Errorf("after the end of the schedule: %v", got)
		}
	})
}

// TestMachineNames: they are compared without case, and written as the schedule
// has them.
func TestMachineNames(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.expect(w.post("/maintenance/schedule", `{"windows":[{"machine_ids":[{"hostname":"H1"}],"unavailability":{"start":{"nanoseconds":5}}}]}`), "200 ")
		w.expect(w.post("/machine/down", `[{"hostname":"h1"}]`), "200 ")
		w.expect(w.post("/maintenance/schedule", `{}`), `400 Machine '{"hostname":"H1"}' is deactivated and cannot be removed from the schedule`)
		w.expect(w.post("/maintenance/schedule", `{"windows":[{"machine_ids":[{"ip":"x"}],"unavailability":{"start":{"nanoseconds":5}}}]}`), "400 Failed to parse IPv4: x")
	})
}

// TestMachineDown: its agents are removed and do not come back until it is up.
func TestMachineDown(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.must(accept("O0", s.group(a, "e", "t")))
		w.expect(w.post("/maintenance/schedule", testSchedule), "200 ")
		s.transcript()
		a.heard()
		w.expect(w.post("/machine/down", "["+testMachine+"]"), "200 ")
		w.expect(a.heard(), "shutdown: Operator initiated 'Machine DOWN'")
		if got := s.transcript(); !strings.Contains(got, "TASK_LOST") || !strings.Contains(got, "Agent 127.0.0.1 removed: Operator initiated 'Machine DOWN'") {
			t.Errorf("the framework heard\n%s", got)
		}
		w.expect(w.get("/maintenance/status"), `{"down_machines":[`+testMachine+`]}`)
		w.expect(w.post("/maintenance/schedule", `{"windows":[]}`), "400 Machine '"+testMachine+"' is deactivated and cannot be removed from the schedule")
		if w.agent("127.0.0.1"); strings.Contains(w.get("/slaves"), `"id"`) {
			t.Error("an agent was taken on a machine that is down")
		}
		w.expect(w.post("/machine/up", "["+testMachine+"]"), "200 ")
		w.expect(w.get("/maintenance/schedule"), "{}")
		if w.agent("127.0.0.1"); !strings.Contains(w.get("/slaves"), `"id"`) {
			t.Error("no agent was taken on a machine that is up")
		}
	})
}
