package master

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

const masterID = "3b1f7d6e-0c7a-4d2b-9a53-2f6f1c1a9e10"

// world is a master in a synctest bubble: its time is the bubble's, and its
// handlers are called without a network.
type world struct {
	*testing.T
	m      *Master
	agents int // made so far
}

// inWorld runs a test with a master.
func inWorld(t *testing.T, options Options, test func(*world)) {
	t.Helper()
	options.Listen, options.ID, options.Version = "127.0.0.1:5050", masterID, "1.11.0"
	synctest.Test(t, func(t *testing.T) {
		m, err := New(options)
		if err != nil {
			t.Fatal(err)
		}
		test(&world{T: t, m: m})
		if err := m.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// settle waits until everything that can happen now has happened.
func (w *world) settle() { synctest.Wait() }

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) do(method, path, body string, headers ...string) answer {
	w.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:5050"+path, strings.NewReader(body)).WithContext(w.Context())
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.m.Handler().ServeHTTP(rec, r)
	synctest.Wait()
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

func (w *world) get(path string) string {
	w.Helper()
	a := w.do("GET", path, "")
	if a.status != http.StatusOK {
		w.Errorf("GET %s: %d %s", path, a.status, a.body)
	}
	return a.body
}

// fakeScheduler is a scheduler's stream and the calls on it.
type fakeScheduler struct {
	w        *world
	id       string
	streamID string
	cancel   context.CancelFunc

	mu     sync.Mutex
	in     *bytes.Buffer
	status int
	header http.Header
	ended  bool
	read   []string // events not yet taken
}

func (s *fakeScheduler) Header() http.Header { return s.header }

func (s *fakeScheduler) WriteHeader(status int) { s.mu.Lock(); s.status = status; s.mu.Unlock() }

func (s *fakeScheduler) Flush() {}

func (s *fakeScheduler) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.Write(p)
}

// exampleInfo is a FrameworkInfo as most tests use it.
const exampleInfo = `"user":"root","name":"example","roles":["example"],"checkpoint":true,"failover_timeout":60,` +
	`"capabilities":[{"type":"MULTI_ROLE"},{"type":"RESERVATION_REFINEMENT"},{"type":"PARTITION_AWARE"},{"type":"TASK_KILLING_STATE"}]`

// open sends a SUBSCRIBE call and keeps its stream.
func (w *world) open(body string, headers ...string) *fakeScheduler {
	w.Helper()
	return w.openAt("/api/v1/scheduler", body, headers...)
}

func (w *world) openAt(path, body string, headers ...string) *fakeScheduler {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	s := &fakeScheduler{w: w, cancel: cancel, in: new(bytes.Buffer), header: make(http.Header)}
	r := httptest.NewRequest("POST", "http://127.0.0.1:5050"+path, strings.NewReader(body)).WithContext(ctx)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	go func() {
		w.m.Handler().ServeHTTP(s, r)
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
	}()
	synctest.Wait()
	s.mu.Lock()
	s.streamID = s.header.Get("Mesos-Stream-Id")
	s.mu.Unlock()
	return s
}

// subscribe opens a stream of a framework that is accepted.
func (w *world) subscribe(info string) *fakeScheduler {
	w.Helper()
	s := w.open(`{"type":"SUBSCRIBE","subscribe":{"framework_info":{` + info + `}}}`)
	s.started()
	return s
}

// resubscribe opens another stream of the framework.
func (s *fakeScheduler) resubscribe(info string) *fakeScheduler {
	s.w.Helper()
	id := fmt.Sprintf(`{"value":%q}`, s.id)
	again := s.w.open(`{"type":"SUBSCRIBE","framework_id":` + id + `,"subscribe":{"framework_info":{"id":` + id + `,` + info + `}}}`)
	again.started()
	return again
}

func (s *fakeScheduler) started() {
	s.w.Helper()
	events := s.events()
	if len(events) < 2 || !strings.HasPrefix(events[0], `{"type":"SUBSCRIBED"`) || events[1] != `{"type":"HEARTBEAT"}` {
		s.w.Fatalf("a subscription began with %v", events)
	}
	var subscribed struct {
		Subscribed struct {
			FrameworkID struct{ Value string } `json:"framework_id"`
		}
	}
	if err := json.Unmarshal([]byte(events[0]), &subscribed); err != nil {
		s.w.Fatal(err)
	}
	s.id = subscribed.Subscribed.FrameworkID.Value
	s.read = events[2:]
}

// events takes the events that have come since.
func (s *fakeScheduler) events() []string {
	s.w.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.read
	s.read = nil
	in := wire.NewRecordReader(s.in)
	for {
		record, err := in.Next()
		if err != nil {
			return events
		}
		events = append(events, string(record))
	}
}

func (s *fakeScheduler) closed() bool {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// call makes a call with the framework's ID; members are those of the call
// beside it.
func (s *fakeScheduler) call(members string) answer {
	s.w.Helper()
	body := fmt.Sprintf(`{"framework_id":{"value":%q},%s}`, s.id, members)
	return s.w.do("POST", "/api/v1/scheduler", body, "Content-Type", "application/json", "Mesos-Stream-Id", s.streamID)
}

// must makes a call that is accepted.
func (s *fakeScheduler) must(members string) {
	s.w.Helper()
	if a := s.call(members); a.status != 202 || a.body != "" {
		s.w.Errorf("%.200s: %d %s", members, a.status, a.body)
	}
}

// transcript shortens events to what tests are about, one line each.
func (s *fakeScheduler) transcript() string {
	s.w.Helper()
	return transcribe(s.w, s.events())
}

func transcribe(w *world, events []string) string {
	w.Helper()
	var b strings.Builder
	for _, text := range events {
		var e struct {
			Type   string
			Offers struct {
				Offers []struct {
					ID             struct{ Value string }
					AgentID        struct{ Value string }   `json:"agent_id"`
					Resources      []mesos.Resource         `json:"-"`
					Raw            json.RawMessage          `json:"resources"`
					AllocationInfo struct{ Role string }    `json:"allocation_info"`
					ExecutorIDs    []struct{ Value string } `json:"executor_ids"`
				}
			}
			Rescind struct {
				OfferID struct{ Value string } `json:"offer_id"`
			}
			Update struct {
				Status map[string]any
			}
			Failure map[string]any
			Error   struct{ Message string }
			Message map[string]any
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			w.Fatalf("%s: %v", text, err)
		}
		b.WriteString(e.Type)
		switch e.Type {
		case "OFFERS":
			for _, o := range e.Offers.Offers {
				fmt.Fprintf(&b, " %s %s %s %s", short(o.ID.Value), short(o.AgentID.Value), o.AllocationInfo.Role, amounts(o.Raw))
				for _, e := range o.ExecutorIDs {
					b.WriteString(" +" + e.Value)
				}
			}
		case "RESCIND":
			b.WriteString(" " + short(e.Rescind.OfferID.Value))
		case "UPDATE":
			st := e.Update.Status
			fmt.Fprintf(&b, " %s %s %s", value(st["task_id"]), st["state"], st["source"])
			for _, field := range []string{"reason", "message"} {
				if st[field] != nil {
					fmt.Fprintf(&b, " %s", st[field])
				}
			}
			for _, field := range []string{"agent_id", "executor_id"} {
				if st[field] != nil {
					fmt.Fprintf(&b, " %s=%s", field, short(value(st[field])))
				}
			}
			for _, field := range []string{"uuid", "container_status", "unreachable_time"} {
				if st[field] != nil {
					b.WriteString(" " + field)
				}
			}
		case "FAILURE":
			fmt.Fprintf(&b, " %s %s %v", short(value(e.Failure["agent_id"])), value(e.Failure["executor_id"]), e.Failure["status"])
		case "ERROR":
			b.WriteString(" " + e.Error.Message)
		case "MESSAGE":
			fmt.Fprintf(&b, " %s %s", value(e.Message["executor_id"]), e.Message["data"])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func value(v any) string {
	if m, ok := v.(map[string]any); ok {
		return fmt.Sprint(m["value"])
	}
	return "-"
}

func short(id string) string { return strings.TrimPrefix(id, masterID+"-") }

// amounts prints resources as name:value.
func amounts(raw json.RawMessage) string {
	var list []struct {
		Name   string
		Scalar *struct{ Value float64 }
		Ranges *struct {
			Range []struct{ Begin, End uint64 }
		}
	}
	_ = json.Unmarshal(raw, &list)
	var parts []string
	for _, r := range list {
		if r.Scalar != nil {
			parts = append(parts, fmt.Sprintf("%s:%v", r.Name, r.Scalar.Value))
			continue
		}
		for _, rg := range r.Ranges.Range {
			parts = append(parts, fmt.Sprintf("%s:%d-%d", r.Name, rg.Begin, rg.End))
		}
	}
	return strings.Join(parts, ",")
}

func (w *world) expect(got, want string) {
	w.Helper()
	want = strings.ReplaceAll(strings.TrimLeft(want, "\n"), "\t", "")
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		w.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// acknowledge acknowledges the status that update sent with n.
func (s *fakeScheduler) acknowledge(a *fakeAgent, task string, n byte) {
	s.w.Helper()
	uuid := []byte{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x46, 0x17, 0x98, 0x19, 0x1a, 0x1b, 0, 0, 0, n}
	text, _ := json.Marshal(uuid)
	s.must(fmt.Sprintf(`"type":"ACKNOWLEDGE","acknowledge":{"agent_id":{"value":%q},"task_id":{"value":%q},"uuid":%s}`, a.id.Value, task, text))
}

// group is a LAUNCH_GROUP operation of tasks of 0.1 cpus and an executor.
func (s *fakeScheduler) group(a *fakeAgent, executor string, tasks ...string) string {
	list := make([]string, len(tasks))
	for i, id := range tasks {
		list[i] = fmt.Sprintf(`{"name":"task %s","task_id":{"value":%q},"agent_id":{"value":%q},"resources":[%s]}`, id, id, a.id.Value, resourcesOf(0.1, 32, 10))
	}
	return fmt.Sprintf(`{"type":"LAUNCH_GROUP","launch_group":{"executor":{%s},"task_group":{"tasks":[%s]}}}`,
		s.executor(executor), strings.Join(list, ","))
}

func (s *fakeScheduler) executor(id string) string {
	return fmt.Sprintf(`"type":"CUSTOM","executor_id":{"value":%q},"framework_id":{"value":%q},"command":{"value":"./example-executor"},"resources":[%s]`,
		id, s.id, resourcesOf(0.2, 64, 32))
}

func resourcesOf(cpus, mem, disk float64) string {
	return fmt.Sprintf(`{"name":"cpus","type":"SCALAR","scalar":{"value":%v}},{"name":"mem","type":"SCALAR","scalar":{"value":%v}},{"name":"disk","type":"SCALAR","scalar":{"value":%v}}`, cpus, mem, disk)
}

// accept is an ACCEPT call of offers by number, with filters of no time.
func accept(offers string, operations ...string) string {
	var ids []string
	for n := range strings.SplitSeq(offers, ",") {
		if n != "" {
			ids = append(ids, fmt.Sprintf(`{"value":"%s-%s"}`, masterID, n))
		}
	}
	return fmt.Sprintf(`"type":"ACCEPT","accept":{"offer_ids":[%s],"operations":[%s],"filters":{"refuse_seconds":0}}`,
		strings.Join(ids, ","), strings.Join(operations, ","))
}
