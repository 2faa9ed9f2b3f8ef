package app_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/pkg/localmesos"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/app"
	"github.com/tandem-mesos/tandem/scheduler/artifact"
)

// startMesos starts a master without agents and returns its address.
func startMesos(t *testing.T) string {
	t.Helper()
	c, err := localmesos.Start(t.Context(), localmesos.Options{Agents: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return strings.TrimPrefix(c.URL(), "http://")
}

// options are those of a scheduler of a team, whose executor is some program.
func options(t *testing.T, master string) (app.Options, *logtest.Hook) {
	t.Helper()
	log, hook := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	opt := app.DefaultOptions()
	opt.Master = master
	opt.Listen = "127.0.0.1:0"
	opt.StateDir = filepath.Join(t.TempDir(), "state")
	opt.Log = log
	var err error
	if opt.Executor, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	return opt, hook
}

// run runs a scheduler until the returned function stops it.
func run(t *testing.T, opt app.Options) (at app.Addresses, stop func()) {
	t.Helper()
	ready, done := make(chan app.Addresses, 1), make(chan error, 1)
	opt.Ready = func(a app.Addresses) { ready <- a }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- app.Run(ctx, opt) }()
	select {
	case at = <-ready:
	case err := <-done:
		t.Fatalf("Run returned %v", err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	}
	t.Cleanup(stop)
	return at, stop
}

// subscribed waits until the scheduler is subscribed.
func subscribed(t *testing.T, c tandemv1connect.SchedulerServiceClient) *tandemv1.FrameworkView {
	t.Helper()
	w, err := c.Watch(t.Context(), &tandemv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for w.Receive() {
		if f := w.Msg().GetFramework(); f.GetSubscribed() {
			return f
		}
	}
	t.Fatalf("the watch ended: %v", w.Err())
	return nil
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, r.Status, err)
	}
	return body
}

// framework is what a master shows of one, in the fields that the scheduler has
// a say in.
type framework struct {
	ID, Name, User, Hostname string
	WebUIURL                 string `json:"webui_url"`
	Roles, Capabilities      []string
	Checkpoint               bool
	FailoverTimeout          float64 `json:"failover_timeout"`
	Active, Connected        bool
	Labels                   []struct{ Key, Value string }
	Principal                string
}

func frameworks(t *testing.T, master string) []framework {
	t.Helper()
	var all struct{ Frameworks []framework }
	if err := json.Unmarshal(get(t, "http://"+master+"/frameworks"), &all); err != nil {
		t.Fatal(err)
	}
	return all.Frameworks
}

// TestASchedulersLife: it registers as what it was told, takes a job, and when
// it stops leaves its framework registered, to be taken up again.
func TestASchedulersLife(t *testing.T) {
	master := startMesos(t)
	opt, _ := options(t, master)
	opt.Name, opt.Roles, opt.Principal, opt.Labels = "payments", []string{"payments"}, "payments-team", map[string]string{"tier": "api"}
	at, stop := run(t, opt)
	c := tandemv1connect.NewSchedulerServiceClient(http.DefaultClient, at.Local)
	view := subscribed(t, c)

	all := frameworks(t, master)
	if len(all) != 1 {
		t.Fatalf("the master has %d frameworks", len(all))
	}
	want := framework{
		ID: view.FrameworkId, Name: "payments", User: "root", Hostname: "127.0.0.1", WebUIURL: at.Advertised + "/",
		Roles:        []string{"payments"},
		Capabilities: []string{"MULTI_ROLE", "PARTITION_AWARE", "RESERVATION_REFINEMENT", "TASK_KILLING_STATE"},
		Checkpoint:   true, FailoverTimeout: 604800, Active: true, Connected: true,
		Labels: []struct{ Key, Value string }{{"tier", "api"}}, Principal: "payments-team",
	}
	sorted := cmp.Transformer("sorted", func(s []string) map[string]bool {
		m := map[string]bool{}
		for _, v := range s {
			m[v] = true
		}
		return m
	})
	if d := cmp.Diff(want, all[0], sorted); d != "" {
		t.Errorf("the master shows another framework (-want +shown):\n%s", d)
	}
	get(t, all[0].WebUIURL)
	if metrics := string(get(t, at.Local+"/metrics")); !strings.Contains(metrics, "tandem_mesos_subscribed 1") {
		t.Errorf("the metrics do not say that it is subscribed:\n%s", metrics)
	}

	job := &tandemv1.Job{Id: "/payments/api", Instances: proto.Int32(2), Workloads: []*tandemv1.Workload{
		{Name: "web", Cmd: "exec sleep 1000", Resources: &tandemv1.Resources{Cpus: 0.1, Mem: 16}},
	}}
	submitted, err := c.SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{Job: job})
	if err != nil || submitted.Version != 1 {
		t.Fatalf("the job was answered by %v, %v", submitted, err)
	}

	stop()
	deadline := time.Now().Add(10 * time.Second)
	for all = frameworks(t, master); all[0].Connected && time.Now().Before(deadline); all = frameworks(t, master) {
		time.Sleep(10 * time.Millisecond)
	}
	if len(all) != 1 || all[0].Connected {
		t.Errorf("after the stop the master shows %+v", all)
	}

	at, _ = run(t, opt)
	c = tandemv1connect.NewSchedulerServiceClient(http.DefaultClient, at.Local)
	if again := subscribed(t, c); again.FrameworkId != view.FrameworkId {
		t.Errorf("subscribed again as %s, was %s", again.FrameworkId, view.FrameworkId)
	}
	if got, err := c.GetJob(t.Context(), &tandemv1.GetJobRequest{Id: "/payments/api"}); err != nil || len(got.Job.Instances) != 2 {
		t.Errorf("the job is now %v, %v", got, err)
	}
}

// TestUploads: what was uploaded is at the address that the answer names, and a
// wrong upload is refused.
func TestUploads(t *testing.T) {
	opt, _ := options(t, startMesos(t))
	at, _ := run(t, opt)
	upload := func(content, name string, digest [sha256.Size]byte) (status int, body string) {
		r, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/files/%x/%s", at.Local, digest, name), strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(b)
	}
	corpus := "it was the best of times"
	status, body := upload(corpus, "corpus.txt", sha256.Sum256([]byte(corpus)))
	var uploaded api.Uploaded
	if err := json.Unmarshal([]byte(body), &uploaded); err != nil || status != http.StatusOK {
		t.Fatalf("answered by %d %s", status, body)
	}
	if got := string(get(t, jobspec.AddressOf(uploaded.URI, at.Local+artifact.Prefix))); got != corpus {
		t.Errorf("%s is now %q", uploaded.URI, got)
	}
	if status, body := upload("other", "corpus.txt", sha256.Sum256([]byte(corpus))); status != http.StatusBadRequest || !strings.Contains(body, "the file's content has the SHA-256 ") {
		t.Errorf("a wrong upload was answered by %d %s", status, body)
	}
}

// TestErrors are what a person can do wrong: each is one line that names it.
func TestErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	text := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(text, []byte("notes"), 0o700); err != nil {
		t.Fatal(err)
	}
	nobody := taken.Addr().String()
	for _, c := range []struct {
		name   string
		change func(o *app.Options)
		want   []string
	}{
		{"no master", func(o *app.Options) { o.Master = "" }, []string{"--master: no master is named; give host:port"}},
		{"a wrong master", func(o *app.Options) { o.Master = "http://m:5050" }, []string{"--master: masters are named as host:port"}},
		{"a port in use", func(o *app.Options) { o.Listen = nobody }, []string{"cannot listen on " + nobody + ": something else does; stop it, or choose another address with --listen"}},
		{"no address of this machine", func(o *app.Options) { o.Listen, o.Access.AllowAnonymous = "192.0.2.1:7070", true }, []string{"cannot listen on 192.0.2.1:7070: this machine has no such address"}},
		{"no address at all", func(o *app.Options) { o.Listen = "7070" }, []string{`--listen: "7070" is not an address of the form host:port`}},
		{"a state directory that is a file", func(o *app.Options) { o.StateDir = text }, []string{"cannot make the state directory: mkdir " + text + ": not a directory"}},
		{"no executor", func(o *app.Options) { o.Executor = "/nowhere/tandem-executor" }, []string{"the executor's binary is missing: there is no /nowhere/tandem-executor; put it there, or say where it is (--executor names another file, --executor-uri an address)"}},
		{"an executor that is none", func(o *app.Options) { o.Executor = text }, []string{text + " cannot be the executor's binary: it is not an ELF program for Linux"}},
		{"two executors", func(o *app.Options) { o.ExecutorURI = "http://files.example/tandem-executor" }, []string{"--executor and --executor-uri exclude each other"}},
		{"an executor's address that is none", func(o *app.Options) { o.Executor, o.ExecutorURI = "", "tandem-executor" }, []string{`--executor-uri: "tandem-executor" is not an address that agents could fetch`}},
		{"a wrong advertised address", func(o *app.Options) { o.Advertise = "10.0.0.7:7070" }, []string{`--advertise: "10.0.0.7:7070" is not an address of the form http://host:port`}},
		{"authorities of nobody", func(o *app.Options) { o.MesosCA = text }, []string{"--mesos-ca, --mesos-cert, --mesos-key: they are for https with masters and agents; add --mesos-tls"}},
		{"a secret of nobody", func(o *app.Options) { o.SecretFile = text }, []string{"--secret-file: a secret proves who a principal is; name it with --principal"}},
		{"a principal that cannot be", func(o *app.Options) { o.Principal, o.SecretFile = "a:b", text }, []string{`--principal: "a:b" has a colon in it`}},
		{"listening for everybody", func(o *app.Options) { o.Listen = "0.0.0.0:7070" },
			[]string{"--listen: anybody who can connect to 0.0.0.0:7070 may run programs on the cluster: have callers prove who they are"}},
		{"callers without rules", func(o *app.Options) { o.Access.Tokens = text },
			[]string{"callers prove who they are, but nothing says what they may do: name a file of rules with --rules"}},
		{"rules without callers", func(o *app.Options) { o.Access.Rules = text },
			[]string{"--rules says what callers may do, but nothing proves who they are: add --tokens, --client-ca or --oidc-issuer"}},
		{"a certificate without its key", func(o *app.Options) { o.Access.Cert = text },
			[]string{"--tls-cert and --tls-key are given together"}},
		{"client certificates over http", func(o *app.Options) { o.Access.ClientCA, o.Access.Rules = text, text },
			[]string{"--client-ca: client certificates come with https"}},
		{"a certificate that is none", func(o *app.Options) { o.Access.Cert, o.Access.Key = text, text },
			[]string{"--tls-cert, --client-ca: cannot use the certificate " + text}},
		{"tokens that are none", func(o *app.Options) { o.Access.Tokens, o.Access.Rules = text, text },
			[]string{"--tokens: " + text + ": line 1: a name, sha256: with the token's hash and, maybe, a time are asked for",
				"--rules: " + text + ": not a file of rules: "}},
		{"an issuer that anybody could be", func(o *app.Options) {
			o.Access.Issuer, o.Access.Audience, o.Access.Rules = "http://login.example", "tandem", text
		}, []string{"--oidc-issuer: keys from http://login.example could be anybody's"}},
		{"several at once", func(o *app.Options) { o.Name, o.Roles, o.FailoverTimeout, o.StateDir = "", nil, 0, "" },
			[]string{"--state: no directory", "--name: the framework needs a name", "--role: no role", "--failover-timeout: 0s"}},
		{"no master there in time", func(o *app.Options) {
			o.MasterTimeout = time.Millisecond
			taken.Close()
			o.Master = nobody
		}, []string{"no master could be subscribed to within 1ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt, _ := options(t, "127.0.0.1:1")
			c.change(&opt)
			err := app.Run(t.Context(), opt)
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("got %d lines:\n%v\nwant %d", len(lines), err, len(c.want))
			}
			for i, want := range c.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("got:\n%s\nwant:\n%s", lines[i], want)
				}
			}
		})
	}
}

func TestOneSchedulerForAState(t *testing.T) {
	opt, _ := options(t, startMesos(t))
	run(t, opt)
	err := app.Run(t.Context(), opt)
	if err == nil || !strings.Contains(err.Error(), "another scheduler is using "+opt.StateDir) {
		t.Errorf("got %v", err)
	}
}

func TestAnOutsideExecutorNeedsNoLocalBinary(t *testing.T) {
	opt, _ := options(t, startMesos(t))
	opt.Executor, opt.ExecutorURI = "", "https://files.example/tandem-executor-1.0"
	run(t, opt)
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		name, master, listen, advertise string
		// want is the advertised address, in which PORT is the port listened on.
		want string
		warn bool
	}{
		{"one machine", "127.0.0.1:1", "127.0.0.1:0", "", "http://127.0.0.1:PORT", false},
		{"a name for it", "localhost:1", "127.0.0.1:0", "", "http://127.0.0.1:PORT", false},
		{"a cluster that cannot reach it", "192.0.2.1:5050", "127.0.0.1:0", "", "http://127.0.0.1:PORT", true},
		{"a cluster that can", "192.0.2.1:5050", "127.0.0.1:0", "http://10.0.0.7:80/", "http://10.0.0.7:80", false},
		{"all interfaces, one machine", "127.0.0.1:1", "0.0.0.0:0", "", "http://127.0.0.1:PORT", false},
		{"ZooKeeper elsewhere", "zk://192.0.2.1/mesos", "127.0.0.1:0", "", "http://127.0.0.1:PORT", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt, log := options(t, c.master)
			opt.Listen, opt.Advertise, opt.Access.AllowAnonymous = c.listen, c.advertise, true
			at, stop := run(t, opt)
			stop()
			_, port, err := net.SplitHostPort(strings.TrimPrefix(at.Local, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Replace(c.want, "PORT", port, 1); at.Advertised != want || at.Local != "http://127.0.0.1:"+port {
				t.Errorf("got %+v, want %s", at, want)
			}
			warned := false
			for _, e := range log.AllEntries() {
				warned = warned || strings.HasPrefix(e.Message, "agents on other machines cannot reach")
			}
			if warned != c.warn {
				t.Errorf("a warning was logged: %v, want %v", warned, c.warn)
			}
		})
	}
}
