package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tandem-mesos/tandem/scheduler/cli"
)

// TestConvert: one job is printed with its remarks in comments, several become
// files, and none is written over another.
func TestConvert(t *testing.T) {
	sys, stdout, stderr := system(nil)
	if status := cli.Run(t.Context(), []string{"convert", "testdata/marathon-app.json"}, sys); status != 1 {
		t.Errorf("exit %d, want 1, as something is left out", status)
	}
	want := `# To be looked at:
# - cmd: $PORT became $PORT0, which is the first port here
# - container.docker.image: left out: images are not pulled; bring the program by fetch, or the image's files for linux.root
id: /payments/api
type: service
instances: 2
constraints:
  - ['@hostname', UNIQUE]
workloads:
  - name: api
    cmd: exec ./server -p $PORT0
    resources:
      cpus: 0.5
      mem: 256
    ports:
      - name: http
    healthCheck:
      http:
        port: http
        path: /health
      gracePeriod: 5m0s
      delay: 15s
      interval: 1m0s
      timeout: 20s
      maxConsecutiveFailures: 3
`
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Errorf("the job file differs (-want +got):\n%s", diff)
	}
	if got := stderr.String(); !strings.HasPrefix(got, "testdata/marathon-app.json: /payments/api: cmd: $PORT became") {
		t.Errorf("the standard error says %q", got)
	}

	dir := filepath.Join(t.TempDir(), "jobs", "converted")
	args := []string{"convert", "testdata/marathon-group.json", "--dir", dir}
	sys, stdout, stderr = system(nil)
	if status := cli.Run(t.Context(), args, sys); status != 0 {
		t.Errorf("exit %d: %s", status, stderr)
	}
	files := []string{"team-deep-three.yaml", "team-one.yaml", "team-two.yaml"}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		sys, _, stderr := system(nil)
		if status := cli.Run(t.Context(), []string{"validate", filepath.Join(dir, e.Name())}, sys); status != 0 {
			t.Errorf("%s is wrong: %s", e.Name(), stderr)
		}
	}
	if diff := cmp.Diff(files, names); diff != "" {
		t.Errorf("the files differ (-want +got):\n%s", diff)
	}
	if !strings.Contains(stdout.String(), filepath.Join(dir, "team-one.yaml")+": job /team/one") {
		t.Errorf("it says %q", stdout)
	}
	sys, _, stderr = system(nil)
	if status := cli.Run(t.Context(), args, sys); status != 2 || !strings.Contains(stderr.String(), "already; --force writes over it") {
		t.Errorf("exit %d: %s", status, stderr)
	}
	sys, _, stderr = system(nil)
	if status := cli.Run(t.Context(), append(args, "--force"), sys); status != 0 {
		t.Errorf("exit %d: %s", status, stderr)
	}
}
