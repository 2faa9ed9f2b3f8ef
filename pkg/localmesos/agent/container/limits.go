package container

import (
	"math"
	"strconv"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// The constants of a real agent's isolators
// (src/slave/containerizer/mesos/isolators/cgroups{,2}/constants.hpp).
const (
	sharesPerCPU = 1024
	minShares    = 2
	weightPerCPU = 100
	minWeight    = 1
	periodUS     = 100_000
	minQuotaUS   = 1_000
	minMemoryMB  = 32
	megabyte     = 1 << 20
)

// hardMemory is the hard memory limit in MB: the bound if there is one, else
// the request.
func hardMemory(l core.Limits) float64 {
	if l.MemLimit.Set {
		return max(math.Trunc(l.MemLimit.Value), minMemoryMB)
	}
	return softMemory(l)
}

func softMemory(l core.Limits) float64 { return max(l.MemMB, minMemoryMB) }

// cpuBound is the bound on CPU time, if there is one.
func cpuBound(l core.Limits, cfs bool) (cpus float64, ok bool) {
	if l.CPULimit.Set {
		return l.CPULimit.Value, true
	}
	return l.CPUs, cfs
}

func quotaUS(cpus float64) string {
	return strconv.FormatInt(int64(max(cpus*periodUS, minQuotaUS)), 10)
}

func bytesOf(mb float64) string {
	return strconv.FormatInt(int64(mb*megabyte), 10)
}

// valuesV1 translates limits for cgroup v1, in the order of a real agent.
// first says that the container has no limits yet, current is its hard memory
// limit in MB: that is never lowered, for lowering it could kill.
func valuesV1(l core.Limits, cfs, first bool, current float64) []cgroup.Value {
	shares := max(uint64(sharesPerCPU*l.CPUs), minShares)
	vs := []cgroup.Value{{Controller: "cpu", File: "cpu.shares", Content: strconv.FormatUint(shares, 10)}}
	if bound, ok := cpuBound(l, cfs); ok {
		quota := "-1"
		if !math.IsInf(bound, 1) {
			quota = quotaUS(bound)
		}
		vs = append(vs,
			cgroup.Value{Controller: "cpu", File: "cpu.cfs_period_us", Content: strconv.Itoa(periodUS)},
			cgroup.Value{Controller: "cpu", File: "cpu.cfs_quota_us", Content: quota})
	}
	vs = append(vs, cgroup.Value{Controller: "memory", File: "memory.soft_limit_in_bytes", Content: bytesOf(softMemory(l))})
	if hard := hardMemory(l); first || hard > current {
		content := "-1"
		if !math.IsInf(hard, 1) {
			content = bytesOf(hard)
		}
		vs = append(vs, cgroup.Value{Controller: "memory", File: "memory.limit_in_bytes", Content: content})
	}
	return vs
}

// valuesV2 does the same for cgroup v2.
func valuesV2(l core.Limits, cfs, first bool, current float64) []cgroup.Value {
	weight := max(uint64(weightPerCPU*l.CPUs), minWeight)
	bound := "max"
	if cpus, ok := cpuBound(l, cfs); ok && !math.IsInf(cpus, 1) {
		bound = quotaUS(cpus)
	}
	vs := []cgroup.Value{
		{Controller: "cpu", File: "cpu.weight", Content: strconv.FormatUint(weight, 10)},
		{Controller: "cpu", File: "cpu.max", Content: bound + " " + strconv.Itoa(periodUS)},
		{Controller: "memory", File: "memory.low", Content: bytesOf(softMemory(l))},
	}
	if hard := hardMemory(l); first || hard > current {
		content := "max"
		if !math.IsInf(hard, 1) {
			content = bytesOf(hard)
		}
		vs = append(vs, cgroup.Value{Controller: "memory", File: "memory.max", Content: content})
	}
	return vs
}
