package container

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// Usage returns what the container uses, without the time. Without cgroups
// there are only the limits.
func (c *Container) Usage() (mesos.ResourceStatistics, error) {
	c.mu.Lock()
	limits, disks := c.limits, c.disks
	c.mu.Unlock()
	s := mesos.ResourceStatistics{CPUsSoftLimit: &limits.CPUs}
	if bound, ok := cpuBound(limits, c.runtime.options.CFS); ok {
		s.CPUsLimit = &bound
	}
	tellDisk(&s, disks)
	if c.group == nil {
		return s, nil
	}
	u, err := c.group.Usage()
	if err != nil {
		return s, fmt.Errorf("cannot tell a container's usage: %w", err)
	}
	if u.CPU != nil {
		s.CPUsUserTimeSecs = secondsOf(u.CPU.User)
		s.CPUsSystemTimeSecs = secondsOf(u.CPU.System)
		if s.CPUsLimit != nil {
			periods, throttled := uint32(u.CPU.Periods), uint32(u.CPU.ThrottledPeriods)
			s.CPUsNrPeriods, s.CPUsNrThrottled = &periods, &throttled
			s.CPUsThrottledTimeSecs = secondsOf(u.CPU.Throttled)
		}
	}
	if u.Memory != nil {
		c.memory(&s, u.Memory, limits)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pressure != nil {
		c.pressure.tell(&s)
	}
	return s, nil
}

func (c *Container) memory(s *mesos.ResourceStatistics, u *cgroup.MemoryUsage, limits core.Limits) {
	soft := uint64(max(limits.MemMB, minMemoryMB) * megabyte)
	// As a real agent, this tells what was asked for, not what the cgroup has,
	// whose limit does not fall.
	limit := soft
	if l := limits.MemLimit; l.Set && !math.IsInf(l.Value, 1) {
		limit = uint64(l.Value * megabyte)
	}
	s.MemTotalBytes, s.MemLimitBytes, s.MemSoftLimitBytes = &u.Current, &limit, &soft
	stat := readStat(memoryDir(c.group))
	set := func(to **uint64, keys ...string) {
		for _, k := range keys {
			if n, ok := stat[k]; ok {
				*to = &n
				return
			}
		}
	}
	// The first name is of v1, the second of v2.
	set(&s.MemAnonBytes, "total_rss", "anon")
	set(&s.MemRSSBytes, "total_rss", "anon")
	set(&s.MemFileBytes, "total_cache", "file")
	set(&s.MemCacheBytes, "total_cache", "file")
	set(&s.MemMappedFileBytes, "total_mapped_file", "file_mapped")
	set(&s.MemUnevictableBytes, "total_unevictable", "unevictable")
	set(&s.MemSwapBytes, "total_swap")
}

// KernelMemory tells how much memory the kernel itself uses for the container, in
// bytes, and how much of that for TCP; nil where it does not say, as on cgroup v2.
func (c *Container) KernelMemory() (all, tcp *uint64) {
	if c.group == nil || c.runtime.host.Version != cgroup.V1 || !c.group.Has("memory") {
		return nil, nil
	}
	read := func(file string) *uint64 {
		text, err := os.ReadFile(filepath.Join(memoryDir(c.group), file))
		if err != nil {
			return nil
		}
		n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return nil
		}
		return &n
	}
	return read("memory.kmem.usage_in_bytes"), read("memory.kmem.tcp.usage_in_bytes")
}

// readStat reads memory.stat; what cannot be read is not there.
func readStat(dir string) map[string]uint64 {
	data, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
	if err != nil {
		return nil
	}
	stat := map[string]uint64{}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 2 {
			if n, err := strconv.ParseUint(f[1], 10, 64); err == nil {
				stat[f[0]] = n
			}
		}
	}
	return stat
}

func secondsOf(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}
