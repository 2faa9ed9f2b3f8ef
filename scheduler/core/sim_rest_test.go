package core_test

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// atRest checks that, some time after the last fault, what was asked for is
// what is, and nothing else.
func (k *checks) atRest() {
	w := k.s.w
	for _, kind := range state.Kinds {
		for _, key := range sortedKeys(k.s.store[kind]) {
			k.unchanged(kind, key, k.s.store[kind][key])
		}
	}
	running := map[string]bool{} // tasks
	for _, a := range w.agents {
		for _, t := range a.running() {
			running[t.id] = true
		}
	}
	for _, id := range sortedKeys(w.team.asked) {
		wish := w.team.asked[id]
		if wish.unsure {
			w.fail("nobody ever answered for %s", id)
		}
		k.jobAtRest(id, wish, running)
	}
	for _, t := range slices.Sorted(keysOf(running)) {
		w.fail("task %s runs, and nobody asks for it", t)
	}
	if w.master.stream == nil {
		w.fail("the scheduler is not subscribed")
	}
	if len(w.master.offers) > 0 {
		w.fail("offers are held: %v", sortedKeys(w.master.offers))
	}
	for _, key := range sortedKeys(k.s.store[state.KindAgent]) {
		// That an operator drains it no more is known by its next offer.
		if r := k.s.store[state.KindAgent][key].record.(*tandemv1.AgentRecord); r.Drain != nil || r.Maintenance != nil {
			w.fail("agent %s is still to be left: %v", key, r)
		}
	}
	k.volumesAtRest()
	k.operatorsAtRest()
	if !w.master.suppressed && !k.anyWaiting() && !k.anyDaemon() && !k.anyBalanced() {
		w.fail("nothing waits, and offers are not suppressed")
	}
}

func (k *checks) jobAtRest(id string, wish *wish, running map[string]bool) {
	w := k.s.w
	r, ok := k.s.store[state.KindJob][id]
	if !ok {
		if !wish.purged && !(wish.stopped && wish.goneToo) {
			w.fail("job %s is gone", id)
		}
		return
	}
	j := r.record.(*tandemv1.JobRecord)
	switch {
	case wish.purged:
		w.fail("job %s should be gone: %v", id, j)
	case wish.stopped:
		if j.Phase != tandemv1.JobPhase_JOB_PHASE_STOPPED {
			w.fail("job %s is not stopped: %v", id, j.Phase)
		}
		return
	case !proto.Equal(j.Spec, wish.spec) && j.Update.GetReverts() == 0 && !k.rolledBack(j):
		w.fail("job %s is not as it was asked for", id)
	}
	switch j.Update.GetPhase() {
	case tandemv1.UpdatePhase_UPDATE_PHASE_ROLLING, tandemv1.UpdatePhase_UPDATE_PHASE_CANARY, tandemv1.UpdatePhase_UPDATE_PHASE_PAUSED:
		if !k.starved(j) && !k.crowded(j) {
			w.fail("the update of job %s goes on: %v", id, j.Update)
		}
	}
	switch j.Spec.Type {
	case tandemv1.JobType_JOB_TYPE_DAEMON:
		k.daemonAtRest(j, running)
		return
	case tandemv1.JobType_JOB_TYPE_CRON:
		k.cronAtRest(j)
		return
	}
	for slot := range j.Spec.GetInstances() {
		in, ok := k.s.store[state.KindInstance][state.InstanceKey(id, slot)]
		if !ok {
			w.fail("instance %d of %s is missing", slot, id)
		}
		k.instanceAtRest(j, in.record.(*tandemv1.InstanceRecord), running)
	}
	k.evenAtRest(j)
	if n := len(j.Spec.Constraints); n == 0 && !k.crowded(j) && !k.refused(j) && j.Spec.Type == tandemv1.JobType_JOB_TYPE_SERVICE && j.Phase != tandemv1.JobPhase_JOB_PHASE_RUNNING {
		w.fail("service %s is %s", id, j.Phase)
	}
}

// evenAtRest: a job that is to be kept even is, if there is room for it to be.
func (k *checks) evenAtRest(j *tandemv1.JobRecord) {
	if j.Spec.Rebalance == nil || len(j.Spec.Constraints) != 1 || j.Update.GetPhase() == tandemv1.UpdatePhase_UPDATE_PHASE_FAILED || j.Phase != tandemv1.JobPhase_JOB_PHASE_RUNNING {
		return
	}
	counts, room := map[string]int{}, map[string]bool{}
	for _, a := range k.s.w.agents {
		known := k.s.w.master.agents[a.id]
		if a.dead || known == nil || known.state != registered || known.maintenance != nil || known.deactivated {
			continue
		}
		counts[a.rack] += 0
		room[a.rack] = room[a.rack] || k.s.w.master.hasRoom(known, j.Spec)
	}
	most := 0
	for slot := range j.Spec.GetInstances() {
		in := k.s.store[state.KindInstance][state.InstanceKey(j.Spec.Id, slot)].record.(*tandemv1.InstanceRecord)
		if a := k.rules.attempt(j.Spec.Id, slot, cmp.Or(in.LiveAttempt, in.Attempt)); a != nil {
			counts[a.Attributes["rack"]]++
			most = max(most, counts[a.Attributes["rack"]])
		}
	}
	least := slices.Min(slices.Collect(maps.Values(counts)))
	for _, rack := range sortedKeys(counts) {
		if counts[rack] == least && most > least+1 && room[rack] {
			k.s.w.fail("job %s is not even: %v", j.Spec.Id, counts)
		}
	}
}

// refused reports whether an instance was refused by the master three times in the
// time of faults.
func (k *checks) refused(j *tandemv1.JobRecord) bool {
	for _, r := range k.s.store[state.KindInstance] {
		in := r.record.(*tandemv1.InstanceRecord)
		if in.JobId == j.Spec.Id && in.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_FAILED {
			return true
		}
	}
	return false
}

// starved reports whether an update waits for agents that there are not.
func (k *checks) starved(j *tandemv1.JobRecord) bool {
	return len(j.Spec.Constraints) > 0 && j.Spec.Update.GetCanary() == 0 && k.s.w.alive() < int(j.Spec.GetInstances())
}

// cronAtRest: every start up to now was dealt with, and no run goes on.
func (k *checks) cronAtRest(j *tandemv1.JobRecord) {
	w := k.s.w
	now := k.s.clock()
	if c := j.Cron; now.Sub(c.Last.AsTime()) > 31*time.Minute || now.Sub(c.Next.AsTime()) > time.Second || c.Held != nil {
		w.fail("cron job %s stands at %v", j.Spec.Id, c)
	}
	kept := 0
	for _, key := range sortedKeys(k.s.store[state.KindJob]) {
		run := k.s.store[state.KindJob][key].record.(*tandemv1.JobRecord)
		if run.RunOf != j.Spec.Id {
			continue
		}
		kept++
		switch run.Phase {
		case tandemv1.JobPhase_JOB_PHASE_FINISHED, tandemv1.JobPhase_JOB_PHASE_FAILED, tandemv1.JobPhase_JOB_PHASE_STOPPED:
		default:
			w.fail("run %s is %s", key, run.Phase)
		}
	}
	if kept > 11 {
		w.fail("%d runs of %s are kept", kept, j.Spec.Id)
	}
}

// daemonAtRest: an instance runs on every agent that is alive and has room for it, and
// on no other.
func (k *checks) daemonAtRest(j *tandemv1.JobRecord, running map[string]bool) {
	on := map[string]*tandemv1.InstanceRecord{}
	for _, key := range sortedKeys(k.s.store[state.KindInstance]) {
		if in := k.s.store[state.KindInstance][key].record.(*tandemv1.InstanceRecord); in.JobId == j.Spec.Id {
			on[in.AgentId] = in
		}
	}
	for _, a := range k.s.w.agents {
		in := on[a.id]
		delete(on, a.id)
		switch {
		case a.dead && in != nil:
			k.s.w.fail("daemon %s has an instance on agent %s, which is dead", j.Spec.Id, a.id)
		case a.dead:
		case in == nil && !k.s.w.master.hasRoom(k.s.w.master.agents[a.id], j.Spec):
		case in == nil:
			k.s.w.fail("daemon %s has no instance on agent %s", j.Spec.Id, a.id)
		default:
			k.instanceAtRest(j, in, running)
		}
	}
	if len(on) > 0 {
		k.s.w.fail("daemon %s has instances on agents that never were: %v", j.Spec.Id, on)
	}
}

// rolledBack reports whether the job was given the spec of an earlier version,
// by command or because an update had failed.
func (k *checks) rolledBack(j *tandemv1.JobRecord) bool {
	for _, key := range sortedKeys(k.s.store[state.KindVersion]) {
		v := k.s.store[state.KindVersion][key].record.(*tandemv1.VersionRecord)
		if v.JobId == j.Spec.Id && v.Version < j.Version && proto.Equal(v.Spec, j.Spec) {
			return true
		}
	}
	return false
}

func (k *checks) instanceAtRest(j *tandemv1.JobRecord, in *tandemv1.InstanceRecord, running map[string]bool) {
	w := k.s.w
	if j.Spec.Type == tandemv1.JobType_JOB_TYPE_BATCH {
		switch in.Phase {
		case tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED, tandemv1.InstancePhase_INSTANCE_PHASE_FAILED:
		default:
			w.fail("instance %d of batch %s is %s: %s", in.Slot, in.JobId, in.Phase, in.PhaseReason)
		}
		return
	}
	if in.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_WAITING && len(j.Spec.Constraints) > 0 && w.alive() < int(j.Spec.GetInstances()) {
		return
	}
	if in.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_WAITING && len(j.Spec.Constraints) > 0 && !k.roomIn(j.Spec) {
		return
	}
	if in.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_WAITING && k.crowdedOut(j, in) {
		return
	}
	if in.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_FAILED {
		return // refused by the master three times in the time of faults
	}
	if in.Phase != tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING {
		w.fail("instance %d of %s is %s: %s", in.Slot, in.JobId, in.Phase, in.PhaseReason)
	}
	a := k.s.store[state.KindAttempt][state.AttemptKey(in.JobId, in.Slot, cmp.Or(in.LiveAttempt, in.Attempt))].record.(*tandemv1.AttemptRecord)
	v, ok := k.s.store[state.KindVersion][state.VersionKey(in.JobId, a.JobVersion)]
	failed := j.Update.GetPhase() == tandemv1.UpdatePhase_UPDATE_PHASE_FAILED
	if !ok || !failed && !sameWorkloads(v.record.(*tandemv1.VersionRecord).Spec, j.Spec) {
		w.fail("instance %d of %s runs version %d, not %d", in.Slot, in.JobId, a.JobVersion, j.Version)
	}
	for i, t := range a.Tasks {
		if ok && !staysUp(v.record.(*tandemv1.VersionRecord).Spec.Workloads[i], t) {
			continue
		}
		if !running[t.TaskId] {
			w.fail("task %s is recorded as %s, and does not run", t.TaskId, t.State)
		}
		delete(running, t.TaskId)
	}
}

func sameWorkloads(a, b *tandemv1.Job) bool {
	return proto.Equal(&tandemv1.Job{Workloads: a.Workloads, Constraints: a.Constraints}, &tandemv1.Job{Workloads: b.Workloads, Constraints: b.Constraints})
}

// restTime is how long after the last fault all must be well: the longest
// delay of a restart, of an unreachable agent and of a reconciliation, each
// perhaps twice.
const restTime = 94 * time.Minute
