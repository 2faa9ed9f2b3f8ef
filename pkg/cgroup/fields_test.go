package cgroup_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// fields tells of each field of LinuxResources what becomes of it. What is
// empty for a version has a why.
var fields = map[string]struct{ limits, v1, v2, why string }{
	"memory.limit": {`{"memory":{"limit":4096}}`, "memory.limit_in_bytes = 4096", "memory.max = 4096", ""},
	"memory.reservation": {
		`{"memory":{"reservation":4096}}`, "memory.soft_limit_in_bytes = 4096", "memory.low = 4096", "",
	},
	"memory.swap": {
		`{"memory":{"limit":4096,"swap":8192}}`,
		"memory.limit_in_bytes = 4096\nmemory.memsw.limit_in_bytes = 8192", "memory.max = 4096\nmemory.swap.max = 4096", "",
	},
	"memory.kernel":     {`{"memory":{"kernel":4096}}`, "memory.kmem.limit_in_bytes = 4096", "unsupported memory.kernel", ""},
	"memory.kernelTCP":  {`{"memory":{"kernelTCP":4096}}`, "memory.kmem.tcp.limit_in_bytes = 4096", "unsupported memory.kernelTCP", ""},
	"memory.swappiness": {`{"memory":{"swappiness":7}}`, "memory.swappiness = 7", "unsupported memory.swappiness", ""},
	"memory.disableOOMKiller": {
		`{"memory":{"disableOOMKiller":true}}`, "memory.oom_control = 1", "unsupported memory.disableOOMKiller", "",
	},
	"memory.useHierarchy": {
		`{"memory":{"useHierarchy":true}}`, "memory.use_hierarchy = 1", "",
		"v2 is always so; false is refused there",
	},
	"memory.checkBeforeUpdate": {
		`{"memory":{"limit":4096,"checkBeforeUpdate":true}}`,
		"memory.limit_in_bytes = 4096", "memory.max = 4096, not below memory.current",
		"v1's kernel refuses by itself a limit below what is used",
	},
	"cpu.shares":          {`{"cpu":{"shares":2048}}`, "cpu.shares = 2048", "cpu.weight = 200", ""},
	"cpu.quota":           {`{"cpu":{"quota":5000}}`, "cpu.cfs_quota_us = 5000", "cpu.max = 5000 100000", ""},
	"cpu.burst":           {`{"cpu":{"burst":5000}}`, "cpu.cfs_burst_us = 5000", "cpu.max.burst = 5000", ""},
	"cpu.period":          {`{"cpu":{"period":5000}}`, "cpu.cfs_period_us = 5000", "cpu.max = max 5000 (optional)", ""},
	"cpu.realtimeRuntime": {`{"cpu":{"realtimeRuntime":5}}`, "cpu.rt_runtime_us = 5", "unsupported cpu.realtimeRuntime", ""},
	"cpu.realtimePeriod":  {`{"cpu":{"realtimePeriod":5}}`, "cpu.rt_period_us = 5", "unsupported cpu.realtimePeriod", ""},
	"cpu.cpus":            {`{"cpu":{"cpus":"0-1"}}`, "cpuset.cpus = 0-1", "cpuset.cpus = 0-1", ""},
	"cpu.mems":            {`{"cpu":{"mems":"0"}}`, "cpuset.mems = 0", "cpuset.mems = 0", ""},
	"cpu.idle":            {`{"cpu":{"idle":1}}`, "cpu.idle = 1", "cpu.idle = 1", ""},
	"pids.limit":          {`{"pids":{"limit":9}}`, "pids.max = 9", "pids.max = 9", ""},
	"blockIO.weight": {
		`{"blockIO":{"weight":500}}`, "blkio.bfq.weight = 500, else blkio.weight = 500",
		"io.bfq.weight = 500, else io.weight = default 4950", "",
	},
	"blockIO.leafWeight": {`{"blockIO":{"leafWeight":500}}`, "blkio.leaf_weight = 500", "unsupported blockIO.leafWeight", ""},
	"blockIO.weightDevice[].major": {
		`{"blockIO":{"weightDevice":[{"major":8,"weight":10}]}}`,
		"blkio.bfq.weight_device = 8:0 10, else blkio.weight_device = 8:0 10", "io.bfq.weight = 8:0 10, else io.weight = 8:0 1", "",
	},
	"blockIO.weightDevice[].minor": {
		`{"blockIO":{"weightDevice":[{"minor":8,"weight":10}]}}`,
		"blkio.bfq.weight_device = 0:8 10, else blkio.weight_device = 0:8 10", "io.bfq.weight = 0:8 10, else io.weight = 0:8 1", "",
	},
	"blockIO.weightDevice[].weight": {
		`{"blockIO":{"weightDevice":[{"weight":1000}]}}`,
		"blkio.bfq.weight_device = 0:0 1000, else blkio.weight_device = 0:0 1000", "io.bfq.weight = 0:0 1000, else io.weight = 0:0 10000", "",
	},
	"blockIO.weightDevice[].leafWeight": {
		`{"blockIO":{"weightDevice":[{"leafWeight":10}]}}`,
		"blkio.leaf_weight_device = 0:0 10", "unsupported blockIO.weightDevice.leafWeight", "",
	},
	"blockIO.throttleReadBpsDevice[].major":   throttled("ReadBps", "major", "8:0 0", "read_bps", "rbps"),
	"blockIO.throttleReadBpsDevice[].minor":   throttled("ReadBps", "minor", "0:8 0", "read_bps", "rbps"),
	"blockIO.throttleReadBpsDevice[].rate":    throttled("ReadBps", "rate", "0:0 8", "read_bps", "rbps"),
	"blockIO.throttleWriteBpsDevice[].major":  throttled("WriteBps", "major", "8:0 0", "write_bps", "wbps"),
	"blockIO.throttleWriteBpsDevice[].minor":  throttled("WriteBps", "minor", "0:8 0", "write_bps", "wbps"),
	"blockIO.throttleWriteBpsDevice[].rate":   throttled("WriteBps", "rate", "0:0 8", "write_bps", "wbps"),
	"blockIO.throttleReadIOPSDevice[].major":  throttled("ReadIOPS", "major", "8:0 0", "read_iops", "riops"),
	"blockIO.throttleReadIOPSDevice[].minor":  throttled("ReadIOPS", "minor", "0:8 0", "read_iops", "riops"),
	"blockIO.throttleReadIOPSDevice[].rate":   throttled("ReadIOPS", "rate", "0:0 8", "read_iops", "riops"),
	"blockIO.throttleWriteIOPSDevice[].major": throttled("WriteIOPS", "major", "8:0 0", "write_iops", "wiops"),
	"blockIO.throttleWriteIOPSDevice[].minor": throttled("WriteIOPS", "minor", "0:8 0", "write_iops", "wiops"),
	"blockIO.throttleWriteIOPSDevice[].rate":  throttled("WriteIOPS", "rate", "0:0 8", "write_iops", "wiops"),
	"hugepageLimits[].pageSize": {
		`{"hugepageLimits":[{"pageSize":"1GB"}]}`,
		"hugetlb.1GB.rsvd.limit_in_bytes = 0 (optional)\nhugetlb.1GB.limit_in_bytes = 0",
		"hugetlb.1GB.rsvd.max = 0 (optional)\nhugetlb.1GB.max = 0", "",
	},
	"hugepageLimits[].limit": {
		`{"hugepageLimits":[{"pageSize":"64KB","limit":65536}]}`,
		"hugetlb.64KB.rsvd.limit_in_bytes = 65536 (optional)\nhugetlb.64KB.limit_in_bytes = 65536",
		"hugetlb.64KB.rsvd.max = 65536 (optional)\nhugetlb.64KB.max = 65536", "",
	},
	"network.classID": {`{"network":{"classID":9}}`, "net_cls.classid = 9", "unsupported network.classID", ""},
	"network.priorities[].name": {
		`{"network":{"priorities":[{"name":"eth0"}]}}`, "net_prio.ifpriomap = eth0 0", "unsupported network.priorities", "",
	},
	"network.priorities[].priority": {
		`{"network":{"priorities":[{"name":"eth0","priority":3}]}}`, "net_prio.ifpriomap = eth0 3", "unsupported network.priorities", "",
	},
	"rdma{}.hcaHandles": {`{"rdma":{"mlx5_0":{"hcaHandles":3}}}`, "rdma.max = mlx5_0 hca_handle=3", "rdma.max = mlx5_0 hca_handle=3", ""},
	"rdma{}.hcaObjects": {`{"rdma":{"mlx5_0":{"hcaObjects":3}}}`, "rdma.max = mlx5_0 hca_object=3", "rdma.max = mlx5_0 hca_object=3", ""},
	"unified{}":         {`{"unified":{"memory.high":"1"}}`, "unsupported unified", "memory.high = 1", ""},
	// On v2 it is an eBPF program that the kernel asks about each device.
	"devices[].allow":  {`{"devices":[{"allow":true}]}`, "devices.allow = a", "devices.program = allow a *:* rwm", ""},
	"devices[].type":   {`{"devices":[{"type":"c"}]}`, "devices.allow = a\ndevices.deny = c *:* rwm", "devices.program = deny c *:* rwm", ""},
	"devices[].major":  {`{"devices":[{"type":"c","major":8}]}`, "devices.allow = a\ndevices.deny = c 8:* rwm", "devices.program = deny c 8:* rwm", ""},
	"devices[].minor":  {`{"devices":[{"type":"c","minor":8}]}`, "devices.allow = a\ndevices.deny = c *:8 rwm", "devices.program = deny c *:8 rwm", ""},
	"devices[].access": {`{"devices":[{"type":"c","access":"w"}]}`, "devices.allow = a\ndevices.deny = c *:* w", "devices.program = deny c *:* w", ""},
}

// throttled is about one field of one of the four alike lists of rates. Rate 0 is
// no limit.
func throttled(list, field, v1, file, key string) struct{ limits, v1, v2, why string } {
	device, rate, _ := strings.Cut(v1, " ")
	optional := ""
	if rate == "0" {
		rate, optional = "max", " (optional)"
	}
	return struct{ limits, v1, v2, why string }{
		limits: `{"blockIO":{"throttle` + list + `Device":[{"` + field + `":8}]}}`,
		v1:     "blkio.throttle." + file + "_device = " + v1 + optional,
		v2:     "io.max = " + device + " " + key + "=" + rate + optional,
	}
}

// A field that a newer runtime-spec adds fails here until it is decided what
// becomes of it.
func TestEveryFieldIsWrittenOrRefused(t *testing.T) {
	known := map[string]bool{}
	leaves(reflect.TypeFor[specs.LinuxResources](), "", func(field string) { known[field] = true })
	if diff := cmp.Diff(slices.Sorted(maps.Keys(known)), slices.Sorted(maps.Keys(fields))); diff != "" {
		t.Fatalf("the fields of LinuxResources, -there +in the table:\n%s", diff)
	}
	for name, f := range fields {
		t.Run(name, func(t *testing.T) {
			last := name[strings.LastIndexAny(name, ".[{")+1:]
			if last = strings.Trim(last, "]}"); !strings.Contains(f.limits, `"`+last+`":`) && last != "" {
				t.Errorf("the limits %s do not speak of %s", f.limits, last)
			}
			if f.why == "" && (f.v1 == "" || f.v2 == "") {
				t.Error("it is ignored on a version, and nothing says why")
			}
			if diff := cmp.Diff(f.v1, translated(t, cgroup.V1, f.limits, cgroup.ValueOptions{})); diff != "" {
				t.Errorf("v1: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(f.v2, translated(t, cgroup.V2, f.limits, cgroup.ValueOptions{})); diff != "" {
				t.Errorf("v2: -want +got:\n%s", diff)
			}
		})
	}
}

// leaves calls visit with the path of each value, by its JSON names.
func leaves(of reflect.Type, at string, visit func(field string)) {
	switch of.Kind() {
	case reflect.Pointer:
		leaves(of.Elem(), at, visit)
	case reflect.Slice:
		leaves(of.Elem(), at+"[]", visit)
	case reflect.Map:
		leaves(of.Elem(), at+"{}", visit)
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(of) {
			if f.Anonymous {
				continue // Its own fields are visible too.
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			leaves(f.Type, strings.TrimPrefix(at+"."+name, "."), visit)
		}
	default:
		visit(at)
	}
}
