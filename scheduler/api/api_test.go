package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/audit"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
)

// commander answers as its functions do, and accepts everything without them.
type commander struct {
	submit func(core.Submit) (core.Reply, error)
	stop   func(core.Stop) (core.Reply, error)
	// task carries out what is about single tasks.
	task func(core.Command) (core.Reply, error)
	// do is told of every command.
	do func(core.Command)
}

func (c *commander) Do(_ context.Context, cmd core.Command) (core.Reply, error) {
	if c.do != nil {
		c.do(cmd)
	}
	switch {
	case cmd.Submit != nil && c.submit != nil:
		return c.submit(*cmd.Submit)
	case cmd.Stop != nil && c.stop != nil:
		return c.stop(*cmd.Stop)
	case c.task != nil && (cmd.KillTask != nil || cmd.SignalTask != nil || cmd.Measure != nil || cmd.OpenSession != nil || cmd.Drain != nil || cmd.Explain != nil || cmd.Offers):
		return c.task(cmd)
	}
	return core.Reply{Version: 1, Changed: true}, nil
}

// reader shows one framework and some jobs.
type reader struct {
	agents    map[string]*tandemv1.AgentRecord
	framework *tandemv1.FrameworkView
	jobs      []*tandemv1.JobView
	// watchErr ends every watch after its snapshot; without it a watch goes on
	// until its context ends.
	watchErr error
	samples  []*tandemv1.UsageSample
}

func (r *reader) Jobs() []*tandemv1.JobRecord {
	var jobs []*tandemv1.JobRecord
	for _, j := range r.jobs {
		jobs = append(jobs, j.Job)
	}
	return jobs
}

func (r *reader) Phases(id string) *tandemv1.InstanceCounts {
	j, _ := r.Job(id)
	return &tandemv1.InstanceCounts{JobId: id, Phases: []*tandemv1.PhaseCount{
		{Phase: tandemv1.InstancePhase_INSTANCE_PHASE_WAITING, Count: int32(len(j.GetInstances()))},
	}}
}

func (r *reader) Job(id string) (*tandemv1.JobView, bool) {
	for _, j := range r.jobs {
		if j.Job.Spec.Id == id {
			return j, true
		}
	}
	return nil, false
}

func (r *reader) Versions(id string) []*tandemv1.VersionRecord {
	if j, ok := r.Job(id); ok {
		var versions []*tandemv1.VersionRecord
		for n := j.Job.Version; n > 0; n-- {
			versions = append(versions, &tandemv1.VersionRecord{JobId: id, Version: n, Spec: j.Job.Spec})
		}
		return versions
	}
	return nil
}

func (r *reader) Framework() *tandemv1.FrameworkView { return r.framework }

func (r *reader) Counts() loop.Counts {
	c := loop.Counts{Jobs: map[tandemv1.JobPhase]int{}, Instances: map[tandemv1.InstancePhase]int{}, Agents: len(r.jobs)}
	for _, j := range r.jobs {
		c.Jobs[j.Job.Phase]++
		for _, i := range j.Instances {
			c.Instances[i.Instance.Phase]++
		}
	}
	return c
}

func (r *reader) Agents() map[string]*tandemv1.AgentRecord { return r.agents }

func (r *reader) Volumes() []*tandemv1.VolumeRecord {
	return []*tandemv1.VolumeRecord{{Id: "team_words.0.1.data.fw", JobId: "/team/words", Name: "data"}, {Id: "other.0.1.data.fw", JobId: "/other", Name: "data"}}
}

func (r *reader) Watch(ctx context.Context, ask *tandemv1.WatchRequest) iter.Seq2[*tandemv1.WatchResponse, error] {
	return func(yield func(*tandemv1.WatchResponse, error) bool) {
		for _, j := range r.jobs {
			if ask.JobId == "" || ask.JobId == j.Job.Spec.Id {
				if !yield(&tandemv1.WatchResponse{Sequence: 1, Change: &tandemv1.WatchResponse_Job{Job: j.Job}}, nil) {
					return
				}
			}
		}
		if !yield(&tandemv1.WatchResponse{Sequence: 1, Change: &tandemv1.WatchResponse_SnapshotEnd{SnapshotEnd: true}}, nil) {
			return
		}
		err := r.watchErr
		if err == nil {
			<-ctx.Done()
			err = context.Cause(ctx)
		}
		yield(nil, err)
	}
}

func (r *reader) Usage(ctx context.Context, wants func(string) bool) iter.Seq2[[]*tandemv1.UsageSample, error] {
	return func(yield func([]*tandemv1.UsageSample, error) bool) {
		var some []*tandemv1.UsageSample
		for _, s := range r.samples {
			if wants(s.TaskId) {
				some = append(some, s)
			}
		}
		if yield(some, nil) {
			<-ctx.Done()
			yield(nil, context.Cause(ctx))
		}
	}
}

// files keeps uploads in memory.
type files map[string][]byte

func (f files) Find(digest, name string) (string, bool) {
	_, ok := f[digest]
	return "http://10.0.0.9:7070/artifacts/" + digest + "/" + name, ok
}

func (f files) Put(digest, name string, r io.Reader) (string, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return "", fmt.Errorf("cannot read the upload: %w", err)
	}
	sum := sha256.Sum256(content)
	if hex.EncodeToString(sum[:]) != digest {
		return "", errors.New("the content has another digest")
	}
	f[digest] = content
	address, _ := f.Find(digest, name)
	return address, nil
}

func words() *tandemv1.Job {
	return &tandemv1.Job{Id: "/words", Workloads: []*tandemv1.Workload{{Name: "count", Cmd: "wc -w"}}}
}

// options returns what a server for tests is made of.
func options(c *commander, r *reader) api.Options {
	log := logrus.New()
	log.SetOutput(io.Discard)
	registry := prometheus.NewRegistry()
	gate, err := access.NewGate(access.Options{})
	if err != nil {
		panic(err)
	}
	writes, err := audit.Open("", log)
	if err != nil {
		panic(err)
	}
	return api.Options{Gate: gate, Audit: writes, Commander: c, Reader: r, Files: files{}, Log: log, Registerer: registry, Gatherer: registry, MaxUpload: 1 << 20}
}

// serve starts a server, and stops it when the test ends.
func serve(t *testing.T, opt api.Options) (base string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, opt, l)
}

// serveOn is serve on a listener.
func serveOn(t *testing.T, opt api.Options, l net.Listener) (base string, stop func()) {
	t.Helper()
	s, err := api.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	front, stop := frontOn(t, api.FrontOptions{Log: opt.Log, Registerer: opt.Registerer}, l)
	front.Answer(s)
	return "http://" + l.Addr().String(), stop
}

// protocols are the ways in which clients may speak.
func protocols(base string) map[string]tandemv1connect.SchedulerServiceClient {
	clear := new(http.Protocols)
	clear.SetUnencryptedHTTP2(true)
	http2 := &http.Client{Transport: &http.Transport{Protocols: clear}}
	return map[string]tandemv1connect.SchedulerServiceClient{
		"Connect":      tandemv1connect.NewSchedulerServiceClient(&http.Client{Transport: &http.Transport{}}, base),
		"Connect JSON": tandemv1connect.NewSchedulerServiceClient(&http.Client{Transport: &http.Transport{}}, base, connect.WithProtoJSON()),
		"gRPC":         tandemv1connect.NewSchedulerServiceClient(http2, base, connect.WithGRPC()),
		"gRPC-Web":     tandemv1connect.NewSchedulerServiceClient(&http.Client{Transport: &http.Transport{}}, base, connect.WithGRPCWeb()),
	}
}

func TestCallsByEveryProtocol(t *testing.T) {
	var got core.Submit
	c := &commander{submit: func(s core.Submit) (core.Reply, error) {
		got = s
		return core.Reply{Version: 3, Changed: true}, nil
	}}
	r := &reader{framework: &tandemv1.FrameworkView{Name: "tandem"}, jobs: []*tandemv1.JobView{{Job: &tandemv1.JobRecord{Spec: words()}}}}
	base, stop := serve(t, options(c, r))
	for name, client := range protocols(base) {
		t.Run(name, func(t *testing.T) {
			res, err := client.SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{Job: words(), ExpectedVersion: proto.Uint64(2)})
			if err != nil || res.Version != 3 || !res.Changed {
				t.Fatalf("submit: %v, %v", res, err)
			}
			if got.Job.GetInstances() != 1 || *got.ExpectedVersion != 2 {
				t.Errorf("the command has no defaults or no version: %v", got)
			}
			if list, err := client.ListJobs(t.Context(), &tandemv1.ListJobsRequest{}); err != nil || len(list.Jobs) != 1 {
				t.Errorf("list: %v, %v", list, err)
			}
			one, err := client.GetJob(t.Context(), &tandemv1.GetJobRequest{Id: "/words"})
			if err != nil || cmp.Diff(words(), one.Job.Job.Spec, protocmp.Transform()) != "" {
				t.Errorf("get: %v, %v", one, err)
			}
			if f, err := client.GetFramework(t.Context(), &tandemv1.GetFrameworkRequest{}); err != nil || f.Framework.Name != "tandem" {
				t.Errorf("framework: %v, %v", f, err)
			}
			if _, err := client.StopJob(t.Context(), &tandemv1.StopJobRequest{Id: "/words"}); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
	watch, err := protocols(base)["Connect"].Watch(t.Context(), &tandemv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for watch.Receive() {
		if watch.Msg().GetSnapshotEnd() {
			// A server that stops must not wait for watches.
			stop()
		}
	}
	if code := connect.CodeOf(watch.Err()); code != connect.CodeUnavailable {
		t.Errorf("the watch ended with %v", watch.Err())
	}
}

// drain receives a stream to its end.
func drain[M any](s *connect.ServerStreamForClient[M], err error) error {
	if err != nil {
		return err
	}
	defer s.Close()
	for s.Receive() {
	}
	return s.Err()
}

func TestRefusalsHaveStableCodes(t *testing.T) {
	c, r := &commander{}, &reader{framework: &tandemv1.FrameworkView{}}
	base, _ := serve(t, options(c, r))
	client := protocols(base)["Connect"]
	submit := func() error {
		_, err := client.SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{Job: words()})
		return err
	}
	fails := func(err error) { c.submit = func(core.Submit) (core.Reply, error) { return core.Reply{}, err } }
	for _, tt := range []struct {
		name string
		call func() error
		code connect.Code
		text string
	}{
		{"no job", func() error {
			_, err := client.GetJob(t.Context(), &tandemv1.GetJobRequest{Id: "/gone"})
			return err
		}, connect.CodeNotFound, "there is no job /gone"},
		{"no name", func() error {
			_, err := client.StopJob(t.Context(), &tandemv1.StopJobRequest{})
			return err
		}, connect.CodeInvalidArgument, "the request names no job: id: is required"},
		{"a stale version", func() error {
			fails(&core.Refused{Code: core.StaleVersion, Reason: "job /words is at version 4, not 3"})
			return submit()
		}, connect.CodeAborted, "job /words is at version 4, not 3"},
		{"a conflict", func() error {
			fails(&core.Refused{Code: core.Conflict, Reason: "job /words is being purged"})
			return submit()
		}, connect.CodeFailedPrecondition, "job /words is being purged"},
		{"a scheduler that stops", func() error {
			fails(loop.ErrEnded)
			return submit()
		}, connect.CodeUnavailable, "the scheduler is stopping"},
		{"something within", func() error {
			fails(errors.New("disk on fire"))
			return submit()
		}, connect.CodeInternal, "the scheduler could not do this; its log says why"},
		{"a slow reader", func() error {
			r.watchErr = loop.ErrSlowReader
			s, err := client.Watch(t.Context(), &tandemv1.WatchRequest{})
			return drain(s, err)
		}, connect.CodeResourceExhausted, loop.ErrSlowReader.Error()},
		{"the latest of a snapshot", func() error {
			s, err := client.Watch(t.Context(), &tandemv1.WatchRequest{Latest: 5})
			return drain(s, err)
		}, connect.CodeInvalidArgument, "latest: is for a watch that begins with changes"},
		{"fewer than none", func() error {
			s, err := client.Watch(t.Context(), &tandemv1.WatchRequest{Since: proto.Uint64(0), Latest: -5})
			return drain(s, err)
		}, connect.CodeInvalidArgument, "latest: must not be negative"},
		{"a huge request", func() error {
			job := words()
			job.Workloads[0].Cmd = strings.Repeat("x", 5<<20)
			_, err := client.SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{Job: job})
			return err
		}, connect.CodeResourceExhausted, "and may have 4194304"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var err *connect.Error
			if !errors.As(tt.call(), &err) || err.Code() != tt.code || !strings.Contains(err.Message(), tt.text) {
				t.Errorf("got %v, want %s: %s", err, tt.code, tt.text)
			}
		})
	}
}

func TestWrongJobNamesEveryField(t *testing.T) {
	base, _ := serve(t, options(&commander{}, &reader{framework: &tandemv1.FrameworkView{}}))
	job := words()
	job.Id, job.Workloads[0].Fetch = "words", []*tandemv1.Fetch{{Uri: "corpus.txt"}}
	_, err := protocols(base)["Connect"].SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{Job: job})
	var refused *connect.Error
	if !errors.As(err, &refused) || refused.Code() != connect.CodeInvalidArgument {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, d := range refused.Details() {
		v, err := d.Value()
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := v.(*tandemv1.Refusal); ok {
			got = append(got, r.GetField()+": "+r.GetReason())
		}
	}
	want := []string{
		`id: must start with a slash; did you mean "/words"?`,
		"workloads[0].fetch[0].uri: \"corpus.txt\" is a relative path, which no agent can reach; `tandem run` uploads such a file and puts its address here",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refusals differ (-want +got):\n%s", diff)
	}
}

func TestUploads(t *testing.T) {
	base, _ := serve(t, options(&commander{}, &reader{framework: &tandemv1.FrameworkView{}}))
	content := "in the beginning"
	sum := sha256.Sum256([]byte(content))
	digest := hex.EncodeToString(sum[:])
	address := "http://10.0.0.9:7070/artifacts/" + digest + "/corpus.txt"
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"before", "HEAD", "/files/" + digest + "/corpus.txt", "", 404, ""},
		{"upload", "PUT", "/files/" + digest + "/corpus.txt", content, 200, `{"uri":"` + address + "\"}\n"},
		{"again", "PUT", "/files/" + digest + "/corpus.txt", content, 200, `{"uri":"` + address + "\"}\n"},
		{"after", "HEAD", "/files/" + digest + "/corpus.txt", "", 204, ""},
		{"another content", "PUT", "/files/" + digest + "/corpus.txt", "at the end", 400, "the content has another digest\n"},
		{"no digest", "PUT", "/files/abc/corpus.txt", content, 400, "the digest is not 64 small hexadecimal digits\n"},
		{"a hidden name", "PUT", "/files/" + digest + "/.bashrc", content, 400, "a file's name has 1 to 128 letters, digits and any of . _ + -, and does not start with a dot\n"},
		{"too large", "PUT", "/files/" + digest + "/corpus.txt", strings.Repeat("x", 1<<20+1), 413, "the file is too large: at most 1048576 bytes are taken; serve it elsewhere, and name its address\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, base+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != tt.status || string(body) != tt.want {
				t.Errorf("got %d %q, want %d %q", res.StatusCode, body, tt.status, tt.want)
			}
		})
	}
}

func TestForeignPagesCannotSubmit(t *testing.T) {
	called := false
	c := &commander{submit: func(core.Submit) (core.Reply, error) { called = true; return core.Reply{}, nil }}
	base, _ := serve(t, options(c, &reader{framework: &tandemv1.FrameworkView{}}))
	req, _ := http.NewRequestWithContext(t.Context(), "POST", base+tandemv1connect.SchedulerServiceSubmitJobProcedure,
		strings.NewReader(`{"job":{"id":"/words","workloads":[{"name":"count","cmd":"wc"}]}}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden || called {
		t.Errorf("status %d, called %v", res.StatusCode, called)
	}
}

func TestPlainEndpoints(t *testing.T) {
	r := &reader{framework: &tandemv1.FrameworkView{Problem: "no master answers\nat 127.0.0.1:5050"}, jobs: []*tandemv1.JobView{{
		Job: &tandemv1.JobRecord{Spec: words(), Phase: tandemv1.JobPhase_JOB_PHASE_PENDING},
		Instances: []*tandemv1.InstanceView{
			{Instance: &tandemv1.InstanceRecord{Phase: tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING}, Attempts: []*tandemv1.AttemptRecord{{AgentId: "S1"}}},
			{Instance: &tandemv1.InstanceRecord{Phase: tandemv1.InstancePhase_INSTANCE_PHASE_CRASH_LOOPING}},
		},
	}}}
	s, err := api.New(options(&commander{}, r))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(path string, status int, wants ...string) {
		t.Helper()
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if w.Code != status {
			t.Errorf("%s: %d", path, w.Code)
		}
		for _, want := range wants {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: %q is missing in:\n%s", path, want, w.Body)
			}
		}
	}
	expect("/", 200, "<title>Tandem</title>")
	expect("/healthz", 200, "ok\n")
	expect("/readyz", 503, "not subscribed: no master answers at 127.0.0.1:5050\n")
	r.framework = &tandemv1.FrameworkView{Subscribed: true, Revives: 3}
	expect("/readyz", 200, "ok\n")
	expect("/metrics", 200, `tandem_jobs{phase="pending"} 1`, `tandem_jobs{phase="failed"} 0`,
		`tandem_instances{phase="crash_looping"} 1`, "tandem_agents 1", "tandem_mesos_revives_total 3")
}

func TestOptionsThatAreMissingAreNamed(t *testing.T) {
	_, err := api.New(api.Options{})
	if err == nil || !strings.Contains(err.Error(), "Commander is missing") || !strings.Contains(err.Error(), "Gatherer is missing") {
		t.Errorf("got %v", err)
	}
}
