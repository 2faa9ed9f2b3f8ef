package core_test

import (
	"bytes"
	"cmp"
	"fmt"
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
		key := string(c.Kind) + " " + c.Key.String()
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
