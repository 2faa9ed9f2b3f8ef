package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/audit"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
)

// guarded returns what a server is made of that knows the tokens reader, writer
// and boss, who may read, operate and administer what is below /team, and
// outsider, who may read /other.
func guarded(t testing.TB, c *commander, r *reader) (opt api.Options, rules, auditLog string) {
	t.Helper()
	dir := t.TempDir()
	var tokens strings.Builder
	for _, name := range []string{"reader", "writer", "boss", "outsider"} {
		fmt.Fprintf(&tokens, "%s sha256:%x\n", name, sha256.Sum256([]byte("planted-"+name)))
	}
	rules, auditLog = filepath.Join(dir, "rules"), filepath.Join(dir, "audit")
	for path, content := range map[string]string{filepath.Join(dir, "tokens"): tokens.String(), rules: `rules:
- {who: [token:reader], right: read, jobs: [/team/*]}
- {who: [token:writer], right: operate, jobs: [/team/*]}
- {who: [token:boss], right: admin, jobs: [/team/*]}
- {who: [token:outsider], right: read, jobs: [/other]}
`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opt = options(c, r)
	var err error
	if opt.Gate, err = access.NewGate(access.Options{TokensFile: filepath.Join(dir, "tokens"), RulesFile: rules}); err != nil {
		t.Fatal(err)
	}
	if opt.Audit, err = audit.Open(auditLog, opt.Log); err != nil {
		t.Fatal(err)
	}
	return opt, rules, auditLog
}

// bearer sends a token with each request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

// as returns clients of every protocol that send a token.
func as(base, token string) map[string]tandemv1connect.SchedulerServiceClient {
	clear := new(http.Protocols)
	clear.SetUnencryptedHTTP2(true)
	one := &http.Client{Transport: bearer{token, &http.Transport{}}}
	two := &http.Client{Transport: bearer{token, &http.Transport{Protocols: clear}}}
	return map[string]tandemv1connect.SchedulerServiceClient{
		"Connect JSON": tandemv1connect.NewSchedulerServiceClient(one, base, connect.WithProtoJSON()),
		"gRPC":         tandemv1connect.NewSchedulerServiceClient(two, base, connect.WithGRPC()),
		"gRPC-Web":     tandemv1connect.NewSchedulerServiceClient(one, base, connect.WithGRPCWeb()),
	}
}

func team(id string) *tandemv1.Job {
	job := words()
	job.Id = id
	return job
}

func teams() *reader {
	return &reader{framework: &tandemv1.FrameworkView{}, watchErr: loop.ErrSlowReader, jobs: []*tandemv1.JobView{
		{Job: &tandemv1.JobRecord{Spec: team("/other"), Version: 1}},
		{Job: &tandemv1.JobRecord{Spec: team("/team/words"), Version: 4}},
	}}
}

// TestWhoMayCallWhat is the table of every call by every kind of caller, over
// every protocol.
func TestWhoMayCallWhat(t *testing.T) {
	c := &commander{task: func(core.Command) (core.Reply, error) {
		return core.Reply{}, &core.Refused{Code: core.Conflict, Reason: "the task has ended"}
	}}
	opt, _, _ := guarded(t, c, teams())
	opt.CallBack = "http://127.0.0.1:1"
	base, _ := serve(t, opt)
	ctx := t.Context()
	type client = tandemv1connect.SchedulerServiceClient
	calls := map[string]struct {
		// least is who may make the call: reader, writer or boss, or nobody of
		// these, who have rights for some jobs only.
		least string
		// shown says that an outsider may make it too, and sees less.
		shown bool
		call  func(c client) error
	}{
		"SubmitJob": {"writer", false, func(c client) error {
			_, err := c.SubmitJob(ctx, &tandemv1.SubmitJobRequest{Job: team("/team/words")})
			return err
		}},
		"StopJob": {"writer", false, func(c client) error {
			_, err := c.StopJob(ctx, &tandemv1.StopJobRequest{Id: "/team/words"})
			return err
		}},
		"StopJob and purge": {"boss", false, func(c client) error {
			_, err := c.StopJob(ctx, &tandemv1.StopJobRequest{Id: "/team/words", Purge: true})
			return err
		}},
		"GetJob": {"reader", false, func(c client) error {
			_, err := c.GetJob(ctx, &tandemv1.GetJobRequest{Id: "/team/words"})
			return err
		}},
		"ListJobs": {"reader", true, func(c client) error {
			_, err := c.ListJobs(ctx, &tandemv1.ListJobsRequest{})
			return err
		}},
		"GetFramework": {"reader", true, func(c client) error {
			_, err := c.GetFramework(ctx, &tandemv1.GetFrameworkRequest{})
			return err
		}},
		"ListVersions": {"reader", false, func(c client) error {
			_, err := c.ListVersions(ctx, &tandemv1.ListVersionsRequest{Id: "/team/words"})
			return err
		}},
		"Watch": {"reader", true, func(c client) error {
			s, err := c.Watch(ctx, &tandemv1.WatchRequest{})
			return drain(s, err)
		}},
		"Watch a job": {"reader", false, func(c client) error {
			s, err := c.Watch(ctx, &tandemv1.WatchRequest{JobId: "/team/words"})
			return drain(s, err)
		}},
		"ExplainJob": {"reader", false, func(c client) error {
			_, err := c.ExplainJob(ctx, &tandemv1.ExplainJobRequest{Id: "/team/words"})
			return err
		}},
		"PlanJob": {"reader", false, func(c client) error {
			_, err := c.PlanJob(ctx, &tandemv1.PlanJobRequest{Job: team("/team/words")})
			return err
		}},
		"RestartJob": {"writer", false, func(c client) error {
			_, err := c.RestartJob(ctx, &tandemv1.RestartJobRequest{Id: "/team/words"})
			return err
		}},
		"RollbackJob": {"writer", false, func(c client) error {
			_, err := c.RollbackJob(ctx, &tandemv1.RollbackJobRequest{Id: "/team/words"})
			return err
		}},
		"SteerUpdate": {"writer", false, func(c client) error {
			_, err := c.SteerUpdate(ctx, &tandemv1.SteerUpdateRequest{Id: "/team/words", Action: tandemv1.UpdateAction_UPDATE_ACTION_PAUSE})
			return err
		}},
		"RunJob": {"writer", false, func(c client) error {
			_, err := c.RunJob(ctx, &tandemv1.RunJobRequest{Id: "/team/words"})
			return err
		}},
		"ListAgents": {"reader", true, func(c client) error {
			_, err := c.ListAgents(ctx, &tandemv1.ListAgentsRequest{})
			return err
		}},
		"ListOffers": {"reader", true, func(c client) error {
			_, err := c.ListOffers(ctx, &tandemv1.ListOffersRequest{})
			return err
		}},
		"ReadLog": {"reader", false, func(c client) error {
			s, err := c.ReadLog(ctx, &tandemv1.ReadLogRequest{JobId: "/team/words"})
			return drain(s, err)
		}},
		"ReadLog of a task": {"reader", false, func(c client) error {
			s, err := c.ReadLog(ctx, &tandemv1.ReadLogRequest{TaskId: "team_words.0.1.count"})
			return drain(s, err)
		}},
		"DrainAgent": {"nobody", false, func(c client) error {
			_, err := c.DrainAgent(ctx, &tandemv1.DrainAgentRequest{Agent: "agent1"})
			return err
		}},
		"ListVolumes": {"reader", true, func(c client) error {
			_, err := c.ListVolumes(ctx, &tandemv1.ListVolumesRequest{})
			return err
		}},
		"PurgeVolume": {"boss", false, func(c client) error {
			_, err := c.PurgeVolume(ctx, &tandemv1.PurgeVolumeRequest{VolumeId: "team_words.0.1.data.fw"})
			return err
		}},
		"Reconcile": {"nobody", false, func(c client) error {
			_, err := c.Reconcile(ctx, &tandemv1.ReconcileRequest{})
			return err
		}},
		"TeardownFramework": {"nobody", false, func(c client) error {
			_, err := c.TeardownFramework(ctx, &tandemv1.TeardownFrameworkRequest{})
			return err
		}},
		"WatchUsage": {"reader", true, func(c client) error {
			s, err := c.WatchUsage(ctx, &tandemv1.WatchUsageRequest{})
			return drain(s, err)
		}},
		"WatchUsage of a task": {"reader", false, func(c client) error {
			s, err := c.WatchUsage(ctx, &tandemv1.WatchUsageRequest{TaskId: "team_words.0.1.count"})
			return drain(s, err)
		}},
		"KillTask": {"writer", false, func(c client) error {
			_, err := c.KillTask(ctx, &tandemv1.KillTaskRequest{TaskId: "team_words.0.1.count"})
			return err
		}},
		"SignalTask": {"writer", false, func(c client) error {
			_, err := c.SignalTask(ctx, &tandemv1.SignalTaskRequest{TaskId: "team_words.0.1.count", Signal: "SIGHUP"})
			return err
		}},
		"UpgradeExecutor": {"writer", false, func(c client) error {
			_, err := c.UpgradeExecutor(ctx, &tandemv1.UpgradeExecutorRequest{TaskId: "team_words.0.1.count"})
			return err
		}},
		"ExecTask": {"writer", false, func(c client) error {
			s, err := c.ExecTask(ctx)
			if err != nil {
				return err
			}
			err = s.Send(&tandemv1.ExecTaskRequest{TaskId: "team_words.0.1.count", Input: &tandemv1.ExecInput{
				Input: &tandemv1.ExecInput_Command{Command: &tandemv1.ExecCommand{Args: []string{"true"}}},
			}})
			if errors.Is(err, io.EOF) {
				err = nil
			}
			if _, got := s.Receive(); err == nil {
				err = got
			}
			return errors.Join(err, s.CloseRequest())
		}},
		"ListFiles": {"reader", false, func(c client) error {
			_, err := c.ListFiles(ctx, &tandemv1.ListFilesRequest{TaskId: "team_words.0.1.count"})
			return err
		}},
	}
	methods := tandemv1.File_tandem_v1_api_proto.Services().ByName("SchedulerService").Methods()
	for i := range methods.Len() {
		if name := string(methods.Get(i).Name()); calls[name].call == nil {
			t.Errorf("%s is not in the table", name)
		}
	}
	order := []string{"reader", "writer", "boss", "nobody"}
	for name, tt := range calls {
		for _, who := range append([]string{"", "outsider", "stranger"}, order[:3]...) {
			want := connect.Code(0)
			switch {
			case who == "" || who == "stranger":
				want = connect.CodeUnauthenticated
			case who == "outsider" && !tt.shown, who != "outsider" && slices.Index(order, who) < slices.Index(order, tt.least):
				want = connect.CodePermissionDenied
			}
			token := ""
			if who != "" {
				token = "planted-" + who
			}
			for protocol, c := range as(base, token) {
				if name == "ExecTask" && protocol != "gRPC" {
					continue // It takes HTTP/2, which these clients do not speak.
				}
				err := tt.call(c)
				got := connect.CodeOf(err)
				refused := got == connect.CodeUnauthenticated || got == connect.CodePermissionDenied
				if want != 0 && got != want || want == 0 && err != nil && refused {
					t.Errorf("%s by %q over %s: %v, want %v", name, who, protocol, err, want)
				}
			}
		}
	}
}

// TestWritesAreRecorded: one line for each, and nothing that the request says in
// words of its own.
func TestWritesAreRecorded(t *testing.T) {
	opt, _, path := guarded(t, &commander{}, teams())
	opt.CallBack = "http://127.0.0.1:1"
	base, _ := serve(t, opt)
	job := team("/team/words")
	job.Workloads[0].Cmd = "login --password planted-secret"
	c := as(base, "planted-writer")["Connect JSON"]
	if _, err := c.SubmitJob(t.Context(), &tandemv1.SubmitJobRequest{Job: job}); err != nil {
		t.Fatal(err)
	}
	_, _ = c.SteerUpdate(t.Context(), &tandemv1.SteerUpdateRequest{Id: "/other", Action: tandemv1.UpdateAction_UPDATE_ACTION_ABORT})
	_, _ = c.StopJob(t.Context(), &tandemv1.StopJobRequest{Id: "/team/words", Purge: true})
	_, _ = c.GetJob(t.Context(), &tandemv1.GetJobRequest{Id: "/team/words"})
	// A command beside a task is recorded by how many words it has.
	exec, err := as(base, "planted-writer")["gRPC"].ExecTask(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = exec.Send(&tandemv1.ExecTaskRequest{TaskId: "team_words.0.1.a", Input: &tandemv1.ExecInput{Input: &tandemv1.ExecInput_Command{
		Command: &tandemv1.ExecCommand{Args: []string{"login", "planted-secret", "\x00"}, Terminal: true},
	}}})
	_, _ = exec.Receive()
	_ = exec.CloseRequest()
	_, _ = c.SignalTask(t.Context(), &tandemv1.SignalTaskRequest{TaskId: "team_words.0.1.a", Signal: "SIGKILL"})
	_, _ = c.SignalTask(t.Context(), &tandemv1.SignalTaskRequest{TaskId: "team_words.0.1.a", Signal: "planted-secret"})
	_, _ = c.PurgeVolume(t.Context(), &tandemv1.PurgeVolumeRequest{VolumeId: "team_words.0.1.data.fw"})
	_, _ = c.DrainAgent(t.Context(), &tandemv1.DrainAgentRequest{Agent: "agent1"})
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), "planted") {
		t.Errorf("the audit log holds a secret:\n%s", content)
	}
	version := func(n uint64) *uint64 { return &n }
	want := []audit.Entry{
		{Who: "token:writer", Call: "SubmitJob", Jobs: []string{"/team/words"}, Before: version(4), After: version(1), Result: "ok"},
		{Who: "token:writer", Call: "SteerUpdate", Jobs: []string{"/other"}, Before: version(1),
			Details: map[string]string{"action": "UPDATE_ACTION_ABORT"}, Result: "permission_denied"},
		{Who: "token:writer", Call: "StopJob", Jobs: []string{"/team/words"}, Before: version(4),
			Details: map[string]string{"purge": "true"}, Result: "permission_denied"},
		{Who: "token:writer", Call: "ExecTask", Jobs: []string{"/team/words"}, Before: version(4),
			Details: map[string]string{"input.command.args": "3 texts", "input.command.terminal": "true", "task_id": "team_words.0.1.a"}, Result: "begun"},
		{Who: "token:writer", Call: "ExecTask", Jobs: []string{"/team/words"}, Before: version(4),
			Details: map[string]string{"input.command.args": "3 texts", "input.command.terminal": "true", "task_id": "team_words.0.1.a"}, Result: "invalid_argument"},
		{Who: "token:writer", Call: "SignalTask", Jobs: []string{"/team/words"}, Before: version(4),
			Details: map[string]string{"task_id": "team_words.0.1.a", "signal": "SIGKILL"}, Result: "ok"},
		{Who: "token:writer", Call: "SignalTask", Jobs: []string{"/team/words"}, Before: version(4),
			Details: map[string]string{"task_id": "team_words.0.1.a"}, Result: "invalid_argument"},
		{Who: "token:writer", Call: "PurgeVolume", Jobs: []string{"/team/words"}, Before: version(4),
			Details: map[string]string{"volume_id": "team_words.0.1.data.fw"}, Result: "permission_denied"},
		{Who: "token:writer", Call: "DrainAgent", Details: map[string]string{"agent": "agent1"}, Result: "permission_denied"},
	}
	var got []audit.Entry
	for dec := json.NewDecoder(bytes.NewReader(content)); ; {
		var e audit.Entry
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if e.Time.IsZero() || !strings.HasPrefix(e.From, "127.0.0.1:") {
			t.Errorf("the entry says not when or from where: %+v", e)
		}
		e.Time, e.From = time.Time{}, ""
		got = append(got, e)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the audit log differs (-want +got):\n%s", d)
	}
}

// TestPlainPathsAreGuarded: what is no procedure needs rights too, but for what
// agents and monitors ask for.
func TestPlainPathsAreGuarded(t *testing.T) {
	opt, _, _ := guarded(t, &commander{}, teams())
	base, _ := serve(t, opt)
	file := "/files/" + strings.Repeat("a", 64) + "/x"
	for _, tt := range []struct {
		method, path, token string
		status              int
	}{
		{"GET", "/", "", 200}, {"GET", "/ui/main.js", "", 200}, {"GET", "/healthz", "", 200}, {"GET", "/readyz", "", 503},
		{"GET", "/metrics", "", 401}, {"GET", "/metrics", "planted-reader", 200}, {"GET", "/metrics", "wrong", 401},
		{"GET", "/", "wrong", 401},
		{"PUT", file, "", 401}, {"PUT", file, "planted-reader", 403}, {"PUT", file, "planted-writer", 400},
		{"HEAD", file, "planted-reader", 403}, {"HEAD", file, "planted-writer", 404},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), tt.method, base+tt.path, http.NoBody)
		if tt.token != "" {
			req.Header.Set("Authorization", "Bearer "+tt.token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != tt.status {
			t.Errorf("%s %s by %q: %d, want %d", tt.method, tt.path, tt.token, res.StatusCode, tt.status)
		}
	}
}

// TestLogins: a browser logs in with a token, and its cookie stands for it
// until it logs out or the token is taken away.
func TestLogins(t *testing.T) {
	opt, _, path := guarded(t, &commander{}, teams())
	base, _ := serve(t, opt)
	do := func(method, path, body string, cookie *http.Cookie, headers ...string) *http.Response {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		if cookie != nil {
			req.AddCookie(cookie)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	list := tandemv1connect.SchedulerServiceListJobsProcedure
	if res := do("POST", "/login", `{"token":"planted-nobody"}`, nil); res.StatusCode != 401 || len(res.Cookies()) > 0 {
		t.Errorf("a wrong token was answered by %d", res.StatusCode)
	}
	if res := do("POST", "/login", `{"token":""}`, nil); res.StatusCode != 401 {
		t.Errorf("no token was answered by %d", res.StatusCode)
	}
	if res := do("POST", "/login", `{"token":"planted-reader"}`, nil, "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 {
		t.Errorf("another site's page logged in: %d", res.StatusCode)
	}
	res := do("POST", "/login", `{"token":"planted-reader"}`, nil)
	if res.StatusCode != 200 || len(res.Cookies()) != 1 {
		t.Fatalf("answered by %d, %v", res.StatusCode, res.Cookies())
	}
	cookie := res.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || strings.Contains(cookie.Value, "planted") {
		t.Errorf("the cookie is %+v", cookie)
	}
	if res := do("POST", list, "{}", cookie); res.StatusCode != 200 {
		t.Errorf("the session was answered by %d", res.StatusCode)
	}
	if res := do("POST", list, "{}", cookie, "Origin", "https://evil.example"); res.StatusCode != 403 {
		t.Errorf("another site's page used the session: %d", res.StatusCode)
	}
	if res := do("DELETE", "/login", "", cookie); res.StatusCode != 204 || res.Cookies()[0].MaxAge >= 0 {
		t.Errorf("the logout was answered by %d, %v", res.StatusCode, res.Cookies())
	}
	if res := do("POST", list, "{}", cookie); res.StatusCode != 401 {
		t.Errorf("after the logout the session was answered by %d", res.StatusCode)
	}
	content, _ := os.ReadFile(path)
	if n := strings.Count(string(content), `"call":"Login"`); n != 3 || strings.Contains(string(content), "planted") {
		t.Errorf("%d logins were recorded:\n%s", n, content)
	}
}

// TestAnOpenServerHasItsOwnNamesOnly: no other site's name can be made to lead to
// a scheduler that takes everybody.
func TestAnOpenServerHasItsOwnNamesOnly(t *testing.T) {
	opt := options(&commander{}, teams())
	opt.Names = []string{"tandem.example.org"}
	base, _ := serve(t, opt)
	for host, status := range map[string]int{
		"127.0.0.1:7070": 200, "[::1]:7070": 200, "localhost:7070": 200, "tandem.example.org": 200, "evil.example": 421, "evil.example:7070": 421,
	} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", base+"/", nil)
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s: %d, want %d", host, res.StatusCode, status)
		}
	}
}
