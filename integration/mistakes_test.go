package integration

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMistakes holds that what a new user gets wrong is answered by one clear
// line each: what, where, why, and what to do.
func TestMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()

	dir := t.TempDir()
	wrong := filepath.Join(dir, "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("id: /a\ntype: sevice\nworkloads:\n- name: main\n  cmd: \"true\"\n  resources: {cpu: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")

	for _, test := range []struct {
		name   string
		args   []string
		status int
		// lines are what each line of the error must hold, in order.
		lines []string
	}{
		{"an unknown verb", []string{"sumbit"}, 2, []string{"sumbit"}},
		{"no such file", []string{"validate", filepath.Join(dir, "none.yaml")}, 2, []string{"none.yaml"}},
		{"a wrong file", []string{"validate", wrong}, 2, []string{
			`wrong.yaml:2:7: type: "sevice" is not one of service, batch, cron, daemon; did you mean "service"?`,
			`wrong.yaml:6:15: workloads[0].resources.cpu: unknown key; did you mean "cpus"?`,
		}},
		{"a wrong file, to run", []string{"local", "--wait", wrong}, 2, []string{"type", "cpu"}},
		{"nobody there", []string{"list", "--scheduler", "http://" + nobody}, 3, []string{"connection refused"}},
		{"no master named", []string{"scheduler", "--state", state}, 2, []string{"--master"}},
		{"a master that is not there", []string{"scheduler", "--master", nobody, "--master-timeout", "100ms", "--listen", "127.0.0.1:0", "--state", state, "--log-level", "error"}, 1,
			[]string{"connection refused"}},
		{"a port in use", []string{"scheduler", "--master", nobody, "--listen", taken.Addr().String(), "--state", state, "--log-level", "error"}, 1,
			[]string{"--listen"}},
		{"no executor", []string{"scheduler", "--master", nobody, "--executor", filepath.Join(dir, "none"), "--listen", "127.0.0.1:0", "--state", state, "--log-level", "error"}, 1,
			[]string{"--executor"}},
		{"no place for the state", []string{"scheduler", "--master", nobody, "--listen", "127.0.0.1:0", "--state", wrong, "--log-level", "error"}, 1,
			[]string{"state directory"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := tandem(t, nil, test.args...)
			lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
			if r.status != test.status || len(lines) != len(test.lines) {
				t.Fatalf("want status %d and %d lines, have %s", test.status, len(test.lines), r)
			}
			for i, want := range test.lines {
				if !strings.Contains(lines[i], want) {
					t.Errorf("line %d is %q, without %q", i+1, lines[i], want)
				}
			}
		})
	}
}
