package core_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// agentDraining is REASON_AGENT_DRAINING, which mesos-go does not know.
const agentDraining mesos.TaskStatus_Reason = 34

// plan lets an operator do something about an agent: schedule its maintenance,
// which is sometimes called off, or drain it.
func (w *world) plan(a *simAgent) {
	known := w.master.agents[a.id]
	if known == nil || a.dead || w.alive() <= 3 || known.maintenance != nil || known.deactivated {
		return
	}
	if w.chance(0.5) {
		w.note("an operator drains %s", a.id)
		w.master.deactivate(known)
		w.message(a, a.drain)
		w.after(time.Minute+w.upTo(10*time.Minute), func() {
			known.deactivated, a.draining = false, false
			w.master.quiet = false
		})
		return
	}
	start := w.now.Add(w.upTo(70 * time.Minute))
	w.note("maintenance of %s is planned for %s", a.id, start.Format(time.TimeOnly))
	known.maintenance = &mesos.Unavailability{
		Start: mesos.TimeInfo{Nanoseconds: start.UnixNano()}, Duration: &mesos.DurationInfo{Nanoseconds: int64(5 * time.Minute)},
	}
	w.master.replan(known)
	called := w.chance(0.3)
	if called {
		start = w.now.Add(w.upTo(20 * time.Minute))
	}
	w.at(start, func() {
		w.note("maintenance of %s begins, called off=%t", a.id, called)
		if !called && w.alive() > 3 && !a.dead {
			a.die() // and it does not come back
			w.master.loses(a.id, gone)
		}
		known.maintenance = nil
		w.master.replan(known)
	})
}

// deactivate stops offering an agent.
func (m *simMaster) deactivate(a *masterAgent) {
	a.deactivated = true
	m.voidInverse(a)
	m.voidOffers(a)
}

// replan says that an agent's maintenance has changed.
func (m *simMaster) replan(a *masterAgent) {
	a.inverseNot = time.Time{}
	m.voidInverse(a)
	m.voidOffers(a)
	m.quiet = false
}

func (m *simMaster) voidOffers(a *masterAgent) {
	for _, id := range slices.Sorted(maps.Keys(m.offers)) {
		if m.offers[id].agent == a {
			delete(m.offers, id)
			m.send(core.Rescinded{OfferID: mesos.OfferID{Value: id}})
		}
	}
	m.quiet = false
}

func (m *simMaster) voidInverse(a *masterAgent) {
	if a.inverse != "" {
		m.send(core.InverseRescinded{OfferID: mesos.OfferID{Value: a.inverse}})
		a.inverse = ""
	}
}

// forgetInverse is for a new subscription.
func (m *simMaster) forgetInverse() {
	for _, a := range m.agents {
		a.inverse, a.inverseNot = "", time.Time{}
	}
}

// inverseOffers makes those that are due: to a framework that has something on
// the agent, and one at a time.
func (m *simMaster) inverseOffers() {
	if !m.up || m.stream == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(m.agents)) {
		a := m.agents[id]
		if a.state != registered || a.deactivated || a.maintenance == nil || a.inverse != "" || m.w.now.Before(a.inverseNot) || !m.involved(a) {
			continue
		}
		m.offerCount++
		a.inverse = fmt.Sprintf("i%d", m.offerCount)
		m.send(core.InverseOffers{Offers: []mesos.InverseOffer{{
			OfferID: mesos.OfferID{Value: a.inverse}, FrameworkID: mesos.FrameworkID{Value: "fw-1"},
			AgentID: &mesos.AgentID{Value: id}, Unavailability: *a.maintenance,
		}}})
	}
}

// involved reports whether something of the framework's is on the agent, or is
// offered to it.
func (m *simMaster) involved(a *masterAgent) bool {
	for _, t := range a.tasks {
		if !terminal(t.state) {
			return true
		}
	}
	for _, o := range m.offers {
		if o.agent == a {
			return true
		}
	}
	return false
}

// answerInverse takes in what the framework says to an inverse offer. It may
// agree only when nothing but daemon jobs' instances, and services with their
// volumes, is there.
func (m *simMaster) answerInverse(id string, agreed bool, f *mesos.Filters) {
	for _, key := range slices.Sorted(maps.Keys(m.agents)) {
		a := m.agents[key]
		if a.inverse != id {
			continue
		}
		a.inverse = ""
		a.inverseNot = m.w.now.Add(time.Duration(f.GetRefuseSeconds() * float64(time.Second)))
		if !agreed {
			continue
		}
		for _, task := range slices.Sorted(maps.Keys(a.tasks)) {
			name, ok := state.ParseTaskName(task)
			if !ok || terminal(a.tasks[task].state) {
				continue
			}
			r, ok := m.w.sched.store[state.KindJob][name.Job]
			if len(a.tasks[task].volumes) > 0 {
				continue
			}
			if ok && r.record.(*tandemv1.JobRecord).Spec.Type != tandemv1.JobType_JOB_TYPE_DAEMON && m.w.sched.checks.openAttempt(name) {
				m.w.fail("the maintenance of %s was agreed to, and task %s is there", key, task)
			}
		}
	}
}

// openAttempt reports whether the scheduler holds that an attempt runs.
func (k *checks) openAttempt(n state.TaskName) bool {
	r, ok := k.s.store[state.KindAttempt][state.AttemptKey(n.Job, n.Slot, n.Attempt)]
	return ok && r.record.(*tandemv1.AttemptRecord).Ended == nil
}

// drain ends all tasks, as an agent does that an operator drains.
func (a *simAgent) drain() {
	a.draining = true
	for _, t := range a.running() {
		if t.state == mesos.TASK_KILLING {
			continue
		}
		if !t.group.started {
			a.endGroup(t.group, mesos.TASK_KILLED, "A task within the task group was killed before delivery to the executor")
			continue
		}
		a.report(t, mesos.TASK_KILLING, "")
		a.w.after(a.w.upTo(5*time.Second), func() { a.report(t, mesos.TASK_KILLED, "Command terminated with signal 15") })
	}
}

// drop refuses a launch.
func (a *simAgent) drop(task string) {
	t := &simTask{id: task, group: &simGroup{executor: "dropped"}, state: mesos.TASK_STAGING}
	t.group.tasks = []*simTask{t}
	a.tasks[task] = t
	a.report(t, mesos.TASK_DROPPED, "Task was received while agent was already draining")
}

// drain has the team drain an agent, or no longer.
func (t *team) drain() {
	if t.w.sched.down {
		return
	}
	d := &core.Drain{Agent: t.w.agents[t.w.random.IntN(len(t.w.agents))].id, Cancel: t.w.chance(0.5)}
	if !d.Cancel && t.w.chance(0.5) {
		d.Deadline = t.w.upTo(10 * time.Minute)
	}
	t.send(core.Command{Drain: d}, func(core.Reply) {})
}

// moves: nothing is launched on an agent that is to be left, and no more
// instances of a job have two attempts than its policy allows.
func (k *checks) moves() {
	moving := map[string]int{}
	operator := map[string]bool{}
	var wrong []string
	for key, r := range k.s.store[state.KindInstance] {
		in := r.record.(*tandemv1.InstanceRecord)
		if in.LiveAttempt == 0 {
			continue
		}
		a, ok := k.s.store[state.KindAttempt][state.AttemptKey(in.JobId, in.Slot, in.LiveAttempt)]
		if !ok || a.record.(*tandemv1.AttemptRecord).Ended != nil {
			wrong = append(wrong, fmt.Sprintf("instance %s lives by attempt %d, which is over", key, in.LiveAttempt))
			continue
		}
		next, ok := k.s.store[state.KindAttempt][state.AttemptKey(in.JobId, in.Slot, in.Attempt)]
		if !ok || next.record.(*tandemv1.AttemptRecord).Ended != nil || next.record.(*tandemv1.AttemptRecord).KillReason != "" {
			continue
		}
		moving[in.JobId]++
		h, ok := k.s.store[state.KindAgent][a.record.(*tandemv1.AttemptRecord).AgentId]
		if ok && h.record.(*tandemv1.AgentRecord).OperatorDrain != nil {
			operator[in.JobId] = true
		}
	}
	k.none(wrong)
	for _, id := range sortedKeys(moving) {
		j := k.s.store[state.KindJob][id].record.(*tandemv1.JobRecord)
		if n := moving[id]; n > int(max(1, j.Spec.GetUpdate().GetMaxParallel())) && !operator[id] && j.Update == nil {
			k.s.w.fail("%d instances of %s move at once", n, id)
		}
	}
}

// refusedAgent: a launch goes to no agent that is to be left.
func (k *checks) refusedAgent(task, agent string) {
	r, ok := k.s.store[state.KindAgent][agent]
	if !ok {
		return
	}
	if h := r.record.(*tandemv1.AgentRecord); h.Drain != nil || h.OperatorDrain != nil {
		k.s.w.fail("task %s is launched on agent %s, which is to be left", task, agent)
	}
}
