package app_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	logtest "github.com/sirupsen/logrus/hooks/test"

	"github.com/tandem-mesos/tandem/pkg/zookeeper/zktest"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/app"
	"github.com/tandem-mesos/tandem/scheduler/cli"
	"github.com/tandem-mesos/tandem/scheduler/leader"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// zk is one ZooKeeper for all tests that do not harm it.
var zk zktest.Shared

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cli.Main())
	}
	code := m.Run()
	zk.Stop()
	os.Exit(code)
}

var teams atomic.Int64

// member is one of a team's schedulers.
type member struct {
	at        app.Addresses
	client    tandemv1connect.SchedulerServiceClient
	artifacts string
	// done gets what Run returns.
	done chan error
	stop context.CancelFunc
}

// team starts schedulers that share a state.
type team struct {
	t            *testing.T
	master, path string
	// session is the session-timeout of each.
	session time.Duration
}

func newTeam(t *testing.T, master string) *team {
	return &team{t, master, fmt.Sprintf("/tandem/team%d", teams.Add(1)), 2 * time.Second}
}

// join starts a scheduler that reaches ZooKeeper at the address.
func (m *team) join(server string) *member {
	m.t.Helper()
	opt, _ := options(m.t, m.master)
	opt.StateDir, opt.Artifacts = "zk://"+server+m.path, filepath.Join(m.t.TempDir(), "artifacts")
	opt.SessionTimeout = m.session
	ready := make(chan app.Addresses, 1)
	opt.Ready = func(a app.Addresses) { ready <- a }
	ctx, cancel := context.WithCancel(context.Background())
	s := &member{artifacts: opt.Artifacts, done: make(chan error, 1), stop: cancel}
	go func() { s.done <- app.Run(ctx, opt) }()
	select {
	case s.at = <-ready:
	case err := <-s.done:
		m.t.Fatalf("Run returned %v", err)
	}
	s.client = tandemv1connect.NewSchedulerServiceClient(http.DefaultClient, s.at.Local)
	m.t.Cleanup(func() {
		cancel()
		<-s.done
	})
	return s
}

// says waits until an address answers with the status and the text.
func says(t *testing.T, url string, status int, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode == status && strings.Contains(string(body), text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s %s\nwant %d with %q", url, r.Status, body, status, text)
		}
	}
}

func (s *member) leads(t *testing.T) {
	t.Helper()
	says(t, s.at.Local+"/readyz", http.StatusOK, "ok; leader")
	says(t, s.at.Local+"/metrics", http.StatusOK, "tandem_leader 1")
}

func (s *member) standsBy(t *testing.T, leader *member) {
	t.Helper()
	says(t, s.at.Local+"/readyz", http.StatusOK, "ok; standby of the leader at "+leader.at.Advertised)
	says(t, s.at.Local+"/metrics", http.StatusOK, "tandem_leader 0")
}

func aJob(id string) *tandemv1.SubmitJobRequest {
	return &tandemv1.SubmitJobRequest{Job: &tandemv1.Job{Id: id, Instances: proto.Int32(2), Workloads: []*tandemv1.Workload{
		{Name: "web", Cmd: "exec sleep 1000", Resources: &tandemv1.Resources{Cpus: 0.1, Mem: 16}},
	}}}
}

// TestAStandby passes calls on, in every protocol, and takes over what it is left.
func TestAStandby(t *testing.T) {
	server := zk.Server(t)
	master := startMesos(t)
	m := newTeam(t, master)
	a := m.join(server.Address)
	a.leads(t)
	view := subscribed(t, a.client)
	b := m.join(server.Address)
	b.standsBy(t, a)

	submit := func() (*tandemv1.SubmitJobResponse, error) {
		ctx, call := connect.NewClientContext(t.Context())
		call.RequestHeader().Set("Idempotency-Key", "deploy-1")
		return b.client.SubmitJob(ctx, aJob("/payments/api"))
	}
	if r, err := submit(); err != nil || r.Version != 1 {
		t.Fatalf("a job submitted to the standby: %v, %v", r, err)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	two := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	for name, c := range map[string]tandemv1connect.SchedulerServiceClient{
		"the leader":          a.client,
		"the standby":         b.client,
		"the standby by gRPC": tandemv1connect.NewSchedulerServiceClient(two, b.at.Local, connect.WithGRPC()),
	} {
		if got, err := c.GetJob(t.Context(), &tandemv1.GetJobRequest{Id: "/payments/api"}); err != nil || len(got.GetJob().GetInstances()) != 2 {
			t.Errorf("%s: the job is %v, %v", name, got, err)
		}
		if got := subscribed(t, c); got.FrameworkId != view.FrameworkId {
			t.Errorf("%s: a watch shows the framework %v", name, got)
		}
	}
	says(t, b.at.Local+"/", http.StatusOK, "<html")

	// A file that was uploaded outlasts the leader's disk.
	corpus := "it was the best of times"
	file := fmt.Sprintf("%x/corpus.txt", sha256.Sum256([]byte(corpus)))
	r, err := http.NewRequest(http.MethodPut, b.at.Local+"/files/"+file, strings.NewReader(corpus))
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := http.DefaultClient.Do(r); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("an upload to the standby: %v, %v", answer, err)
	}
	says(t, a.at.Local+"/artifacts/"+file, http.StatusOK, corpus)
	copied := filepath.Join(b.artifacts, file)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if got, err := os.ReadFile(copied); err == nil && string(got) == corpus {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the standby has no copy of the file")
		}
	}

	a.stop()
	if err := <-a.done; err != nil {
		t.Fatal(err)
	}
	close(a.done)
	b.leads(t)
	if again := subscribed(t, b.client); again.FrameworkId != view.FrameworkId {
		t.Errorf("subscribed again as %s, was %s", again.FrameworkId, view.FrameworkId)
	}
	if got, err := b.client.GetJob(t.Context(), &tandemv1.GetJobRequest{Id: "/payments/api"}); err != nil || len(got.GetJob().GetInstances()) != 2 {
		t.Errorf("the job is now %v, %v", got, err)
	}
	if all := frameworks(t, master); len(all) != 1 || all[0].WebUIURL != b.at.Advertised+"/" {
		t.Errorf("the master shows %+v, want one with the page at %s", all, b.at.Advertised)
	}
	// Whoever has not heard the first leader's answer hears it from the next.
	if r, err := submit(); err != nil || r.Version != 1 || !r.Changed {
		t.Errorf("the same submission again: %v, %v", r, err)
	}
}

// TestALeaderThatIsCutOffFromZooKeeper ends, and has ended its subscription,
// before another leads; two others are enough for that once and again.
func TestALeaderThatIsCutOffFromZooKeeper(t *testing.T) {
	server := zk.Server(t)
	m := newTeam(t, startMesos(t))
	proxy := zktest.NewProxy(t, server.Address)
	a := m.join(proxy.Address)
	a.leads(t)
	view := subscribed(t, a.client)
	b := m.join(server.Address)
	b.standsBy(t, a)
	c := m.join(server.Address)
	c.standsBy(t, a)
	if _, err := a.client.SubmitJob(t.Context(), aJob("/payments/api")); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	// This write waits for ZooKeeper, and is not answered as done.
	if r, err := a.client.SubmitJob(t.Context(), aJob("/payments/other")); err == nil {
		t.Errorf("a leader that was cut off has answered %v", r)
	}
	if err := <-a.done; !errors.Is(err, leader.ErrLost) {
		t.Errorf("Run returned %v", err)
	}
	close(a.done)
	b.leads(t)
	c.standsBy(t, b)
	if again := subscribed(t, c.client); again.FrameworkId != view.FrameworkId {
		t.Errorf("subscribed again as %s, was %s", again.FrameworkId, view.FrameworkId)
	}
	r, err := c.client.ListJobs(t.Context(), &tandemv1.ListJobsRequest{})
	if err != nil || len(r.Jobs) != 1 || r.Jobs[0].Spec.Id != "/payments/api" {
		t.Errorf("the jobs are %v, %v", r, err)
	}

	// The one that was cut off comes back, and stands by.
	proxy.Heal()
	back := m.join(proxy.Address)
	back.standsBy(t, b)
}

// TestReadersWhileNobodyLeads are answered by a standby from what was saved, and
// told so; nothing else is.
func TestReadersWhileNobodyLeads(t *testing.T) {
	server := zk.Server(t)
	m := newTeam(t, startMesos(t))
	a := m.join(server.Address)
	a.leads(t)
	view := subscribed(t, a.client)
	proxy := zktest.NewProxy(t, server.Address)
	b := m.join(proxy.Address)
	b.standsBy(t, a)
	if _, err := b.client.SubmitJob(t.Context(), aJob("/payments/api")); err != nil {
		t.Fatal(err)
	}
	submitted := time.Now()
	if _, err := b.client.SubmitJob(t.Context(), aJob("/payments/later")); err != nil {
		t.Fatal(err)
	}
	b.hasCopied(t, submitted)

	proxy.Cut()
	a.stop()
	if err := <-a.done; err != nil {
		t.Fatal(err)
	}
	close(a.done)
	ctx, call := connect.NewClientContext(t.Context())
	got, err := b.client.GetJob(ctx, &tandemv1.GetJobRequest{Id: "/payments/api"})
	if err != nil || len(got.GetJob().GetInstances()) != 2 {
		t.Errorf("the job is %v, %v", got, err)
	}
	if want := "no scheduler leads now; this is what was saved last"; !strings.HasPrefix(call.ResponseHeader().Get("Tandem-Notice"), want) {
		t.Errorf("the notice is %q, want %q", call.ResponseHeader().Get("Tandem-Notice"), want)
	}
	if f, err := b.client.GetFramework(t.Context(), &tandemv1.GetFrameworkRequest{}); err != nil || f.GetFramework().GetFrameworkId() != view.FrameworkId ||
		f.GetFramework().GetSubscribed() || !strings.HasPrefix(f.GetFramework().GetProblem(), "no scheduler leads now") {
		t.Errorf("the framework is %v, %v", f, err)
	}
	says(t, b.at.Local+"/jobs/payments/api", http.StatusOK, "<html")
	watch, err := b.client.Watch(t.Context(), &tandemv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	whole := false
	for watch.Receive() {
		whole = watch.Msg().GetSnapshotEnd()
	}
	if err := watch.Err(); !whole || connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "no scheduler leads now; try again") {
		t.Errorf("the watch ended with %v, and a snapshot: %v", err, whole)
	}
	for what, call := range map[string]func() error{
		"submitting": func() error {
			_, err := b.client.SubmitJob(t.Context(), aJob("/payments/other"))
			return err
		},
		"planning": func() error {
			_, err := b.client.PlanJob(t.Context(), &tandemv1.PlanJobRequest{Job: aJob("/payments/other").Job})
			return err
		},
	} {
		if err := call(); connect.CodeOf(err) != connect.CodeUnavailable {
			t.Errorf("%s while nobody leads: %v, want unavailable", what, err)
		}
	}

	proxy.Heal()
	b.leads(t)
	ctx, call = connect.NewClientContext(t.Context())
	if _, err := b.client.GetJob(ctx, &tandemv1.GetJobRequest{Id: "/payments/api"}); err != nil || call.ResponseHeader().Get("Tandem-Notice") != "" {
		t.Errorf("the new leader answers %v, with the notice %q", err, call.ResponseHeader().Get("Tandem-Notice"))
	}
}

// hasCopied waits until a standby has read a change of the state since the time.
func (s *member) hasCopied(t *testing.T, since time.Time) {
	t.Helper()
	const name = "tandem_standby_copied_timestamp_seconds "
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r, err := http.Get(s.at.Local + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(body), "\n"+name)
		value, _, _ := strings.Cut(after, "\n")
		if at, err := strconv.ParseFloat(value, 64); err == nil && at > float64(since.UnixMilli())/1000 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the standby has copied nothing since %v: %s", since, body)
		}
	}
}

// TestWhileNoLeaderIsKnown a standby says so, and so do its calls.
func TestWhileNoLeaderIsKnown(t *testing.T) {
	server := zk.Server(t)
	proxy := zktest.NewProxy(t, server.Address)
	proxy.Cut()
	s := newTeam(t, startMesos(t)).join(proxy.Address)
	says(t, s.at.Local+"/readyz", http.StatusServiceUnavailable, "standby; no leader is known: ZooKeeper at zk://"+proxy.Address)
	says(t, s.at.Local+"/healthz", http.StatusOK, "ok")
	_, err := s.client.SubmitJob(t.Context(), aJob("/payments/api"))
	if want := "this scheduler stands by, and no leader is known: ZooKeeper"; connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want unavailable with %q", err, want)
	}
	proxy.Heal()
	s.leads(t)
}

// TestOpeningASharedState, for `tandem state`: nobody else uses it meanwhile, and
// what is not there is not made.
func TestOpeningASharedState(t *testing.T) {
	server := zk.Server(t)
	m := newTeam(t, startMesos(t))
	where := "zk://ops:s3cret@" + server.Address + m.path
	log, _ := logtest.NewNullLogger()
	if _, err := app.OpenState(t.Context(), where, false, log); err == nil || err.Error() != "cannot open the state at zk://ops:***@"+server.Address+m.path+": there is none" {
		t.Errorf("got %v", err)
	}
	s, err := app.OpenState(t.Context(), where, true, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write([]state.Change{state.PutJob(&tandemv1.JobRecord{Spec: aJob("/moved").Job, Version: 7})}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	a := m.join("ops:s3cret@" + server.Address)
	a.leads(t)
	if r, err := a.client.GetJob(t.Context(), &tandemv1.GetJobRequest{Id: "/moved"}); err != nil || r.Job.Job.Version != 7 {
		t.Errorf("the scheduler has %v, %v", r, err)
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	want := "the scheduler at " + a.at.Advertised + " is using it; stop all that share it first"
	if _, err := app.OpenState(soon, where, false, log); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	a.stop()
	if err := <-a.done; err != nil {
		t.Fatal(err)
	}
	close(a.done)
	if s, err = app.OpenState(t.Context(), where, false, log); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Load(); err != nil || len(all.Jobs) != 1 || all.Framework.GetFrameworkId() == "" {
		t.Errorf("loaded %v, %v", all, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
