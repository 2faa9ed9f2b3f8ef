package schedulerapi_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
)

const streamID = "efc4edc8-43f4-4e74-bdd2-a471b723c8e2"

// master answers as a real one does, as far as a test has it. Its fields are set
// before the first request.
type master struct {
	// Before looks at every request first and says whether it has answered it.
	Before func(w http.ResponseWriter, r *http.Request) bool
	// Events are what a subscription gets; it then ends, or stays open when
	// Stay is set.
	Events []*scheduler.Event
	Stay   bool
	// Call answers a call with a status and a text; nil answers 202.
	Call func(n int, c *scheduler.Call) (int, string)

	// Forget keeps no calls.
	Forget bool

	mu      sync.Mutex
	calls   []*scheduler.Call
	headers []http.Header
}

func (m *master) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.Before != nil && m.Before(w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	call := &scheduler.Call{}
	if err != nil || call.Unmarshal(body) != nil {
		refuse(w, http.StatusBadRequest, "Failed to parse body into Call protobuf")
		return
	}
	m.mu.Lock()
	n := len(m.calls)
	if !m.Forget {
		m.headers = append(m.headers, r.Header.Clone())
	}
	if call.Type != scheduler.Call_SUBSCRIBE && !m.Forget {
		m.calls = append(m.calls, call)
	}
	m.mu.Unlock()
	if call.Type != scheduler.Call_SUBSCRIBE {
		status, text := http.StatusAccepted, ""
		if m.Call != nil {
			status, text = m.Call(n, call)
		}
		if text == "" {
			w.WriteHeader(status)
			return
		}
		refuse(w, status, text)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Header().Set("Mesos-Stream-Id", streamID)
	w.WriteHeader(http.StatusOK)
	for _, e := range m.Events {
		b, _ := e.Marshal()
		fmt.Fprintf(w, "%d\n%s", len(b), b)
	}
	w.(http.Flusher).Flush()
	if m.Stay {
		<-r.Context().Done()
	}
}

func (m *master) seen() ([]*scheduler.Call, []http.Header) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls, m.headers
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// start serves the master on loopback and returns its address.
func start(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return strings.TrimPrefix(s.URL, "http://")
}

// nobody is an address that refuses connections.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func client(t *testing.T, opt schedulerapi.Options, masters ...string) *schedulerapi.Client {
	t.Helper()
	if opt.Detector == nil {
		opt.Detector = detect.NewList(masters)
	}
	c, err := schedulerapi.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func subscribe(t *testing.T, c *schedulerapi.Client) *schedulerapi.Stream {
	t.Helper()
	s, err := c.Subscribe(context.Background(), subscribeCall())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func subscribeCall() *scheduler.Call {
	return &scheduler.Call{
		Type: scheduler.Call_SUBSCRIBE,
		Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &mesos.FrameworkInfo{
			User: "root", Name: "payments", Roles: []string{"payments"},
		}},
	}
}

func subscribed(interval float64) *scheduler.Event {
	return &scheduler.Event{Type: scheduler.Event_SUBSCRIBED, Subscribed: &scheduler.Event_Subscribed{
		FrameworkID: &mesos.FrameworkID{Value: "77a7fa47-0002"}, HeartbeatIntervalSeconds: &interval,
	}}
}

func heartbeat() *scheduler.Event { return &scheduler.Event{Type: scheduler.Event_HEARTBEAT} }

// kills are n calls that can be told apart.
func kills(n int) []*scheduler.Call {
	calls := make([]*scheduler.Call, n)
	for i := range calls {
		calls[i] = &scheduler.Call{
			Type: scheduler.Call_KILL, FrameworkID: &mesos.FrameworkID{Value: "77a7fa47-0002"},
			Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: fmt.Sprintf("payments_api.%d.1.web", i)}},
		}
	}
	return calls
}
