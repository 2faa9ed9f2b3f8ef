package cgroup

import (
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// v2 lists the writes for cgroup v2.
func (t *translation) v2(r *specs.LinuxResources, options ValueOptions) {
	if c := r.CPU; c != nil {
		if c.Cpus != "" {
			t.add("cpuset", "cpuset.cpus", c.Cpus)
		}
		if c.Mems != "" {
			t.add("cpuset", "cpuset.mems", c.Mems)
		}
		if c.Shares != nil {
			t.add("cpu", "cpu.weight", strconv.FormatUint(Weight(*c.Shares), 10))
		}
		if c.Quota != nil || c.Period != nil {
			t.cpuMax(c.Quota, c.Period)
		}
		t.burst(c.Burst, "cpu.max.burst")
		t.idle(c.Idle)
		t.refuse(c.RealtimePeriod != nil, "cpu.realtimePeriod", "")
		t.refuse(c.RealtimeRuntime != nil, "cpu.realtimeRuntime", "")
	}
	t.memoryV2(r.Memory, options)
	if p := r.Pids; p != nil && p.Limit != nil {
		t.limit("pids", "pids.max", *p.Limit, "max")
	}
	t.blockIOv2(r.BlockIO)
	t.hugepages(r, "max")
	t.rdma(r)
	const program = "it takes an eBPF program, and none is loaded here"
	if n := r.Network; n != nil {
		t.refuse(n.ClassID != nil, "network.classID", program)
		t.refuse(len(n.Priorities) > 0, "network.priorities", program)
	}
	t.devicesV2(r.Devices)
	t.unified(r, options)
}

// devicesV2 holds the group to rules about devices, for which v2 has no file.
func (t *translation) devicesV2(rules []specs.LinuxDeviceCgroup) {
	switch {
	case len(rules) > mostDeviceRules:
		t.refuse(true, "devices", fmt.Sprintf("the kernel's programs have room for %d rules, and there are %d", mostDeviceRules, len(rules)))
	case len(rules) > 0:
		t.add("devices", DeviceProgram, deviceRules(rules))
		t.values[len(t.values)-1].Devices = rules
	}
}

// cpuMax writes both halves of a file that v1 has two for.
func (t *translation) cpuMax(quota *int64, period *uint64) {
	v := Value{Controller: "cpu", File: "cpu.max", Optional: true}
	most, over := "max", uint64(100_000) // the kernel's own
	if quota != nil && *quota >= 0 {
		most, v.Optional = strconv.FormatInt(*quota, 10), false
	}
	if period != nil {
		over = *period
	}
	v.Content = fmt.Sprintf("%s %d", most, over)
	t.values = append(t.values, v)
}

func (t *translation) memoryV2(m *specs.LinuxMemory, options ValueOptions) {
	if m == nil {
		return
	}
	// What is protected first, what is limited after.
	if m.Reservation != nil {
		t.limit("memory", "memory.low", *m.Reservation, "max")
		t.values[len(t.values)-1].Optional = false // it asks for all the protection there is
	}
	if m.Limit != nil {
		file := "memory.max"
		if options.SoftMemory {
			file = "memory.high"
		}
		if options.GroupOOM && *m.Limit >= 0 {
			t.values = append(t.values, Value{Controller: "memory", File: "memory.oom.group", Content: "1", Optional: true})
		}
		t.limit("memory", file, *m.Limit, "max")
		// v1's kernel refuses such a limit by itself; v2's would set it and kill.
		if m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate && *m.Limit >= 0 {
			t.values[len(t.values)-1].Used = "memory.current"
		}
	}
	// OCI counts memory and swap together, v2 counts swap alone.
	if m.Swap != nil {
		swap := *m.Swap
		if swap >= 0 {
			swap -= *m.Limit
		}
		t.limit("memory", "memory.swap.max", swap, "max")
		t.values[len(t.values)-1].Swap = true
	}
	t.refuse(kernelLimit(m) != nil, "memory.kernel", "")
	t.refuse(m.KernelTCP != nil, "memory.kernelTCP", "")
	t.refuse(m.Swappiness != nil, "memory.swappiness", "")
	t.refuse(m.DisableOOMKiller != nil && *m.DisableOOMKiller, "memory.disableOOMKiller", "")
	t.refuse(m.UseHierarchy != nil && !*m.UseHierarchy, "memory.useHierarchy", "what a group uses always counts for those above it")
}

func (t *translation) blockIOv2(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	if b.Weight != nil {
		// BFQ has its own file with v1's range; the kernel's io.weight runs
		// from 1 to 10000.
		t.values = append(t.values, Value{
			Controller: "io", File: "io.bfq.weight", Content: strconv.FormatUint(uint64(*b.Weight), 10),
			Else: &Value{Controller: "io", File: "io.weight", Content: "default " + strconv.FormatUint(ioWeight(*b.Weight), 10)},
		})
	}
	for _, d := range b.WeightDevice {
		if d.Weight != nil {
			t.values = append(t.values, Value{
				Controller: "io", File: "io.bfq.weight", Content: fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight),
				Else: &Value{Controller: "io", File: "io.weight", Content: fmt.Sprintf("%d:%d %d", d.Major, d.Minor, ioWeight(*d.Weight))},
			})
		}
		t.refuse(d.LeafWeight != nil, "blockIO.weightDevice.leafWeight", "")
	}
	t.refuse(b.LeafWeight != nil, "blockIO.leafWeight", "")
	for _, f := range throttles(b) {
		for _, d := range f.devices {
			rate := strconv.FormatUint(d.Rate, 10)
			if d.Rate == 0 { // v1's word for no limit, which v2 refuses
				rate = "max"
			}
			t.add("io", "io.max", fmt.Sprintf("%d:%d %s=%s", d.Major, d.Minor, f.v2, rate))
			t.inessential(d.Rate == 0)
		}
	}
}

// ioWeight maps 10..1000 linearly to 1..10000, as the OCI runtimes do.
func ioWeight(w uint16) uint64 { return 1 + (uint64(w)-10)*9999/990 }
