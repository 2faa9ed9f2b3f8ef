package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// reasonAgentDraining is REASON_AGENT_DRAINING, which mesos-go does not know. An
// agent that an operator drains gives it with TASK_KILLING and TASK_KILLED, and
// with what it makes of them when it is to be marked gone; and with the
// TASK_DROPPED of a launch that it does not take any more (src/slave/slave.cpp).
const reasonAgentDraining mesos.TaskStatus_Reason = 34

// drainingReason is the same in a record.
const drainingReason = "AGENT_DRAINING"

// host is an agent that something of ours is on, or that is to be left.
type host struct {
	id       string
	attempts []*attempt // that are not over
	// rec says why the agent is to be left; nil when nothing says so.
	rec    *tandemv1.AgentRecord
	edited uint64
	// held are inverse offers that are not answered yet. They tie no resources,
	// and the master takes them back when the maintenance is called off.
	held []mesos.OfferID
	// doubtful is when rec.Maintenance counts no more unless it is said again;
	// the zero time when it is certain.
	doubtful time.Time
	why      string // why it is left, as of the last review
	against  string // what was last said against its maintenance
	queued   bool   // is in Core.review
	timer    timer
}

func (c *Core) host(id string) *host {
	h := c.hosts[id]
	if h == nil {
		h = &host{id: id}
		h.timer.owner = fireFunc(func(c *Core) { c.reviewLater(h) })
		c.hosts[id] = h
	}
	return h
}

// occupy notes that an attempt is on its agent, and vacate that it is over.
func (c *Core) occupy(a *attempt) {
	h := c.host(a.rec.AgentId)
	a.host, a.hostAt = h, len(h.attempts)
	h.attempts = append(h.attempts, a)
}

func (c *Core) vacate(a *attempt) {
	h := a.host
	if h == nil {
		return
	}
	last := len(h.attempts) - 1
	h.attempts[a.hostAt] = h.attempts[last]
	h.attempts[a.hostAt].hostAt = a.hostAt
	h.attempts[last] = nil
	h.attempts = h.attempts[:last]
	a.host = nil
	if h.rec != nil || last == 0 {
		c.reviewLater(h)
	}
}

// editHost returns the agent's record to be changed in this step.
func (c *Core) editHost(h *host) *tandemv1.AgentRecord {
	if h.edited == c.step {
		return h.rec
	}
	h.edited = c.step
	c.editedHosts = append(c.editedHosts, h)
	if h.rec == nil {
		h.rec = &tandemv1.AgentRecord{AgentId: h.id}
	} else {
		h.rec = state.CopyAgent(h.rec)
	}
	if name := c.hostname(h.id); name != h.id {
		h.rec.Hostname = name
	} else if len(h.attempts) > 0 {
		h.rec.Hostname = h.attempts[0].rec.Hostname
	}
	c.reviewLater(h)
	return h.rec
}

func (c *Core) reviewLater(h *host) {
	if !h.queued {
		h.queued = true
		c.review = append(c.review, h)
	}
}

// leaving says why nothing is to be on the agent, or nothing.
func (c *Core) leaving(h *host) string {
	switch r := h.rec; {
	case r == nil:
	case r.OperatorDrain != nil:
		return "an operator drains it"
	case r.Drain != nil:
		return "it is drained"
	case r.Maintenance != nil && c.soon(r.Maintenance):
		return "its maintenance begins at " + r.Maintenance.Start.AsTime().UTC().Format(time.RFC3339)
	}
	return ""
}

// avoid says why nothing may be placed on an agent, or nothing.
func (c *Core) avoid(agent string) string {
	h := c.hosts[agent]
	switch {
	case h == nil || c.leaving(h) == "":
		return ""
	case h.rec.OperatorDrain != nil:
		return "an operator's drain"
	case h.rec.Drain != nil:
		return "its drain"
	}
	return maintenance
}

// maintenance is why nothing is placed on an agent that goes into it.
const maintenance = "maintenance"

// reviewHosts looks at agents of which something has changed: what has to leave
// them, and what is to be answered.
func (c *Core) reviewHosts() {
	for len(c.review) > 0 {
		h := c.review[0]
		c.review = c.review[1:]
		h.queued = false
		c.reviewHost(h)
	}
	c.review = nil
}

func (c *Core) reviewHost(h *host) {
	c.expireMaintenance(h)
	why := c.leaving(h)
	switch {
	case why == h.why:
	case why == "":
		c.notice(Info, nil, "agent %s is no longer to be left", c.nameOf(h)).Agent = h.id
		c.left = slices.DeleteFunc(c.left, func(other *host) bool { return other == h })
		c.agents.generation++ // for spreads count on no agent that is left
		if c.wantsOffers() {
			c.offers.newWork = true // it was turned down meanwhile
		}
	default:
		c.notice(Info, nil, "leaving agent %s: %s", c.nameOf(h), why).Agent = h.id
		if h.why == "" {
			c.left = append(c.left, h)
			c.agents.generation++
		}
	}
	h.why = why
	attempts := slices.Clone(h.attempts)
	// In a fixed order, however they came.
	slices.SortFunc(attempts, compareAttempts)
	for _, a := range attempts {
		if in := a.instance; in.live == a && !a.over() {
			c.depart(in, a, h, len(attempts))
		}
	}
	c.answerInverse(h)
	c.armHost(h)
	if h.forgettable() {
		c.timers.unset(&h.timer)
		delete(c.hosts, h.id)
	}
}

// blank reports whether nothing says that the agent is to be left.
func (h *host) blank() bool {
	return h.rec.GetDrain() == nil && h.rec.GetMaintenance() == nil && h.rec.GetOperatorDrain() == nil
}

func (h *host) forgettable() bool { return h.blank() && len(h.attempts) == 0 && len(h.held) == 0 }

// saveHosts saves what the step has changed of agents' records.
func (c *Core) saveHosts() {
	for _, h := range c.editedHosts {
		put := state.PutAgent(h.rec)
		if h.blank() {
			put = put.Removal()
		}
		c.save = append(c.save, put)
	}
	c.editedHosts = clearList(c.editedHosts)
}

func compareAttempts(a, b *attempt) int {
	x, y := a.instance, b.instance
	switch {
	case x.job != y.job:
		if x.job.id() < y.job.id() {
			return -1
		}
		return 1
	case x != y:
		return int(x.slot) - int(y.slot)
	}
	return int(int64(a.rec.Attempt) - int64(b.rec.Attempt))
}

func (c *Core) nameOf(h *host) string {
	if h.rec.GetHostname() != "" {
		return h.rec.Hostname
	}
	if len(h.attempts) > 0 {
		return h.attempts[0].rec.Hostname
	}
	return c.hostname(h.id)
}

// depart does what an agent that is to be left asks of one of its attempts. n is
// how many attempts are there.
func (c *Core) depart(in *instance, a *attempt, h *host, n int) {
	switch {
	case h.why == "":
		if in.move != nil && !in.move.evens {
			c.endMove(in)
			c.settle(in)
		}
	case a.rec.KillReason != "" || !in.wanted() || a.rec.Unreachable != nil:
	case c.overdue(in, a, h):
		c.kill(a, "the time to leave agent "+a.rec.Hostname+" has run out")
		c.settle(in)
	case a.rooted():
		// It serves its agent, or can be nowhere else, and is the last to leave.
		if h.rec.Drain != nil && n == h.rooted() {
			c.kill(a, "agent "+a.rec.Hostname+": "+h.why)
			c.settle(in)
		}
	case !in.job.endless(): // it is left to finish
	case in.move != nil:
		in.move.evens = false // from now on it has to go
	case h.rec.OperatorDrain != nil || in.job.moves < in.job.parallel():
		c.noticeAttempt(Info, a, "moving off agent %s", a.rec.Hostname)
		c.startMove(in)
	}
}

// rooted counts the attempts that are the last to leave.
func (h *host) rooted() int {
	n := 0
	for _, a := range h.attempts {
		if a.rooted() {
			n++
		}
	}
	return n
}

// overdue reports whether an attempt must end now, ready or not. A service stays
// until its agent is taken from it, for there is no better place.
func (c *Core) overdue(in *instance, a *attempt, h *host) bool {
	if d := h.rec.GetDrain().GetDeadline(); d != nil && !c.now.Before(d.AsTime()) {
		return true
	}
	m := h.rec.GetMaintenance()
	return m != nil && !in.job.endless() && !c.now.Before(lastMoment(m, a))
}

// lastMoment is when a batch job's attempt has to be told to end.
func lastMoment(m *tandemv1.Maintenance, a *attempt) time.Time {
	return m.Start.AsTime().Add(-a.grace() - killMargin)
}

// armHost lets the agent be looked at again when time alone makes a difference.
func (c *Core) armHost(h *host) {
	var next time.Time
	first := func(t time.Time) {
		if t.After(c.now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	first(h.doubtful)
	if d := h.rec.GetDrain().GetDeadline(); d != nil {
		first(d.AsTime())
	}
	if m := h.rec.GetMaintenance(); m != nil {
		start := m.Start.AsTime()
		first(start.Add(-maintenanceNotice))
		first(start.Add(-lastCall))
		if m.End != nil {
			first(m.End.AsTime())
		}
		for _, a := range h.attempts {
			first(lastMoment(m, a))
		}
	}
	c.timers.set(&h.timer, next)
}

// operatorDrains takes in that an agent ends its tasks because an operator
// drains it.
func (c *Core) operatorDrains(agent string) {
	if h := c.host(agent); h.rec.GetOperatorDrain() == nil {
		c.editHost(h).OperatorDrain = c.stamp
	}
}

// drainedNoMore takes in that no operator drains the agent.
func (c *Core) drainedNoMore(h *host) {
	if h.rec.GetOperatorDrain() != nil {
		c.editHost(h).OperatorDrain = nil
	}
}

// hostFailed forgets what is said anew should the agent come back.
func (c *Core) hostFailed(agent string) {
	h := c.hosts[agent]
	if h == nil {
		return
	}
	h.held = nil
	if r := h.rec; r.GetMaintenance() != nil || r.GetOperatorDrain() != nil {
		r = c.editHost(h)
		r.Maintenance, r.OperatorDrain = nil, nil
	}
	c.reviewLater(h)
}

// rehost is called at each subscription: inverse offers are void, and come again
// while there is maintenance and something of ours on its agent.
func (c *Core) rehost() {
	for _, id := range sortedKeys(c.hosts) {
		h := c.hosts[id]
		if h.rec == nil && h.held == nil {
			continue
		}
		h.held = nil
		if h.rec.GetMaintenance() != nil && len(h.attempts) > 0 {
			h.doubtful = c.now.Add(restoredTrust)
		}
		c.reviewLater(h)
	}
}

func (c *Core) drain(d *Drain, r *Reply) {
	id, refused := c.findAgent(d.Agent)
	if refused != nil {
		r.Refused = refused
		return
	}
	h := c.host(id)
	had := h.rec.GetDrain()
	if r.Refused = checkDrain(c.nameOf(h), d.ExpectedVersion, had); r.Refused != nil {
		c.reviewLater(h)
		return
	}
	defer func() {
		r.Agent = &tandemv1.DrainAgentResponse{
			AgentId: id, Hostname: c.nameOf(h), Attempts: int32(len(h.attempts)), Version: h.rec.GetDrain().GetVersion(),
		}
	}()
	switch {
	case d.Cancel && had == nil:
		c.reviewLater(h)
	case d.Cancel:
		c.editHost(h).Drain = nil
		r.Changed = true
	default:
		drain := &tandemv1.Drain{Started: c.stamp, Version: max(uint64(c.now.UnixMicro()), had.GetVersion()+1)}
		if had != nil {
			drain.Started = had.Started
		}
		if d.Deadline > 0 {
			drain.Deadline = timestamppb.New(c.now.Add(d.Deadline))
		}
		c.editHost(h).Drain = drain
		r.Changed = true
	}
}

// checkDrain refuses a write that was made against another version than the drain
// of an agent has. No drain has version 0.
func checkDrain(name string, expected *uint64, had *tandemv1.Drain) *Refused {
	switch {
	case expected == nil || *expected == had.GetVersion():
		return nil
	case had == nil:
		return &Refused{StaleVersion, fmt.Sprintf("agent %s is not drained, but version %d of its drain was expected: look at what has changed and try again", name, *expected)}
	}
	return &Refused{StaleVersion, fmt.Sprintf("the drain of agent %s is at version %d, not %d: look at what has changed and try again", name, had.Version, *expected)}
}

// findAgent finds an agent by its ID, or by a hostname that only one has.
func (c *Core) findAgent(name string) (string, *Refused) {
	if c.agents.byID[name] != nil || c.hosts[name] != nil {
		return name, nil
	}
	found := map[string]bool{}
	for _, a := range c.agents.list {
		if a.place.Hostname == name {
			found[a.id] = true
		}
	}
	for _, h := range c.hosts {
		if c.nameOf(h) == name {
			found[h.id] = true
		}
	}
	switch ids := sortedKeys(found); len(ids) {
	case 0:
		return "", &Refused{NotFound, fmt.Sprintf("no agent %s has been offered, and nothing runs on one: give its ID or its hostname as `tandem agents` shows it", name)}
	case 1:
		return ids[0], nil
	default:
		return "", &Refused{Conflict, fmt.Sprintf("%d agents have the hostname %s: give the ID of one of them, %s", len(ids), name, strings.Join(ids, " or "))}
	}
}

// countedPlaces are where the agents are that spreads may count on: those that
// are not to be left.
func (c *Core) countedPlaces() []*match.Place {
	places := make([]*match.Place, 0, len(c.agents.list))
	for _, a := range c.agents.list {
		if h := c.hosts[a.id]; h == nil || h.why == "" {
			places = append(places, &a.place)
		}
	}
	return places
}
