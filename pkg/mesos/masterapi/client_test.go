package masterapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tandem-mesos/tandem/pkg/mesos/masterapi"
)

// TestKnown: what is asked of a master that does not lead, the leader answers.
func TestKnown(t *testing.T) {
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, secret, _ := r.BasicAuth(); user != "ops" || secret != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/master/slaves":
			_, _ = w.Write([]byte(`{"slaves":[{"id":"a-S0","hostname":"h"}],"recovered_slaves":[{"id":"a-S1"}]}`))
		case "/master/frameworks":
			_, _ = w.Write([]byte(`{"frameworks":[{"id":"a-0000"}],"completed_frameworks":[{"id":"b-0001"}],"unregistered_frameworks":[]}`))
		default:
			http.NotFound(w, r)
		}
	}))
	defer leader.Close()
	// As a master that does not lead answers: without a scheme, and with /master
	// before what was asked.
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "//"+strings.TrimPrefix(leader.URL, "http://")+"/master"+r.URL.Path)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	defer other.Close()
	address := strings.TrimPrefix(other.URL, "http://")

	got, err := masterapi.New(masterapi.Options{
		Credential: func() (string, string) { return "ops", "s3cret" },
	}).Known(t.Context(), address)
	want := masterapi.Known{Agents: []string{"a-S0", "a-S1"}, Frameworks: []string{"a-0000", "b-0001"}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if _, err := masterapi.New(masterapi.Options{}).Known(t.Context(), address); !errors.Is(err, masterapi.ErrForbidden) {
		t.Errorf("without credentials: %v", err)
	}
}

func TestAMasterThatIsNotReady(t *testing.T) {
	master := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "No leader elected", http.StatusServiceUnavailable)
	}))
	defer master.Close()
	address := strings.TrimPrefix(master.URL, "http://")
	_, err := masterapi.New(masterapi.Options{}).Known(t.Context(), address)
	want := "cannot ask the master at " + address + " for /slaves: it answered 503 Service Unavailable: No leader elected"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
