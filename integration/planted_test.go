package integration

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestASecretIsNowhere uses one word as everything that is secret: the value that a
// job names, the token of a caller, the secret of the principal, and an argument of
// a command beside a task. Then it looks for it in everything that the scheduler
// says, shows, logs or keeps.
func TestASecretIsNowhere(t *testing.T) {
	const value = "planted-where-nobody-looks"
	c := startMesos(t)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"secrets/db": value, "principal": value, "token": value + "\n",
		"rules":  "rules: [{who: [anonymous, token:ci], right: admin, jobs: [/*]}]",
		"tokens": fmt.Sprintf("ci sha256:%x\n", sha256.Sum256([]byte(value))),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	audit := filepath.Join(dir, "audit")
	s := startScheduler(t, c, "--secrets-dir", filepath.Join(dir, "secrets"), "--tokens", filepath.Join(dir, "tokens"), "--rules", filepath.Join(dir, "rules"),
		"--principal", "payments", "--secret-file", filepath.Join(dir, "principal"), "--audit-log", audit)
	job := func(seconds int) string {
		file := filepath.Join(dir, fmt.Sprintf("job%d.yaml", seconds))
		content := fmt.Sprintf(`
id: /vault
restart: {delay: 100ms}
update: {minHealthyTime: 0s}
workloads:
- name: web
  cmd: 'test -n "$PASSWORD" && exec sleep %d'
  env: {PASSWORD: {secret: db}}
  kill: {gracePeriod: 1s}
`, seconds)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	first, second := job(1000), job(2000)
	say := map[string]string{}
	verb := func(args ...string) result {
		// Every call is made with the token.
		r := s.tandem(append(args, "--token-file", filepath.Join(dir, "token"))...)
		say["tandem "+strings.Join(args, " ")+fmt.Sprint(" #", len(say))] = r.String()
		return r
	}
	well := func(args ...string) {
		t.Helper()
		if r := verb(args...); r.status != 0 {
			t.Fatalf("tandem %s: %s", strings.Join(args, " "), r)
		}
	}
	well("run", "--wait", first)
	if r := s.tandem("exec", "--token-file", filepath.Join(dir, "token"), "vault.0.1.web", "--", "true", value); r.status != 0 {
		t.Errorf("tandem exec: %s", r)
	}
	// Refusals, too, tell nothing of what was sent.
	say["a refused exec"] = s.tandem("exec", "--token-file", filepath.Join(dir, "token"), "vault.0.9.web", "--", "true", value).String()
	say["a wrong token"] = ask(t, s.address+"/tandem.v1.SchedulerService/ListJobs?token="+value, "{}")
	for _, o := range []string{"json", "yaml", "text"} {
		verb("plan", "-o", o, second)
		well("explain", "-o", o, "/vault")
		well("status", "-o", o, "/vault")
		well("inspect", "-o", o, "/vault")
	}
	well("run", "--wait", second)
	well("history", "-o", "json", "/vault")
	well("kill", "--wait", "vault.0.2.web")
	well("events", "--since", "0", "-o", "json")
	well("executor", "list", "-o", "json")
	well("agents", "-o", "json")
	well("framework", "status", "-o", "json")
	well("logs", "/vault")
	well("stats", "-o", "json", "/vault")

	ctx := t.Context()
	keep := func(what string, m proto.Message, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		text, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		say[what] += string(text)
	}
	got, err := s.client.GetJob(ctx, &tandemv1.GetJobRequest{Id: "/vault"})
	keep("GetJob", got, err)
	versions, err := s.client.ListVersions(ctx, &tandemv1.ListVersionsRequest{Id: "/vault"})
	keep("ListVersions", versions, err)
	watch, err := s.client.Watch(ctx, &tandemv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for watch.Receive() {
		keep("Watch", watch.Msg(), nil)
		if watch.Msg().GetSnapshotEnd() {
			break
		}
	}
	_ = watch.Close()
	for _, path := range []string{"/", "/jobs/vault", "/tasks/vault.0.1.web", "/events", "/agents", "/metrics", "/readyz"} {
		say[path] = ask(t, s.address+path, "")
	}
	well("stop", "--purge=false", "--wait", "/vault")
	s.stop(syscall.SIGTERM)
	say["the export of the state"] = s.tandem("state", "export", "--state", filepath.Join(s.dir, "state")).String()
	say["the scheduler's log"] = s.log.String()
	for _, kept := range append(filesBelow(t, filepath.Join(s.dir, "state")), audit) {
		text, err := os.ReadFile(kept)
		if err != nil {
			t.Fatal(err)
		}
		say[kept] = string(text)
	}
	for place, text := range say {
		hides(t, place, value, text)
	}
	// What was looked at does speak of what is to be hidden.
	for place, word := range map[string]string{
		"the export of the state": `"secret":"db"`, "Watch": `"secret":"db"`, "the scheduler's log": "vault", audit: "token:ci", "/metrics": "tandem_",
	} {
		if !strings.Contains(strings.ReplaceAll(say[place], " ", ""), word) {
			t.Errorf("%s does not speak of %s: %.300s", place, word, say[place])
		}
	}
}
