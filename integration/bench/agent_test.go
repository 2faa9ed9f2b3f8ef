package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// patience is for what should take a moment.
const patience = 5 * time.Minute

// agentAPI is the executor API of an agent that takes and acknowledges all that
// it is told, and writes down when.
type agentAPI struct {
	server    *httptest.Server
	container string
	events    chan *executor.Event

	mu         sync.Mutex // guards what follows
	subscribed time.Time
	launched   time.Time // when the last LAUNCH_GROUP was ready to be sent
	seen       map[string]*seen
	// waiting is closed, and forgotten, once nothing is left that is counted.
	left    int
	counts  func(state mesos.TaskState) bool
	waiting chan struct{}
}

// seen is when a task was first reported to run, and to have ended.
type seen struct {
	running, ended time.Time
	last           mesos.TaskStatus
}

func newAgentAPI(b *testing.B, container string) *agentAPI {
	a := &agentAPI{container: container, events: make(chan *executor.Event, 100_000), seen: make(map[string]*seen)}
	a.server = httptest.NewServer(a)
	b.Cleanup(func() {
		a.server.CloseClientConnections()
		a.server.Close()
	})
	return a
}

func (a *agentAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	now := time.Now()
	var call executor.Call
	if err == nil {
		err = call.Unmarshal(body)
	}
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case call.Type == executor.Call_SUBSCRIBE:
		a.mu.Lock()
		a.subscribed = now
		a.mu.Unlock()
		a.stream(w, r)
	case call.Type == executor.Call_UPDATE:
		w.WriteHeader(http.StatusAccepted)
		a.take(&call.Update.Status, now)
	}
}

func (a *agentAPI) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-protobuf")
	event := &executor.Event{Type: executor.Event_SUBSCRIBED, Subscribed: &executor.Event_Subscribed{
		ContainerID: &mesos.ContainerID{Value: a.container},
	}}
	for {
		record, err := event.Marshal()
		if event.Type == executor.Event_LAUNCH_GROUP {
			a.mu.Lock()
			a.launched = time.Now()
			a.mu.Unlock()
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "%d\n%s", len(record), record)
		}
		if err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case event = <-a.events:
		case <-r.Context().Done():
			return
		}
	}
}

func (a *agentAPI) take(status *mesos.TaskStatus, now time.Time) {
	a.events <- &executor.Event{Type: executor.Event_ACKNOWLEDGED, Acknowledged: &executor.Event_Acknowledged{
		TaskID: status.TaskID, UUID: status.UUID,
	}}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.seen[status.TaskID.Value]
	if s == nil {
		s = &seen{}
		a.seen[status.TaskID.Value] = s
	}
	s.last = *status
	switch state := status.GetState(); {
	case state == mesos.TASK_RUNNING:
		s.running = now
	case terminal(state):
		s.ended = now
	}
	if a.left > 0 && a.counts(status.GetState()) {
		if a.left--; a.left == 0 {
			close(a.waiting)
		}
	}
}

func terminal(state mesos.TaskState) bool {
	switch state {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_ERROR, mesos.TASK_LOST, mesos.TASK_DROPPED:
		return true
	}
	return false
}

// expect says that n updates of a kind will be waited for. It must come before
// what causes them.
func (a *agentAPI) expect(n int, counts func(mesos.TaskState) bool) (wait func(b *testing.B)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	waiting := make(chan struct{})
	a.left, a.counts, a.waiting = n, counts, waiting
	return func(b *testing.B) {
		b.Helper()
		select {
		case <-waiting:
		case <-time.After(patience):
			a.mu.Lock()
			defer a.mu.Unlock()
			b.Fatalf("%d of %d updates did not come", a.left, n)
		}
	}
}

// launch has a group launched.
func (a *agentAPI) launch(tasks []mesos.TaskInfo) {
	a.events <- &executor.Event{
		Type: executor.Event_LAUNCH_GROUP, LaunchGroup: &executor.Event_LaunchGroup{TaskGroup: mesos.TaskGroupInfo{Tasks: tasks}},
	}
}

// since returns when the last group that was launched, and has been seen to run,
// was sent.
func (a *agentAPI) since() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.launched
}

// of returns what was seen of a task, which must have come so far.
func (a *agentAPI) of(task string) seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	return *a.seen[task]
}
