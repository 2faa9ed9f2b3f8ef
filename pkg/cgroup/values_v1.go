package cgroup

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// v1 lists the writes for cgroup v1. The order within a controller matters:
// a period before the quota that is measured in it, a quota before the burst
// that it bounds, a memory limit before the limit of memory and swap together,
// which may not be lower.
func (t *translation) v1(r *specs.LinuxResources) {
	if c := r.CPU; c != nil {
		if c.Cpus != "" {
			t.add("cpuset", "cpuset.cpus", c.Cpus)
		}
		if c.Mems != "" {
			t.add("cpuset", "cpuset.mems", c.Mems)
		}
		t.count(c.Shares, "cpu", "cpu.shares")
		t.count(c.Period, "cpu", "cpu.cfs_period_us")
		if c.Quota != nil {
			t.limit("cpu", "cpu.cfs_quota_us", *c.Quota, "-1")
		}
		t.burst(c.Burst, "cpu.cfs_burst_us")
		t.count(c.RealtimePeriod, "cpu", "cpu.rt_period_us")
		if c.RealtimeRuntime != nil {
			t.add("cpu", "cpu.rt_runtime_us", strconv.FormatInt(*c.RealtimeRuntime, 10))
		}
		t.idle(c.Idle)
	}
	if m := r.Memory; m != nil {
		// CheckBeforeUpdate needs nothing: the kernel lets no limit below what is
		// used, if it cannot take enough of that back.
		if m.UseHierarchy != nil {
			t.add("memory", "memory.use_hierarchy", flag(*m.UseHierarchy))
		}
		for _, f := range []struct {
			file string
			n    *int64
			swap bool
		}{
			{"memory.limit_in_bytes", m.Limit, false},
			{"memory.memsw.limit_in_bytes", m.Swap, true},
			{"memory.soft_limit_in_bytes", m.Reservation, false},
			{"memory.kmem.limit_in_bytes", kernelLimit(m), false},
			{"memory.kmem.tcp.limit_in_bytes", m.KernelTCP, false},
		} {
			if f.n != nil {
				t.limit("memory", f.file, *f.n, "-1")
				t.values[len(t.values)-1].Swap = f.swap
			}
		}
		t.count(m.Swappiness, "memory", "memory.swappiness")
		if m.DisableOOMKiller != nil {
			t.add("memory", "memory.oom_control", flag(*m.DisableOOMKiller))
			t.inessential(!*m.DisableOOMKiller)
		}
	}
	if p := r.Pids; p != nil && p.Limit != nil {
		t.limit("pids", "pids.max", *p.Limit, "max")
	}
	t.blockIOv1(r.BlockIO)
	t.hugepages(r, "limit_in_bytes")
	t.rdma(r)
	if n := r.Network; n != nil {
		if n.ClassID != nil {
			t.add("net_cls", "net_cls.classid", strconv.FormatUint(uint64(*n.ClassID), 10))
		}
		for _, p := range n.Priorities {
			t.add("net_prio", "net_prio.ifpriomap", fmt.Sprintf("%s %d", p.Name, p.Priority))
		}
	}
	t.devicesV1(r.Devices)
	t.refuse(len(r.Unified) > 0, "unified", "it names files of cgroup v2")
}

// devicesV1 writes rules about devices so that the last that speaks of an access
// decides. The kernel knows one verdict for all devices and exceptions from it, of
// which one is taken back only by the very same numbers; it lets no cgroup have a
// device that the one above has not.
func (t *translation) devicesV1(rules []specs.LinuxDeviceCgroup) {
	allowed, exceptions, ok := deviceExceptions(rules)
	switch {
	case !ok:
		t.refuse(true, "devices", "a rule takes back a part of what an earlier one says, and the kernel only takes back all of it")
		return
	case len(rules) == 0:
		return
	}
	verdict, other := "devices.deny", "devices.allow"
	if allowed {
		verdict, other = other, verdict
	}
	// What the cgroup above has is inherited, and may be the other verdict.
	t.add("devices", verdict, "a")
	for _, e := range exceptions {
		t.add("devices", other, e.String())
	}
}

func (t *translation) blockIOv1(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	// The weight belongs to the scheduler: blkio.weight came with CFQ, which
	// kernel 5.0 removed, blkio.bfq.weight with BFQ.
	if b.Weight != nil {
		weight := strconv.FormatUint(uint64(*b.Weight), 10)
		t.values = append(t.values, Value{
			Controller: "blkio", File: "blkio.bfq.weight", Content: weight,
			Else: &Value{Controller: "blkio", File: "blkio.weight", Content: weight},
		})
	}
	if b.LeafWeight != nil {
		t.add("blkio", "blkio.leaf_weight", strconv.FormatUint(uint64(*b.LeafWeight), 10))
	}
	for _, d := range b.WeightDevice {
		if d.Weight != nil {
			content := fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight)
			t.values = append(t.values, Value{
				Controller: "blkio", File: "blkio.bfq.weight_device", Content: content,
				Else: &Value{Controller: "blkio", File: "blkio.weight_device", Content: content},
			})
		}
		if d.LeafWeight != nil {
			t.add("blkio", "blkio.leaf_weight_device", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.LeafWeight))
		}
	}
	for _, f := range throttles(b) {
		for _, d := range f.devices {
			t.add("blkio", f.v1, fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate))
			t.inessential(d.Rate == 0)
		}
	}
}

type throttle struct {
	v1, v2  string // the v1 file; the key in v2's io.max
	devices []specs.LinuxThrottleDevice
}

func throttles(b *specs.LinuxBlockIO) []throttle {
	return []throttle{
		{"blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	}
}

// hugepages limits the pages that are in use and, before them, those that are
// reserved: a program that maps more than it may have is then told so by mmap, and
// not by SIGBUS when it touches them. Kernels before 5.7 know nothing of
// reservations, which the format allows for.
func (t *translation) hugepages(r *specs.LinuxResources, suffix string) {
	for _, h := range r.HugepageLimits {
		limit := strconv.FormatUint(h.Limit, 10)
		t.add("hugetlb", "hugetlb."+h.Pagesize+".rsvd."+suffix, limit)
		t.inessential(true)
		t.add("hugetlb", "hugetlb."+h.Pagesize+"."+suffix, limit)
	}
}

func (t *translation) burst(n *uint64, file string) {
	if n != nil {
		t.count(n, "cpu", file)
		t.inessential(*n == 0)
	}
}

// idle is the same on both versions.
func (t *translation) idle(n *int64) {
	if n != nil {
		t.add("cpu", "cpu.idle", strconv.FormatInt(*n, 10))
		t.inessential(*n == 0)
	}
}

// rdma is the same on both versions. What is not said is not limited, and the
// kernel refuses a line that says nothing.
func (t *translation) rdma(r *specs.LinuxResources) {
	for _, name := range slices.Sorted(maps.Keys(r.Rdma)) {
		if r.Rdma[name] == (specs.LinuxRdma{}) {
			continue
		}
		content := name
		if n := r.Rdma[name].HcaHandles; n != nil {
			content += fmt.Sprintf(" hca_handle=%d", *n)
		}
		if n := r.Rdma[name].HcaObjects; n != nil {
			content += fmt.Sprintf(" hca_object=%d", *n)
		}
		t.add("rdma", "rdma.max", content)
	}
}

func (t *translation) count(n *uint64, controller, file string) {
	if n != nil {
		t.add(controller, file, strconv.FormatUint(*n, 10))
	}
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
