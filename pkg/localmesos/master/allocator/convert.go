package allocator

import (
	"github.com/tandem-mesos/tandem/pkg/localmesos/conversion"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Convert makes of resources that a framework has others of the same amounts,
// such as reserved ones. Both are allocated to a role.
func (a *Allocator) Convert(frameworkID, agentID string, from, to resource.Resources) {
	known := a.agents[agentID]
	if known == nil {
		return
	}
	if rest, err := known.Total.Subtract(from.Unallocate()); err == nil {
		known.Total = rest.Add(to.Unallocate())
	}
	a.account(frameworkID, from, -1)
	a.account(frameworkID, to, 1)
	// It is no grant.
	for _, role := range to.Roles() {
		a.roles[role].grants--
		for above := role; above != ""; above = parent(above) {
			a.trees[above].grants--
		}
		if f := a.frameworks[frameworkID]; f != nil {
			f.shares[role].grants--
		}
	}
}

// ConvertAvailable makes conversions of what nobody has of an agent. It is an
// error, with a real master's text, if that does not suffice; nothing is done
// then.
func (a *Allocator) ConvertAvailable(agentID string, conversions []conversion.Conversion) error {
	known := a.agents[agentID]
	if known == nil {
		return nil
	}
	// What is free is told in the order of all that there is.
	free := known.available
	if taken, err := known.Total.Subtract(free); err == nil {
		if ordered, err := known.Total.Subtract(taken); err == nil {
			free = ordered
		}
	}
	available, err := conversion.Apply(free, conversions)
	if err != nil {
		return err
	}
	total, err := conversion.Apply(known.Total, conversions)
	if err != nil {
		return err
	}
	known.available, known.Total = available, total
	return nil
}
