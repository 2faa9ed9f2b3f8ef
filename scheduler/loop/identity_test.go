package loop_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// TestForeign: a state is another cluster's when nothing that the master knows
// has been named by a master that has named something of the state.
func TestForeign(t *testing.T) {
	runs := &tandemv1.AttemptRecord{JobId: "/web", Attempt: 1, AgentId: "22aa-31-S4"}
	over := &tandemv1.AttemptRecord{JobId: "/web", Attempt: 1, AgentId: "33bb-07-S1", Ended: timestamppb.Now()}
	for _, c := range []struct {
		name     string
		attempts []*tandemv1.AttemptRecord
		known    []string
		foreign  bool
	}{
		{"its framework is known", []*tandemv1.AttemptRecord{runs}, []string{"11ff-20-0003"}, false},
		{"another framework that the same master has registered", []*tandemv1.AttemptRecord{runs}, []string{"11ff-20-0000"}, false},
		{"its agent", []*tandemv1.AttemptRecord{runs}, []string{"99ee-99-S0", "22aa-31-S4"}, false},
		{"another agent of the same time", []*tandemv1.AttemptRecord{runs}, []string{"22aa-31-S0"}, false},
		{"nothing of it", []*tandemv1.AttemptRecord{runs}, []string{"99ee-99-S4", "99ee-99-0003"}, true},
		{"nothing of what has not ended", []*tandemv1.AttemptRecord{runs, over}, []string{"33bb-07-S1"}, true},
		{"nothing at all", []*tandemv1.AttemptRecord{runs}, nil, false},
		{"nothing, and nothing runs", []*tandemv1.AttemptRecord{over}, []string{"99ee-99-S4"}, false},
	} {
		saved := state.Snapshot{Framework: &tandemv1.FrameworkRecord{FrameworkId: "11ff-20-0003"}, Attempts: c.attempts}
		err := loop.OriginOf(saved).Foreign(c.known)
		if (err != nil) != c.foreign {
			t.Errorf("%s: got %v", c.name, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "--new-cluster") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: the error does not say what to do in one line: %v", c.name, err)
		}
	}
}

func TestComplete(t *testing.T) {
	attempts := []*tandemv1.AttemptRecord{{JobId: "/web", Attempt: 1}}
	id := &tandemv1.FrameworkRecord{FrameworkId: "11ff-20-0003"}
	for _, saved := range []state.Snapshot{{}, {Framework: id}, {Framework: id, Attempts: attempts}, {Jobs: []*tandemv1.JobRecord{{}}}} {
		if err := loop.Complete(saved); err != nil {
			t.Errorf("%v: %v", saved, err)
		}
	}
	if err := loop.Complete(state.Snapshot{Attempts: attempts}); err == nil || !strings.Contains(err.Error(), "but not the framework that they were launched by") {
		t.Errorf("got %v", err)
	}
}
