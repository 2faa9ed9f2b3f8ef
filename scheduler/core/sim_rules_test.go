package core_test

import (
	"cmp"
	"slices"
	"strings"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// stepRules hold what updates, restarts and checks promise, from what is stored
// before a step to what is stored after it.
type stepRules struct {
	k *checks
	// replaced are the jobs of which this step has an update end an instance
	// that was running.
	replaced map[string]bool
	// previous are the instances that this step changes, as they were before it.
	previous map[string]*tandemv1.InstanceRecord
}

func (r *stepRules) attempt(id string, slot int32, n uint64) *tandemv1.AttemptRecord {
	s, ok := r.k.s.store[state.KindAttempt][state.AttemptKey(id, slot, n)]
	if !ok {
		return nil
	}
	return s.record.(*tandemv1.AttemptRecord)
}

func (r *stepRules) instance(id string, slot int32) *tandemv1.InstanceRecord {
	s, ok := r.k.s.store[state.KindInstance][state.InstanceKey(id, slot)]
	if !ok {
		return nil
	}
	return s.record.(*tandemv1.InstanceRecord)
}

func (r *stepRules) job(id string) *tandemv1.JobRecord {
	s, ok := r.k.s.store[state.KindJob][id]
	if !ok {
		return nil
	}
	return s.record.(*tandemv1.JobRecord)
}

// before looks at a step's changes while the store is as it was before it.
func (r *stepRules) before(in core.Input, e core.Effects) {
	r.replaced, r.previous = map[string]bool{}, map[string]*tandemv1.InstanceRecord{}
	for _, c := range e.Save {
		switch rec := c.Record.(type) {
		case *tandemv1.AttemptRecord:
			old := r.attempt(rec.JobId, rec.Slot, rec.Attempt)
			if old == nil {
				r.launched(in, rec)
				continue
			}
			r.ending(old, rec)
			if old.KillReason == "" && strings.HasPrefix(rec.KillReason, "replaced by version") {
				r.replacing(rec)
			}
		case *tandemv1.InstanceRecord:
			r.previous[c.Key.String()] = r.instance(rec.JobId, rec.Slot)
			r.counted(rec, e)
		}
	}
}

// launched: no restart comes before its delay is over.
func (r *stepRules) launched(in core.Input, a *tandemv1.AttemptRecord) {
	if _, ok := in.(core.Offers); !ok {
		r.k.s.w.fail("attempt %d of %s#%d is launched, and no offer has come", a.Attempt, a.JobId, a.Slot)
	}
	old := r.instance(a.JobId, a.Slot)
	if old == nil {
		return
	}
	switch old.Phase {
	case tandemv1.InstancePhase_INSTANCE_PHASE_BACKOFF, tandemv1.InstancePhase_INSTANCE_PHASE_CRASH_LOOPING:
		if now := r.k.s.clock(); now.Before(old.NotBefore.AsTime()) && r.k.s.skew == 0 {
			r.k.s.w.fail("attempt %d of %s#%d is launched %s too early", a.Attempt, a.JobId, a.Slot, old.NotBefore.AsTime().Sub(now))
		}
	}
}

// replacing notes that an update ends what was running, unless that serves no
// more in this very step.
func (r *stepRules) replacing(a *tandemv1.AttemptRecord) {
	old := r.instance(a.JobId, a.Slot)
	if old == nil || old.Phase != tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING || a.Unreachable != nil {
		return
	}
	for _, t := range a.Tasks {
		if t.State != tandemv1.TaskState_TASK_RUNNING && t.State != tandemv1.TaskState_TASK_FINISHED || t.Ready != nil && !*t.Ready || t.Healthy != nil && !*t.Healthy {
			return
		}
	}
	r.replaced[a.JobId] = true
}

// counted: only what workloads did themselves counts as their failure.
func (r *stepRules) counted(in *tandemv1.InstanceRecord, e core.Effects) {
	old := r.instance(in.JobId, in.Slot)
	if old == nil || in.Streak <= old.Streak {
		return
	}
	if in.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_WAITING {
		r.k.s.w.fail("%s#%d has failed, and waits for no delay", in.JobId, in.Slot)
	}
	for _, c := range e.Save {
		a, ok := c.Record.(*tandemv1.AttemptRecord)
		if !ok || a.JobId != in.JobId || a.Slot != in.Slot || a.Ended == nil {
			continue
		}
		if !slices.ContainsFunc(a.Tasks, func(t *tandemv1.TaskRecord) bool {
			return t.State == tandemv1.TaskState_TASK_FAILED || t.State == tandemv1.TaskState_TASK_KILLED || t.State == tandemv1.TaskState_TASK_FINISHED
		}) {
			r.k.s.w.fail("%s#%d is told to have failed, and its tasks are %v", in.JobId, in.Slot, a.Tasks)
		}
		if a.KillReason != "" && !strings.Contains(a.KillReason, "its group did not end") && !slices.ContainsFunc(a.Tasks, func(t *tandemv1.TaskRecord) bool {
			return t.State == tandemv1.TaskState_TASK_FINISHED
		}) {
			r.k.s.w.fail("%s#%d is told to have failed, and was killed: %s", in.JobId, in.Slot, a.KillReason)
		}
	}
}

// after looks at what is stored now.
func (r *stepRules) after(e core.Effects) {
	for _, id := range sortedKeys(r.replaced) {
		if j := r.job(id); j != nil && !j.Stopped {
			r.within(j)
		}
	}
	for _, c := range e.Save {
		switch rec := c.Record.(type) {
		case *tandemv1.JobRecord:
			r.reverted(rec)
		case *tandemv1.InstanceRecord:
			r.ready(rec)
			r.bounded(rec)
			r.judged(rec, r.previous[c.Key.String()])
		}
	}
}

// runs is the version that the instance runs: the record's own is that of the
// attempt to come, where it waits for one to move to.
func (r *stepRules) runs(in *tandemv1.InstanceRecord) uint64 {
	key := state.AttemptKey(in.JobId, in.Slot, cmp.Or(in.LiveAttempt, in.Attempt))
	if a, ok := r.k.s.store[state.KindAttempt][key]; ok {
		return a.record.(*tandemv1.AttemptRecord).JobVersion
	}
	return 0
}

// within: when an update ends what was running, no more than maxParallel of the
// job do not serve, and canaries have been promoted.
func (r *stepRules) within(j *tandemv1.JobRecord) {
	if j.Spec.Type == tandemv1.JobType_JOB_TYPE_BATCH {
		return
	}
	if u := j.Update; u.GetPhase() == tandemv1.UpdatePhase_UPDATE_PHASE_PAUSED || u.GetPhase() == tandemv1.UpdatePhase_UPDATE_PHASE_CANARY ||
		u.GetPhase() == tandemv1.UpdatePhase_UPDATE_PHASE_ROLLING && u.Reverts == 0 && !u.Promoted && j.Spec.Update.Canary > 0 &&
			j.Spec.Type != tandemv1.JobType_JOB_TYPE_DAEMON {
		r.k.s.w.fail("job %s replaces instances while its update is %v", j.Spec.Id, u)
	}
	missing := 0
	for _, s := range r.k.s.store[state.KindInstance] {
		in := s.record.(*tandemv1.InstanceRecord)
		if in.JobId != j.Spec.Id || j.Spec.Type == tandemv1.JobType_JOB_TYPE_SERVICE && in.Slot >= j.Spec.GetInstances() {
			continue
		}
		fresh := false
		if in.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING && r.runs(in) == j.Version && in.RestartThrough < in.Attempt {
			fresh = r.k.s.skew == 0 && r.k.s.clock().Before(in.Since.AsTime().Add(j.Spec.Update.MinHealthyTime.AsDuration()))
		}
		if in.Phase != tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING || fresh {
			missing++
		}
	}
	if missing > int(j.Spec.Update.MaxParallel) {
		r.k.s.w.fail("%d instances of %s are missing in an update of %d at once", missing, j.Spec.Id, j.Spec.Update.MaxParallel)
	}
}

// reverted: a failed update is gone back from, where that is asked for.
func (r *stepRules) reverted(j *tandemv1.JobRecord) {
	u := j.Update
	if u.GetPhase() != tandemv1.UpdatePhase_UPDATE_PHASE_FAILED || u.Reverts != 0 || u.FromVersion == 0 || j.Stopped ||
		j.Spec.Update.AutoRevert != nil && !*j.Spec.Update.AutoRevert {
		return
	}
	if _, kept := r.k.s.store[state.KindVersion][state.VersionKey(j.Spec.Id, u.FromVersion)]; kept && u.Version == j.Version {
		r.k.s.w.fail("the update of %s has failed and is not gone back from: %v", j.Spec.Id, u)
	}
}

// ready: an instance serves only while its readiness checks pass.
func (r *stepRules) ready(in *tandemv1.InstanceRecord) {
	if in.Phase != tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING {
		return
	}
	n := in.Attempt
	if in.LiveAttempt != 0 {
		n = in.LiveAttempt
	}
	a := r.attempt(in.JobId, in.Slot, n)
	if a == nil {
		r.k.s.w.fail("%s#%d runs without an attempt", in.JobId, in.Slot)
	}
	v, ok := r.k.s.store[state.KindVersion][state.VersionKey(in.JobId, a.JobVersion)]
	if !ok {
		return
	}
	r.serving(in, a, v.record.(*tandemv1.VersionRecord))
	for i, w := range v.record.(*tandemv1.VersionRecord).Spec.Workloads {
		if t := a.Tasks[i]; w.ReadinessCheck != nil && t.State == tandemv1.TaskState_TASK_RUNNING && !t.GetReady() {
			r.k.s.w.fail("%s#%d serves, and %s is not ready", in.JobId, in.Slot, t.TaskId)
		}
	}
}

// bounded: nothing is restarted at its usual pace more often than its policy
// allows.
func (r *stepRules) bounded(in *tandemv1.InstanceRecord) {
	j := r.job(in.JobId)
	if j == nil || in.Phase != tandemv1.InstancePhase_INSTANCE_PHASE_BACKOFF || in.Losses > 0 || in.Since.AsTime().Add(time.Second).Before(r.k.s.clock()) {
		return
	}
	if allowed := int(j.Spec.Restart.GetAttempts()); int(in.Streak) > allowed && len(in.Failures) > allowed {
		r.k.s.w.fail("%s#%d has failed %d times and is allowed %d, and is tried at once", in.JobId, in.Slot, in.Streak, allowed)
	}
}
