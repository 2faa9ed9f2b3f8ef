package master

import (
	"net/http"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// An operator takes agents out of use (src/master/http.cpp): a deactivated one is
// offered to nobody, a draining one also has its tasks killed, and one that is
// marked gone never comes back.

const goneMessage = "Agent has been marked gone"

// usable tells whether an agent's resources may be offered.
func (c *core) usable(a *agent) bool { return a.connected && !c.deactivated[a.id] }

// knowsAgent tells whether an agent is registered, unreachable or yet to come
// back.
func (c *core) knowsAgent(id agentID) bool {
	_, unreachable := c.unreachable[id]
	_, recovered := c.recovered[id]
	return c.agents[id] != nil || unreachable || recovered
}

// deactivate has an agent no more offered, and takes back what is.
func (c *core) deactivate(a *agent) {
	c.allocator.ActivateAgent(string(a.id), false)
	for _, o := range sortedOffers(a.offers) {
		c.rescind(o)
	}
	for _, o := range c.plan.offers {
		if o.agent == a.id {
			c.rescindInverse(o)
		}
	}
}

func (c *core) deactivateAgent(id agentID) error {
	if !c.knowsAgent(id) {
		return wire.BadRequest("Unknown agent")
	}
	c.deactivated[id], c.changed = true, true
	if a := c.agents[id]; a != nil {
		c.deactivate(a)
	}
	return nil
}

// drainAgent deactivates an agent and has it kill its tasks. An agent that is not
// there is told when it comes back.
func (c *core) drainAgent(id agentID, config mesos.DrainConfig) error {
	if !c.knowsAgent(id) {
		return wire.BadRequest("Unknown agent")
	}
	if a := c.agents[id]; a != nil && c.plan.unavailability(a.machine()) != nil {
		m := a.machine()
		return wire.BadRequest("Agent %s is part of a maintenance schedule under Machine %s", id, m)
	}
	c.changed = true
	c.draining[id] = &mesos.DrainInfo{State: mesos.DrainState_DRAINING, Config: config}
	c.deactivated[id] = true
	a := c.agents[id]
	if a == nil {
		return nil
	}
	c.deactivate(a)
	a.link.Drain(config)
	a.drainStart = c.now()
	c.checkDrained(a)
	return nil
}

// checkDrained ends the draining of an agent that has no tasks and no operations
// left; terminal tasks count until they are acknowledged.
func (c *core) checkDrained(a *agent) {
	info := c.draining[a.id]
	if info == nil || info.State != mesos.DrainState_DRAINING || len(a.tasks) > 0 || len(a.operations) > 0 || c.agents[a.id] != a {
		return
	}
	if info.Config.GetMarkGone() {
		_ = c.markGone(a.id) // it is there
		return
	}
	c.changed = true
	c.draining[a.id] = &mesos.DrainInfo{State: mesos.DrainState_DRAINED, Config: info.Config}
}

func (c *core) reactivateAgent(id agentID) error {
	if !c.deactivated[id] {
		return wire.BadRequest("Agent is not deactivated")
	}
	if info := c.draining[id]; info != nil && info.State == mesos.DrainState_DRAINING {
		return wire.BadRequest("Agent is still in the DRAINING state")
	}
	c.changed = true
	delete(c.draining, id)
	delete(c.deactivated, id)
	a := c.agents[id]
	if a == nil {
		return &wire.Error{Status: http.StatusConflict, Text: "Agent removed while processing the call"}
	}
	if a.connected {
		c.allocator.ActivateAgent(string(id), true)
	}
	a.drainStart = time.Time{}
	return nil
}

// isGone tells whether an operator has marked an agent gone.
func (c *core) isGone(id agentID) bool {
	_, gone := c.gone[id]
	return gone
}

// markGone removes an agent for good: frameworks that know of partitions are
// told that its tasks are gone, the others that they are lost.
func (c *core) markGone(id agentID) error {
	if c.isGone(id) {
		return nil
	}
	if !c.knowsAgent(id) {
		return &wire.Error{Status: http.StatusNotFound, Text: "Agent '" + string(id) + "' not found"}
	}
	c.gone[id] = c.now()
	c.changed = true
	a := c.agents[id]
	_, unreachable := c.unreachable[id]
	delete(c.unreachable, id)
	delete(c.recovered, id)
	delete(c.draining, id)
	delete(c.deactivated, id)
	switch {
	case a != nil:
		a.link.Shutdown(goneMessage)
		c.dropOperations(a, mesos.OPERATION_GONE_BY_OPERATOR, goneMessage)
		c.removeAgent(a, func(f *framework, t *task) {
			c.tellGone(f, t)
			if f.partitionAware() {
				c.removeTask(f, t)
			} else {
				c.keepUnreachable(f, t)
			}
		})
	case unreachable:
		for _, f := range c.sortedFrameworks() {
			var rest []*task
			for _, t := range f.unreachable {
				if t.agent() == id {
					c.tellGone(f, t)
					c.removeTask(f, t)
				} else {
					rest = append(rest, t)
				}
			}
			f.unreachable = rest
		}
	}
	return nil
}

// tellGone ends a task of an agent that is gone.
func (c *core) tellGone(f *framework, t *task) {
	state, reason := mesos.TASK_GONE_BY_OPERATOR, mesos.REASON_AGENT_REMOVED_BY_OPERATOR
	if !f.partitionAware() {
		state, reason = mesos.TASK_LOST, mesos.REASON_AGENT_REMOVED
	}
	c.endTask(f, t, c.status(t.info.TaskID, state, reason, goneMessage))
}

// drainAgain tells a returning agent that it is to drain, also one that has
// drained.
func (c *core) drainAgain(a *agent) {
	if info := c.draining[a.id]; info != nil {
		a.link.Drain(info.Config)
		c.checkDrained(a)
	}
}
