package masterapi_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/mesos/masterapi"
)

// TestKnown: what is asked of a master that does not lead, the leader answers.
func TestKnown(t *testing.T) {
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, secret, _ := r.BasicAuth(); user != "ops" || secret != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var call master.Call
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = call.Unmarshal(body)
		}
		if err != nil || r.URL.Path != "/master/api/v1" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			http.Error(w, fmt.Sprint(r.URL, r.Header, err), http.StatusBadRequest)
			return
		}
		framework := func(id string) []master.Response_GetFrameworks_Framework {
			return []master.Response_GetFrameworks_Framework{{FrameworkInfo: mesos.FrameworkInfo{ID: &mesos.FrameworkID{Value: id}}}}
		}
		agent := func(id string) mesos.AgentInfo { return mesos.AgentInfo{ID: &mesos.AgentID{Value: id}} }
		answer := &master.Response{Type: master.Response_GET_FRAMEWORKS, GetFrameworks: &master.Response_GetFrameworks{
			Frameworks: framework("a-0000"), CompletedFrameworks: framework("b-0001"),
		}}
		if call.Type == master.Call_GET_AGENTS {
			answer = &master.Response{Type: master.Response_GET_AGENTS, GetAgents: &master.Response_GetAgents{
				Agents:          []master.Response_GetAgents_Agent{{AgentInfo: agent("a-S0")}},
				RecoveredAgents: []mesos.AgentInfo{agent("a-S1")},
			}}
		}
		if body, err = answer.Marshal(); err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
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

	client := masterapi.New(masterapi.Options{Credential: func() (string, string) { return "ops", "s3cret" }})
	frameworks, err := client.Frameworks(t.Context(), address)
	if want := []string{"a-0000", "b-0001"}; err != nil || !slices.Equal(frameworks, want) {
		t.Errorf("frameworks: %v, %v", frameworks, err)
	}
	agents, err := client.Agents(t.Context(), address)
	if want := []string{"a-S0", "a-S1"}; err != nil || !slices.Equal(agents, want) {
		t.Errorf("agents: %v, %v", agents, err)
	}
	if _, err := masterapi.New(masterapi.Options{}).Agents(t.Context(), address); !errors.Is(err, masterapi.ErrForbidden) {
		t.Errorf("without credentials: %v", err)
	}
}

// TestAnAPIThatIsKeptBack: a master whose v1 API takes credentials, and whose
// pages do not, is asked for these.
func TestAnAPIThatIsKeptBack(t *testing.T) {
	m := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slaves":
			_, _ = w.Write([]byte(`{"slaves":[{"id":"a-S0","hostname":"h"}],"recovered_slaves":[{"id":"a-S1"}]}`))
		case "/frameworks":
			_, _ = w.Write([]byte(`{"frameworks":[{"id":"a-0000","tasks":[{"id":"t"}]}],"completed_frameworks":[{"id":"b-0001"}],"unregistered_frameworks":[]}`))
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer m.Close()
	client, address := masterapi.New(masterapi.Options{}), strings.TrimPrefix(m.URL, "http://")
	frameworks, err := client.Frameworks(t.Context(), address)
	if want := []string{"a-0000", "b-0001"}; err != nil || !slices.Equal(frameworks, want) {
		t.Errorf("frameworks: %v, %v", frameworks, err)
	}
	agents, err := client.Agents(t.Context(), address)
	if want := []string{"a-S0", "a-S1"}; err != nil || !slices.Equal(agents, want) {
		t.Errorf("agents: %v, %v", agents, err)
	}
}

func TestAMasterThatIsNotReady(t *testing.T) {
	master := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "No leader elected", http.StatusServiceUnavailable)
	}))
	defer master.Close()
	address := strings.TrimPrefix(master.URL, "http://")
	_, err := masterapi.New(masterapi.Options{}).Frameworks(t.Context(), address)
	want := "cannot make the call GET_FRAMEWORKS to the master at " + address + ": it answered 503 Service Unavailable: No leader elected"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
