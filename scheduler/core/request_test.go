package core

import (
	"fmt"
	"testing"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// TestKeysAreBounded: the oldest key gives way to one too many, also after a
// restart, in which keys are read in the order of their names.
func TestKeysAreBounded(t *testing.T) {
	s := &script{t: t, cfg: testConfig(), now: epoch}
	s.core = New(s.cfg, state.Snapshot{})
	var saved state.Snapshot
	ask := func(key string) Effects {
		s.id++
		s.now = s.now.Add(time.Millisecond)
		return s.core.Step(s.now, Command{ID: s.id, Submit: &Submit{Job: parseJob(t, []string{"/web", "service", "0"})},
			Request: &Request{Caller: "token:ci", Call: "SubmitJob", Key: key, SHA256: []byte(key)}})
	}
	kept := func(e Effects) (put *tandemv1.RequestRecord, gone []string) {
		for _, c := range e.Save {
			switch r, ok := c.Record.(*tandemv1.RequestRecord); {
			case ok:
				put = r
			case c.Kind == state.KindRequest:
				gone = append(gone, c.Key.String())
			}
		}
		return put, gone
	}
	for n := maxRequests; n > 0; n-- { // the names count down
		r, gone := kept(ask(fmt.Sprintf("key-%05d", n)))
		if r.GetAnswer().GetVersion() != 1 || len(gone) > 0 {
			t.Fatalf("key %d is kept as %v; %v are not kept any more", n, r, gone)
		}
		saved.Requests = append([]*tandemv1.RequestRecord{r}, saved.Requests...)
	}
	for restarted, key := range []string{"one more", "and another"} {
		if restarted > 0 {
			s.core = New(s.cfg, saved)
		}
		want := state.RequestKey("token:ci", "SubmitJob", fmt.Sprintf("key-%05d", maxRequests))
		if r, gone := kept(ask(key)); r == nil || len(gone) != 1 || gone[0] != want {
			t.Errorf("%q is kept as %v; %v are not kept any more, want %s", key, r, gone, want)
		}
		// Requests that were refused after a while leave nothing.
		for n := range 3 * maxRequests {
			q := &request{rec: &tandemv1.RequestRecord{Key: fmt.Sprint("refused ", n)}, command: 1}
			s.core.taken.add(q)
			s.core.answerRequest(q, Reply{Refused: &Refused{}}, true)
			s.core.taken.tidy()
		}
		if n := len(s.core.taken.order); n > 2*maxRequests+1 {
			t.Errorf("the order has %d requests", n)
		}
		if n := len(s.core.taken.byKey); n != maxRequests {
			t.Errorf("%d keys are kept, want %d", n, maxRequests)
		}
	}
}
