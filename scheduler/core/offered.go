package core

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// offered is what an agent offered last to one role, and what became of it. The
// offer itself was used or declined in the step that took it in.
type offered struct {
	role     string
	free     match.Amount
	ports    uint64
	at       time.Time
	launched int
	refused  string    // why nothing may be launched with it
	until    time.Time // that what was not used is kept from us at least
	round    uint64    // in which that counts; see offerState
}

// offeredNow is what a candidate is offered, before anything is placed there.
func (p *pool) offeredNow(a *match.Agent, now time.Time) offered {
	return offered{role: p.role, free: a.Free, ports: a.Ports.Len(), at: now, refused: a.Refused}
}

// remember keeps what became of an agent's offers, in place of the last ones to the
// same role.
func (a *agent) remember(o offered) {
	at := slices.IndexFunc(a.offered, func(had offered) bool { return had.role == o.role })
	if at < 0 {
		a.offered = append(a.offered, o)
		return
	}
	a.offered[at] = o
}

// listOffers tells what was offered last, by the agents' hostnames.
func (c *Core) listOffers() []*tandemv1.OfferView {
	var list []*tandemv1.OfferView
	for _, a := range c.agents.list {
		for i := range a.offered {
			list = append(list, c.offerView(a, &a.offered[i]))
		}
	}
	slices.SortFunc(list, func(a, b *tandemv1.OfferView) int {
		return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.AgentId, b.AgentId), cmp.Compare(a.Role, b.Role))
	})
	return list
}

func (c *Core) offerView(a *agent, o *offered) *tandemv1.OfferView {
	v := &tandemv1.OfferView{
		AgentId: a.id, Hostname: a.place.Hostname, Role: o.role, Received: timestamppb.New(o.at),
		Resources: &tandemv1.Resources{Cpus: o.free.CPUs.Float(), Mem: o.free.Mem.Float(), Disk: o.free.Disk.Float(), Gpus: o.free.GPUs.Float()},
		Ports:     int32(o.ports), Launched: int32(o.launched), Refused: o.refused,
		Region: a.place.Region, Zone: a.place.Zone,
	}
	if o.round == c.offers.round && c.now.Before(o.until) {
		v.DeclinedUntil = timestamppb.New(o.until)
	}
	for _, x := range a.place.Attributes {
		if v.Attributes == nil {
			v.Attributes = make(map[string]string, len(a.place.Attributes))
		}
		v.Attributes[x.Name] = x.Value
	}
	return v
}
