package masterapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/mesos/masterapi"
)

// TestAgent reads what masters say of an agent, of today and of before 1.9.
func TestAgent(t *testing.T) {
	const all = `{"slaves":[{"id":"S1","active":true},
		{"id":"S2","active":false,"deactivated":true},
		{"id":"S3","active":false,"deactivated":true,"drain_info":{"state":"DRAINING","config":{}}}]}`
	for _, c := range []struct {
		id, answer string
		want       masterapi.Agent
		known      bool
		err        string
	}{
		{id: "S1", answer: all, known: true},
		{id: "S2", answer: all, want: masterapi.Agent{Deactivated: true}, known: true},
		{id: "S3", answer: all, want: masterapi.Agent{Draining: true, Deactivated: true}, known: true},
		{id: "S4", answer: all},
		{id: "S1", answer: "<html>", err: "invalid character"},
	} {
		m := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.URL.String(); got != "/slaves?slave_id="+c.id {
				t.Errorf("asked for %s", got)
			}
			_, _ = w.Write([]byte(c.answer))
		}))
		got, known, err := masterapi.New(masterapi.Options{}).Agent(t.Context(), strings.TrimPrefix(m.URL, "http://"), c.id)
		m.Close()
		if got != c.want || known != c.known || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %t, %v", c.id, got, known, err)
		}
	}
}
