package cgroup_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// translated writes the values one a line, and what is not supported.
func translated(t *testing.T, version cgroup.Version, limits string, options cgroup.ValueOptions) string {
	t.Helper()
	var r specs.LinuxResources
	if err := json.Unmarshal([]byte(limits), &r); err != nil {
		t.Fatal(err)
	}
	values, unsupported, err := cgroup.Values(version, &r, options)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, v := range values {
		line := v.String()
		if v.Optional {
			line += " (optional)"
		}
		if v.Used != "" {
			line += ", not below " + v.Used
		}
		if v.Else != nil {
			line += ", else " + v.Else.String()
		}
		if got, _, _ := strings.Cut(v.File, "."); got != v.Controller {
			t.Errorf("%s is of the %s controller", v.File, v.Controller)
		}
		lines = append(lines, line)
	}
	for _, u := range unsupported {
		var e *cgroup.UnsupportedError
		if !errors.As(u, &e) {
			t.Fatalf("unsupported holds %v", u)
		}
		lines = append(lines, "unsupported "+e.Field)
	}
	return strings.Join(lines, "\n")
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		name, limits, v1, v2 string
	}{
		{"nothing", `{}`, ``, ``},
		{"shares", `{"cpu":{"shares":512}}`, "cpu.shares = 512", "cpu.weight = 50"},
		{
			"quota and period", `{"cpu":{"quota":150000,"period":50000}}`,
			"cpu.cfs_period_us = 50000\ncpu.cfs_quota_us = 150000",
			"cpu.max = 150000 50000",
		},
		{
			"quota without period", `{"cpu":{"quota":150000}}`,
			"cpu.cfs_quota_us = 150000",
			"cpu.max = 150000 100000",
		},
		{
			"period without quota", `{"cpu":{"period":50000}}`,
			"cpu.cfs_period_us = 50000",
			"cpu.max = max 50000 (optional)",
		},
		{
			"no quota", `{"cpu":{"quota":-1}}`,
			"cpu.cfs_quota_us = -1 (optional)",
			"cpu.max = max 100000 (optional)",
		},
		{
			"burst after the quota", `{"cpu":{"quota":50000,"burst":20000}}`,
			"cpu.cfs_quota_us = 50000\ncpu.cfs_burst_us = 20000",
			"cpu.max = 50000 100000\ncpu.max.burst = 20000",
		},
		{
			"idle and a cpuset", `{"cpu":{"idle":1,"cpus":"0-1","mems":"0"}}`,
			"cpuset.cpus = 0-1\ncpuset.mems = 0\ncpu.idle = 1",
			"cpuset.cpus = 0-1\ncpuset.mems = 0\ncpu.idle = 1",
		},
		{
			"real time", `{"cpu":{"realtimeRuntime":10,"realtimePeriod":100}}`,
			"cpu.rt_period_us = 100\ncpu.rt_runtime_us = 10",
			"unsupported cpu.realtimePeriod\nunsupported cpu.realtimeRuntime",
		},
		{
			"memory", `{"memory":{"limit":67108864,"reservation":33554432}}`,
			"memory.limit_in_bytes = 67108864\nmemory.soft_limit_in_bytes = 33554432",
			"memory.low = 33554432\nmemory.max = 67108864",
		},
		{
			"memory without swap", `{"memory":{"limit":67108864,"swap":67108864}}`,
			"memory.limit_in_bytes = 67108864\nmemory.memsw.limit_in_bytes = 67108864",
			"memory.max = 67108864\nmemory.swap.max = 0",
		},
		{
			"memory and some swap", `{"memory":{"limit":67108864,"swap":100663296}}`,
			"memory.limit_in_bytes = 67108864\nmemory.memsw.limit_in_bytes = 100663296",
			"memory.max = 67108864\nmemory.swap.max = 33554432",
		},
		{
			"all the swap there is", `{"memory":{"limit":67108864,"swap":-1}}`,
			"memory.limit_in_bytes = 67108864\nmemory.memsw.limit_in_bytes = -1 (optional)",
			"memory.max = 67108864\nmemory.swap.max = max (optional)",
		},
		{
			"no memory limit", `{"memory":{"limit":-1,"swap":-1,"reservation":-1}}`,
			"memory.limit_in_bytes = -1 (optional)\nmemory.memsw.limit_in_bytes = -1 (optional)\nmemory.soft_limit_in_bytes = -1 (optional)",
			"memory.low = max\nmemory.max = max (optional)\nmemory.swap.max = max (optional)",
		},
		{
			"old memory knobs", `{"memory":{"kernel":1,"kernelTCP":2,"swappiness":0,"disableOOMKiller":true,"useHierarchy":true}}`,
			"memory.use_hierarchy = 1\nmemory.kmem.limit_in_bytes = 1\nmemory.kmem.tcp.limit_in_bytes = 2\nmemory.swappiness = 0\nmemory.oom_control = 1",
			"unsupported memory.kernel\nunsupported memory.kernelTCP\nunsupported memory.swappiness\nunsupported memory.disableOOMKiller",
		},
		{"pids", `{"pids":{"limit":50}}`, "pids.max = 50", "pids.max = 50"},
		{"no pids limit", `{"pids":{"limit":-1}}`, "pids.max = max (optional)", "pids.max = max (optional)"},
		{
			"io weight", `{"blockIO":{"weight":10,"weightDevice":[{"major":8,"minor":0,"weight":1000}]}}`,
			"blkio.bfq.weight = 10, else blkio.weight = 10\nblkio.bfq.weight_device = 8:0 1000, else blkio.weight_device = 8:0 1000",
			"io.bfq.weight = 10, else io.weight = default 1\nio.bfq.weight = 8:0 1000, else io.weight = 8:0 10000",
		},
		{
			"io throttle", `{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1048576}],"throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":9}]}}`,
			"blkio.throttle.read_bps_device = 8:0 1048576\nblkio.throttle.write_iops_device = 8:16 9",
			"io.max = 8:0 rbps=1048576\nio.max = 8:16 wiops=9",
		},
		{
			"huge pages", `{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`,
			"hugetlb.2MB.rsvd.limit_in_bytes = 4194304 (optional)\nhugetlb.2MB.limit_in_bytes = 4194304",
			"hugetlb.2MB.rsvd.max = 4194304 (optional)\nhugetlb.2MB.max = 4194304",
		},
		{
			"rdma", `{"rdma":{"mlx5_1":{"hcaHandles":3},"mlx5_0":{"hcaHandles":1,"hcaObjects":2}}}`,
			"rdma.max = mlx5_0 hca_handle=1 hca_object=2\nrdma.max = mlx5_1 hca_handle=3",
			"rdma.max = mlx5_0 hca_handle=1 hca_object=2\nrdma.max = mlx5_1 hca_handle=3",
		},
		{
			"network", `{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":5}]}}`,
			"net_cls.classid = 1048577\nnet_prio.ifpriomap = eth0 5", "unsupported network.classID\nunsupported network.priorities",
		},
		{"a device without limits", `{"rdma":{"mlx5_0":{}}}`, "", ""},
		{
			"what is so without a file", `{"cpu":{"burst":0,"idle":0},"memory":{"disableOOMKiller":false}}`,
			"cpu.cfs_burst_us = 0 (optional)\ncpu.idle = 0 (optional)\nmemory.oom_control = 0 (optional)",
			"cpu.max.burst = 0 (optional)\ncpu.idle = 0 (optional)",
		},
		{
			"a rate that is no limit", `{"blockIO":{"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":0}]}}`,
			"blkio.throttle.read_iops_device = 8:0 0 (optional)", "io.max = 8:0 riops=max (optional)",
		},
		{
			"a look before a limit that is none", `{"memory":{"limit":-1,"checkBeforeUpdate":true}}`,
			"memory.limit_in_bytes = -1 (optional)", "memory.max = max (optional)",
		},
		{
			"unified, a key at a time", `{"unified":{"io.max":"8:0 rbps=1\n\n8:16 wbps=2\n","cpuset.cpus":""}}`,
			"unsupported unified", "cpuset.cpus = \nio.max = 8:0 rbps=1\nio.max = 8:16 wbps=2",
		},
		{
			"devices", `{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"},{"allow":true,"type":"b","major":8}]}`,
			"devices.deny = a\ndevices.allow = c 1:3 rw\ndevices.allow = b 8:* rwm",
			"devices.program = deny a *:* rwm\nallow c 1:3 rw\nallow b 8:* rwm",
		},
		{
			"devices of both kinds", `{"devices":[{"allow":false,"type":"a","major":10,"access":"w"},{"allow":false,"major":-1,"access":"m"}]}`,
			"devices.allow = a\ndevices.deny = b 10:* w\ndevices.deny = c 10:* w\ndevices.deny = b *:* m\ndevices.deny = c *:* m",
			"devices.program = deny a 10:* w\ndeny a *:* m",
		},
		{
			"devices that are taken back", `{"devices":[{"allow":true},{"allow":false},{"allow":true,"type":"c","major":1},{"allow":true,"type":"c","major":5},{"allow":false,"type":"c","access":"m"},{"allow":false,"major":5},{"allow":false,"type":"b"}]}`,
			"devices.deny = a\ndevices.allow = c 1:* rw",
			"devices.program = allow a *:* rwm\ndeny a *:* rwm\nallow c 1:* rwm\nallow c 5:* rwm\ndeny c *:* m\ndeny a 5:* rwm\ndeny b *:* rwm",
		},
		{
			"devices of which some are taken back", `{"devices":[{"allow":false},{"allow":true,"type":"c","major":1},{"allow":false,"type":"c","major":1,"minor":5}]}`,
			"unsupported devices", "devices.program = deny a *:* rwm\nallow c 1:* rwm\ndeny c 1:5 rwm",
		},
		{
			"unified comes last and sorted", `{"pids":{"limit":5},"unified":{"pids.max":"7","memory.high":"1048576"}}`,
			"pids.max = 5\nunsupported unified", "pids.max = 5\nmemory.high = 1048576\npids.max = 7",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.v1, translated(t, cgroup.V1, c.limits, cgroup.ValueOptions{})); diff != "" {
				t.Errorf("v1: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(c.v2, translated(t, cgroup.V2, c.limits, cgroup.ValueOptions{})); diff != "" {
				t.Errorf("v2: -want +got:\n%s", diff)
			}
		})
	}
}

func TestValueOptions(t *testing.T) {
	const limits = `{"memory":{"limit":67108864,"swap":67108864}}`
	for _, c := range []struct {
		name    string
		options cgroup.ValueOptions
		want    string
	}{
		{"soft", cgroup.ValueOptions{SoftMemory: true}, "memory.high = 67108864\nmemory.swap.max = 0"},
		{"whole group", cgroup.ValueOptions{GroupOOM: true}, "memory.oom.group = 1 (optional)\nmemory.max = 67108864\nmemory.swap.max = 0"},
	} {
		if diff := cmp.Diff(c.want, translated(t, cgroup.V2, limits, c.options)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
	got := translated(t, cgroup.V2, `{"unified":{"memory.high":"5","memory.max":"6"}}`, cgroup.ValueOptions{SoftMemory: true})
	if want := "memory.high = 5\nunsupported unified memory.max"; got != want {
		t.Errorf("a limit to kill for beside a soft one: %s\nwant %s", got, want)
	}
}

func TestLimitsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, c := range []struct{ limits, field string }{
		{`{"cpu":{"quota":0}}`, "cpu.quota"},
		{`{"cpu":{"quota":-2}}`, "cpu.quota"},
		{`{"cpu":{"quota":1000,"period":0}}`, "cpu.period"},
		{`{"cpu":{"idle":2}}`, "cpu.idle"},
		{`{"cpu":{"cpus":"0\n1"}}`, "cpu.cpus"},
		{`{"memory":{"limit":-2}}`, "memory.limit"},
		{`{"memory":{"swap":1048576}}`, "memory.swap"},
		{`{"memory":{"limit":-1,"swap":1048576}}`, "memory.swap"},
		{`{"memory":{"limit":1048577,"swap":1048576}}`, "memory.swap"},
		{`{"memory":{"swappiness":201}}`, "memory.swappiness"},
		{`{"pids":{"limit":0}}`, "pids.limit"},
		{`{"blockIO":{"weight":5}}`, "blockIO.weight"},
		{`{"hugepageLimits":[{"pageSize":"../x","limit":1}]}`, "hugepageLimits"},
		{`{"hugepageLimits":[{"pageSize":"2M","limit":1}]}`, "hugepageLimits"},
		{`{"hugepageLimits":[{"pageSize":"02MB","limit":1}]}`, "hugepageLimits"},
		{`{"hugepageLimits":[{"pageSize":"MB","limit":1}]}`, "hugepageLimits"},
		{`{"hugepageLimits":[{"limit":1}]}`, "hugepageLimits"},
		{`{"devices":[{"type":"p"}]}`, "devices.type"},
		{`{"devices":[{"access":"rr"}]}`, "devices.access"},
		{`{"network":{"priorities":[{"name":"a b"}]}}`, "network.priorities"},
		{`{"rdma":{"a b":{}}}`, "rdma"},
		{`{"unified":{"cgroup.procs":"1"}}`, "unified"},
		{`{"unified":{"cgroup.subtree_control":"+cpu"}}`, "unified"},
		{`{"unified":{"../memory.max":"1"}}`, "unified"},
		{`{"unified":{"memory":"1"}}`, "unified"},
	} {
		var r specs.LinuxResources
		if err := json.Unmarshal([]byte(c.limits), &r); err != nil {
			t.Fatal(err)
		}
		for _, version := range []cgroup.Version{cgroup.V1, cgroup.V2} {
			_, _, err := cgroup.Values(version, &r, cgroup.ValueOptions{})
			var invalid *cgroup.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != c.field {
				t.Errorf("%s on %s: %v, want an InvalidError for %s", c.limits, version, err, c.field)
			}
		}
	}
}

func TestWeightKeepsProportions(t *testing.T) {
	for shares, want := range map[uint64]uint64{
		0: 1, 2: 1, 10: 1, 102: 10, 1024: 100, 2048: 200, 102_400: 10_000, 262_144: 10_000, math.MaxUint64: 10_000,
	} {
		if got := cgroup.Weight(shares); got != want {
			t.Errorf("Weight(%d) = %d, want %d", shares, got, want)
		}
	}
}

// Whatever the limits, the writes stay inside of one directory and on one
// line, and name no file that moves processes.
func FuzzValues(f *testing.F) {
	f.Add([]byte(`{"cpu":{"shares":1,"quota":-1},"memory":{"limit":1,"swap":1},"unified":{"a.b":"c"}}`))
	f.Add([]byte(`{"hugepageLimits":[{"pageSize":"1GB"}],"rdma":{"x":{}},"blockIO":{"weight":10}}`))
	f.Fuzz(func(t *testing.T, limits []byte) {
		var r specs.LinuxResources
		if json.Unmarshal(limits, &r) != nil {
			return
		}
		for _, version := range []cgroup.Version{cgroup.V1, cgroup.V2} {
			values, _, err := cgroup.Values(version, &r, cgroup.ValueOptions{})
			if err != nil {
				continue
			}
			for _, v := range values {
				for ; v.File != ""; v = next(v) {
					if strings.ContainsAny(v.File, "/\n\x00") || strings.HasPrefix(v.File, "cgroup.procs") || v.Controller == "" || strings.Contains(v.Content, "\n") {
						t.Errorf("%s: %+v", version, v)
					}
				}
			}
		}
	})
}

func next(v cgroup.Value) cgroup.Value {
	if v.Else == nil {
		return cgroup.Value{}
	}
	return *v.Else
}
