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

// limitsOf adds up an executor and its live tasks. A CPU bound exists when a
// task has one; those without count with their request, but only where the
// agent enforces requests too (cfs): else one task's bound would throttle the
// tasks without, and there is none.
func limitsOf(executor []mesos.Resource, tasks []mesos.TaskInfo, cfs bool) Limits {
	var cpus, mem amount
	var cpuBound, memBound sumOfBounds
	var unboundCPUs, unboundMem amount
	count := func(request *amount, unbound *amount, bound *sumOfBounds, name string, t *mesos.TaskInfo) {
		r := scalarOf(t.Resources, name)
		*request += r
		if l, ok := t.Limits[name]; ok {
			bound.add(l.Value)
		} else {
			*unbound += r
		}
	}
	for i := range tasks {
		count(&cpus, &unboundCPUs, &cpuBound, "cpus", &tasks[i])
		count(&mem, &unboundMem, &memBound, "mem", &tasks[i])
	}
	ownCPUs, ownMem := scalarOf(executor, "cpus"), scalarOf(executor, "mem")
	limits := Limits{CPUs: (cpus + ownCPUs).value(), MemMB: (mem + ownMem).value()}
	if cpuBound.set && (cfs || unboundCPUs == 0) {
		cpuBound.add((ownCPUs + unboundCPUs).value())
		limits.CPULimit = Bound{true, cpuBound.value}
	}
	if memBound.set {
		memBound.add((ownMem + unboundMem).value())
		limits.MemLimit = Bound{true, memBound.value}
	}
	return limits
}

// amount is a scalar in thousandths, the precision that Mesos keeps.
type amount int64

func (a amount) value() float64 { return float64(a) / 1000 }

func scalarOf(rs []mesos.Resource, name string) amount {
	var sum amount
	for i := range rs {
		if rs[i].Name == name && rs[i].Scalar != nil {
			sum += amount(math.Round(rs[i].Scalar.Value * 1000))
		}
	}
	return sum
}

type sumOfBounds struct {
	set   bool
	value float64
}

func (s *sumOfBounds) add(v float64) {
	s.set = true
	s.value = math.Round((s.value+v)*1000) / 1000
}

// limits returns an executor's limits as its tasks are now.
func (c *Core) limits(e *executorState) Limits {
	tasks := e.queued.all()
	for _, t := range e.launched.all() {
		tasks = append(tasks, t.info)
	}
	return limitsOf(e.info.Resources, tasks, c.config.CFS)
}
