package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/cli"
	"github.com/tandem-mesos/tandem/scheduler/state"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// TestState: what is exported is imported elsewhere, and nothing is written over
// records that are there.
func TestState(t *testing.T) {
	old, moved, file := filepath.Join(t.TempDir(), "old"), filepath.Join(t.TempDir(), "new"), filepath.Join(t.TempDir(), "copy.jsonl")
	put := func(dir string, changes ...state.Change) {
		s, err := store.OpenBolt(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(changes); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	put(old, state.PutFramework(&tandemv1.FrameworkRecord{FrameworkId: "77a7fa47-0002"}),
		state.PutJob(&tandemv1.JobRecord{Spec: &tandemv1.Job{Id: "/api"}, Version: 1}))
	const all = "framework 77a7fa47-0002, jobs: 1, instances: 0, attempts: 0"

	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"state verify --state " + old, 0, old + ": " + all + ", all well"},
		{"state export --state " + old + " " + file, 0, file + ": " + all},
		{"state export --state " + old + " " + file, 2, "there is a file " + file + " already"},
		{"state export --state " + old, 0, `{"kind":"job","key":"/api",`},
		{"state export --state " + moved, 1, "there is no state in " + moved + "; --state says where the scheduler has it"},
		{"state import --state " + moved + " " + file, 0, moved + ": " + all},
		{"state import --state " + moved + " " + file, 2, moved + " has " + all + " already; import into a state without records"},
		{"state verify --state " + moved, 0, "all well"},
		{"state import --state " + moved + " testdata/words.yaml", 2, "cannot import testdata/words.yaml: it is no archive of a scheduler's state"},
	} {
		sys, stdout, stderr := system(nil)
		if status := cli.Run(t.Context(), strings.Fields(c.args), sys); status != c.status || !strings.Contains(stdout.String()+stderr.String(), c.want) {
			t.Errorf("%s: exit %d, %s%s\nwant %d, %q", c.args, status, stdout, stderr, c.status, c.want)
		}
	}

	// What does not belong together is neither well nor imported.
	put(moved, state.PutInstance(&tandemv1.InstanceRecord{JobId: "/gone"}))
	sys, _, stderr := system(nil)
	if status := cli.Run(t.Context(), []string{"state", "verify", "--state", moved}, sys); status != 1 || stderr.String() != moved+": instance 0 is of job /gone, which is not there\n" {
		t.Errorf("exit %d: %s", status, stderr)
	}
	os.Remove(file)
	for _, args := range [][]string{{"state", "export", "--state", moved, file}, {"state", "import", "--state", t.TempDir(), file}} {
		sys, _, stderr = system(nil)
		cli.Run(t.Context(), args, sys)
	}
	if want := file + ": instance 0 is of job /gone, which is not there\n"; stderr.String() != want {
		t.Errorf("the import says %q, want %q", stderr, want)
	}
}
