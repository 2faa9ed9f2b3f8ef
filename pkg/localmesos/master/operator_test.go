package master

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/registry"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

func TestFrameworksEndpoint(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		now := timestamp(time.Now())
		s := w.subscribe(exampleInfo + `,"hostname":"sched.example","principal":"p","webui_url":"http://127.0.0.1:9999/","labels":{"labels":[{"key":"team","value":"x"}]}`)
		s.transcript()
		s.must(accept("O0", s.group(a, "exec-1", "running")))
		a.update(s, "running", "exec-1", mesos.TASK_RUNNING, 1)
		s.acknowledge(a, "running", 1)
		w.pass(time.Second)

		const whole = `{"disk":20000.0,"mem":8192.0,"gpus":0.0,"cpus":8.0,"ports":"[31000-32000]"}`
		const rest = `{"disk":19958.0,"mem":8096.0,"gpus":0.0,"cpus":7.7,"ports":"[31000-32000]"}`
		registered := new(wire.Writer)
		registered.Double(now)
		task := `{"id":"running","name":"task running","framework_id":"` + s.id + `","executor_id":"exec-1","slave_id":"` + a.id.Value + `","state":"TASK_RUNNING",` +
			`"resources":{"disk":10.0,"mem":32.0,"gpus":0.0,"cpus":0.1},"role":"example","statuses":[{"state":"TASK_RUNNING","timestamp":1795412010.380184,` +
			`"container_status":{"container_id":{"value":"11e5f6e1-b3cf-4086-b51e-a4e9930f2cb7"}}}]}`
		want := `{"frameworks":[{"id":"` + s.id + `","name":"example","used_resources":{"disk":42.0,"mem":96.0,"gpus":0.0,"cpus":0.3},"offered_resources":` + rest + `,` +
			`"capabilities":["MULTI_ROLE","RESERVATION_REFINEMENT","PARTITION_AWARE","TASK_KILLING_STATE"],"hostname":"sched.example","webui_url":"http://127.0.0.1:9999/",` +
			`"active":true,"connected":true,"recovered":false,"user":"root","failover_timeout":60.0,"checkpoint":true,"registered_time":` + string(registered.Bytes()) + `,"unregistered_time":0.0,` +
			`"principal":"p","resources":` + whole + `,"roles":["example"],"tasks":[` + task + `],"unreachable_tasks":[],"completed_tasks":[],` +
			`"offers":[{"id":"` + masterID + `-O1","framework_id":"` + s.id + `","allocation_info":{"role":"example"},"slave_id":"` + a.id.Value + `","resources":` + rest + `}],` +
			`"executors":[{"executor_id":"exec-1","name":"","framework_id":"` + s.id + `","command":{"value":"./example-executor","argv":[],"uris":[]},` +
			`"resources":{"disk":32.0,"mem":64.0,"gpus":0.0,"cpus":0.2},"role":"example","type":"CUSTOM","slave_id":"` + a.id.Value + `"}],` +
			`"labels":[{"key":"team","value":"x"}],"offer_constraints":{}}],"completed_frameworks":[],"unregistered_frameworks":[]}`
		w.expect(w.get("/frameworks"), want)
		w.expect(w.get("/master/frameworks?framework_id="+s.id), want)
		w.expect(w.get("/frameworks?framework_id=other"), `{"frameworks":[],"completed_frameworks":[],"unregistered_frameworks":[]}`)
		w.expect(w.get("/tasks"), `{"tasks":[`+task+`]}`)

		state := w.get("/state")
		if shown, _, _ := strings.Cut(want[1:], `,"unregistered_frameworks"`); !strings.Contains(state, shown+`,"orphan_tasks":[],"unregistered_frameworks":[]}`) {
			t.Error("/state does not contain what /frameworks shows")
		}
		for path, parts := range map[string][]string{
			"/slaves": {
				`"attributes":{"rack":"r1","zone":"a"},"pid":"slave(1)@127.0.0.1:5051"`,
				`"resources":` + whole + `,"used_resources":{"disk":42.0,"mem":96.0,"gpus":0.0,"cpus":0.3},"offered_resources":` + rest + `,"reserved_resources":{},"unreserved_resources":` + whole + `,"active":true,"deactivated":false,"version":"1.11.0"`,
				`"unreserved_resources_full":[{"name":"cpus","type":"SCALAR","scalar":{"value":8.0},"role":"*"}`,
				`"used_resources_full":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.3},"role":"*","allocation_info":{"role":"example"}}`,
			},
			"/roles": {
				`{"roles":[{"name":"example","weight":1.0,"quota":{"role":"example","guarantee":{},"limit":{},"consumed":{"cpus":0.3,"disk":42.0,"mem":96.0}},` +
					`"resources":{"cpus":8.0,"disk":20000.0,"mem":8192.0,"ports":1001.0},"allocated":{"cpus":0.3,"disk":42.0,"mem":96.0},` +
					`"offered":{"cpus":7.7,"disk":19958.0,"mem":8096.0,"ports":1001.0},"reserved":{},"frameworks":["` + s.id + `"]}]}`,
			},
			"/state-summary":    {`"TASK_STAGING":0,"TASK_STARTING":0,"TASK_RUNNING":1,"TASK_KILLING":0`, `"slave_ids":["` + a.id.Value + `"]`},
			"/flags":            {`"allocation_interval":"1secs"`, `"agent_ping_timeout":"15secs"`, `"min_allocatable_resources":"cpus:0.01|mem:32"`},
			"/metrics/snapshot": {`"master/elected":1.0`, `"master/tasks_running":1.0`, `"master/cpus_used":0.3`, `"master/frameworks_active":1.0`},
			"/version":          {`"version":"1.11.0"`},
			"/weights":          {`[]`},
			"/quota":            {`{}`},
		} {
			shown := w.get(path)
			if !json.Valid([]byte(shown)) {
				t.Errorf("%s is no JSON: %s", path, shown)
			}
			for _, part := range parts {
				if !strings.Contains(shown, part) {
					t.Errorf("%s: %s\nis not in %s", path, part, shown)
				}
			}
		}
	})
}

func TestTasksAreSelectedAndOrdered(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1", "t2", "t3")
		ids := func(query string) string {
			var got struct {
				Tasks []struct{ ID string }
			}
			if err := json.Unmarshal([]byte(w.get("/tasks"+query)), &got); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(got.Tasks)
		}
		for query, want := range map[string]string{
			"": "[{t3} {t2} {t1}]", "?order=asc": "[{t1} {t2} {t3}]", "?limit=1": "[{t3}]", "?limit=5&offset=2": "[{t1}]",
			"?offset=9": "[]", "?task_id=t2": "[{t2}]", "?framework_id=x": "[]", "?framework_id=" + s.id + "&limit=x": "[{t3} {t2} {t1}]",
		} {
			if got := ids(query); got != want {
				t.Errorf("/tasks%s: %s, want %s", query, got, want)
			}
		}
	})
}

func TestSmallEndpoints(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
			if a := w.do(method, "/health", ""); a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "0" {
				t.Errorf("%s /health: %d %q", method, a.status, a.body)
			}
		}
		if a := w.do("GET", "/redirect", ""); a.status != 307 || a.header.Get("Location") != "//127.0.0.1:5050" || a.body != "" {
			t.Errorf("/redirect: %d %v", a.status, a.header)
		}
		if a := w.do("GET", "/version?jsonp=cb", ""); a.header.Get("Content-Type") != "text/javascript" || !strings.HasPrefix(a.body, `cb({"build_date"`) || !strings.HasSuffix(a.body, "})") {
			t.Errorf("/version: %v %s", a.header, a.body)
		}
		if a := w.do("GET", "/nope", ""); a.status != 404 || a.body != "404 Not Found." {
			t.Errorf("/nope: %d %s", a.status, a.body)
		}
	})
}

func TestOperatorTeardown(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		s := w.subscribe(exampleInfo)
		for _, tt := range []struct{ method, body, want string }{
			{"GET", "", "405 405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'."},
			{"POST", "", "400 Missing 'frameworkId' query parameter in the request body"},
			{"POST", "frameworkId=nope", "400 No framework found with specified ID"},
			{"POST", "frameworkId=" + s.id, "200 "},
		} {
			a := w.do(tt.method, "/teardown", tt.body)
			w.expect(fmt.Sprint(a.status, " ", a.body), tt.want)
		}
		if !s.closed() {
			t.Error("the framework's stream is still open")
		}
	})
}

func TestAgentsThatAreYetToComeBack(t *testing.T) {
	info := agentInfo("127.0.0.1", 8)
	info.ID = &mesos.AgentID{Value: "old-S0"}
	inWorld(t, Options{Registry: &registry.Registry{Agents: []mesos.AgentInfo{info}}}, func(w *world) {
		got := w.do("POST", "/api/v1", `{"type":"GET_AGENTS"}`, "Content-Type", "application/json").body
		want := `{"type":"GET_AGENTS","get_agents":{"agents":[],"recovered_agents":[{"hostname":"127.0.0.1"`
		if !strings.HasPrefix(got, want) || !strings.Contains(got, `"id":{"value":"old-S0"}`) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	})
}

func TestOperatorAPI(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.running(a, exampleInfo, "t1")
		call := func(body string, headers ...string) answer {
			return w.do("POST", "/api/v1", body, append([]string{"Content-Type", "application/json"}, headers...)...)
		}
		for typ, want := range map[string]string{
			"GET_HEALTH":        `{"type":"GET_HEALTH","get_health":{"healthy":true}}`,
			"GET_MASTER":        `{"type":"GET_MASTER","get_master":{"master_info":{"id":"` + masterID + `"`,
			"GET_VERSION":       `{"type":"GET_VERSION","get_version":{"version_info":{"version":"1.11.0"`,
			"GET_AGENTS":        `{"type":"GET_AGENTS","get_agents":{"agents":[{"agent_info":{"hostname":"127.0.0.1"`,
			"GET_FRAMEWORKS":    `{"type":"GET_FRAMEWORKS","get_frameworks":{"frameworks":[{"framework_info":{"user":"root","name":"example","id":{"value":"` + s.id + `"}`,
			"GET_EXECUTORS":     `{"type":"GET_EXECUTORS","get_executors":{"executors":[{"executor_info":{"type":"CUSTOM"`,
			"GET_TASKS":         `{"type":"GET_TASKS","get_tasks":{"tasks":[{"name":"task t1","task_id":{"value":"t1"}`,
			"GET_WEIGHTS":       `{"type":"GET_WEIGHTS"}`,
			"GET_QUOTA":         `{"type":"GET_QUOTA","get_quota":{"status":{}}}`,
			"GET_OPERATIONS":    `{"type":"GET_OPERATIONS","get_operations":{}}`,
			"GET_LOGGING_LEVEL": `{"type":"GET_LOGGING_LEVEL","get_logging_level":{"level":0}}`,
			"GET_STATE":         `{"type":"GET_STATE","get_state":{"get_tasks":{"tasks":[{"name":"task t1"`,
		} {
			got := call(fmt.Sprintf(`{"type":%q}`, typ))
			if got.status != 200 || !strings.HasPrefix(got.body, want) || !json.Valid([]byte(got.body)) {
				t.Errorf("%s: %d %s\nwant %s", typ, got.status, got.body, want)
			}
		}
		for body, want := range map[string]string{
			`{}`:               "400 Failed to validate master::Call: Expecting 'type' to be present",
			`{"type":"BOGUS"}`: "400 Failed to validate master::Call: Expecting 'type' to be present",
			`{`:                "400 Failed to parse body into JSON: syntax error at line 1 near: ",
		} {
			got := call(body)
			w.expect(fmt.Sprint(got.status, " ", got.body), want)
		}
		if got := call(`{"type":"GET_HEALTH"}`, "Accept", "application/x-protobuf"); got.header.Get("Content-Type") != "application/x-protobuf" || got.body != "\x08\x01\x12\x02\x08\x01" {
			t.Errorf("in protobuf: %v %q", got.header, got.body)
		}
	})
}

func TestThePageForAPerson(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("agent-1.example")
		s := w.running(a, strings.Replace(exampleInfo, `"name":"example"`, `"name":"<b>team</b>","principal":"fw-a","webui_url":"http://127.0.0.1:9999/","labels":{"labels":[{"key":"team","value":"x"}]}`, 1), "t1")
		gone := w.subscribe(strings.Replace(exampleInfo, `"name":"example"`, `"name":"gone","webui_url":"javascript:alert(1)"`, 1))
		gone.must(`"type":"TEARDOWN"`)
		const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
		page := func(path string, wants ...string) {
			t.Helper()
			got := w.do("GET", path, "", "Accept", browser)
			if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%s: %d %v", path, got.status, got.header)
			}
			for _, want := range wants {
				if !strings.Contains(got.body, want) {
					t.Errorf("%s does not show %s:\n%s", path, want, got.body)
				}
			}
			for _, never := range []string{"<b>team", "javascript:", "https://", "//cdn"} {
				if strings.Contains(got.body, never) {
					t.Errorf("%s shows %s", path, never)
				}
			}
		}
		watcher := w.subscribe(strings.Replace(exampleInfo, `"name":"example"`, `"name":"holds one"`, 1))
		w.pass(2 * time.Second)
		if got := watcher.transcript(); !strings.Contains(got, "OFFERS") {
			t.Fatalf("it got no offer: %s", got)
		}
		overview := []string{"<td data-of=\"Framework\"><a href=\"/frameworks?framework_id=" + watcher.id + "\">holds one</a>", `<tr id="/agents/` + a.id.Value, "/files/browse?path=", "&lt;b&gt;team&lt;/b&gt;", "fw-a", `href="http://127.0.0.1:9999/"`, "Completed frameworks", "gone", "agent-1.example", "rack=r1, zone=a", `href="/frameworks?framework_id=` + s.id}
		page("/", overview...)
		page("/frameworks", overview...)
		page("/frameworks?framework_id="+s.id, "task t1", "RUNNING", "exec-1", "team=x", "0.1 CPUs", "sandbox")
		if got := w.do("GET", "/frameworks?framework_id=nope", "", "Accept", browser); got.status != 404 || got.body != `No framework has the ID "nope".` {
			t.Errorf("an unknown framework: %d %s", got.status, got.body)
		}
		// What is no browser gets JSON.
		for _, accept := range []string{"*/*", "application/json"} {
			if got := w.do("GET", "/frameworks", "", "Accept", accept); got.header.Get("Content-Type") != "application/json" {
				t.Errorf("Accept: %s gets %v", accept, got.header)
			}
		}
	})
}

// TestTasksOfCompletedFrameworksAreInJSONOnly holds what a real master of 1.12 does.
func TestTasksOfCompletedFrameworksAreInJSONOnly(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		a := w.agent("127.0.0.1")
		s := w.subscribe(exampleInfo)
		s.must(accept("O0", s.group(a, "exec-1", "t1")))
		s.must(`"type":"TEARDOWN"`)
		for media, shown := range map[string]bool{"application/json": true, "application/x-protobuf": false} {
			for _, call := range []string{"GET_TASKS", "GET_STATE"} {
				got := w.do("POST", "/api/v1", `{"type":"`+call+`"}`, "Content-Type", "application/json", "Accept", media)
				if got.status != 200 || strings.Contains(got.body, "exec-1") != shown {
					t.Errorf("%s in %s: %d %q", call, media, got.status, got.body)
				}
			}
		}
	})
}
