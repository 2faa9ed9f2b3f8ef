package core_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// checks hold the design's rules after every step.
type checks struct {
	s *simScheduler
	// launched are the IDs of all tasks that were ever sent.
	launched map[string]bool
	// numbers are the highest attempt of each job and slot, purged or not.
	numbers map[string]uint64
	// ends are the terminal states that were saved.
	ends map[string]tandemv1.TaskState
	// acknowledging are the statuses of this step, by task and uuid.
	status map[string]tandemv1.TaskState
	rules  *stepRules
	narrow time.Time // since when the master's constraints are too narrow
}

func newChecks(s *simScheduler) *checks {
	k := &checks{s: s, launched: map[string]bool{}, numbers: map[string]uint64{}, ends: map[string]tandemv1.TaskState{},
		status: map[string]tandemv1.TaskState{}}
	k.rules = &stepRules{k: k}
	return k
}

// effects checks what a step asks for before any of it happens.
func (k *checks) effects(in core.Input, e core.Effects) {
	k.offersAnswered(in, e)
	k.rules.before(in, e)
	notices{r: k.rules}.check(e)
	if u, ok := in.(core.Updated); ok {
		k.status[u.Status.TaskID.Value+"/"+string(u.Status.UUID)] = tandemv1.TaskState(u.Status.GetState())
	}
	seen := map[string]bool{}
	for _, c := range e.Save {
		key := string(c.Kind) + " " + c.Key
		if c.Record != nil && seen[key] {
			k.s.w.fail("%s is saved twice in one step", key)
		}
		seen[key] = c.Record != nil
	}
	if c, ok := in.(core.Command); ok && c.Upgrade == nil && (len(e.Replies) != 1 || e.Replies[0].ID != c.ID) {
		k.s.w.fail("command %d has the replies %v", c.ID, e.Replies)
	}
	k.carriedOutOnce(in, e)
}

// offersAnswered: each offer is accepted or declined in the step that brings
// it, once, and for long.
func (k *checks) offersAnswered(in core.Input, e core.Effects) {
	o, ok := in.(core.Offers)
	if !ok {
		return
	}
	answers := map[string]int{}
	for _, c := range e.Calls {
		var f *float64
		if c.Accept != nil {
			for _, id := range c.Accept.OfferIDs {
				answers[id.Value]++
			}
			f = c.Accept.Filters.RefuseSeconds
		}
		if c.Decline != nil {
			for _, id := range c.Decline.OfferIDs {
				answers[id.Value]++
			}
			f = c.Decline.Filters.RefuseSeconds
		}
		if f != nil && *f < 3600 {
			k.s.w.fail("an offer is refused for %v s only", *f)
		}
	}
	for _, offer := range o.Offers {
		if n := answers[offer.ID.Value]; n != 1 {
			k.s.w.fail("offer %s was answered %d times", offer.ID.Value, n)
		}
	}
}

// unchanged: nobody changes a record that was saved.
func (k *checks) unchanged(kind state.Kind, key string, r saved) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r.record)
	if err != nil || !bytes.Equal(b, r.bytes) {
		k.s.w.fail("%s %s was changed after it was saved", kind, key)
	}
}

// saved checks what is durable now. Where a step has saved nothing, all is as the
// step before has left it.
func (k *checks) saved(e core.Effects) {
	if len(e.Save) == 0 {
		return
	}
	for _, c := range e.Save {
		a, ok := c.Record.(*tandemv1.AttemptRecord)
		if !ok {
			continue
		}
		for _, t := range a.Tasks {
			if end, ended := k.ends[t.TaskId]; ended && end != t.State {
				k.s.w.fail("task %s ended as %s and then as %s", t.TaskId, end, t.State)
			}
			if state.Terminal(t.State) {
				k.ends[t.TaskId] = t.State
			}
		}
	}
	k.programs(e)
	k.oneLiveAttempt()
	k.phasesAgree()
	k.rules.after(e)
	k.moves()
}

// oneLiveAttempt: of each instance, no more than one attempt is open that is
// neither ending nor out of reach.
func (k *checks) oneLiveAttempt() {
	live := map[string]bool{}
	hosts := map[string]bool{}
	var wrong []string
	for _, r := range k.s.store[state.KindAttempt] {
		a := r.record.(*tandemv1.AttemptRecord)
		if a.Ended != nil || a.KillReason != "" || a.Unreachable != nil {
			continue
		}
		in := state.InstanceKey(a.JobId, a.Slot)
		// A replacement may run beside the attempt that it is to take over from.
		moves := k.s.store[state.KindInstance][in].record.(*tandemv1.InstanceRecord).LiveAttempt != 0
		if live[in] && !moves {
			wrong = append(wrong, fmt.Sprintf("instance %s has two live attempts", in))
		}
		live[in] = true
		j := k.s.store[state.KindJob][a.JobId].record.(*tandemv1.JobRecord)
		if unique(j.Spec) && a.JobVersion == j.Version {
			if hosts[a.JobId+"@"+a.Hostname] {
				wrong = append(wrong, fmt.Sprintf("two instances of %s are on %s", a.JobId, a.Hostname))
			}
			hosts[a.JobId+"@"+a.Hostname] = true
		}
	}
	k.none(wrong)
}

// none fails with the first of what is wrong, whatever the order in which it was
// found: after every step there is no time to sort all that is stored.
func (k *checks) none(wrong []string) {
	if len(wrong) > 0 {
		k.s.w.fail("%s", slices.Min(wrong))
	}
}

// unique reports whether no two instances may be on one agent.
func unique(spec *tandemv1.Job) bool {
	return slices.ContainsFunc(spec.Constraints, func(c *tandemv1.Constraint) bool {
		return c.Operator == tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_UNIQUE
	})
}

// phasesAgree: a job's phase is what its instances make it.
func (k *checks) phasesAgree() {
	type phases [tandemv1.InstancePhase_INSTANCE_PHASE_CRASH_LOOPING + 1]int
	counts := map[string]*phases{}
	for _, r := range k.s.store[state.KindInstance] {
		in := r.record.(*tandemv1.InstanceRecord)
		if counts[in.JobId] == nil {
			counts[in.JobId] = &phases{}
		}
		counts[in.JobId][in.Phase]++
	}
	var wrong []string
	for id, r := range k.s.store[state.KindJob] {
		j := r.record.(*tandemv1.JobRecord)
		n, want := cmp.Or(counts[id], &phases{}), int(j.Spec.GetInstances())
		switch j.Spec.Type {
		case tandemv1.JobType_JOB_TYPE_DAEMON:
			want = 1
		case tandemv1.JobType_JOB_TYPE_CRON:
			continue
		}
		ok := true
		switch j.Phase {
		case tandemv1.JobPhase_JOB_PHASE_FINISHED:
			ok = n[tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED] == want
		case tandemv1.JobPhase_JOB_PHASE_RUNNING:
			ok = n[tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING]+n[tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED] >= want
		case tandemv1.JobPhase_JOB_PHASE_FAILED:
			ok = n[tandemv1.InstancePhase_INSTANCE_PHASE_FAILED]+n[tandemv1.InstancePhase_INSTANCE_PHASE_CRASH_LOOPING] > 0
		case tandemv1.JobPhase_JOB_PHASE_STOPPED:
			ok = j.Stopped && n[tandemv1.InstancePhase_INSTANCE_PHASE_STOPPING] == 0
		case tandemv1.JobPhase_JOB_PHASE_STOPPING:
			ok = j.Stopped && n[tandemv1.InstancePhase_INSTANCE_PHASE_STOPPING] > 0
		}
		if !ok {
			wrong = append(wrong, fmt.Sprintf("job %s is %s with %v instances in the phases by number", id, j.Phase, *n))
		}
	}
	k.none(wrong)
}

// called checks a call that is about to be made.
func (k *checks) called(c *scheduler.Call) {
	switch c.Type {
	case scheduler.Call_ACCEPT:
		for i := range c.Accept.Operations {
			g := c.Accept.Operations[i].LaunchGroup
			if g == nil {
				continue
			}
			for n := range g.TaskGroup.Tasks {
				k.launching(g.TaskGroup.Tasks[n].TaskID.Value, g.TaskGroup.Tasks[n].AgentID.Value)
			}
		}
	case scheduler.Call_ACKNOWLEDGE:
		k.acknowledging(c.Acknowledge)
	case scheduler.Call_REVIVE:
		if !k.anyWaiting() && !k.anyDaemon() && !k.anyPurging() && !k.anyBalanced() {
			k.s.w.fail("REVIVE, though nothing waits")
		}
	case scheduler.Call_SUPPRESS:
		if k.anyPlaceable() && !k.anyMoving() || k.anyDaemon() || k.anyPurging() {
			k.s.w.fail("SUPPRESS, though something waits")
		}
	}
}

func (k *checks) anyWaiting() bool {
	if k.anyMoving() {
		return true
	}
	for _, r := range k.s.store[state.KindInstance] {
		if r.record.(*tandemv1.InstanceRecord).Phase == tandemv1.InstancePhase_INSTANCE_PHASE_WAITING {
			return true
		}
	}
	return false
}

// anyPlaceable reports whether an instance waits for offers.
func (k *checks) anyPlaceable() bool {
	for _, r := range k.s.store[state.KindInstance] {
		in := r.record.(*tandemv1.InstanceRecord)
		if in.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_WAITING && !k.waitsForAPerson(in) {
			return true
		}
	}
	return false
}

// anyMoving reports whether an instance may wait for a place to move to.
func (k *checks) anyMoving() bool { return len(k.s.store[state.KindAgent]) > 0 }

// anyDaemon reports whether a daemon job looks out for agents.
func (k *checks) anyDaemon() bool {
	for _, r := range k.s.store[state.KindJob] {
		j := r.record.(*tandemv1.JobRecord)
		if j.Spec.Type == tandemv1.JobType_JOB_TYPE_DAEMON && !j.Stopped {
			return true
		}
	}
	return false
}

// anyBalanced reports whether a job may look at agents to be kept even.
func (k *checks) anyBalanced() bool {
	for _, r := range k.s.store[state.KindJob] {
		if j := r.record.(*tandemv1.JobRecord); j.Spec.Rebalance != nil && !j.Stopped {
			return true
		}
	}
	return false
}

// launching: a task is durable before its launch leaves, and new.
func (k *checks) launching(task, agent string) {
	if k.launched[task] {
		k.s.w.fail("task ID %s is used again", task)
	}
	k.launched[task] = true
	k.refusedAgent(task, agent)
	name, ok := state.ParseTaskName(task)
	if !ok {
		k.s.w.fail("task ID %s has no name", task)
	}
	r, ok := k.s.store[state.KindAttempt][state.AttemptKey(name.Job, name.Slot, name.Attempt)]
	if !ok || r.record.(*tandemv1.AttemptRecord).AgentId != agent {
		k.s.w.fail("task %s is launched and not saved", task)
	}
	slot := state.InstanceKey(name.Job, name.Slot)
	if name.Attempt < k.numbers[slot] {
		k.s.w.fail("attempt %d of %s comes after %d", name.Attempt, slot, k.numbers[slot])
	}
	k.numbers[slot] = name.Attempt
}

// acknowledging: what a status says is durable before it is acknowledged.
func (k *checks) acknowledging(a *scheduler.Call_Acknowledge) {
	st, ok := k.status[a.TaskID.Value+"/"+string(a.UUID)]
	if !ok {
		k.s.w.fail("a status of %s is acknowledged that never came", a.TaskID.Value)
	}
	name, ok := state.ParseTaskName(a.TaskID.Value)
	if !ok {
		return
	}
	r, ok := k.s.store[state.KindAttempt][state.AttemptKey(name.Job, name.Slot, name.Attempt)]
	if !ok || r.record.(*tandemv1.AttemptRecord).Ended != nil {
		return
	}
	for _, t := range r.record.(*tandemv1.AttemptRecord).Tasks {
		if t.TaskId == a.TaskID.Value && state.Terminal(st) && !state.Terminal(t.State) {
			k.s.w.fail("%s of %s is acknowledged and not saved", st, t.TaskId)
		}
	}
}

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
