package api_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/api"
)

// standby is a Standby whose leader and copy are what a test makes them.
type standby struct {
	base    string
	handler http.Handler
	// leader is its address, or nothing while none is known.
	leader string
	// noCopy is why there is no copy.
	noCopy error
}

func newStandby(t testing.TB, opt api.Options) *standby {
	t.Helper()
	b := &standby{}
	own, err := api.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	s, err := api.NewStandby(api.StandbyOptions{
		Leader: func() (string, error) {
			if b.leader == "" {
				return "", errors.New("nobody stands for election")
			}
			return b.leader, nil
		},
		Copy: func() (*api.Server, string, error) { return own, "this is old", b.noCopy },
		Gate: opt.Gate, Files: opt.Files, Artifacts: http.NotFoundHandler(), Log: opt.Log, Gatherer: opt.Gatherer,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.handler = s.Handler()
	server := httptest.NewUnstartedServer(b.handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	b.base = server.URL
	return b
}

// gone is the address of a leader whose process has ended.
func gone() string {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	return s.URL
}

// TestStandbyAnswersReadersItself while nobody leads or the leader does not answer,
// in every protocol; and nobody else, and nothing that it is not sure to be proved.
func TestStandbyAnswersReadersItself(t *testing.T) {
	opt, _, _ := guarded(t, &commander{}, teams())
	b := newStandby(t, opt)
	for name, leader := range map[string]string{"no leader is known": "", "the leader does not answer": gone()} {
		b.leader = leader
		for protocol, client := range as(b.base, "planted-reader") {
			ctx, call := connect.NewClientContext(t.Context())
			got, err := client.GetJob(ctx, &tandemv1.GetJobRequest{Id: "/team/words"})
			if err != nil || got.GetJob().GetJob().GetVersion() != 4 || call.ResponseHeader().Get(api.NoticeHeader) != "this is old" {
				t.Errorf("%s, by %s: %v, %v, with the notice %q", name, protocol, got, err, call.ResponseHeader().Get(api.NoticeHeader))
			}
			if _, err := client.GetJob(t.Context(), &tandemv1.GetJobRequest{Id: "/other"}); connect.CodeOf(err) != connect.CodePermissionDenied {
				t.Errorf("%s, by %s: a job of others: %v", name, protocol, err)
			}
			_, err = client.SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{Job: team("/team/words")})
			if connect.CodeOf(err) != connect.CodeUnavailable {
				t.Errorf("%s, by %s: a submission: %v, want unavailable", name, protocol, err)
			}
		}
		for protocol, client := range as(b.base, "") {
			// A browser's login is known to the leader alone: its end is not told here.
			if _, err := client.ListJobs(t.Context(), &tandemv1.ListJobsRequest{}); connect.CodeOf(err) != connect.CodeUnavailable {
				t.Errorf("%s, by %s: without a token: %v, want unavailable", name, protocol, err)
			}
		}
		for path, status := range map[string]int{"/jobs/team/words": 200, "/login": 503} {
			r, err := http.Get(b.base + path)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != status {
				t.Errorf("%s: GET %s: %s, want %d", name, path, r.Status, status)
			}
		}
	}
	// So it does for another standby that takes it for the leader.
	second, _, _ := guarded(t, &commander{}, teams())
	b.leader = newStandby(t, second).base
	ctx, call := connect.NewClientContext(t.Context())
	got, err := as(b.base, "planted-reader")["gRPC"].GetJob(ctx, &tandemv1.GetJobRequest{Id: "/team/words"})
	if err != nil || got.GetJob().GetJob().GetVersion() != 4 || call.ResponseHeader().Get(api.NoticeHeader) != "this is old" {
		t.Errorf("passed on to a standby: %v, %v, with the notice %q", got, err, call.ResponseHeader().Get(api.NoticeHeader))
	}
	_, err = as(b.base, "planted-admin")["gRPC"].StopJob(t.Context(), &tandemv1.StopJobRequest{Id: "/team/words"})
	if want := "the scheduler that was taken for the leader does not lead"; connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), want) {
		t.Errorf("a write passed on to a standby: %v, want unavailable with %q", err, want)
	}
	b.leader, b.noCopy = "", errors.New("the state was not read yet")
	_, err = as(b.base, "planted-reader")["gRPC"].ListJobs(t.Context(), &tandemv1.ListJobsRequest{})
	if want := "nobody stands for election; and this standby cannot answer by itself: the state was not read yet"; connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), want) {
		t.Errorf("without a copy: %v, want unavailable with %q", err, want)
	}
}

// TestStandbyPassesOnWhatItHasRead whole, whatever its size.
func TestStandbyPassesOnWhatItHasRead(t *testing.T) {
	const procedure = "/tandem.v1.SchedulerService/PlanJob"
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	defer leader.Close()
	b := newStandby(t, options(&commander{}, teams()))
	b.leader = leader.URL
	for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 1 << 20} {
		body := strings.Repeat("x", size)
		r, err := http.Post(b.base+procedure, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || string(got) != body {
			t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
		}
	}
}

// TestStandbyNamesTheLeaderToACertificate: what proves a caller on one connection
// proves nothing on another.
func TestStandbyNamesTheLeaderToACertificate(t *testing.T) {
	opt, _, _ := guarded(t, &commander{}, teams())
	b := newStandby(t, opt)
	b.leader = "https://10.0.0.7:7070"
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/tandem.v1.SchedulerService/StopJob", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "call the leader itself, at https://10.0.0.7:7070, or bring a token") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
