package core

import (
	"math"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Limits is what a container may use: what its executor and live tasks asked
// for (request), and the bounds above that, where a task has them (limit).
type Limits struct {
	CPUs     float64 // requested CPUs
	MemMB    float64 // requested memory, in MB
	CPULimit Bound   // how much CPU time a second of wall time
	MemLimit Bound   // how much memory, in MB
}

// Bound is an optional bound; an infinite one is math.Inf(1).
type Bound struct {
	Set   bool
	Value float64
}

// demand is what an executor's live tasks ask for together.
type demand struct{ cpus, mem part }

// part is the demand for one resource. Whole numbers make it exact, whatever
// tasks come and go.
type part struct {
	requested amount
	// unbound is what those tasks request that have no bound of their own.
	unbound amount
	// bounded counts the tasks with a bound, infinite those among them whose
	// bound is; bound is the sum of the others'.
	bounded, infinite int
	bound             amount
}

func (d *demand) add(t *mesos.TaskInfo)    { d.count(t, 1) }
func (d *demand) remove(t *mesos.TaskInfo) { d.count(t, -1) }

func (d *demand) count(t *mesos.TaskInfo, sign int) {
	d.cpus.count(t, "cpus", sign)
	d.mem.count(t, "mem", sign)
}

func (p *part) count(t *mesos.TaskInfo, name string, sign int) {
	requested := scalarOf(t.Resources, name) * amount(sign)
	p.requested += requested
	limit, ok := t.Limits[name]
	switch {
	case !ok:
		p.unbound += requested
	case math.IsInf(limit.Value, 1):
		p.bounded += sign
		p.infinite += sign
	default:
		p.bounded += sign
		p.bound += thousandths(limit.Value) * amount(sign)
	}
}

// limits adds the executor's own resources. A CPU bound exists when a task has
// one; those without count with their request, but only where the agent
// enforces requests too (cfs): else one task's bound would throttle the tasks
// without, and there is none.
func (d *demand) limits(executor []mesos.Resource, cfs bool) Limits {
	cpus, mem := scalarOf(executor, "cpus"), scalarOf(executor, "mem")
	l := Limits{CPUs: (d.cpus.requested + cpus).value(), MemMB: (d.mem.requested + mem).value()}
	if cfs || d.cpus.unbound == 0 {
		l.CPULimit = d.cpus.total(cpus)
	}
	l.MemLimit = d.mem.total(mem)
	return l
}

func (p *part) total(executor amount) Bound {
	switch {
	case p.bounded == 0:
		return Bound{}
	case p.infinite > 0:
		return Bound{true, math.Inf(1)}
	default:
		return Bound{true, (p.bound + p.unbound + executor).value()}
	}
}

// LimitsOf are the limits of a container that has these resources, and these
// bounds above them, to itself.
func LimitsOf(resources []mesos.Resource, bounds map[string]mesos.Value_Scalar, cfs bool) Limits {
	var d demand
	d.add(&mesos.TaskInfo{Resources: resources, Limits: bounds})
	return d.limits(nil, cfs)
}

// amount is a scalar in thousandths, the precision that Mesos keeps.
type amount int64

func thousandths(v float64) amount { return amount(math.Round(v * 1000)) }

func (a amount) value() float64 { return float64(a) / 1000 }

func scalarOf(rs []mesos.Resource, name string) amount {
	var sum amount
	for i := range rs {
		if rs[i].Name == name && rs[i].Scalar != nil {
			sum += thousandths(rs[i].Scalar.Value)
		}
	}
	return sum
}
