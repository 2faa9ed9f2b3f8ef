package master

import (
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// allocateSoon allocates on the agents, or on all if none is named, once the
// commands that are already waiting have run.
func (c *core) allocateSoon(agents ...agentID) {
	if len(agents) == 0 {
		c.allocateAll = true
	}
	for _, id := range agents {
		c.allocationDue[id] = true
	}
	if c.allocationPosted {
		return
	}
	c.allocationPosted = true
	due := time.Now()
	c.post(func() {
		c.allocationPosted = false
		c.metrics.waits.since(due)
		var ids []string
		if !c.allocateAll {
			for _, a := range c.dueAgents() {
				ids = append(ids, string(a.id))
			}
			if len(ids) == 0 {
				return
			}
		}
		c.allocateAll = false
		clear(c.allocationDue)
		c.allocate(ids...)
	})
}

// dueAgents returns those that an allocation is to look at, in order of
// registration. They are few where all are many.
func (c *core) dueAgents() []*agent {
	var due []*agent
	for id := range c.allocationDue {
		if a := c.agents[id]; a != nil {
			due = append(due, a)
		}
	}
	sortAgents(due)
	return due
}

// allocate makes offers of what the allocator grants: one event a framework.
func (c *core) allocate(agents ...string) {
	if c.stopped {
		return
	}
	offers := make(map[frameworkID][]mesos.Offer)
	var order []frameworkID
	c.metrics.allocations++
	began := time.Now()
	grants := c.allocator.Allocate(c.now(), agents...)
	c.metrics.runs.since(began)
	for _, grant := range grants {
		f, a := c.frameworks[frameworkID(grant.Framework)], c.agents[agentID(grant.Agent)]
		if f == nil || a == nil || !f.connected || !c.usable(a) {
			c.allocator.Recover(grant.Framework, grant.Agent, grant.Resources, 0, c.now())
			continue
		}
		o := &offer{id: c.newOfferID(), framework: f.id, agent: a.id, role: grant.Role, resources: grant.Resources}
		c.offers[o.id], f.offers[o.id], a.offers[o.id] = o, o, o
		if c.options.OfferTimeout > 0 {
			o.timeout = c.after(c.options.OfferTimeout, func() { c.rescind(o) })
		}
		if offers[f.id] == nil {
			order = append(order, f.id)
		}
		offers[f.id] = append(offers[f.id], c.describe(o, f, a))
	}
	for _, id := range order {
		c.frameworks[id].send(&scheduler.Event{
			Type:   scheduler.Event_OFFERS,
			Offers: &scheduler.Event_Offers{Offers: offers[id]},
		})
	}
	c.invert(agents...)
}

// describe makes the message of an offer.
func (c *core) describe(o *offer, f *framework, a *agent) mesos.Offer {
	out := mesos.Offer{
		ID:             mesos.OfferID{Value: string(o.id)},
		FrameworkID:    mesos.FrameworkID{Value: string(f.id)},
		AgentID:        mesos.AgentID{Value: string(a.id)},
		Hostname:       a.info.Hostname,
		URL:            a.url(),
		Domain:         a.info.Domain,
		Resources:      o.resources.ToMesos(),
		Attributes:     a.info.Attributes,
		AllocationInfo: &mesos.Resource_AllocationInfo{Role: &o.role},
		Unavailability: c.plan.unavailability(a.machine()),
	}
	var executors []executorID
	for id := range f.executors[a.id] {
		executors = append(executors, id)
	}
	slices.Sort(executors)
	for _, id := range executors {
		out.ExecutorIDs = append(out.ExecutorIDs, mesos.ExecutorID{Value: string(id)})
	}
	if !validation.HasCapability(&f.info, mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT) {
		downgrade(out.Resources)
	}
	if !validation.HasCapability(&f.info, mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		out.AllocationInfo = nil
		for i := range out.Resources {
			out.Resources[i].AllocationInfo = nil
		}
	}
	return out
}

// downgrade writes reservations as they were before reservation refinement.
func downgrade(resources []mesos.Resource) {
	for i := range resources {
		r := &resources[i]
		switch len(r.Reservations) {
		case 0:
			r.Role = new(resource.AnyRole)
		case 1:
			reservation := r.Reservations[0]
			r.Role, r.Reservations = reservation.Role, nil
			if reservation.GetType() == mesos.Resource_ReservationInfo_DYNAMIC {
				r.Reservation = &mesos.Resource_ReservationInfo{Principal: reservation.Principal, Labels: reservation.Labels}
			}
		}
	}
}

// removeOffer takes an offer away and gives its resources back; refuse is how
// long the framework does not want the like.
func (c *core) removeOffer(o *offer, refuse time.Duration) {
	c.forgetOffer(o)
	c.allocator.Recover(string(o.framework), string(o.agent), o.resources, refuse, c.now())
}

// forgetOffer takes an offer away whose resources are accounted for otherwise.
func (c *core) forgetOffer(o *offer) {
	o.timeout.cancel()
	delete(c.offers, o.id)
	if f := c.frameworks[o.framework]; f != nil {
		delete(f.offers, o.id)
	}
	if a := c.agents[o.agent]; a != nil {
		delete(a.offers, o.id)
	}
}

// rescind takes an offer away and tells its framework.
func (c *core) rescind(o *offer) { c.rescindFor(o, 0) }

// rescindFor takes an offer away that is not to come back to its framework for a
// time.
func (c *core) rescindFor(o *offer, refuse time.Duration) {
	if c.offers[o.id] != o {
		return
	}
	c.removeOffer(o, refuse)
	if f := c.frameworks[o.framework]; f != nil {
		f.send(&scheduler.Event{
			Type:    scheduler.Event_RESCIND,
			Rescind: &scheduler.Event_Rescind{OfferID: mesos.OfferID{Value: string(o.id)}},
		})
	}
}

// refusal returns for how long a call's filters refuse resources. Absent and
// nonsensical ones mean five seconds.
func refusal(filters *mesos.Filters) time.Duration {
	const standard, longest = 5 * time.Second, 365 * 24 * time.Hour
	if filters == nil || filters.RefuseSeconds == nil {
		return standard
	}
	s := *filters.RefuseSeconds
	if !(s >= 0) || !validation.Seconds(s) {
		return standard
	}
	return min(seconds(s), longest)
}

// decline handles DECLINE; offers that are not there are ignored. As in a real
// master, nobody looks whose they are.
func (c *core) decline(f *framework, call *scheduler.Call_Decline) {
	c.metrics.messages["decline_offers"]++
	refuse := refusal(call.Filters)
	for _, id := range call.OfferIDs {
		if o := c.offers[offerID(id.Value)]; o != nil {
			f.counts["offers/declined"]++
			c.removeOffer(o, refuse)
		}
	}
}
