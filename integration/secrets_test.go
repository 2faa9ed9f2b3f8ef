package integration

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestSecrets launches a job with a secret that comes late, and looks for its
// value wherever Mesos and the scheduler show, log or keep anything.
func TestSecrets(t *testing.T) {
	c := startMesos(t)
	dir := t.TempDir()
	s := startScheduler(t, c, "--secrets-dir", dir)
	const value = "correct-horse-battery-staple"
	s.run(`
id: /vault
workloads:
- name: web
  cmd: |
    test "$PASSWORD" = "$(echo correct horse battery staple | tr ' ' -)" || exit 9
    exec sleep 1000
  env: {PASSWORD: {secret: db}}
`)
	lacks := "waiting for secret db, which workload web needs and the scheduler does not hold"
	eventually(t, func() string {
		if i := s.job("/vault").Instances[0].Instance; i.PhaseReason != lacks {
			return "the instance says " + i.PhaseReason
		}
		return ""
	})
	if r := s.tandem("explain", "/vault"); !strings.Contains(r.stdout, lacks) {
		t.Errorf("tandem explain: %s", r)
	}
	if err := os.WriteFile(filepath.Join(dir, "db"), []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.awaitPhase("/vault", tandemv1.JobPhase_JOB_PHASE_RUNNING)

	attempt := s.job("/vault").Instances[0].Attempts[0]
	agent := attempt.AgentUrl
	places := []string{s.address + "/metrics", s.address + "/jobs/vault"}
	for _, path := range []string{"/state", "/master/state", "/frameworks", "/tasks", "/slaves", "/state-summary", "/roles", "/metrics/snapshot", "/master/tasks"} {
		places = append(places, "http://"+c.master+path)
	}
	for _, path := range []string{"/state", "/slave(1)/state", "/containers", "/monitor/statistics", "/metrics/snapshot"} {
		places = append(places, agent+path)
	}
	for _, place := range places {
		hides(t, place, value, ask(t, place, ""))
	}
	// What is looked at does show the task.
	for _, place := range []string{"http://" + c.master + "/state", agent + "/state"} {
		if text := ask(t, place, ""); !strings.Contains(text, "vault.0.1.web") {
			t.Errorf("%s does not show the task: %.200s", place, text)
		}
	}
	for _, at := range []string{"http://" + c.master + "/api/v1", agent + "/api/v1"} {
		for _, call := range []string{"GET_STATE", "GET_TASKS", "GET_EXECUTORS", "GET_FRAMEWORKS", "GET_CONTAINERS", "GET_AGENTS", "GET_OPERATIONS"} {
			hides(t, at+" "+call, value, ask(t, at, `{"type":"`+call+`"}`))
		}
	}
	for _, verb := range [][]string{
		{"status", "/vault", "-o", "json"}, {"inspect", "/vault"}, {"history", "/vault"}, {"explain", "/vault", "-o", "json"},
		{"ls", "vault.0.1.web"}, {"logs", "/vault"},
	} {
		hides(t, "tandem "+strings.Join(verb, " "), value, s.tandem(verb...).String())
	}
	hides(t, "the scheduler's log", value, s.log.String())
	for _, kept := range filesBelow(t, filepath.Join(s.dir, "state")) {
		text, err := os.ReadFile(kept)
		if err != nil {
			t.Fatal(err)
		}
		hides(t, kept, value, string(text))
	}
	// Of the executor's sandbox too, which the agent shows.
	for _, pid := range processesOf(t, "vault.0.1.web") {
		if cwd, err := os.Readlink("/proc/" + itoa(pid) + "/cwd"); err == nil && strings.Contains(cwd, "/runs/") {
			run := cwd[:strings.Index(cwd, "/runs/")]
			for _, kept := range filesBelow(t, run) {
				if text, err := os.ReadFile(kept); err == nil {
					hides(t, kept, value, string(text))
				}
			}
		}
	}
}

func hides(t *testing.T, place, value, text string) {
	t.Helper()
	if strings.Contains(text, value) {
		t.Errorf("%s shows the secret", place)
	}
}

// ask returns what an address answers, whatever its status; with a body it is
// posted.
func ask(t *testing.T, address, body string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	var resp *http.Response
	var err error
	if body == "" {
		resp, err = client.Get(address)
	} else {
		resp, err = client.Post(address, "application/json", strings.NewReader(body))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// filesBelow are the regular files of up to a few MiB, so that no program is
// read.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return nil // It has gone meanwhile.
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && info.Size() < 4<<20 {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
