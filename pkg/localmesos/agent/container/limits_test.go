package container

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// TestValues holds what a real agent writes for the same requests and limits.
func TestValues(t *testing.T) {
	plain := core.Limits{CPUs: 0.7, MemMB: 192}
	bound := core.Limits{CPUs: 0.6, MemMB: 160, CPULimit: core.Bound{Set: true, Value: 2.5}, MemLimit: core.Bound{Set: true, Value: 384}}
	boundless := core.Limits{CPUs: 0.6, MemMB: 160, CPULimit: core.Bound{Set: true, Value: math.Inf(1)}, MemLimit: core.Bound{Set: true, Value: math.Inf(1)}}
	for _, c := range []struct {
		name    string
		limits  core.Limits
		cfs     bool
		first   bool
		current float64
		v1, v2  []string
	}{
		{
			"new", plain, false, true, 0,
			[]string{"cpu.shares = 716", "memory.soft_limit_in_bytes = 201326592", "memory.limit_in_bytes = 201326592"},
			[]string{"cpu.weight = 70", "cpu.max = max 100000", "memory.low = 201326592", "memory.max = 201326592"},
		},
		{
			"new with cfs", plain, true, true, 0,
			[]string{"cpu.shares = 716", "cpu.cfs_period_us = 100000", "cpu.cfs_quota_us = 70000", "memory.soft_limit_in_bytes = 201326592", "memory.limit_in_bytes = 201326592"},
			[]string{"cpu.weight = 70", "cpu.max = 70000 100000", "memory.low = 201326592", "memory.max = 201326592"},
		},
		{
			"shrunk: the hard limit stays", plain, false, false, 480,
			[]string{"cpu.shares = 716", "memory.soft_limit_in_bytes = 201326592"},
			[]string{"cpu.weight = 70", "cpu.max = max 100000", "memory.low = 201326592"},
		},
		{
			"grown", plain, false, false, 128,
			[]string{"cpu.shares = 716", "memory.soft_limit_in_bytes = 201326592", "memory.limit_in_bytes = 201326592"},
			[]string{"cpu.weight = 70", "cpu.max = max 100000", "memory.low = 201326592", "memory.max = 201326592"},
		},
		{
			"with bounds", bound, false, true, 0,
			[]string{"cpu.shares = 614", "cpu.cfs_period_us = 100000", "cpu.cfs_quota_us = 250000", "memory.soft_limit_in_bytes = 167772160", "memory.limit_in_bytes = 402653184"},
			[]string{"cpu.weight = 60", "cpu.max = 250000 100000", "memory.low = 167772160", "memory.max = 402653184"},
		},
		{
			"with infinite bounds", boundless, true, true, 0,
			[]string{"cpu.shares = 614", "cpu.cfs_period_us = 100000", "cpu.cfs_quota_us = -1", "memory.soft_limit_in_bytes = 167772160", "memory.limit_in_bytes = -1"},
			[]string{"cpu.weight = 60", "cpu.max = max 100000", "memory.low = 167772160", "memory.max = max"},
		},
		{
			"almost nothing", core.Limits{CPUs: 0.001, MemMB: 1}, true, true, 0,
			[]string{"cpu.shares = 2", "cpu.cfs_period_us = 100000", "cpu.cfs_quota_us = 1000", "memory.soft_limit_in_bytes = 33554432", "memory.limit_in_bytes = 33554432"},
			[]string{"cpu.weight = 1", "cpu.max = 1000 100000", "memory.low = 33554432", "memory.max = 33554432"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.v1, text(valuesV1(c.limits, c.cfs, c.first, c.current))); diff != "" {
				t.Errorf("v1 (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.v2, text(valuesV2(c.limits, c.cfs, c.first, c.current))); diff != "" {
				t.Errorf("v2 (-want +got):\n%s", diff)
			}
		})
	}
}

func text(vs []cgroup.Value) []string {
	var lines []string
	for _, v := range vs {
		lines = append(lines, v.String())
	}
	return lines
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0B", 1: "1B", 1024: "1KB", 128 << 20: "128MB", 1 << 30: "1GB", 134221824: "131076KB", 1 << 52: "4096TB",
	} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	for line, want := range map[string][3]any{
		"12 (cat) S 1 12 12 0 -1":          {12, 12, "S"},
		"13 (a) b (c)) Z 1 12 7 0 -1":      {13, 7, "Z"},
		"nothing":                          {0, 0, ""},
		"14 (short) R":                     {0, 0, ""},
		"15 (with\nnewline) R 1 2 3 0 0 0": {15, 3, "R"},
	} {
		p, state := parseStat(line)
		pid, session := p.pid, p.session
		if got := [3]any{pid, session, state}; got != want {
			t.Errorf("%q is read as %v, want %v", line, got, want)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("12 (cat) S 1 12 12 0 -1")
	f.Fuzz(func(t *testing.T, line string) {
		if p, state := parseStat(line); state == "" && p != (process{}) {
			t.Errorf("%q is read as %v without a state", line, p)
		}
	})
}
