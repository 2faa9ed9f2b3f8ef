package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tandem-mesos/tandem/scheduler/cli"
)

// TestContexts: verbs call the scheduler of the current context, unless they
// are told another.
func TestContexts(t *testing.T) {
	base := start(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "config", "tandem", "contexts.yaml")
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("tandem_x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := "http://127.0.0.1:1"
	refused := func(at string) string {
		return "tandem: cannot reach the scheduler at " + at + `: connection refused; is "tandem scheduler" running? set --scheduler or TANDEM_SCHEDULER` + "\n"
	}
	for _, tt := range []struct {
		command string
		env     map[string]string
		status  int
		want    string
	}{
		{"context list", nil, 0, "no contexts; `tandem context set NAME --scheduler URL` makes one\n"},
		{"context use team", nil, 2, "tandem: there is no context \"team\", nor any other; `tandem context set team --scheduler URL` makes it\n"},
		{"context set team", nil, 2, "tandem: context team has no address yet: give --scheduler URL\n"},
		{"context set t/m --scheduler " + base, nil, 2, "tandem: \"t/m\" is no name of a context: it has 1 to 63 letters, digits and any of . _ -\n"},
		{"context set team --scheduler " + base, map[string]string{"TANDEM_TLS_CA": "/env"}, 0, "context team is set\n"},
		{"context set other --scheduler " + nowhere + " --token-file " + token, nil, 0, "context other is set\n"},
		{"context list", nil, 0, "CURRENT  NAME   SCHEDULER               LOGIN\n         other  http://127.0.0.1:1      token\n*        team   " + base + "  none\n"},
		{"list -o yaml", nil, 0, "jobs: []\ninstanceCounts: []\n"},
		{"list -o yaml --context other", nil, 3, refused(nowhere)},
		{"list -o yaml", map[string]string{"TANDEM_CONTEXT": "other"}, 3, refused(nowhere)},
		{"list -o yaml --scheduler " + base, map[string]string{"TANDEM_CONTEXT": "other"}, 0, "jobs: []\ninstanceCounts: []\n"},
		{"list -o yaml", map[string]string{"TANDEM_SCHEDULER": nowhere}, 3, refused(nowhere)},
		{"list -o yaml --context team", map[string]string{"TANDEM_SCHEDULER": nowhere}, 0, "jobs: []\ninstanceCounts: []\n"},
		{"list --context none", nil, 2, "tandem: there is no context \"none\"; there are: other, team\n"},
		{"list --context team --scheduler " + base, nil, 2, "tandem: --context names a scheduler, and --scheduler another; give one of them\n"},
		{"context use other", nil, 0, "context other is current now\n"},
		{"list -o yaml", nil, 3, refused(nowhere)},
		{"context set other --scheduler http://192.0.2.1:7070", nil, 0, "context other is set\n"},
		// A token goes over no network in clear.
		{"list", nil, 2, "tandem: --token-file: the token would go to http://192.0.2.1:7070 in clear; let the scheduler speak https, and name it so\n"},
		{"context remove other", nil, 0, "context other is forgotten\n"},
		{"context list -o yaml", nil, 0, "contexts:\n  team:\n    scheduler: " + base + "\ncurrent: \"\"\n"},
	} {
		env := map[string]string{"XDG_CONFIG_HOME": filepath.Join(dir, "config")}
		for k, v := range tt.env {
			env[k] = v
		}
		sys, stdout, stderr := system(env)
		status := cli.Run(t.Context(), strings.Fields(tt.command), sys)
		if d := cmp.Diff(tt.want, strings.ReplaceAll(stdout.String()+stderr.String(), "  \n", "\n")); status != tt.status || d != "" {
			t.Errorf("tandem %s: exit %d, want %d (-want +got):\n%s", tt.command, status, tt.status, d)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	sys, _, stderr := system(map[string]string{"XDG_CONFIG_HOME": filepath.Join(dir, "config")})
	if status := cli.Run(t.Context(), []string{"list"}, sys); status != 2 || !strings.Contains(stderr.String(), "others may write to ") {
		t.Errorf("exit %d, %s", status, stderr)
	}
}

func TestTokensAreMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("# ours"), 0o640); err != nil {
		t.Fatal(err)
	}
	sys, stdout, stderr := system(nil)
	if status := cli.Run(t.Context(), []string{"token", "ci", "--tokens", file, "--lifetime", "24h"}, sys); status != 0 {
		t.Fatalf("exit %d, %s", status, stderr)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[1], "ci sha256:") || !strings.HasSuffix(lines[1], " 2026-03-02T12:00:00Z") {
		t.Errorf("the file is now:\n%s", content)
	}
	if token := strings.TrimSpace(stdout.String()); !strings.HasPrefix(token, "tandem_") || strings.Contains(string(content), token) {
		t.Errorf("printed %q", token)
	}
	sys, _, stderr = system(nil)
	if status := cli.Run(t.Context(), []string{"token", "c i", "--tokens", file}, sys); status != 2 {
		t.Errorf("exit %d, %s", status, stderr)
	}
}
