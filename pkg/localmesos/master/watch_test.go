package master

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// watch opens an operator's stream and takes its first events.
func (w *world) watch() *fakeScheduler {
	w.Helper()
	s := w.openAt("/api/v1", `{"type":"SUBSCRIBE"}`)
	if events := s.events(); len(events) != 2 || !strings.HasPrefix(events[0], `{"type":"SUBSCRIBED","subscribed":{"get_state":{`) ||
		!strings.HasSuffix(events[0], `,"heartbeat_interval_seconds":15.0}}`) || events[1] != `{"type":"HEARTBEAT"}` {
		w.Fatalf("the stream began with %v", events)
	}
	return s
}

// happenings shortens an operator's events.
func (s *fakeScheduler) happenings() string {
	s.w.Helper()
	var b strings.Builder
	for _, text := range s.events() {
		var e struct {
			Type             string
			FrameworkAdded   struct{ Framework map[string]any } `json:"framework_added"`
			FrameworkUpdated struct{ Framework map[string]any } `json:"framework_updated"`
			FrameworkRemoved map[string]map[string]any          `json:"framework_removed"`
			AgentAdded       struct{ Agent map[string]any }     `json:"agent_added"`
			AgentRemoved     map[string]any                     `json:"agent_removed"`
			TaskAdded        struct{ Task map[string]any }      `json:"task_added"`
			TaskUpdated      struct {
				State  string
				Status map[string]any
			} `json:"task_updated"`
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			s.w.Fatalf("%s: %v", text, err)
		}
		b.WriteString(e.Type)
		switch e.Type {
		case "FRAMEWORK_ADDED":
			fmt.Fprintf(&b, " %v %v", e.FrameworkAdded.Framework["framework_info"].(map[string]any)["name"], e.FrameworkAdded.Framework["connected"])
		case "FRAMEWORK_UPDATED":
			fmt.Fprintf(&b, " %v", e.FrameworkUpdated.Framework["framework_info"].(map[string]any)["name"])
		case "FRAMEWORK_REMOVED":
			fmt.Fprintf(&b, " %v", e.FrameworkRemoved["framework_info"]["name"])
		case "AGENT_ADDED":
			fmt.Fprintf(&b, " %v", e.AgentAdded.Agent["agent_info"].(map[string]any)["hostname"])
		case "AGENT_REMOVED":
			fmt.Fprintf(&b, " %s", short(value(e.AgentRemoved["agent_id"])))
		case "TASK_ADDED":
			fmt.Fprintf(&b, " %s %v", value(e.TaskAdded.Task["task_id"]), e.TaskAdded.Task["state"])
		case "TASK_UPDATED":
			fmt.Fprintf(&b, " %s %v %s", value(e.TaskUpdated.Status["task_id"]), e.TaskUpdated.Status["state"], e.TaskUpdated.State)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestAnOperatorWatches(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		op := w.watch()
		if op.streamID != "" {
			t.Errorf("the stream has the ID %s", op.streamID)
		}
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.must(accept("O0", s.group(a, "exec-1", "t1", "bad/id"), s.group(a, "exec-1", "t1")))
		w.expect(op.happenings(), `
			AGENT_ADDED 127.0.0.1
			FRAMEWORK_ADDED example true
			TASK_ADDED t1 TASK_STAGING`) // nothing of the TASK_ERRORs
		a.update(s, "t1", "exec-1", mesos.TASK_RUNNING, 1)
		a.update(s, "t1", "exec-1", mesos.TASK_RUNNING, 2) // says nothing new
		a.update(s, "t1", "exec-1", mesos.TASK_FINISHED, 3)
		again := s.resubscribe(strings.Replace(exampleInfo, `"name":"example"`, `"name":"renamed"`, 1))
		w.m.UnregisterAgent(a.id)
		again.must(`"type":"TEARDOWN"`)
		w.expect(op.happenings(), `
			TASK_UPDATED t1 TASK_RUNNING TASK_RUNNING
			TASK_UPDATED t1 TASK_FINISHED TASK_FINISHED
			FRAMEWORK_UPDATED renamed
			TASK_UPDATED t1 TASK_LOST TASK_FINISHED
			AGENT_REMOVED S0
			FRAMEWORK_REMOVED renamed`)
		w.pass(15 * time.Second)
		w.expect(op.happenings(), "HEARTBEAT")
		// Of agents that are gone nothing is told.
		gone := w.agent("127.0.0.2")
		w.do("POST", "/api/v1", `{"type":"MARK_AGENT_GONE","mark_agent_gone":{"agent_id":{"value":"`+gone.id.Value+`"}}}`, "Content-Type", "application/json")
		w.expect(op.happenings(), "AGENT_ADDED 127.0.0.2")
		op.cancel()
		w.settle()
		w.subscribe(exampleInfo)
		w.expect(op.happenings(), "")
	})
}

func TestAnyPathBelowTheOperatorAPIWatches(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		s := w.openAt("/api/v1/none", `{"type":"SUBSCRIBE","subscribe":{"framework_info":{`+exampleInfo+`}}}`)
		if events := s.events(); len(events) != 2 || !strings.Contains(events[0], "get_state") {
			t.Errorf("got %s", events)
		}
	})
}
