package core

import (
	"cmp"
	"fmt"
	"slices"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// finishJob looks at a job that the step has touched: it goes on with its
// update, tells its phase, and forgets it when it is purged.
func (c *Core) finishJob(j *job) {
	if c.jobs[j.id()] != j {
		return
	}
	if j.rec.Purge && j.present == 0 && len(j.runs) == 0 {
		c.forgetJob(j)
		return
	}
	c.roll(j)
	c.advance(j)
	c.keepEven(j)
	phase, reason := j.phase()
	if phase == j.rec.Phase && reason == j.rec.PhaseReason {
		return
	}
	r := c.editJob(j)
	if phase != r.Phase {
		level := Info
		if phase == tandemv1.JobPhase_JOB_PHASE_FAILED {
			level = Warn
		}
		text := phase.String()[len("JOB_PHASE_"):]
		if reason != "" {
			text += ": " + reason
		}
		c.notice(level, j, "%s", text)
	}
	r.Phase, r.PhaseReason = phase, reason
	if j.runOf != nil && !j.active() {
		c.runEnded(j.runOf)
	}
}

// phase derives where the job stands from its instances.
func (j *job) phase() (tandemv1.JobPhase, string) {
	n := &j.phases
	if j.rec.Stopped {
		if n[stopping] > 0 || slices.ContainsFunc(j.runs, (*job).active) {
			return tandemv1.JobPhase_JOB_PHASE_STOPPING, ""
		}
		return tandemv1.JobPhase_JOB_PHASE_STOPPED, ""
	}
	if j.cron() {
		return tandemv1.JobPhase_JOB_PHASE_RUNNING, j.cronText()
	}
	if n[failed]+n[crashLooping] > 0 {
		return tandemv1.JobPhase_JOB_PHASE_FAILED, j.failureText()
	}
	if !j.endless() && n[finished] == j.count() {
		return tandemv1.JobPhase_JOB_PHASE_FINISHED, ""
	}
	if j.daemon() && j.present == 0 {
		return tandemv1.JobPhase_JOB_PHASE_PENDING, cmp.Or(j.current().why, "no agent that fits was seen yet")
	}
	if n[running]+n[finished] >= j.total() || j.daemon() && n[running] == j.present {
		if j.updating() {
			return tandemv1.JobPhase_JOB_PHASE_RUNNING, j.rec.Update.Reason
		}
		return tandemv1.JobPhase_JOB_PHASE_RUNNING, ""
	}
	if len(j.rec.Spec.Volumes) > 0 {
		for _, in := range j.instances {
			if in != nil && in.tied != "" {
				return tandemv1.JobPhase_JOB_PHASE_PENDING, fmt.Sprintf("instance %d: %s", in.slot, in.rec.PhaseReason)
			}
		}
	}
	if v := j.current(); v.waiting.count > 0 {
		return tandemv1.JobPhase_JOB_PHASE_PENDING, v.why
	}
	if n[backoff] > 0 {
		return tandemv1.JobPhase_JOB_PHASE_PENDING, j.backoffText()
	}
	return tandemv1.JobPhase_JOB_PHASE_PENDING, ""
}

// failureText says which instance has failed, and why.
func (j *job) failureText() string {
	in := j.failing(func(in *instance) bool { return in.rec.Phase == failed || in.rec.Phase == crashLooping })
	if in == nil {
		return ""
	}
	return fmt.Sprintf("instance %d: %s", in.slot, in.rec.PhaseReason)
}

// backoffText says which instance is to be started again, and why it has ended.
func (j *job) backoffText() string {
	in := j.failing(func(in *instance) bool { return in.rec.Phase == backoff })
	if in == nil {
		return ""
	}
	return fmt.Sprintf("instance %d tries again: %s", in.slot, in.rec.PhaseReason)
}

// failing returns an instance that stands for a job's trouble, or nil. It stays the
// same one while that has not recovered.
func (j *job) failing(has func(*instance) bool) *instance {
	if j.failure == nil || !has(j.failure) {
		j.failure = nil
		if i := slices.IndexFunc(j.instances, func(in *instance) bool { return in != nil && has(in) }); i >= 0 {
			j.failure = j.instances[i]
		}
	}
	return j.failure
}

// forgetJob removes a purged job of which nothing is left.
func (c *Core) forgetJob(j *job) {
	if floor := j.rec.AttemptFloor; c.framework.GetAttemptFloor() < floor {
		r := &tandemv1.FrameworkRecord{}
		if c.framework != nil {
			r = state.CopyFramework(c.framework)
		}
		r.AttemptFloor = floor
		c.framework, c.frameworkEdited = r, true
	}
	for _, v := range j.versions {
		c.save = append(c.save, removal(v.rec))
	}
	c.save = append(c.save, removal(j.rec))
	c.timers.unset(&j.timer)
	delete(c.jobs, j.id())
	c.keepEven(j)
	c.listDaemon(j)
	c.unlinkRun(j)
	c.notice(Info, j, "forgotten")
}
