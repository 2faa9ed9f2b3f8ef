package task

import (
	"fmt"
	"math"
	"strconv"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/confine"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

const mebibyte = 1 << 20

// quotaPeriod is the time in microseconds over which a limit of processors is
// measured: the kernel's own default.
const quotaPeriod = 100_000

// Limits is what a task's cgroup and its processes are held to.
type Limits struct {
	Resources *specs.LinuxResources
	Policy    cgroup.Policy
	Rlimits   []specs.POSIXRlimit
	// OOMScoreAdj is set for a task that may use more memory than was set
	// aside for it; nil leaves it at the default.
	OOMScoreAdj *int
	// Skipped names what the version of cgroups cannot enforce, when the
	// policy allows to go on without it.
	Skipped []string
}

// Kernel is what limits have to do with.
type Kernel struct {
	Version cgroup.Version
	// BoundsSwap says that it can hold a task to an amount of swap.
	BoundsSwap bool
	// Memory is the machine's, in bytes; 0 for unknown.
	Memory uint64
}

// LimitsOf reads a task's limits. For each it takes the first of: its
// settings' own limits, TaskInfo.limits, and, for memory only, its resources.
// A task without settings is also run where its limits cannot be enforced.
//
// Processors are shared in proportion to resources.cpus, 1024 shares for each,
// as Mesos does; they are capped only where a limit of them is given. Swap is none
// where nothing is said of it, as far as the kernel can tell: only an amount that
// was asked for falls under the policy.
func LimitsOf(kernel Kernel, task *mesos.TaskInfo, settings *tandemv1.TaskSettings) (Limits, error) {
	l := Limits{Resources: &specs.LinuxResources{}, Policy: cgroup.Prefer}
	if settings != nil && settings.GetLimits().GetPolicy() != tandemv1.LimitsPolicy_LIMITS_POLICY_PREFER {
		l.Policy = cgroup.Require
	}
	if oci := settings.GetOciResources(); len(oci) > 0 {
		if err := confine.Unmarshal(oci, l.Resources); err != nil {
			return l, fmt.Errorf("its linux.resources are not LinuxResources of the OCI runtime specification that Tandem knows: %w", err)
		}
	}
	asked := settings.GetLimits()
	l.cpu(task, asked)
	l.memory(kernel, task, asked)
	l.oomScore(kernel, task, asked)
	if asked.GetPids() > 0 {
		pids := asked.GetPids()
		l.Resources.Pids = &specs.LinuxPids{Limit: &pids}
	}
	if asked.GetNofile() > 0 {
		n := uint64(asked.GetNofile())
		l.Rlimits = append(l.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Soft: n, Hard: n})
	}
	l.io(kernel.Version, asked)
	return l, l.memHigh(kernel.Version, asked)
}

func (l *Limits) cpu(task *mesos.TaskInfo, asked *tandemv1.Limits) {
	cpu := l.Resources.CPU
	if cpu == nil {
		cpu = &specs.LinuxCPU{}
	}
	if cpus, ok := resource(task, "cpus"); ok && cpu.Shares == nil {
		shares := max(2, uint64(math.Round(1024*cpus))) // The kernel's minimum is 2.
		cpu.Shares = &shares
	}
	if cpus, ok := limit(task, "cpus", asked.GetCpus()); ok {
		// The kernel refuses a quota below a thousand microseconds.
		period, quota := uint64(quotaPeriod), max(1000, int64(math.Round(quotaPeriod*cpus)))
		cpu.Period, cpu.Quota = &period, &quota
	}
	if *cpu != (specs.LinuxCPU{}) {
		l.Resources.CPU = cpu
	}
}

func (l *Limits) memory(kernel Kernel, task *mesos.TaskInfo, asked *tandemv1.Limits) {
	mem, ok := limit(task, "mem", asked.GetMem())
	if _, said := task.Limits["mem"]; !ok && !said && asked.GetMem() == 0 {
		mem, ok = resource(task, "mem")
	}
	if !ok {
		return
	}
	memory := l.Resources.Memory
	if memory == nil {
		memory = &specs.LinuxMemory{}
	}
	bytes := int64(mem * mebibyte)
	memory.Limit = &bytes
	stated := asked != nil && asked.Swap != nil
	if !math.IsInf(asked.GetSwap(), 1) && (stated || kernel.BoundsSwap && memory.Swap == nil) {
		// OCI counts memory and swap together.
		both := bytes + int64(asked.GetSwap()*mebibyte)
		memory.Swap = &both
	}
	l.Resources.Memory = memory
}

// oomScore makes those the first to go when the machine runs out of memory that
// use more than was set aside for them. The formula is that of Mesos's memory
// isolator, which has it for its own executors only.
func (l *Limits) oomScore(kernel Kernel, task *mesos.TaskInfo, asked *tandemv1.Limits) {
	request, ok := resource(task, "mem")
	most := asked.GetMem()
	if most <= 0 {
		most = task.Limits["mem"].Value
	}
	if ok && most > request && kernel.Memory > 0 {
		score := max(0, 1000-int(1000*request*mebibyte/float64(kernel.Memory)))
		l.OOMScoreAdj = &score
	}
}

// io shares out block input and output. The scale is v2's, of which v1 has
// only the middle.
func (l *Limits) io(version cgroup.Version, asked *tandemv1.Limits) {
	weight := asked.GetIo().GetWeight()
	if weight == 0 {
		return
	}
	if version == cgroup.V1 {
		w := uint16(min(1000, max(10, weight)))
		if l.Resources.BlockIO == nil {
			l.Resources.BlockIO = &specs.LinuxBlockIO{}
		}
		l.Resources.BlockIO.Weight = &w
		return
	}
	l.unified("io.weight", strconv.FormatUint(uint64(weight), 10))
}

func (l *Limits) memHigh(version cgroup.Version, asked *tandemv1.Limits) error {
	high := asked.GetMemHigh()
	switch {
	case high <= 0 || math.IsInf(high, 1):
	case version != cgroup.V1:
		l.unified("memory.high", strconv.FormatInt(int64(high*mebibyte), 10))
	case l.Policy == cgroup.Require:
		return fmt.Errorf("its limit memHigh needs cgroup v2, and this agent has v1: leave it out, or set limits.policy to prefer")
	default:
		l.Skipped = append(l.Skipped, "memHigh: it needs cgroup v2")
	}
	return nil
}

func (l *Limits) unified(file, content string) {
	if l.Resources.Unified == nil {
		l.Resources.Unified = map[string]string{}
	}
	l.Resources.Unified[file] = content
}

// limit returns what a task's use of a resource is limited to; infinity is no
// limit.
func limit(task *mesos.TaskInfo, name string, asked float64) (float64, bool) {
	value := asked
	if value <= 0 {
		value = task.Limits[name].Value
	}
	return value, value > 0 && !math.IsInf(value, 1)
}

// resource sums a scalar resource over its reservations and roles.
func resource(task *mesos.TaskInfo, name string) (float64, bool) {
	var sum float64
	for _, r := range task.Resources {
		if r.Name == name && r.GetScalar() != nil {
			sum += r.Scalar.Value
		}
	}
	return sum, sum > 0
}
