package core

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestReportHoldsAllWarnings has some from the start of a task and some from its
// end.
func TestReportHoldsAllWarnings(t *testing.T) {
	started := []string{"limits.swap: not accounted for"}
	v := verdict{exit: &Exit{Usage: &tandemv1.Usage{}, Warnings: []string{"of its stdout 12 bytes are missing"}}}
	report := &tandemv1.TaskReport{}
	if err := proto.Unmarshal(v.report(&task{warnings: started}), report); err != nil {
		t.Fatal(err)
	}
	if want := []string{started[0], v.exit.Warnings[0]}; !slices.Equal(report.Warnings, want) {
		t.Errorf("got %q, want %q", report.Warnings, want)
	}
}
