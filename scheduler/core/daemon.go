package core

import (
	"slices"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// An instance of a daemon job is made when an offer of an agent comes that has
// none and that it fits, belongs to that agent for good, and is forgotten with
// it. As an agent that is new says so by an offer only, offers are not
// suppressed while there is a daemon job; those turned down are filtered for
// long, as always.

// listDaemon keeps the list of daemon jobs that look out for agents.
func (c *Core) listDaemon(j *job) {
	if !j.daemon() {
		return
	}
	c.offers.shape.stale = true
	at := slices.Index(c.daemons, j)
	switch on := c.jobs[j.id()] == j && !j.rec.Stopped; {
	case on && at < 0:
		c.daemons = append(c.daemons, j)
	case !on && at >= 0:
		c.daemons = slices.Delete(c.daemons, at, at+1)
	}
	// Agents that did not fit before may fit what is asked for now.
	c.offers.newWork = true
}

// placeDaemons gives each agent offered what daemon jobs lack there. They come
// before all others, for they can go nowhere else.
func (c *Core) placeDaemons(pools []pool, candidates []match.Agent) {
	for _, j := range c.daemons {
		for i := range pools {
			if !pools[i].ours {
				continue
			}
			id, v := pools[i].agent.id, j.current()
			in := j.onAgent[id]
			if in != nil {
				if in.waitsIn == nil {
					continue
				}
				v = in.waitsIn
			}
			if c.lacking(v) != "" {
				continue
			}
			ports, ok := match.Put(&candidates[i], &match.Request{Need: c.needOn(v, &pools[i]), Rules: v.rules, Spread: c.spread(j), Count: 1})
			if !ok {
				continue
			}
			if in == nil {
				in = c.newDaemonInstance(j, id)
			}
			in.waitsIn = nil
			pools[i].placed = append(pools[i].placed, in)
			pools[i].ports = append(pools[i].ports, ports)
		}
	}
}

func (c *Core) newDaemonInstance(j *job, agent string) *instance {
	slot := slices.Index(j.instances, nil)
	if slot < 0 {
		slot = len(j.instances)
	}
	in := newInstance(j, &tandemv1.InstanceRecord{
		JobId: j.id(), Slot: int32(slot), Phase: waiting, Since: c.stamp,
		Attempt: j.rec.AttemptFloor, JobVersion: j.current().number, AgentId: agent,
	})
	in.edited = c.step
	c.instances = append(c.instances, in)
	j.add(in)
	c.touch(j)
	c.assess(in)
	return in
}

// agentless reports whether the agent of an idle instance is gone, or no place
// for it any more.
func (c *Core) agentless(in *instance) bool {
	if a := c.agents.byID[in.rec.AgentId]; a != nil && !in.job.current().rules.Admits(&a.place) {
		return true
	}
	if h := c.hosts[in.rec.AgentId]; h != nil && (h.rec.GetDrain() != nil || h.rec.GetOperatorDrain() != nil) {
		return true // it is made anew when it may be there again
	}
	if in.rec.Phase == waiting && in.waitsIn != nil &&
		!c.now.Before(in.rec.Since.AsTime().Add(in.job.rec.Spec.GetUnreachable().GetExpungeAfter().AsDuration())) {
		return true // it may have gone while nobody was told
	}
	if len(in.ended) == 0 || in.rec.Phase == failed {
		return false
	}
	for _, t := range in.ended[len(in.ended)-1].rec.Tasks {
		if lostWithAgent(t.State) {
			return true
		}
	}
	return false
}

// lostWithAgent reports whether a task in this state is of an agent that the
// master has given up.
func lostWithAgent(s tandemv1.TaskState) bool {
	return outOfReach(s) || s == tandemv1.TaskState_TASK_LOST || s == tandemv1.TaskState_TASK_GONE_BY_OPERATOR
}

// agentFailed forgets instances that wait for an agent which is gone. Those that
// ran there hear of it by statuses.
func (c *Core) agentFailed(agent string) {
	for _, j := range slices.Clone(c.daemons) {
		if in := j.onAgent[agent]; in != nil && in.live == nil && len(in.old) == 0 {
			c.dequeue(in)
			c.removeInstance(in)
		}
	}
}
