package core_test

import (
	"maps"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// operatorsRole is what an operator has reserved parts of agents for, in worlds whose
// framework has a role below it.
const operatorsRole = "team"

// roleOf is the framework's role in the world of a seed.
func roleOf(seed uint64) string {
	if seed%5 == 1 {
		return operatorsRole + "/web"
	}
	return "prod"
}

// below reports whether the framework's role is below the operator's.
func (w *world) below() bool { return w.role != "prod" }

// agentResources are what an agent has, allocated to the framework's role.
func agentResources(w *world, cpus int) resource.Resources {
	all := plainResources(w, nil, float64(cpus), 8192, 20000, 31000, 31009)
	if w.below() {
		principal, role := "operator", operatorsRole
		all = plainResources(w, nil, float64(cpus)-4, 6144, 15000, 31000, 31004).Add(plainResources(w,
			[]mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role, Principal: &principal}},
			4, 2048, 5000, 31005, 31009))
	}
	return all.Add(otherDisks(w))
}

func plainResources(w *world, reserved []mesos.Resource_ReservationInfo, cpus, mem, disk float64, begin, end uint64) resource.Resources {
	rs := portRange(w.role, begin, end)
	for _, r := range []struct {
		name   string
		amount float64
	}{{"cpus", cpus}, {"mem", mem}, {"disk", disk}} {
		rs = append(rs, mesos.Resource{
			Name: r.name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: r.amount},
			AllocationInfo: &mesos.Resource_AllocationInfo{Role: &w.role},
		})
	}
	for i := range rs {
		rs[i].Reservations = reserved
	}
	all, err := resource.FromMesos(rs)
	if err != nil {
		w.fail("%v", err)
	}
	return all
}

// operators is what of resources an operator has reserved, by name, whatever was made
// of it since.
func operators(rs resource.Resources) map[string]float64 {
	amounts := map[string]float64{}
	for _, r := range rs.ToMesos() {
		if len(r.Reservations) > 0 && r.Reservations[0].GetRole() == operatorsRole {
			amounts[r.Name] += r.GetScalar().GetValue()
		}
	}
	return amounts
}

// operatorsAtRest: what an operator has reserved is as it was.
func (k *checks) operatorsAtRest() {
	for _, a := range k.s.w.agents {
		if has := operators(a.total); !maps.Equal(has, a.operators) {
			k.s.w.fail("of agent %s an operator had reserved %v, and now %v", a.id, a.operators, has)
		}
	}
}

// quotas sets now and then, in some worlds, how many processors the framework's role
// may have, and takes that back when all is calm.
func (w *world) quotas() {
	m := w.master
	m.quiet = false
	if !w.faults() {
		m.quota = nil
		return
	}
	w.after(w.upTo(4*time.Minute), w.quotas)
	if w.chance(0.4) {
		m.quota = nil
		w.note("the role has no quota")
		return
	}
	limit := resource.Whole(int64(w.random.IntN(24)))
	m.quota = &limit
	w.note("the role may have %s cpus", limit)
}

// withinQuota is what of an agent's free resources is offered: of those that are
// reserved for nobody no more than the quota leaves, from which what is offered
// counts, too (HierarchicalAllocatorProcess::__allocate in
// src/master/allocator/mesos/hierarchical.cpp).
func (m *simMaster) withinQuota(free resource.Resources) resource.Resources {
	if m.quota == nil {
		return free
	}
	left := *m.quota
	for _, a := range m.agents {
		if a.state != registered {
			continue
		}
		executors := map[string]bool{}
		for _, t := range a.tasks {
			if terminal(t.state) {
				continue
			}
			left -= plainCPUs(t.resources)
			if !executors[t.executor] {
				executors[t.executor] = true
				left -= plainCPUs(t.executorRes)
			}
		}
	}
	for _, o := range m.offers {
		left -= plainCPUs(o.resources)
	}
	beyond := plainCPUs(free) - max(0, left)
	if beyond <= 0 {
		return free
	}
	rest, err := free.Subtract(resource.New(beyond, 0, 0, 0).Allocate(m.w.role))
	if err != nil {
		m.w.fail("%v", err)
	}
	return rest
}

func plainCPUs(r resource.Resources) resource.Milli { return r.Unreserved().Scalar("cpus") }

// ours reports whether the last reservation is the framework's.
func (w *world) ours(r *mesos.Resource) bool {
	n := len(r.Reservations)
	return n > 0 && r.Reservations[n-1].GetRole() == w.role
}
