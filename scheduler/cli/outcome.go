package cli

import (
	"fmt"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// outcome is what has become of a job that somebody waits for.
type outcome struct {
	done, well bool
	// text says what has become of it.
	text string
}

// outcome says whether a job, at the version or a later one, has come to where
// waiting ends: a batch to its end, anything else to where all that should run
// does.
func (b *board) outcome(id string, version uint64) outcome {
	job := b.jobs[id]
	switch {
	case job == nil && b.removed[id]:
		return outcome{done: true, text: "was removed"}
	case job == nil || job.GetVersion() < version || !b.complete:
		return outcome{}
	}
	if updating, over := updateOutcome(job.GetUpdate(), version); updating {
		return over
	}
	endless := job.GetSpec().GetType() != tandemv1.JobType_JOB_TYPE_BATCH
	switch job.GetPhase() {
	case tandemv1.JobPhase_JOB_PHASE_FINISHED:
		return outcome{b.settled(id), true, "has finished"}
	case tandemv1.JobPhase_JOB_PHASE_FAILED:
		return outcome{done: b.settled(id), text: because("has failed", job.GetPhaseReason())}
	case tandemv1.JobPhase_JOB_PHASE_STOPPED:
		return outcome{done: true, text: "was stopped"}
	case tandemv1.JobPhase_JOB_PHASE_RUNNING:
		if job.GetSpec().GetType() == tandemv1.JobType_JOB_TYPE_CRON {
			return outcome{true, true, because("is scheduled", job.GetPhaseReason())}
		}
		if endless {
			return outcome{b.settled(id), true, "runs"}
		}
	}
	return outcome{}
}

// updateOutcome says what an update has to say of a version: that it goes on, or has
// failed. It reports false where it has nothing to say.
func updateOutcome(u *tandemv1.UpdateRecord, version uint64) (bool, outcome) {
	over := false
	switch u.GetPhase() {
	case tandemv1.UpdatePhase_UPDATE_PHASE_DONE, tandemv1.UpdatePhase_UPDATE_PHASE_FAILED, tandemv1.UpdatePhase_UPDATE_PHASE_CANCELLED:
		over = true
	}
	switch {
	case u.GetReverts() == version && version != 0:
		if !over {
			return true, outcome{}
		}
		return true, outcome{done: true, text: because("runs as before", u.GetReason())}
	case u.GetVersion() < version:
		return false, outcome{}
	case !over:
		return true, outcome{}
	case u.GetPhase() == tandemv1.UpdatePhase_UPDATE_PHASE_FAILED:
		return true, outcome{done: true, text: because(fmt.Sprintf("could not be updated to version %d", u.GetVersion()), u.GetReason())}
	}
	return false, outcome{}
}

// settled says whether the records of the job's instances and tasks say what
// its phase says: they may come after the job's own.
func (b *board) settled(id string) bool {
	job := b.jobs[id]
	ended := 0
	for number := range job.GetSpec().GetInstances() {
		key := slot{id, number}
		i, a := b.instances[key], b.attempts[key]
		switch i.GetPhase() {
		case tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED, tandemv1.InstancePhase_INSTANCE_PHASE_FAILED:
			ended++
			if a != nil && a.GetEnded() == nil {
				return false
			}
		case tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING:
			if job.GetPhase() == tandemv1.JobPhase_JOB_PHASE_FINISHED || a.GetRunning() == nil || a.GetAttempt() <= i.GetRestartThrough() {
				return false
			}
		default:
			// Where one instance has failed others may be anywhere.
			if job.GetPhase() != tandemv1.JobPhase_JOB_PHASE_FAILED {
				return false
			}
		}
	}
	return ended > 0 || job.GetPhase() == tandemv1.JobPhase_JOB_PHASE_RUNNING || job.GetSpec().GetInstances() == 0
}
