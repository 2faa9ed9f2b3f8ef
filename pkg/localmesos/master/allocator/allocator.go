// Package allocator decides which framework is offered which agent's resources.
//
// It follows the hierarchical allocator of a real Mesos
// (src/master/allocator/mesos/hierarchical.cpp in its source) in what
// frameworks can see: dominant resource fairness among roles, and among the
// frameworks of a role; whole agents, to one role at a time; filters that end
// at the first allocation after their time; suppression; the least that is
// worth offering; weights of roles, and their quotas.
//
// The package is pure: time is an argument, and nothing happens by itself. It
// must never know what a task is.
package allocator

import (
	"maps"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Quantities are amounts of scalars by name.
type Quantities map[string]resource.Milli

// Options are the allocator's settings.
type Options struct {
	// Interval is the time between two allocations; no filter is shorter.
	Interval time.Duration
	// MinAllocatable lists alternatives: what holds none of them is not
	// offered. Empty means that everything is.
	MinAllocatable []Quantities
	// FilterGPUs keeps agents with GPUs for frameworks that can use them.
	FilterGPUs bool
	// FairSharingExcluded names resources that do not count in shares.
	FairSharingExcluded []string
	// Whitelist, unless it is nil, are the host names of the agents that are
	// offered.
	Whitelist []string
	// Region is the master's. Agents in another are for frameworks that know of
	// regions.
	Region string
}

// Framework is a framework as the allocator sees it.
type Framework struct {
	ID         string
	Roles      []string
	Suppressed []string
	// What the framework can take.
	GPUs, Revocable, Shared, Refined, Regions bool
	// MinAllocatable replaces the option of that name, by role.
	MinAllocatable map[string][]Quantities
	// Accepts tells whether the framework wants offers of the agent for a
	// role; nil means all.
	Accepts func(role string, agent *Agent) bool
}

// Agent is an agent as the allocator sees it.
type Agent struct {
	ID         string
	Hostname   string
	Attributes []mesos.Attribute
	Domain     *mesos.DomainInfo
	Total      resource.Resources
}

// Grant is what a framework is to be offered.
type Grant struct {
	Framework, Role, Agent string
	// Resources are allocated to the role, ranges and sets before scalars.
	Resources resource.Resources
}

// Allocator holds what is allocated to whom. It is not safe for concurrent use.
type Allocator struct {
	options    Options
	frameworks map[string]*framework
	order      []*framework // by time of arrival
	agents     map[string]*agent
	agentOrder []*agent
	total      map[string]resource.Milli
	roles      map[string]*share // by role, without those within it
	trees      map[string]*share // with them
	quotas     map[string]Quota
	weights    map[string]float64
}

type framework struct {
	Framework
	active  bool
	shares  map[string]*share // by role
	filters map[filterKey][]filter
}

type filterKey struct{ role, agent string }

type filter struct {
	refused resource.Resources
	expires time.Time
}

type agent struct {
	Agent
	active    bool
	available resource.Resources
	totals    map[string]resource.Milli
}

// New returns an allocator without frameworks and agents.
func New(options Options) *Allocator {
	return &Allocator{
		options:    options,
		frameworks: make(map[string]*framework),
		agents:     make(map[string]*agent),
		total:      make(map[string]resource.Milli),
		roles:      make(map[string]*share),
		trees:      make(map[string]*share),
		quotas:     make(map[string]Quota),
		weights:    make(map[string]float64),
	}
}

// SetFramework adds a framework, or changes what is known of it. A new one is
// active.
func (a *Allocator) SetFramework(f Framework) {
	known := a.frameworks[f.ID]
	if known == nil {
		known = &framework{active: true, shares: make(map[string]*share), filters: make(map[filterKey][]filter)}
		a.frameworks[f.ID] = known
		a.order = append(a.order, known)
	}
	before := known.Roles
	known.Framework = f
	for _, role := range before {
		if !slices.Contains(f.Roles, role) {
			a.forget(role)
			if s := known.shares[role]; s != nil && s.empty() {
				delete(known.shares, role)
			}
			maps.DeleteFunc(known.filters, func(key filterKey, _ []filter) bool { return key.role == role })
		}
	}
}

// ActivateFramework lets a framework have offers, or no more of them. Filters
// end with activity.
func (a *Allocator) ActivateFramework(id string, active bool) {
	if f := a.frameworks[id]; f != nil {
		f.active = active
		if !active {
			clear(f.filters)
		}
	}
}

// RemoveFramework forgets a framework, whose resources must have been recovered.
func (a *Allocator) RemoveFramework(id string) {
	f := a.frameworks[id]
	delete(a.frameworks, id)
	a.order = slices.DeleteFunc(a.order, func(other *framework) bool { return other == f })
	for role := range f.shares {
		a.forget(role)
	}
}

// Suppress ends offers for the roles, or for all if there are none.
func (a *Allocator) Suppress(id string, roles []string) {
	f := a.frameworks[id]
	if f == nil {
		return
	}
	if len(roles) == 0 {
		roles = f.Roles
	}
	suppressed := slices.Clone(f.Suppressed)
	for _, role := range roles {
		if slices.Contains(f.Roles, role) && !slices.Contains(suppressed, role) {
			suppressed = append(suppressed, role)
		}
	}
	f.Suppressed = suppressed
}

// Revive lets offers for the roles, or for all if there are none, come again,
// and ends the framework's filters for them.
func (a *Allocator) Revive(id string, roles []string) {
	f := a.frameworks[id]
	if f == nil {
		return
	}
	if len(roles) == 0 {
		f.Suppressed = nil
		clear(f.filters)
		return
	}
	f.Suppressed = slices.DeleteFunc(slices.Clone(f.Suppressed), func(role string) bool { return slices.Contains(roles, role) })
	for key := range f.filters {
		if slices.Contains(roles, key.role) {
			delete(f.filters, key)
		}
	}
}

// Suppressed returns the roles for which the framework wants no offers.
func (a *Allocator) Suppressed(id string) []string {
	if f := a.frameworks[id]; f != nil {
		return f.Suppressed
	}
	return nil
}

// AddAgent adds an active agent, none of whose resources is allocated.
func (a *Allocator) AddAgent(info Agent) {
	added := &agent{Agent: info, active: true, available: info.Total, totals: amounts(info.Total)}
	a.agents[info.ID] = added
	a.agentOrder = append(a.agentOrder, added)
	for name, n := range added.totals {
		a.total[name] += n
	}
}

// UpdateAgent changes an agent's description and total; what is allocated
// stays so. Filters end when it has other attributes, which may be just what a
// framework had missed.
func (a *Allocator) UpdateAgent(info Agent) {
	known := a.agents[info.ID]
	if known == nil {
		return
	}
	if !sameAttributes(known.Attributes, info.Attributes) {
		a.dropFilters(info.ID)
	}
	used, err := known.Total.Subtract(known.available)
	if err != nil {
		used = resource.Resources{}
	}
	available, err := info.Total.Subtract(used.Unallocate())
	if err != nil {
		// More is used than there is: nothing is left to offer.
		available = resource.Resources{}
	}
	for name, n := range known.totals {
		a.total[name] -= n
	}
	known.Agent, known.available, known.totals = info, available, amounts(info.Total)
	for name, n := range known.totals {
		a.total[name] += n
	}
}

// Available returns what of an agent is granted to nobody.
func (a *Allocator) Available(id string) resource.Resources {
	if known := a.agents[id]; known != nil {
		return known.available
	}
	return resource.Resources{}
}

// ActivateAgent lets an agent be offered, or not.
func (a *Allocator) ActivateAgent(id string, active bool) {
	if known := a.agents[id]; known != nil {
		known.active = active
	}
}

// RemoveAgent forgets an agent, whose resources must have been recovered.
func (a *Allocator) RemoveAgent(id string) {
	known := a.agents[id]
	if known == nil {
		return
	}
	for name, n := range known.totals {
		a.total[name] -= n
	}
	delete(a.agents, id)
	a.agentOrder = slices.DeleteFunc(a.agentOrder, func(other *agent) bool { return other == known })
	a.dropFilters(id)
}

func (a *Allocator) dropFilters(agentID string) {
	for _, f := range a.order {
		maps.DeleteFunc(f.filters, func(key filterKey, _ []filter) bool { return key.agent == agentID })
	}
}

// sameAttributes compares attributes in any order.
func sameAttributes(x, y []mesos.Attribute) bool {
	return len(x) == len(y) && !slices.ContainsFunc(x, func(a mesos.Attribute) bool {
		return !slices.ContainsFunc(y, func(b mesos.Attribute) bool { return a.Equal(&b) })
	})
}

// Use records resources, allocated to a role, that a framework has without
// having been offered them, as those of a returning agent's tasks.
func (a *Allocator) Use(frameworkID, agentID string, r resource.Resources) {
	known := a.agents[agentID]
	if known == nil {
		return
	}
	if rest, err := known.available.Subtract(r.Unallocate()); err == nil {
		known.available = rest
	}
	a.account(frameworkID, r, 1)
}

// Recover gives back resources that were granted or used. If the framework
// refuses them for a time above zero, it is not offered the like of them from
// this agent until the first allocation after that.
func (a *Allocator) Recover(frameworkID, agentID string, r resource.Resources, refuse time.Duration, now time.Time) {
	if r.Empty() {
		return
	}
	a.account(frameworkID, r, -1)
	if known := a.agents[agentID]; known != nil {
		known.available = known.available.Add(r.Unallocate())
	}
	f := a.frameworks[frameworkID]
	if f == nil || refuse <= 0 {
		return
	}
	for _, role := range r.Roles() {
		if !slices.Contains(f.Roles, role) {
			continue
		}
		key := filterKey{role, agentID}
		f.filters[key] = append(f.filters[key], filter{
			refused: r.AllocatedTo(role).Unallocate(),
			expires: now.Add(max(refuse, a.options.Interval)),
		})
	}
}

// Allocate grants what is available on the agents, or on all if none is named.
// What it grants counts as allocated until it is recovered.
func (a *Allocator) Allocate(now time.Time, agentIDs ...string) []Grant {
	a.expireFilters(now)
	candidates := a.agentOrder
	if len(agentIDs) > 0 {
		candidates = nil
		for _, id := range agentIDs {
			if known := a.agents[id]; known != nil {
				candidates = append(candidates, known)
			}
		}
	}
	var grants []Grant
	quotas := a.balance()
	if quotas != nil {
		for _, candidate := range candidates {
			if a.offerable(candidate) {
				grants = a.guarantee(grants, candidate, quotas)
			}
		}
	}
	guaranteed := len(grants)
	for _, candidate := range candidates {
		if a.offerable(candidate) {
			grants = a.allocateAgent(grants, candidate, quotas)
		}
	}
	return merge(grants, guaranteed)
}

// offerable tells whether something of the agent can be granted to somebody.
func (a *Allocator) offerable(on *agent) bool {
	return on.active && !on.available.Empty() && (a.options.Whitelist == nil || slices.Contains(a.options.Whitelist, on.Hostname))
}

// merge makes one grant of two of the same agent to a framework in the same role,
// of which the first are those for guarantees.
func merge(grants []Grant, guaranteed int) []Grant {
	out := grants[:guaranteed:guaranteed]
	for _, g := range grants[guaranteed:] {
		i := slices.IndexFunc(grants[:guaranteed], func(other Grant) bool {
			return g.Framework == other.Framework && g.Role == other.Role && g.Agent == other.Agent
		})
		if i < 0 {
			out = append(out, g)
			continue
		}
		sum := out[i].Resources.Add(g.Resources)
		out[i].Resources = sum.Discrete().Add(sum.Scalars())
	}
	return out
}

func (a *Allocator) expireFilters(now time.Time) {
	for _, f := range a.order {
		for key, filters := range f.filters {
			filters = slices.DeleteFunc(filters, func(f filter) bool { return !f.expires.After(now) })
			if len(filters) == 0 {
				delete(f.filters, key)
			} else {
				f.filters[key] = filters
			}
		}
	}
}

func (a *Allocator) allocateAgent(grants []Grant, on *agent, quotas *balance) []Grant {
	for _, role := range a.rolesByShare() {
		for _, f := range a.frameworksByShare(role) {
			offer := a.within(quotas, role, a.takeable(f, role, on))
			if a.filtered(f, role, on, offer) {
				continue
			}
			if quotas != nil {
				quotas.grant(role, amounts(chargeable(offer)), nil)
			}
			grants = append(grants, a.grant(f, role, on, offer))
			if on.available.Empty() {
				return grants
			}
		}
	}
	return grants
}

// grant gives a framework a part of what is available on an agent.
func (a *Allocator) grant(f *framework, role string, on *agent, offer resource.Resources) Grant {
	on.available = without(on.available, offer)
	granted := offer.Discrete().Add(offer.Scalars()).Allocate(role)
	a.account(f.ID, granted, 1)
	return Grant{Framework: f.ID, Role: role, Agent: on.ID, Resources: granted}
}

// takeable returns what of the agent a framework could take in a role.
func (a *Allocator) takeable(f *framework, role string, on *agent) resource.Resources {
	none := resource.Resources{}
	if a.options.FilterGPUs && !f.GPUs && on.totals["gpus"] > 0 {
		return none
	}
	if region := on.Domain.GetFaultDomain().GetRegion(); !f.Regions && region.Name != "" && region.Name != a.options.Region {
		return none
	}
	if f.Accepts != nil && !f.Accepts(role, &on.Agent) {
		return none
	}
	offer := on.available.AllocatableTo(role)
	for _, unwanted := range []struct {
		take bool
		part resource.Resources
	}{{f.Revocable, offer.Revocable()}, {f.Shared, offer.Shared()}, {f.Refined, offer.Refined()}} {
		if unwanted.take || unwanted.part.Empty() {
			continue
		}
		if rest, err := offer.Subtract(unwanted.part); err == nil {
			offer = rest
		}
	}
	return offer
}

// filtered tells whether the framework is not to be offered this of the agent.
func (a *Allocator) filtered(f *framework, role string, on *agent, offer resource.Resources) bool {
	if offer.Empty() || !a.worthwhile(f, role, offer) {
		return true
	}
	return slices.ContainsFunc(f.filters[filterKey{role, on.ID}], func(filter filter) bool {
		return filter.refused.Contains(offer)
	})
}

// worthwhile tells whether the resources hold one of the minimal quantities.
func (a *Allocator) worthwhile(f *framework, role string, offer resource.Resources) bool {
	alternatives := a.options.MinAllocatable
	if own, ok := f.MinAllocatable[role]; ok {
		alternatives = own
	}
	if len(alternatives) == 0 {
		return true
	}
	return slices.ContainsFunc(alternatives, func(q Quantities) bool {
		for name, least := range q {
			if offer.Scalar(name) < least {
				return false
			}
		}
		return true
	})
}
