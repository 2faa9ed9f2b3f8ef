package master

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestFrameworkMetrics holds what is counted of a framework, under a real master's
// names.
func TestFrameworkMetrics(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1")
		s := w.subscribe(strings.Replace(exampleInfo, `"name":"example"`, `"name":"an example"`, 1))
		s.transcript()
		s.must(accept("O0", convert("RESERVE", "r", reserved("cpus", 1, "")),
			`{"type":"LAUNCH","launch":{"task_infos":[{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"`+masterID+`-S0"}}]}}`))
		s.must(`"type":"SUPPRESS","suppress":{}`)
		metrics := func() map[string]float64 {
			var all map[string]float64
			if err := json.Unmarshal([]byte(w.get("/metrics/snapshot")), &all); err != nil {
				t.Fatal(err)
			}
			return all
		}
		prefix := "master/frameworks/an%20example/" + s.id + "/"
		all := metrics()
		for name, want := range map[string]float64{
			"subscribed": 1, "calls": 3, "calls/subscribe": 1, "calls/accept": 1, "calls/suppress": 1, "calls/kill": 0,
			"events/offers": 1, "events/update": 1, "events/failure": 0, "offers/sent": 1, "offers/accepted": 1, "offers/declined": 0,
			"operations": 1, "operations/reserve": 1, "operations/launch": 0, "roles/example/suppressed": 1,
			"tasks/terminal/task_error": 1, "tasks/active/task_running": 0,
		} {
			if got, ok := all[prefix+name]; !ok || got != want {
				t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
			}
		}
		if got := all["allocator/mesos/quota/roles/example/resources/cpus/consumed"]; got != 1 {
			t.Errorf("the role has consumed %v", got)
		}
		for name, want := range map[string]float64{
			"operations/total": 1, "operations/reserve/total": 1, "operations/reserve/pending": all["master/operations/pending"], "operations/create/total": 0,
			"task_error/source_master/reason_task_invalid": 1, "slave_registrations": 1, "slave_removals": 0,
			"valid_status_update_acknowledgements": 0, "invalid_status_update_acknowledgements": 0,
		} {
			if got, ok := all["master/"+name]; !ok || got != want {
				t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
			}
		}
		s.must(`"type":"MESSAGE","message":{"agent_id":{"value":"S9"},"executor_id":{"value":"e"},"data":""}`)
		s.must(`"type":"ACKNOWLEDGE","acknowledge":{"agent_id":{"value":"S9"},"task_id":{"value":"t"},"uuid":"EjRWeBI0RniSNFZ4EjRWeA=="}`)
		s.must(accept("O9", convert("UNRESERVE", "u", reserved("cpus", 1, ""))))
		for name, was := range map[string]float64{"invalid_framework_to_executor_messages": 0, "invalid_status_update_acknowledgements": 0, "operations/unreserve/error": 0} {
			if got := metrics()["master/"+name]; got != was+1 {
				t.Errorf("%s is %v afterwards", name, got)
			}
		}
		s.must(`"type":"TEARDOWN"`)
		if got := metrics()[prefix+"subscribed"]; got != 0 {
			t.Errorf("a framework that has gone is subscribed: %v", got)
		}
		if a := w.do("GET", "/metrics/snapshot?timeout=bogus", ""); a.status != 400 || a.body != "Invalid timeout 'bogus': Failed to convert '' to number.\n" {
			t.Errorf("%d %q", a.status, a.body)
		}
	})
}
