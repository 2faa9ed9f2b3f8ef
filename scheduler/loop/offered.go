package loop

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// offered is what each agent had free when it was last offered. Offers are held
// for moments only, so this is what a person can be told of them: what there
// was, and not what there is.
type offered struct {
	agents map[string]match.Amount
	total  match.Amount
}

// take notes the offers of one event, which may be several for an agent.
func (o *offered) take(offers []mesos.Offer) {
	fresh := make(map[string]match.Amount, len(offers))
	for i := range offers {
		id := offers[i].AgentID.Value
		fresh[id] = fresh[id].Plus(free(offers[i].Resources))
	}
	for id, a := range fresh {
		o.total = o.total.Minus(o.agents[id]).Plus(a)
		o.agents[id] = a
	}
}

// gone forgets an agent.
func (o *offered) gone(agent string) {
	o.total = o.total.Minus(o.agents[agent])
	delete(o.agents, agent)
}

func (o *offered) clear() {
	clear(o.agents)
	o.total = match.Amount{}
}

func (o *offered) view() *tandemv1.Resources {
	t := o.total
	return &tandemv1.Resources{Cpus: t.CPUs.Float(), Mem: t.Mem.Float(), Disk: t.Disk.Float(), Gpus: t.GPUs.Float()}
}

func free(resources []mesos.Resource) match.Amount {
	var a match.Amount
	for i := range resources {
		r := &resources[i]
		n := resource.Thousandths(r.GetScalar().GetValue())
		switch r.Name {
		case "cpus":
			a.CPUs += n
		case "mem":
			a.Mem += n
		case "disk":
			a.Disk += n
		case "gpus":
			a.GPUs += n
		}
	}
	return a
}
