package core

import (
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/resource"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// pool is what one agent offers to one role in one event.
type pool struct {
	agent  *agent
	role   string
	ours   bool // the role is one of the framework's
	offers []*mesos.Offer
	// placed are the instances that go there, and ports those of each.
	placed []*instance
	ports  [][]uint64
	// volumes are those offered, and leftovers what was reserved for one that is
	// not there, both by ID; operations are what is done about them.
	volumes    map[string]*mesos.Resource
	leftovers  map[string][]mesos.Resource
	operations []mesos.Offer_Operation
	// spent is what operations take of what could be launched with.
	spent resource.Resources
	// offered is what all of it came to.
	offered offered
}

// onOffers uses what fits and declines the rest at once. No offer outlives the
// event that brought it.
func (c *Core) onOffers(offers []mesos.Offer) {
	if !c.subscribed {
		return // the offers were void before they were read
	}
	c.offers.lastOffer = c.now
	for i := range offers {
		c.heardOf(&offers[i])
	}
	c.reviewHosts() // what waits, and where it may go, follows from that
	pools, candidates := c.pools(offers)
	for i := range pools {
		pools[i].offered = pools[i].offeredNow(&candidates[i], c.now)
	}
	c.reviewVolumes(pools)
	c.placeTied(pools, candidates)
	c.placeDaemons(pools, candidates)
	versions, requests := c.requests()
	if len(requests) > 0 {
		placements := match.Match(candidates, requests)
		c.show = slices.Grow(c.show, len(placements)) // each is told of
		for _, p := range placements {
			c.place(versions[p.Request], &pools[p.Agent], p.Ports)
		}
		c.shareExecutors(pools, candidates, versions)
	}
	c.answerOffers(pools)
	// Offers for several roles of one agent show its free amount in parts.
	for i := range pools {
		if pools[i].ours {
			a := pools[i].agent
			a.last, a.lastSeen = candidates[i], c.now
			if a.last.Refused != "" && a.last.Refused == c.avoid(a.id) {
				a.last.Refused = "" // that may be over before the agent offers again, and is asked for when it matters
			}
		}
	}
	c.tellWhy(versions)
	// A placement can make other agents eligible for the rest of its job, where
	// rules count instances; those agents are filtered by now.
	for i, v := range versions {
		if v.rules.Counting() && v.waiting.count > 0 && v.waiting.count < requests[i].Count {
			c.offers.newWork = true
		}
	}
}

// answerOffers accepts the offers of each pool that something is done with, and
// declines the rest.
func (c *Core) answerOffers(pools []pool) {
	var unused []mesos.OfferID
	for i := range pools {
		p := &pools[i]
		if len(p.placed) > 0 {
			c.launches(p)
		}
		p.offered.until, p.offered.round = c.now.Add(c.cfg.Refuse), c.offers.round
		p.agent.remember(p.offered)
		ids := make([]mesos.OfferID, len(p.offers))
		for n, o := range p.offers {
			ids[n] = o.ID
		}
		if len(p.operations) == 0 {
			unused = append(unused, ids...)
			continue
		}
		c.calls.offers = append(c.calls.offers, &scheduler.Call{
			Type:   scheduler.Call_ACCEPT,
			Accept: &scheduler.Call_Accept{OfferIDs: ids, Operations: p.operations, Filters: c.filters()},
		})
		c.offers.filtered = true
	}
	c.decline(unused)
}

// pools puts the offers of each agent and role together.
func (c *Core) pools(offers []mesos.Offer) ([]pool, []match.Agent) {
	type key struct{ agent, role string }
	pools := make([]pool, 0, len(offers))
	candidates := make([]match.Agent, 0, len(offers))
	index := make(map[key]int, len(offers))
	for i := range offers {
		o := &offers[i]
		k := key{o.AgentID.Value, o.AllocationInfo.GetRole()}
		at, ok := index[k]
		if !ok {
			at = len(pools)
			index[k] = at
			a := c.agents.see(o)
			pools = append(pools, pool{agent: a, role: k.role, ours: slices.Contains(c.cfg.Roles, k.role)})
			candidates = append(candidates, match.Agent{Place: a.place})
			if !pools[at].ours {
				candidates[at].Refused = "role " + k.role + " is not ours"
			}
		}
		if free := c.sift(&pools[at], o.Resources); len(free) < len(o.Resources) {
			rest := *o
			rest.Resources = free
			o = &rest
		}
		pools[at].offers = append(pools[at].offers, o)
		candidates[at].Offer(o.Resources)
		if why := c.unfit(o); why != "" {
			candidates[at].Refused = why
		}
	}
	return pools, candidates
}

// unfit says why nothing may be placed on the agent of an offer, or nothing.
func (c *Core) unfit(o *mesos.Offer) string {
	if m := maintenanceOf(o.Unavailability); m != nil && c.soon(m) && (m.End == nil || c.now.Before(m.End.AsTime())) {
		return maintenance
	}
	return c.avoid(o.AgentID.Value)
}

// requests are what waits, the longest waiting first.
func (c *Core) requests() ([]*version, []match.Request) {
	queue := c.offers.queue[:0]
	// A list of its own, for the queue's is changed while launches fail.
	var versions []*version
	var requests []match.Request
	for _, v := range c.offers.queue {
		if v.waiting.count == 0 {
			v.queued = false
			c.offers.shape.stale = true
			continue
		}
		queue = append(queue, v)
		if c.lacking(v) == "" {
			versions = append(versions, v)
			requests = append(requests, c.request(v))
		}
	}
	clear(c.offers.queue[len(queue):])
	c.offers.queue = queue
	return versions, requests
}

// free is what may be launched with.
func (p *pool) free() (resource.Resources, error) {
	var all []mesos.Resource
	for _, o := range p.offers {
		all = append(all, o.Resources...)
	}
	free, err := resource.FromMesos(all)
	if err != nil {
		return free, err
	}
	return free.Subtract(p.spent)
}

// launches makes the attempts of the instances placed on one agent, and the
// operations that launch them.
func (c *Core) launches(p *pool) {
	free, err := p.free()
	if err != nil {
		for _, in := range p.placed {
			c.notLaunched(in, p, fmt.Errorf("cannot use the offer: %w", err))
		}
		return
	}
	p.operations = slices.Grow(p.operations, len(p.placed))
	for i, in := range p.placed {
		rest, err := c.launch(in, p, free, p.ports[i])
		if err != nil {
			c.notLaunched(in, p, err)
			continue
		}
		free = rest
		p.offered.launched++
	}
}

// notLaunched puts off an instance that was placed and cannot be launched all
// the same, for the next offer would not help it either.
func (c *Core) notLaunched(in *instance, p *pool, err error) {
	in.job.spread.Remove(p.agent.place.Value)
	if in.live != nil {
		c.moveFailed(in, err.Error()).Agent = p.agent.id
		c.settle(in)
		return
	}
	c.putOff(in, fmt.Sprintf("cannot launch on agent %s: %s", p.agent.place.Hostname, err)).Agent = p.agent.id
	c.settle(in)
}

func (c *Core) decline(ids []mesos.OfferID) {
	if len(ids) == 0 {
		return
	}
	c.offers.filtered = true
	c.calls.offers = append(c.calls.offers, &scheduler.Call{
		Type:    scheduler.Call_DECLINE,
		Decline: &scheduler.Call_Decline{OfferIDs: ids, Filters: c.filters()},
	})
}

func (c *Core) filters() *mesos.Filters {
	seconds := c.jitter(c.cfg.Refuse).Round(time.Millisecond).Seconds()
	return &mesos.Filters{RefuseSeconds: &seconds}
}
