package loop

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// amounts are of what Mesos counts and everybody needs, in thousandths.
type amounts struct{ cpus, mem, disk, gpus resource.Milli }

func (a *amounts) add(b amounts, sign resource.Milli) {
	a.cpus += sign * b.cpus
	a.mem += sign * b.mem
	a.disk += sign * b.disk
	a.gpus += sign * b.gpus
}

// offered is what each agent had free when it was last offered. Offers are held
// for moments only, so this is what a person can be told of them: what there
// was, and not what there is.
type offered struct {
	agents map[string]amounts
	total  amounts
}

// take notes the offers of one event, which may be several for an agent.
func (o *offered) take(offers []mesos.Offer) {
	fresh := make(map[string]amounts, len(offers))
	for i := range offers {
		a := fresh[offers[i].AgentID.Value]
		a.add(free(offers[i].Resources), 1)
		fresh[offers[i].AgentID.Value] = a
	}
	for id, a := range fresh {
		o.total.add(o.agents[id], -1)
		o.total.add(a, 1)
		o.agents[id] = a
	}
}

// gone forgets an agent.
func (o *offered) gone(agent string) {
	o.total.add(o.agents[agent], -1)
	delete(o.agents, agent)
}

func (o *offered) clear() {
	clear(o.agents)
	o.total = amounts{}
}

func (o *offered) view() *tandemv1.Resources {
	t := o.total
	return &tandemv1.Resources{Cpus: t.cpus.Float(), Mem: t.mem.Float(), Disk: t.disk.Float(), Gpus: t.gpus.Float()}
}

func free(resources []mesos.Resource) amounts {
	var a amounts
	for i := range resources {
		r := &resources[i]
		n := resource.Thousandths(r.GetScalar().GetValue())
		switch r.Name {
		case "cpus":
			a.cpus += n
		case "mem":
			a.mem += n
		case "disk":
			a.disk += n
		case "gpus":
			a.gpus += n
		}
	}
	return a
}
