package cli

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestWhatIsToldOfAttempts: of two attempts that run beside each other each change
// is told, and of those that had ended before anybody looked nothing.
func TestWhatIsToldOfAttempts(t *testing.T) {
	const running, killed = tandemv1.TaskState_TASK_RUNNING, tandemv1.TaskState_TASK_KILLED
	attempt := func(number uint64, state tandemv1.TaskState) *tandemv1.WatchResponse {
		a := &tandemv1.AttemptRecord{JobId: "/api", Attempt: number, Tasks: []*tandemv1.TaskRecord{{TaskId: fmt.Sprintf("api.0.%d.web", number), State: state}}}
		if state == killed {
			a.Ended = timestamppb.Now()
		}
		return &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Attempt{Attempt: a}}
	}
	instance := &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Instance{Instance: &tandemv1.InstanceRecord{JobId: "/api", Attempt: 3}}}
	end := &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_SnapshotEnd{SnapshotEnd: true}}
	b := newBoard()
	var got []string
	for _, change := range []*tandemv1.WatchResponse{
		instance, attempt(1, killed), attempt(2, killed), attempt(3, running), end,
		attempt(4, running), attempt(3, running), attempt(3, killed), attempt(3, killed), attempt(4, killed), attempt(1, killed),
	} {
		for _, e := range b.apply(change) {
			if e.what != "api.0" {
				got = append(got, e.what+" "+e.text)
			}
		}
	}
	want := []string{"api.0.3.web TASK_RUNNING", "api.0.4.web TASK_RUNNING", "api.0.3.web TASK_KILLED", "api.0.4.web TASK_KILLED"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what is told differs (-want +got):\n%s", d)
	}
	if newest := b.attempts[slot{"/api", 0}]; newest.GetAttempt() != 4 {
		t.Errorf("the board shows attempt %d", newest.GetAttempt())
	}
}
