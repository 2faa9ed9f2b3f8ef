package core

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// The phases of instances, shorter.
const (
	waiting      = tandemv1.InstancePhase_INSTANCE_PHASE_WAITING
	backoff      = tandemv1.InstancePhase_INSTANCE_PHASE_BACKOFF
	launching    = tandemv1.InstancePhase_INSTANCE_PHASE_LAUNCHING
	running      = tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING
	stopping     = tandemv1.InstancePhase_INSTANCE_PHASE_STOPPING
	finished     = tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED
	failed       = tandemv1.InstancePhase_INSTANCE_PHASE_FAILED
	unreachable  = tandemv1.InstancePhase_INSTANCE_PHASE_UNREACHABLE
	stopped      = tandemv1.InstancePhase_INSTANCE_PHASE_STOPPED
	crashLooping = tandemv1.InstancePhase_INSTANCE_PHASE_CRASH_LOOPING
)

// setPhase moves an instance to a phase, with the reason.
func (c *Core) setPhase(in *instance, p tandemv1.InstancePhase, reason string) {
	if in.rec.Phase == p && in.rec.PhaseReason == reason {
		return
	}
	r := c.editInstance(in)
	r.PhaseReason = reason
	if r.Phase == p {
		return
	}
	in.job.phases[r.Phase]--
	in.job.phases[p]++
	r.Phase, r.Since = p, c.stamp
	if p != backoff && p != crashLooping {
		r.NotBefore = nil
	}
	c.touch(in.job)
}

// wanted reports whether the instance is asked for.
func (in *instance) wanted() bool { return int(in.slot) < in.job.total() }

// unwanted says why an instance is not asked for.
func (in *instance) unwanted() string {
	if in.job.rec.Stopped {
		return "the job was stopped"
	}
	return fmt.Sprintf("no more than %d instances are asked for", in.job.count())
}

// settle brings an instance to what its job and its attempts ask for now. It is
// called whenever one of these has changed, and changes nothing when called
// again.
func (c *Core) settle(in *instance) {
	defer c.assess(in)
	if a := in.live; a != nil && a.over() {
		c.conclude(in, a)
	}
	c.settleMove(in)
	switch {
	case in.live != nil:
		c.settleLive(in, in.live)
	case !in.wanted():
		c.settleUnwanted(in)
	case in.job.daemon() && len(in.old) == 0 && c.agentless(in):
		c.dequeue(in)
		c.removeInstance(in)
		c.offers.newWork = true // in case the agent has just come back
	default:
		c.settleIdle(in)
	}
}

func (c *Core) settleLive(in *instance, a *attempt) {
	switch {
	case !in.wanted():
		c.kill(a, in.unwanted())
		c.setPhase(in, stopping, in.unwanted())
	case a.rec.KillReason != "":
		c.setPhase(in, stopping, a.rec.KillReason)
	case a.rec.Unreachable != nil:
		c.setPhase(in, unreachable, "agent "+a.rec.Hostname+" cannot be reached")
	default:
		phase, why := a.stage()
		if phase != running {
			c.setPhase(in, phase, why)
			return
		}
		if a.rec.Running == nil {
			c.editAttempt(a).Running = c.stamp
		}
		if in.rec.Losses != 0 {
			c.editInstance(in).Losses = 0
		}
		c.setPhase(in, running, in.moveText())
	}
}

// settleUnwanted is for an instance that has no live attempt and is not asked
// for: one that was scaled away is forgotten.
func (c *Core) settleUnwanted(in *instance) {
	c.dequeue(in)
	c.timers.unset(&in.timer)
	switch {
	case len(in.old) > 0:
		for _, a := range in.old {
			c.kill(a, in.unwanted())
		}
		c.setPhase(in, stopping, "agent "+in.old[0].rec.Hostname+" cannot be reached")
	case !in.job.rec.Stopped || in.job.rec.Purge:
		c.removeInstance(in)
	case in.rec.Phase == finished || in.rec.Phase == failed:
		// How it ended stays true.
	default:
		c.setPhase(in, stopped, in.unwanted())
	}
}

// settleIdle is for an instance that is asked for and has no live attempt.
func (c *Core) settleIdle(in *instance) {
	switch in.rec.Phase {
	case finished, failed:
		return
	case backoff, crashLooping:
		if c.now.Before(in.rec.NotBefore.AsTime()) {
			c.timers.set(&in.timer, in.rec.NotBefore.AsTime())
			return
		}
	case waiting:
		if in.waitsIn != nil {
			return
		}
	}
	c.await(in, "waiting for an offer")
}

// await lets an instance wait for an offer, for the version that it is to run.
func (c *Core) await(in *instance, reason string) {
	v := in.job.versionFor(in)
	if in.rec.JobVersion != v.number {
		c.editInstance(in).JobVersion = v.number
	}
	if lacking := c.lacking(v); lacking != "" {
		reason, v.why = lacking, lacking
	}
	if why := c.awaits(in, v); why != "" {
		reason = why
	}
	c.setPhase(in, waiting, reason)
	c.enqueue(in)
}

// fired is called when the restart delay has passed, or the time after which an
// instance counts as up.
func (in *instance) fired(c *Core) { c.settle(in) }

// freshFrom is when an instance that runs has done so for the update's
// minHealthyTime.
func (in *instance) freshFrom() time.Time {
	return in.rec.Since.AsTime().Add(in.job.rec.Spec.GetUpdate().GetMinHealthyTime().AsDuration())
}

// assess finds out whether the instance serves: it is up, and, when it runs the
// current group, has been so without a break for the update's minHealthyTime; one
// that has goes on to serve, also when that time is made longer. Those of a service
// that should serve and do not count as unavailable.
func (c *Core) assess(in *instance) {
	j := in.job
	if !j.endless() {
		return
	}
	up, fresh := false, false
	if a := in.live; a != nil && in.rec.Phase == running && in.wanted() {
		switch {
		case a.outdated():
			up = true
		case in.serves || !c.now.Before(in.freshFrom()):
			up, fresh = true, true
		default:
			c.timers.set(&in.timer, in.freshFrom())
		}
	}
	present := int(in.slot) < len(j.instances) && j.instances[in.slot] == in
	if fresh != in.serves {
		in.serves = fresh
		c.served(in)
	}
	if short := present && int(in.slot) < j.count() && !up; short != in.short {
		in.short = short
		if short {
			j.unavailable++
		} else {
			j.unavailable--
		}
		c.touch(j)
	}
}

// newInstance makes the instance of a slot.
func (c *Core) newInstance(j *job, slot int32) {
	r := &tandemv1.InstanceRecord{
		JobId: j.id(), Slot: slot, Phase: waiting, Since: c.stamp,
		Attempt: j.rec.AttemptFloor, JobVersion: j.current().number,
	}
	if u := j.rec.Update; u != nil && int(slot) < j.count() && u.Phase == failedUpdate && j.version(u.FromVersion) != nil {
		r.JobVersion = u.FromVersion // what is known to be good
	}
	in := newInstance(j, r)
	in.edited = c.step
	c.instances = append(c.instances, in)
	j.add(in)
	c.touch(j)
	c.settle(in)
}

// removeInstance forgets an instance of which nothing runs.
func (c *Core) removeInstance(in *instance) {
	j := in.job
	c.timers.unset(&in.timer)
	for _, a := range in.ended {
		c.removeAttempt(a)
	}
	in.ended = nil
	if j.rec.AttemptFloor < in.rec.Attempt {
		c.editJob(j).AttemptFloor = in.rec.Attempt
	}
	in.edited = 0
	c.save = append(c.save, removal(in.rec))
	j.phases[in.rec.Phase]--
	j.instances[in.slot] = nil
	j.present--
	if j.onAgent[in.rec.AgentId] == in {
		delete(j.onAgent, in.rec.AgentId)
	}
	for n := len(j.instances); n > 0 && j.instances[n-1] == nil; n-- {
		j.instances = j.instances[:n-1]
	}
	c.touch(j)
}

func (c *Core) stampAt(t time.Time) *timestamppb.Timestamp {
	if t.Equal(c.now) {
		return c.stamp
	}
	return timestamppb.New(t)
}
