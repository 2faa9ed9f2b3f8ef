package core

import (
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/scheduler/match"
)

// agents are those that offers were seen from, until they fail.
type agents struct {
	byID map[string]*agent
	// generation changes when an agent comes, goes or has other attributes.
	generation uint64
	list       []*agent // in the order in which they came
}

type agent struct {
	id    string
	place match.Place
	// last is what it offered last, and when; what was launched there since is
	// not taken off.
	last     match.Agent
	lastSeen time.Time
	// offered is what was offered last, to each role.
	offered []offered
	at      int // in agents.list
}

func newAgents() *agents { return &agents{byID: map[string]*agent{}, generation: 1} }

// see returns the agent that an offer is of.
func (as *agents) see(o *mesos.Offer) *agent {
	a := as.byID[o.AgentID.Value]
	switch {
	case a == nil:
		a = &agent{id: o.AgentID.Value, place: match.PlaceOf(o), at: len(as.list)}
		as.byID[a.id] = a
		as.list = append(as.list, a)
		as.generation++
	case !samePlace(&a.place, o):
		a.place = match.PlaceOf(o)
		as.generation++
	}
	return a
}

// samePlace tells quickly that nothing has changed, as it nearly never has.
func samePlace(p *match.Place, o *mesos.Offer) bool {
	if p.Hostname != o.Hostname || len(p.Attributes) != len(o.Attributes) {
		return false
	}
	for i := range o.Attributes {
		if a := &o.Attributes[i]; a.Type != mesos.TEXT || p.Attributes[i].Name != a.Name || p.Attributes[i].Value != a.Text.GetValue() {
			fresh := match.PlaceOf(o)
			return fresh.Region == p.Region && fresh.Zone == p.Zone && slices.Equal(fresh.Attributes, p.Attributes)
		}
	}
	d := o.Domain.GetFaultDomain()
	return d == nil && p.Region == "" && p.Zone == "" || d != nil && d.Region.Name == p.Region && d.Zone.Name == p.Zone
}

// forget drops an agent that is gone.
func (as *agents) forget(id string) {
	a := as.byID[id]
	if a == nil {
		return
	}
	delete(as.byID, id)
	as.list = slices.Delete(as.list, a.at, a.at+1)
	for i := a.at; i < len(as.list); i++ {
		as.list[i].at = i
	}
	as.generation++
}

// spread returns where the instances of a job are, with every agent known.
func (c *Core) spread(j *job) *match.Spread {
	if j.spread != nil && j.spreadSeen != c.agents.generation {
		j.spread.Know(j.current().rules, c.countedPlaces())
		j.spreadSeen = c.agents.generation
	}
	return j.spread
}

// respread makes the job's spread anew, for its versions have changed.
func (c *Core) respread(j *job) {
	rules := make([]*match.Rules, len(j.versions))
	for i, v := range j.versions {
		rules[i] = v.rules
	}
	j.spread, j.spreadSeen = match.NewSpread(rules...), 0
	if j.spread == nil {
		return
	}
	for _, in := range j.instances {
		if in == nil {
			continue
		}
		for _, a := range [...]*attempt{in.live, in.next} {
			if a != nil && !a.uncounted {
				j.spread.Add(a.value)
			}
		}
	}
}
