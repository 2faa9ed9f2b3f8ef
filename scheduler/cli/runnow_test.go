package cli

import (
	"testing"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TestARunThatIsHeld waits for the end of the one before it, for as long as it is the
// one that is to follow.
func TestARunThatIsHeld(t *testing.T) {
	const run = "/nightly/2026-03-01t02-30-00"
	due := time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		job  *tandemv1.JobRecord
		held bool
	}{
		"no such job":    {nil, false},
		"none is held":   {&tandemv1.JobRecord{Cron: &tandemv1.CronRecord{}}, false},
		"it is":          {&tandemv1.JobRecord{Cron: &tandemv1.CronRecord{Held: timestamppb.New(due)}}, true},
		"a later one is": {&tandemv1.JobRecord{Cron: &tandemv1.CronRecord{Held: timestamppb.New(due.Add(time.Hour))}}, false},
		"it was stopped": {&tandemv1.JobRecord{Stopped: true, Cron: &tandemv1.CronRecord{Held: timestamppb.New(due)}}, false},
	} {
		b := newBoard()
		if tt.job != nil {
			b.jobs["/nightly"] = tt.job
		}
		if got := b.holds("/nightly", run); got != tt.held {
			t.Errorf("%s: held is %v", name, got)
		}
	}
}
