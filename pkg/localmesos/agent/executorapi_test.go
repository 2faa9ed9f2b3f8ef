package agent_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// answer is what an HTTP request got.
type answer struct {
	status int
	body   string
	header http.Header
}

func (f *fixture) request(method, path, contentType, accept, body string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(f.Context(), method, "http://"+f.agent.Address()+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	// A connection of its own for each, and none is left at the end.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return client.Do(request)
}

func (f *fixture) ask(method, path, contentType, accept, body string) answer {
	f.Helper()
	response, err := f.request(method, path, contentType, accept, body)
	if err != nil {
		f.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		f.Fatal(err)
	}
	return answer{response.StatusCode, string(text), response.Header}
}

func (f *fixture) post(body string) answer {
	f.Helper()
	return f.ask(http.MethodPost, "/api/v1/executor", "application/json", "application/json", body)
}

// stream is an executor's subscription in JSON.
type stream struct {
	*testing.T
	body    io.ReadCloser
	records *wire.RecordReader
}

func (f *fixture) subscribe(body string) *stream {
	f.Helper()
	response, err := f.request(http.MethodPost, "/api/v1/executor", "application/json", "application/json", body)
	if err != nil {
		f.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		f.Fatalf("SUBSCRIBE was answered %s", response.Status)
	}
	if id := response.Header.Get("Mesos-Stream-Id"); id != "" {
		f.Errorf("an executor's stream has the ID %s", id)
	}
	f.Cleanup(func() { response.Body.Close() })
	return &stream{f.T, response.Body, wire.NewRecordReader(response.Body)}
}

// next returns the next event, or "" at the stream's end.
func (s *stream) next() string {
	s.Helper()
	record, err := s.records.Next()
	if err == io.EOF {
		return ""
	}
	if err != nil {
		s.Fatal(err)
	}
	return string(record)
}

func (s *stream) expect(kind string) string {
	s.Helper()
	record := s.next()
	var event struct{ Type string }
	if err := json.Unmarshal([]byte(record), &event); err != nil || event.Type != kind {
		s.Fatalf("event %s, want %s", record, kind)
	}
	return record
}

const ids = `"framework_id":{"value":"` + frameworkID + `"},"executor_id":{"value":"exec-1"}`

// ownExecutor launches an executor whose process does nothing, so that the test
// can speak for it.
func ownExecutor(t *testing.T) *fixture {
	t.Helper()
	f := start(t, nil)
	f.launch(executorInfo("exec-1", "silent"), task("t1", "run"), task("t2", "run"))
	return f
}

// deliver subscribes as the executor and takes the task group.
func (f *fixture) deliver() *stream {
	f.Helper()
	var s *stream
	waitFor(f.T, "the agent to know the executor", func() bool {
		return f.post(`{"type":"MESSAGE",`+ids+`,"message":{"data":""}}`).body == "Executor is not subscribed"
	})
	s = f.subscribe(`{"type":"SUBSCRIBE",` + ids + `,"subscribe":{}}`)
	s.expect("SUBSCRIBED")
	s.expect("LAUNCH_GROUP")
	return s
}

func TestExecutorAPIRefusals(t *testing.T) {
	f := ownExecutor(t)
	s := f.deliver()
	const plain, posted = "text/plain; charset=utf-8", http.MethodPost
	update := func(status string) string {
		return `{"type":"UPDATE",` + ids + `,"update":{"status":{` + status + `}}}`
	}
	const good = `"task_id":{"value":"t1"},"state":"TASK_RUNNING","source":"SOURCE_EXECUTOR"`
	const uuid = `"uuid":"EBESExQVRheYGRobAAAAAQ=="`
	const from = "executor exec-1 of framework " + frameworkID
	for _, c := range []struct {
		name, method, contentType, accept, body string
		status                                  int
		text                                    string
	}{
		{"no content type", posted, "", "application/json", "{}", 400, "Expecting 'Content-Type' to be present"},
		{"content type with charset", posted, "application/json; charset=utf-8", "", "{}", 415, "Expecting 'Content-Type' of application/json or application/x-protobuf"},
		{"JSON as protobuf", posted, "application/x-protobuf", "", "{}", 400, "Failed to parse body into Call protobuf"},
		{"accept nothing known", posted, "application/json", "text/html", `{"type":"SUBSCRIBE",` + ids + `,"subscribe":{}}`, 406, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'"},
		{"broken JSON", posted, "application/json", "", `{"type":`, 400, "Failed to parse body into JSON: syntax error at line 1 near: "},
		{"empty", posted, "application/json", "", `{}`, 400, "Failed to convert JSON into Call protobuf: Missing required fields: executor_id, framework_id"},
		{"no type", posted, "application/json", "", `{` + ids + `}`, 400, "Failed to validate Executor::Call: Expecting 'type' to be present"},
		{"unknown type", posted, "application/json", "", `{"type":"BOGUS",` + ids + `}`, 400, "Failed to validate Executor::Call: Expecting 'type' to be present"},
		{"no subscribe", posted, "application/json", "", `{"type":"SUBSCRIBE",` + ids + `}`, 400, "Failed to validate Executor::Call: Expecting 'subscribe' to be present"},
		{"unknown framework", posted, "application/json", "", `{"type":"SUBSCRIBE","framework_id":{"value":"nope"},"executor_id":{"value":"exec-1"},"subscribe":{}}`, 400, "Framework cannot be found"},
		{"unknown executor", posted, "application/json", "", `{"type":"SUBSCRIBE","framework_id":{"value":"` + frameworkID + `"},"executor_id":{"value":"nope"},"subscribe":{}}`, 400, "Executor cannot be found"},
		{"GET", http.MethodGet, "application/json", "", "{}", 405, "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'."},
		{"MESSAGE without message", posted, "application/json", "", `{"type":"MESSAGE",` + ids + `}`, 400, "Failed to validate Executor::Call: Expecting 'message' to be present"},
		{"UPDATE without update", posted, "application/json", "", `{"type":"UPDATE",` + ids + `}`, 400, "Failed to validate Executor::Call: Expecting 'update' to be present"},
		{"HEARTBEAT without IDs", posted, "application/json", "", `{"type":"HEARTBEAT"}`, 400, "Failed to convert JSON into Call protobuf: Missing required fields: executor_id, framework_id"},
		{"UPDATE without uuid", posted, "application/json", "", update(good), 400, "Failed to validate Executor::Call: Expecting 'uuid' to be present"},
		{"empty uuid", posted, "application/json", "", update(good + `,"uuid":""`), 400, "Failed to validate Executor::Call: Not a valid UUID"},
		{"short uuid", posted, "application/json", "", update(good + `,"uuid":"YWJj"`), 400, "Failed to validate Executor::Call: Not a valid UUID"},
		{"uuid of no version", posted, "application/json", "", update(good + `,"uuid":"/////////////////////w=="`), 400, "Failed to validate Executor::Call: Not a valid UUID"},
		{"uuid not base64", posted, "application/json", "", update(good + `,"uuid":"!!!"`), 400, "Failed to convert JSON into Call protobuf: Failed to base64 decode bytes field 'uuid': Invalid character '!'"},
		{"no source", posted, "application/json", "", update(`"task_id":{"value":"t1"},"state":"TASK_RUNNING",` + uuid), 400, "Failed to validate Executor::Call: Received Call from " + from + " with invalid source, expecting 'SOURCE_EXECUTOR'"},
		{"the master's source", posted, "application/json", "", update(`"task_id":{"value":"t1"},"state":"TASK_RUNNING","source":"SOURCE_MASTER",` + uuid), 400, "Failed to validate Executor::Call: Received Call from " + from + " with invalid source, expecting 'SOURCE_EXECUTOR'"},
		{"TASK_STAGING", posted, "application/json", "", update(`"task_id":{"value":"t1"},"state":"TASK_STAGING","source":"SOURCE_EXECUTOR",` + uuid), 400, "Failed to validate Executor::Call: Received TASK_STAGING from " + from + " which is not allowed"},
		{"unknown state", posted, "application/json", "", update(`"task_id":{"value":"t1"},"state":"TASK_BOGUS","source":"SOURCE_EXECUTOR",` + uuid), 400, "Failed to convert JSON into Call protobuf: Failed to find enum for 'TASK_BOGUS'"},
		{"no state", posted, "application/json", "", update(`"task_id":{"value":"t1"},"source":"SOURCE_EXECUTOR",` + uuid), 400, "Failed to convert JSON into Call protobuf: Missing required fields: update.status.state"},
		{"another executor", posted, "application/json", "", update(good + `,"executor_id":{"value":"exec-other"},` + uuid), 400, "Failed to validate Executor::Call: ExecutorID in Call: exec-1 does not match ExecutorID in TaskStatus: exec-other"},
		{"check status without type", posted, "application/json", "", update(good + `,"check_status":{},` + uuid), 400, "Failed to validate Executor::Call: CheckStatusInfo must specify 'type'"},
		{"check status of another type", posted, "application/json", "", update(good + `,"check_status":{"type":"HTTP","command":{"exit_code":1}},` + uuid), 400, "Failed to validate Executor::Call: Expecting 'http' to be set for HTTP check's status"},
		{"TCP check status without TCP", posted, "application/json", "", update(good + `,"check_status":{"type":"TCP"},` + uuid), 400, "Failed to validate Executor::Call: Expecting 'tcp' to be set for TCP check's status"},
		{"command check status without command", posted, "application/json", "", update(good + `,"check_status":{"type":"COMMAND"},` + uuid), 400, "Failed to validate Executor::Call: Expecting 'command' to be set for COMMAND check's status"},
		{"check status of no type", posted, "application/json", "", update(good + `,"check_status":{"type":"UNKNOWN"},` + uuid), 400, "Failed to validate Executor::Call: 'UNKNOWN' is not a valid check's status type"},
		{"UNKNOWN", posted, "application/json", "", `{"type":"UNKNOWN",` + ids + `}`, 501, "501 Not Implemented."},
		{"no status", posted, "application/json", "", `{"type":"UPDATE",` + ids + `,"update":{}}`, 400, "Failed to convert JSON into Call protobuf: Missing required fields: update.status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := f.ask(c.method, "/api/v1/executor", c.contentType, c.accept, c.body)
			if got.status != c.status || got.body != c.text || got.header.Get("Content-Type") != plain {
				t.Errorf("%d %q (%s), want %d %q", got.status, got.body, got.header.Get("Content-Type"), c.status, c.text)
			}
		})
	}
	// The stream has seen nothing of it, and still works.
	if got := f.post(update(good + `,"uuid":"EBESExQVRheYGRobAAAAAg=="`)); got.status != 202 || got.body != "" {
		t.Errorf("UPDATE was answered %d %q", got.status, got.body)
	}
	s.expect("ACKNOWLEDGED")
	if u := f.expect("update t1 TASK_RUNNING").update; u.Status.ExecutorID != nil {
		t.Errorf("the update names executor %v, which the executor did not", u.Status.ExecutorID)
	}
}

func TestExecutorAPIBeforeTheSubscription(t *testing.T) {
	f := ownExecutor(t)
	f.deliver()
	for _, path := range []string{"/api/v1/executor", "/slave(1)/api/v1/executor", "/api/v1/executor/"} {
		got := f.ask(http.MethodPost, path, "application/json", "", `{"type":"HEARTBEAT","framework_id":{"value":"made"},"executor_id":{"value":"up"}}`)
		if got.status != 202 {
			t.Errorf("HEARTBEAT at %s was answered %d %q", path, got.status, got.body)
		}
	}
}

func TestSecondSubscriptionEndsTheFirst(t *testing.T) {
	f := ownExecutor(t)
	first := f.deliver()
	second := f.subscribe(`{"type":"SUBSCRIBE",` + ids + `,"subscribe":{}}`)
	second.expect("SUBSCRIBED")
	if event := first.next(); event != "" {
		t.Errorf("the first stream got %s", event)
	}
	// Neither task was named, so both were lost on the way.
	for _, id := range []string{"t1", "t2"} {
		got := f.expect("update " + id + " TASK_DROPPED").update.Status
		if got.GetMessage() != "Task launched during agent restart" {
			t.Errorf("message %q", got.GetMessage())
		}
	}
}

func TestEventsOfTheExecutorAPI(t *testing.T) {
	f := ownExecutor(t)
	waitFor(t, "the agent to know the executor", func() bool {
		return f.post(`{"type":"MESSAGE",`+ids+`,"message":{"data":""}}`).status == 403
	})
	s := f.subscribe(`{"type":"SUBSCRIBE",` + ids + `,"subscribe":{}}`)
	var subscribed struct {
		Subscribed struct {
			ExecutorInfo struct {
				Command struct {
					Shell       bool
					Environment struct {
						Variables []struct{ Name, Type, Value string }
					}
				}
			} `json:"executor_info"`
			AgentInfo struct {
				ID   struct{ Value string }
				Port int
			} `json:"agent_info"`
			ContainerID struct{ Value string } `json:"container_id"`
		}
	}
	if err := json.Unmarshal([]byte(s.expect("SUBSCRIBED")), &subscribed); err != nil {
		t.Fatal(err)
	}
	got := subscribed.Subscribed
	if got.AgentInfo.ID.Value != agentID || got.ContainerID.Value == "" || !got.ExecutorInfo.Command.Shell ||
		got.ExecutorInfo.Command.Environment.Variables[0].Type != "VALUE" {
		t.Errorf("SUBSCRIBED %+v", got)
	}
	event := s.expect("LAUNCH_GROUP")
	if n := strings.Count(event, `"executor":{"type":"CUSTOM","executor_id":{"value":"exec-1"}`); n != 2 {
		t.Errorf("the executor stands in %d of 2 tasks: %s", n, event)
	}
	f.agent.KillTask(*framework().ID, task("t1", "").TaskID, nil)
	if event := s.next(); event != `{"type":"KILL","kill":{"task_id":{"value":"t1"}}}` {
		t.Errorf("event %s", event)
	}
	f.agent.FrameworkToExecutor(*framework().ID, executorInfo("exec-1", "").ExecutorID, nil)
	if event := s.next(); event != `{"type":"MESSAGE","message":{"data":""}}` {
		t.Errorf("event %s", event)
	}
}

func TestUpdatesWithoutAStream(t *testing.T) {
	f := ownExecutor(t)
	s := f.deliver()
	s.body.Close()
	got := f.post(`{"type":"UPDATE",` + ids + `,"update":{"status":{"task_id":{"value":"t1"},"state":"TASK_RUNNING",` +
		`"source":"SOURCE_EXECUTOR","uuid":"EBESExQVRheYGRobAAAAAQ=="}}}`)
	if got.status != 202 {
		t.Errorf("UPDATE was answered %d %q", got.status, got.body)
	}
	f.expect("update t1 TASK_RUNNING")
}

func TestDownAgentAnswersNothing(t *testing.T) {
	clock := newManualClock()
	f := start(t, func(o *agent.Options) { o.Clock = clock })
	f.agent.Crash()
	f.expect("disconnected")
	if _, err := f.request(http.MethodGet, "/health", "", "", ""); err == nil {
		t.Error("a crashed agent answers")
	}
	if err := f.agent.Recover(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the agent to answer", func() bool {
		return f.post(`{"type":"HEARTBEAT",`+ids+`}`).status == 202
	})
	clock.advance(2 * time.Second)
	f.expect("reregister")
}

func TestOperatorEndpoints(t *testing.T) {
	f := ownExecutor(t)
	s := f.deliver()
	f.post(`{"type":"UPDATE",` + ids + `,"update":{"status":{"task_id":{"value":"t1"},"state":"TASK_RUNNING",` +
		`"source":"SOURCE_EXECUTOR","uuid":"EBESExQVRheYGRobAAAAAQ=="}}}`)
	s.expect("ACKNOWLEDGED")
	f.expect("update t1 TASK_RUNNING")
	get := func(path string, into any) {
		t.Helper()
		got := f.ask(http.MethodGet, path, "", "", "")
		if got.status != 200 {
			t.Fatalf("%s is answered %d %s", path, got.status, got.body)
		}
		if into == nil {
			return
		}
		if err := json.Unmarshal([]byte(got.body), into); err != nil {
			t.Fatalf("%s: %v in %s", path, err, got.body)
		}
	}
	get("/health", nil)
	get("/slave(1)/health", nil)
	var version struct{ Version string }
	if get("/version", &version); version.Version != "1.12.0" {
		t.Errorf("version %q", version.Version)
	}
	var flags struct{ Flags map[string]string }
	if get("/flags", &flags); flags.Flags["executor_shutdown_grace_period"] != "5secs" {
		t.Errorf("flags %v", flags)
	}
	var state struct {
		ID         string
		Attributes map[string]string
		Resources  map[string]any
		Frameworks []struct {
			ID        string
			Executors []struct {
				ID, Container, Directory string
				Resources                map[string]float64
				Tasks                    []struct {
					ID, State string
					Statuses  []struct{ State string }
				}
			}
		}
	}
	get("/slave(1)/state", &state)
	e := state.Frameworks[0].Executors[0]
	if state.ID != agentID || state.Attributes["rack"] != "r1" || state.Resources["ports"] != "[31000-32000]" ||
		e.ID != "exec-1" || e.Resources["cpus"] != 0.4 || len(e.Tasks) != 2 ||
		e.Tasks[0].State != "TASK_RUNNING" || e.Tasks[0].Statuses[0].State != "TASK_RUNNING" || e.Tasks[1].State != "TASK_STAGING" {
		t.Errorf("state %+v", state)
	}
	var containers []struct {
		ContainerID string             `json:"container_id"`
		Statistics  map[string]float64 `json:"statistics"`
		Status      struct {
			PID int `json:"executor_pid"`
		}
	}
	get("/containers", &containers)
	if len(containers) != 1 || containers[0].ContainerID != e.Container || containers[0].Status.PID == 0 ||
		containers[0].Statistics["cpus_soft_limit"] != 0.4 {
		t.Errorf("containers %+v", containers)
	}
	for query, want := range map[string]int{
		"container_id=" + e.Container: 1, "container_id=nope": 0, "framework_id=" + frameworkID: 1, "framework_id=nope": 0,
		"framework_id=" + frameworkID + "&executor_id=exec-1": 1, "framework_id=" + frameworkID + "&executor_id=nope": 0,
	} {
		if get("/containers?"+query, &containers); len(containers) != want {
			t.Errorf("/containers?%s shows %+v", query, containers)
		}
	}
	if got := f.ask(http.MethodGet, "/containers?executor_id=exec-1", "", "", ""); got.status != 400 {
		t.Errorf("/containers of an executor of any framework is answered %d %q", got.status, got.body)
	}
	if got := f.ask(http.MethodGet, "/containerizer/debug", "", "", ""); got.body != `{"pending":[]}` {
		t.Errorf("/containerizer/debug is answered %d %q", got.status, got.body)
	}
	get("/monitor/statistics", nil)
	var metrics map[string]float64
	get("/metrics/snapshot", &metrics)
	if metrics["slave/registered"] != 1 || metrics["slave/tasks_running"] != 1 || metrics["slave/tasks_staging"] != 1 {
		t.Errorf("metrics %v", metrics)
	}
	var entries []struct {
		Path, Mode string
		Size       int
	}
	get("/files/browse?path=/frameworks/"+frameworkID+"/executors/exec-1/runs/latest", &entries)
	if len(entries) != 3 || entries[2].Path != "/frameworks/"+frameworkID+"/executors/exec-1/runs/latest/stdout" {
		t.Errorf("entries %+v", entries)
	}
	var piece struct {
		Data   string
		Offset int
	}
	waitFor(t, "the executor's first words", func() bool {
		get("/files/read?path="+e.Directory+"/stdout&offset=0&length=13", &piece)
		return piece.Data == "test executor"
	})
	if got := f.ask(http.MethodGet, "/nope", "", "", ""); got.status != 404 || got.body != "404 Not Found." {
		t.Errorf("/nope is answered %d %q", got.status, got.body)
	}
}

func TestOperatorAPI(t *testing.T) {
	f := ownExecutor(t)
	f.deliver()
	call := func(body string) answer {
		t.Helper()
		return f.ask(http.MethodPost, "/api/v1", "application/json", "application/json", body)
	}
	const run = "/frameworks/" + frameworkID + "/executors/exec-1/runs/latest"
	waitFor(t, "the executor's first words", func() bool {
		return strings.Contains(f.read(f.sandbox("exec-1")+"/stdout"), "started")
	})
	for _, c := range []struct {
		body   string
		status int
		text   string // a part of the answer
	}{
		{`{"type":"GET_HEALTH"}`, 200, `{"type":"GET_HEALTH","get_health":{"healthy":true}}`},
		{`{"type":"GET_VERSION"}`, 200, `"version_info":{"version":"1.12.0",`},
		{`{"type":"GET_FLAGS"}`, 200, `{"name":"recover","value":"reconnect"}`},
		{`{"type":"GET_AGENT"}`, 200, `"id":{"value":"` + agentID + `"}`},
		{`{"type":"GET_FRAMEWORKS"}`, 200, `"id":{"value":"` + frameworkID + `"}`},
		{`{"type":"GET_EXECUTORS"}`, 200, `"executor_id":{"value":"exec-1"}`},
		{`{"type":"GET_CONTAINERS"}`, 200, `"resource_statistics":{"timestamp":`},
		{`{"type":"GET_TASKS"}`, 200, `"launched_tasks":[{"name":"task t1","task_id":{"value":"t1"}`},
		{`{"type":"GET_STATE"}`, 200, `"get_executors":{"executors":[`},
		{`{"type":"GET_OPERATIONS"}`, 200, `{"type":"GET_OPERATIONS","get_operations":{}}`},
		{`{"type":"LIST_FILES","list_files":{"path":"` + run + `"}}`, 200, `"path":"` + run + `/stdout"`},
		{`{"type":"LIST_FILES","list_files":{"path":"/nope"}}`, 404, ""},
		{`{"type":"LIST_FILES"}`, 400, "Failed to validate agent::Call: Expecting 'list_files' to be present"},
		{`{"type":"READ_FILE","read_file":{"path":"` + run + `/stdout","offset":0,"length":4}}`, 200, `"data":"dGVzdA=="`},
		{`{"type":"READ_FILE","read_file":{"path":"` + run + `/nope","offset":0}}`, 404, ""},
		{`{"type":"LIST_FILES","list_files":{}}`, 400, "Missing required fields: list_files.path"},
		{`{"type":"ATTACH_CONTAINER_INPUT","attach_container_input":{}}`, 400, "Failed to validate agent::Call: Expecting 'attach_container_input.type' to be present"},
		{`{"type":"BOGUS"}`, 400, "Failed to validate agent::Call: Expecting 'type' to be present"},
		{`{}`, 400, "Failed to validate agent::Call: Expecting 'type' to be present"},
		{`{"type":"PRUNE_IMAGES"}`, 200, ""},
		{`{"type":"SET_LOGGING_LEVEL"}`, 400, "Failed to validate agent::Call: Expecting 'set_logging_level' to be present"},
		{`{"type":"ADD_RESOURCE_PROVIDER_CONFIG","add_resource_provider_config":{"info":{"type":"a.b","name":"n"}}}`, 400,
			"Failed to validate resource provider config with type 'a.b' and name 'n': Unknown local resource provider type 'a.b'"},
		{`{"type":"REMOVE_RESOURCE_PROVIDER_CONFIG","remove_resource_provider_config":{"type":"a.b","name":"n"}}`, 500, "Missing required flag --resource_provider_config_dir"},
	} {
		if got := call(c.body); got.status != c.status || !strings.Contains(got.body, c.text) || (c.text == "" && got.body != "") {
			t.Errorf("%s is answered %d %s, want %d %s", c.body, got.status, got.body, c.status, c.text)
		}
	}
	const all = "application/json or application/x-protobuf or application/recordio"
	for _, c := range []struct {
		contentType, accept string
		status              int
		text                string
	}{
		{"text/plain", "application/json", 415, "Expecting 'Content-Type' of " + all},
		{"application/json", "text/html", 406, "Expecting 'Accept' to allow " + all},
		{"application/json", "application/recordio", 406, "Streaming response is not supported for GET_HEALTH call"},
		{"application/recordio", "application/json", 400, "Expecting 'Message-Content-Type' to be set for streaming requests"},
	} {
		if got := f.ask(http.MethodPost, "/api/v1", c.contentType, c.accept, `{"type":"GET_HEALTH"}`); got.status != c.status || got.body != c.text {
			t.Errorf("%s for %s is answered %d %s, want %d %s", c.contentType, c.accept, got.status, got.body, c.status, c.text)
		}
	}
}
