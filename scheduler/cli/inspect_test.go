package cli_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/scheduler/cli"
)

// TestWhatInspectPrintsIsTheJob, as a file, whatever its texts look like.
func TestWhatInspectPrintsIsTheJob(t *testing.T) {
	const file = `id: /odd
labels: {answer: "yes", number: "1e3", empty: "", date: "2026-03-01", tilde: "~"}
constraints: [["@hostname", "UNIQUE"], ["rack", "GROUP_BY", "3"]]
workloads:
- name: main
  cmd: "set -e\necho 'a: b' # no comment\n\techo {x} [y] \u00e9 %s *p &q\n"
  env: {"ON": "off", SECRET: {secret: db}}
  resources: {cpus: 0.25, mem: 64Mi}
  kill: {gracePeriod: 90s}
`
	sys, stdout, stderr := system(map[string]string{"TANDEM_SCHEDULER": start(t)})
	sys.Stdin = strings.NewReader(file)
	if status := cli.Run(t.Context(), []string{"run", "-"}, sys); status != 0 {
		t.Fatalf("exit %d: %s", status, stderr)
	}
	stdout.Reset()
	if status := cli.Run(t.Context(), []string{"inspect", "/odd"}, sys); status != 0 {
		t.Fatalf("exit %d: %s", status, stderr)
	}
	want, err := jobspec.Parse("given", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	got, err := jobspec.Parse("printed", stdout.Bytes())
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("%v\n%s\nis %v\nwant %v", err, stdout, got, want)
	}
}
