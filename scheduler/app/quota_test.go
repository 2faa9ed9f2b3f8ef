package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"

	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
	"github.com/tandem-mesos/tandem/pkg/mesos/masterapi"
)

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
	masters, err := detect.Parse(strings.TrimPrefix(m.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDetector(masters)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	q := &quotas{roles: []string{"team/web"}, detector: d, masters: masterapi.New(masterapi.Options{}), now: func() time.Time { return now }}
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
	now = now.Add(quotaAge / 2)
	expect(1, limits, "")
	now, status = now.Add(quotaAge), http.StatusForbidden
	expect(2, "", "does not let this principal look")
	status = http.StatusOK
	expect(2, "", "does not let this principal look")
	now = now.Add(quotaAge)
	expect(3, limits, "")

	// Who does not wait for the answer is no reason for others to go without.
	now = now.Add(quotaAge)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Quotas(gone); err == nil {
		t.Error("somebody who has gone got an answer")
	}
	expect(4, limits, "")
}
