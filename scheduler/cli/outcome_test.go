package cli

import (
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TestOutcome says what waiting for version 2 of a service with one instance comes
// to, by what its records say.
func TestOutcome(t *testing.T) {
	const (
		rolling   = tandemv1.UpdatePhase_UPDATE_PHASE_ROLLING
		canary    = tandemv1.UpdatePhase_UPDATE_PHASE_CANARY
		done      = tandemv1.UpdatePhase_UPDATE_PHASE_DONE
		failed    = tandemv1.UpdatePhase_UPDATE_PHASE_FAILED
		cancelled = tandemv1.UpdatePhase_UPDATE_PHASE_CANCELLED
	)
	for _, tt := range []struct {
		name           string
		version        uint64
		update         *tandemv1.UpdateRecord
		attempt        uint64
		restartThrough uint64
		want           outcome
	}{
		{"an earlier version runs", 1, nil, 1, 0, outcome{}},
		{"no update was needed", 2, nil, 1, 0, outcome{true, true, "runs"}},
		{"the update goes on, though all runs at the moment", 2, &tandemv1.UpdateRecord{Phase: rolling, Version: 2}, 2, 0, outcome{}},
		{"canaries wait", 2, &tandemv1.UpdateRecord{Phase: canary, Version: 2}, 2, 0, outcome{}},
		{"the update is through", 2, &tandemv1.UpdateRecord{Phase: done, Version: 2}, 2, 0, outcome{true, true, "runs"}},
		{"an older update was cancelled", 2, &tandemv1.UpdateRecord{Phase: cancelled, Version: 1}, 2, 0, outcome{true, true, "runs"}},
		{"the update stands still", 2, &tandemv1.UpdateRecord{Phase: failed, Version: 2, Reason: "web failed"}, 2, 0,
			outcome{done: true, text: "could not be updated to version 2: web failed"}},
		{"it is going back", 3, &tandemv1.UpdateRecord{Phase: rolling, Version: 3, Reverts: 2, Reason: "web failed"}, 3, 0, outcome{}},
		{"it has gone back", 3, &tandemv1.UpdateRecord{Phase: done, Version: 3, Reverts: 2, Reason: "web failed"}, 3, 0,
			outcome{done: true, text: "runs as before: web failed"}},
		{"the instance is still to be restarted", 2, nil, 4, 4, outcome{}},
		{"the instance was restarted", 2, nil, 5, 4, outcome{true, true, "runs"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBoard()
			for _, change := range []*tandemv1.WatchResponse{
				{Change: &tandemv1.WatchResponse_Job{Job: &tandemv1.JobRecord{
					Spec:    &tandemv1.Job{Id: "/api", Type: tandemv1.JobType_JOB_TYPE_SERVICE, Instances: proto.Int32(1)},
					Version: tt.version, Phase: tandemv1.JobPhase_JOB_PHASE_RUNNING, Update: tt.update,
				}}},
				{Change: &tandemv1.WatchResponse_Instance{Instance: &tandemv1.InstanceRecord{
					JobId: "/api", Phase: tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING, RestartThrough: tt.restartThrough,
				}}},
				{Change: &tandemv1.WatchResponse_Attempt{Attempt: &tandemv1.AttemptRecord{
					JobId: "/api", Attempt: tt.attempt, Running: timestamppb.Now(),
				}}},
				{Change: &tandemv1.WatchResponse_SnapshotEnd{SnapshotEnd: true}},
			} {
				b.apply(change)
			}
			got := b.outcome("/api", 2)
			if !got.done {
				got = outcome{} // It says nothing yet.
			}
			if got != tt.want {
				t.Errorf("got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}
