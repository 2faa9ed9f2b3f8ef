package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/prototext"

	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
	"github.com/tandem-mesos/tandem/pkg/mesos/masterapi"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// detectorOf finds a master that is a test's.
func detectorOf(t *testing.T, m *httptest.Server) detector {
	t.Helper()
	masters, err := detect.Parse(strings.TrimPrefix(m.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDetector(masters)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestQuotas: the limits of one's own roles and of those above are told, and the
// master is asked once for all who want to know within a while, whatever it answers.
func TestQuotas(t *testing.T) {
	asked, status := 0, http.StatusOK
	m := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"roles":[
			{"name":"team","quota":{"limit":{"mem":512,"cpus":10},"consumed":{"cpus":9.5}}},
			{"name":"team/web","quota":{"limit":{}}},
			{"name":"teams","quota":{"limit":{"cpus":1}}}]}`))
	}))
	defer m.Close()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	q := &inquirer{roles: []string{"team/web"}, detector: detectorOf(t, m), masters: masterapi.New(masterapi.Options{}), now: func() time.Time { return now }}
	expect := func(questions int, want, wantErr string) {
		t.Helper()
		known, err := q.Quotas(t.Context())
		text := ""
		for _, k := range known {
			text += strings.Join(strings.Fields(prototext.MarshalOptions{}.Format(k)), " ")
		}
		if text != want || asked != questions || wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%d questions, %q, %v; want %d, %q, %q", asked, text, err, questions, want, wantErr)
		}
	}
	const limits = `role:"team" limits:{resource:"cpus" limit:10 consumed:9.5} limits:{resource:"mem" limit:512}`
	expect(1, limits, "")
	now = now.Add(answerAge / 2)
	expect(1, limits, "")
	now, status = now.Add(answerAge), http.StatusForbidden
	expect(2, "", "does not let this principal look")
	status = http.StatusOK
	expect(2, "", "does not let this principal look")
	now = now.Add(answerAge)
	expect(3, limits, "")

	// Who does not wait for the answer is no reason for others to go without.
	now = now.Add(answerAge)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Quotas(gone); err == nil {
		t.Error("somebody who has gone got an answer")
	}
	expect(4, limits, "")
}

// TestWithheldAgents: of an agent that seems to have room the master says whether an
// operator keeps it from everybody, once for all who want to know within a while.
func TestWithheldAgents(t *testing.T) {
	asked := 0
	m := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/roles" {
			_, _ = w.Write([]byte(`{"roles":[]}`))
			return
		}
		asked++
		// A master that does not know the parameter shows all.
		_, _ = w.Write([]byte(`{"slaves":[{"id":"a"},{"id":"b","deactivated":true},{"id":"c","deactivated":true,"drain_info":{"state":"DRAINED"}}]}`))
	}))
	defer m.Close()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	q := &inquirer{detector: detectorOf(t, m), masters: masterapi.New(masterapi.Options{}), now: func() time.Time { return now }}
	for _, questions := range []int{4, 4, 8} {
		w, err := q.Withheld(t.Context(), []string{"a", "b", "c", "d"})
		want := map[string]string{
			"a": "", "b": "an operator, who has deactivated it", "c": "an operator's drain", "d": "the master, which shows no such agent",
		}
		if err != nil || !maps.Equal(w.Agents, want) || asked != questions {
			t.Errorf("after %d questions: %v, %v", asked, w.Agents, err)
		}
		if asked == questions {
			now = now.Add(answerAge / 2)
		}
	}
}

// TestTell: while something waits its quotas are told now and then, and so it is of
// agents that are known as drained; less often when the master does not answer.
func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var waiting atomic.Bool
		var drained atomic.Pointer[[]string]
		drained.Store(&[]string{})
		var told atomic.Int32
		back := map[string]bool{} // the agents that are not drained any more
		// It has answers all along.
		q := &inquirer{now: time.Now, asked: time.Now().Add(24 * time.Hour), agents: map[string]agentAnswer{}}
		var many []string
		for n := range maxAgents + maxAgents/2 {
			many = append(many, fmt.Sprintf("agent%02d", n))
			q.agents[many[n]] = agentAnswer{at: time.Now().Add(24 * time.Hour)}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			q.tell(ctx, func() (bool, []string) { return waiting.Load(), *drained.Load() }, func(w core.Withheld) {
				told.Add(1)
				for id, why := range w.Agents {
					back[id] = why == ""
				}
			})
		})
		time.Sleep(time.Second) // beside the looks
		expect := func(want int32, err error) {
			t.Helper()
			q.mu.Lock()
			q.err = err
			q.mu.Unlock()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if n := told.Load(); n != want {
				t.Errorf("told %d times, not %d", n, want)
			}
		}
		expect(0, nil)
		waiting.Store(true)
		expect(10, nil)
		expect(10, errors.New("no"))
		expect(20, nil)
		waiting.Store(false)
		expect(20, nil)
		drained.Store(&many)
		expect(30, nil)
		if len(back) != len(many) {
			t.Errorf("told of the agents %v, and not of all of %v", back, many)
		}
		cancel()
		wg.Wait()
	})
}
