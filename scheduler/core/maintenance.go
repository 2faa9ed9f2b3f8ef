package core

import (
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Bounds of what is done about an agent's maintenance.
const (
	// maintenanceNotice is how long before its maintenance an agent is avoided,
	// and left.
	maintenanceNotice = time.Hour
	// lastCall is how long before its maintenance an agent's inverse offers are
	// answered at the latest.
	lastCall = time.Minute
	// killMargin is how long before its maintenance, beside its kill grace, a
	// batch job's instance is ended that has not finished.
	killMargin = 30 * time.Second
	// An inverse offer that was declined comes again after declinedInverse, and
	// one that was accepted after acceptedInverse, while something of ours is
	// there.
	declinedInverse = time.Minute
	acceptedInverse = 5 * time.Minute
	// Maintenance of which the master has taken its word back, or that was known
	// before the subscription, counts no more when it is not said again.
	rescindedTrust = time.Minute
	restoredTrust  = 15 * time.Minute
)

// soon reports whether a time of maintenance has begun or will before long.
func (c *Core) soon(m *tandemv1.Maintenance) bool {
	return !c.now.Add(maintenanceNotice).Before(m.Start.AsTime())
}

// seenUnavailability takes in what an offer or an inverse offer of the agent
// says; nil is no maintenance.
func (c *Core) seenUnavailability(h *host, u *mesos.Unavailability) {
	m := maintenanceOf(u)
	h.doubtful = time.Time{}
	switch old := h.rec.GetMaintenance(); {
	case m == nil && old == nil:
	case m != nil && old != nil && m.Start.AsTime().Equal(old.Start.AsTime()) && m.End.AsTime().Equal(old.End.AsTime()):
	default:
		c.editHost(h).Maintenance = m
	}
}

func maintenanceOf(u *mesos.Unavailability) *tandemv1.Maintenance {
	if u == nil {
		return nil
	}
	start := time.Unix(0, u.Start.Nanoseconds)
	m := &tandemv1.Maintenance{Start: timestamppb.New(start)}
	if u.Duration != nil {
		m.End = timestamppb.New(start.Add(time.Duration(u.Duration.Nanoseconds)))
	}
	return m
}

// expireMaintenance forgets maintenance that is over, or is not said any more.
func (c *Core) expireMaintenance(h *host) {
	m := h.rec.GetMaintenance()
	if m == nil {
		return
	}
	over := m.End != nil && !c.now.Before(m.End.AsTime())
	doubtful := !h.doubtful.IsZero() && !c.now.Before(h.doubtful)
	if over || doubtful {
		h.doubtful = time.Time{}
		c.editHost(h).Maintenance = nil
	}
}

// heardOf takes in that an agent has made an offer: an operator drains it no
// more, for a draining agent makes none, and it says itself whether maintenance
// comes.
func (c *Core) heardOf(o *mesos.Offer) {
	delete(c.withheld.agents, o.AgentID.Value)
	h := c.hosts[o.AgentID.Value]
	if h == nil {
		return
	}
	c.drainedNoMore(h)
	if h.rec != nil || o.Unavailability != nil {
		c.seenUnavailability(h, o.Unavailability)
	}
}

// onInverseOffers keeps inverse offers until nothing of ours is on their agents,
// which it then accepts, or until it is certain that something will be.
func (c *Core) onInverseOffers(offers []mesos.InverseOffer) {
	if !c.subscribed {
		return
	}
	for i := range offers {
		o := &offers[i]
		if o.AgentID == nil {
			continue // no master makes such
		}
		h := c.host(o.AgentID.Value)
		h.held = append(h.held, o.OfferID)
		c.seenUnavailability(h, &o.Unavailability)
		c.reviewLater(h)
	}
}

// onInverseRescinded takes in that an inverse offer is void. Where maintenance
// still comes, another one does.
func (c *Core) onInverseRescinded(id mesos.OfferID) {
	for _, key := range sortedKeys(c.hosts) {
		h := c.hosts[key]
		if at := slices.IndexFunc(h.held, func(held mesos.OfferID) bool { return held.Value == id.Value }); at >= 0 {
			h.held = slices.Delete(h.held, at, at+1)
			h.doubtful = c.now.Add(rescindedTrust)
			c.reviewLater(h)
		}
	}
}

// answerInverse answers the agent's inverse offers when the time has come.
func (c *Core) answerInverse(h *host) {
	if len(h.held) == 0 || !c.subscribed {
		return
	}
	// By this clock the maintenance may be over, though the master speaks of it.
	m, start := h.rec.GetMaintenance(), c.now
	if m != nil {
		start = m.Start.AsTime()
	}
	against := c.againstMaintenance(h, start)
	filters := func(d time.Duration) *mesos.Filters {
		seconds := c.jitter(d).Round(time.Millisecond).Seconds()
		return &mesos.Filters{RefuseSeconds: &seconds}
	}
	switch {
	case against == "":
		c.notice(Info, nil, "agreeing to the maintenance of agent %s", c.nameOf(h)).Agent = h.id
		c.calls.offers = append(c.calls.offers, &scheduler.Call{
			Type:                scheduler.Call_ACCEPT_INVERSE_OFFERS,
			AcceptInverseOffers: &scheduler.Call_AcceptInverseOffers{InverseOfferIDs: h.held, Filters: filters(acceptedInverse)},
		})
	case m != nil && !c.now.Before(start.Add(-lastCall)):
		if against != h.against {
			c.notice(Warn, nil, "cannot agree to the maintenance of agent %s: %s", c.nameOf(h), against).Agent = h.id
		}
		c.calls.offers = append(c.calls.offers, &scheduler.Call{
			Type:                 scheduler.Call_DECLINE_INVERSE_OFFERS,
			DeclineInverseOffers: &scheduler.Call_DeclineInverseOffers{InverseOfferIDs: h.held, Filters: filters(declinedInverse)},
		})
	default:
		return
	}
	h.held, h.against = nil, against
}

// againstMaintenance says what of ours would be lost on the agent if its
// maintenance began at a time, or nothing. Instances of daemon jobs, and
// services with volumes there, live and end with their agent.
func (c *Core) againstMaintenance(h *host, start time.Time) string {
	text, n := "", 0
	for _, a := range h.attempts {
		if a.rooted() || a.endsBefore(start, c.now) {
			continue
		}
		if text == "" {
			text = fmt.Sprintf("instance %d of %s is still there", a.instance.slot, a.instance.job.id())
		} else {
			n++
		}
	}
	if n > 0 {
		text += fmt.Sprintf(", and %d more", n)
	}
	return text
}

// endsBefore reports whether every task's own limit on its run time ends it
// before a time.
func (a *attempt) endsBefore(t, now time.Time) bool {
	for i, task := range a.rec.Tasks {
		w := a.workload(i)
		if state.Terminal(task.State) {
			continue
		}
		if w.GetMaxRunTime() == nil {
			return false
		}
		began := now
		if task.Started != nil {
			began = task.Started.AsTime()
		}
		if began.Add(w.GetMaxRunTime().AsDuration() + w.GetKill().GetGracePeriod().AsDuration()).After(t) {
			return false
		}
	}
	return true
}
