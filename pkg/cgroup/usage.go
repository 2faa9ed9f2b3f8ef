package cgroup

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Unlimited is the limit of a group that has none.
const Unlimited = math.MaxUint64

// Usage is what a group, with all below it, has used so far. A part whose
// controller the group does not have is nil.
type Usage struct {
	CPU    *CPUUsage
	Memory *MemoryUsage
	Pids   *PidsUsage
}

// CPUUsage is processor time. User and System are the kernel's estimate of
// how Total divides.
type CPUUsage struct {
	Total, User, System time.Duration
	// Periods is how often a CPU quota was measured, ThrottledPeriods how
	// often it was used up, Throttled for how long that held threads back.
	Periods, ThrottledPeriods uint64
	Throttled                 time.Duration
}

// MemoryUsage counts bytes, page cache included.
type MemoryUsage struct {
	Current uint64
	// Peak is 0 where the kernel keeps none (v2 before 5.19).
	Peak uint64
	// Limit is [Unlimited] where there is none. A soft limit counts.
	Limit uint64
	// OOMKills is how many processes the kernel killed for want of memory,
	// whosever limit was hit.
	OOMKills uint64
}

// PidsUsage counts processes and threads.
type PidsUsage struct {
	Current uint64
	// Limit is [Unlimited] where there is none.
	Limit uint64
	// Refused is how often the kernel refused to start another one. It is counted
	// for a group with a limit only, whosever limit it was.
	Refused uint64
}

// Usage reads about ten small files. It must be called before the group is
// removed.
func (g *Group) Usage() (Usage, error) { return g.usage(true) }

// Totals is Usage for a group in which nobody is left: without Pids where these are not
// limited, without what is Current, and without how the time divides where that takes a file of its own.
func (g *Group) Totals() (Usage, error) { return g.usage(false) }

func (g *Group) usage(present bool) (Usage, error) {
	var (
		u   Usage
		err error
	)
	if g.version == V1 {
		u, err = g.usageV1(present)
	} else {
		u, err = g.usageV2(present)
	}
	if err != nil {
		return Usage{}, fmt.Errorf("cannot read the usage of cgroup %s: %w", g.name, err)
	}
	return u, nil
}

// OOMKills returns how many processes of the group and below the kernel has
// killed for want of memory since the group was made. It is 0 for a group
// without the memory controller.
//
// This counter is the truth about an out-of-memory kill; notifications can be
// lost, late, or meant for a relative. Only its being above 0 is exact: where the
// whole group is killed at once, the kernel may count the first process twice.
func (g *Group) OOMKills() (uint64, error) {
	dir, ok := g.dir("memory")
	if !ok {
		return 0, nil
	}
	file := "memory.events"
	if g.version == V1 {
		file = "memory.oom_control"
	}
	counts, err := keyed(filepath.Join(dir, file))
	if err != nil {
		return 0, fmt.Errorf("cannot read the out-of-memory kills of cgroup %s: %w", g.name, err)
	}
	return counts["oom_kill"], nil
}

func (g *Group) usageV1(present bool) (Usage, error) {
	var u Usage
	r := reader{}
	if dir, ok := g.dir("cpuacct"); ok {
		// cpuacct.stat would give user and system in hundredths of a second.
		u.CPU = &CPUUsage{Total: time.Duration(r.number(dir, "cpuacct.usage"))}
		if present {
			u.CPU.User = time.Duration(r.number(dir, "cpuacct.usage_user"))
			u.CPU.System = time.Duration(r.number(dir, "cpuacct.usage_sys"))
		}
	}
	if dir, ok := g.dir("cpu"); ok {
		if u.CPU == nil {
			u.CPU = &CPUUsage{}
		}
		stat := r.keyed(dir, "cpu.stat")
		u.CPU.Periods = stat["nr_periods"]
		u.CPU.ThrottledPeriods = stat["nr_throttled"]
		u.CPU.Throttled = time.Duration(stat["throttled_time"])
	}
	if dir, ok := g.dir("memory"); ok {
		u.Memory = &MemoryUsage{
			Peak:     r.number(dir, "memory.max_usage_in_bytes"),
			Limit:    r.number(dir, "memory.limit_in_bytes"),
			OOMKills: r.keyed(dir, "memory.oom_control")["oom_kill"],
		}
		if u.Memory.Limit >= math.MaxInt64&^0xffff {
			u.Memory.Limit = Unlimited // the largest multiple of any page size
		}
		if present {
			u.Memory.Current = r.number(dir, "memory.usage_in_bytes")
		}
	}
	if dir, ok := g.dir("pids"); ok {
		u.Pids = g.usagePids(&r, dir, present)
	}
	return u, r.err
}

func (g *Group) usagePids(r *reader, dir string, present bool) *PidsUsage {
	limit := g.pids.Load()
	if !present && limit == 0 {
		return nil
	}
	u := &PidsUsage{Limit: uint64(limit)}
	if present {
		u.Current, u.Limit = r.number(dir, "pids.current"), r.number(dir, "pids.max")
	}
	if limit > 0 {
		u.Refused = r.keyed(dir, "pids.events")["max"]
	}
	return u
}

func (g *Group) usageV2(present bool) (Usage, error) {
	var u Usage
	r := reader{}
	dir := g.dirs[0].Path
	// Every v2 cgroup has this file, and without the controller its first lines.
	stat := r.keyed(dir, "cpu.stat")
	u.CPU = &CPUUsage{
		Total:            time.Duration(stat["usage_usec"]) * time.Microsecond,
		User:             time.Duration(stat["user_usec"]) * time.Microsecond,
		System:           time.Duration(stat["system_usec"]) * time.Microsecond,
		Periods:          stat["nr_periods"],
		ThrottledPeriods: stat["nr_throttled"],
		Throttled:        time.Duration(stat["throttled_usec"]) * time.Microsecond,
	}
	if g.Has("memory") {
		u.Memory = &MemoryUsage{
			Limit:    r.number(dir, "memory.max"),
			OOMKills: r.keyed(dir, "memory.events")["oom_kill"],
		}
		if present {
			u.Memory.Current = r.number(dir, "memory.current")
		}
		if peak, err := number(filepath.Join(dir, "memory.peak")); err == nil {
			u.Memory.Peak = peak
		}
		if soft := uint64(g.soft.Load()); soft > 0 {
			u.Memory.Limit = min(u.Memory.Limit, soft)
		}
	}
	if g.Has("pids") {
		u.Pids = g.usagePids(&r, dir, present)
	}
	return u, r.err
}

// reader reads files and keeps the first error.
type reader struct{ err error }

func (r *reader) number(dir, file string) uint64 {
	n, err := number(filepath.Join(dir, file))
	r.err = errors.Join(r.err, err)
	return n
}

func (r *reader) keyed(dir, file string) map[string]uint64 {
	m, err := keyed(filepath.Join(dir, file))
	r.err = errors.Join(r.err, err)
	return m
}

// number reads a file with one number, or "max" for [Unlimited].
func number(file string) (uint64, error) {
	content, err := read(file)
	if err != nil {
		return 0, err
	}
	s := strings.TrimSpace(content)
	if s == "max" {
		return Unlimited, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", file, err)
	}
	return n, nil
}

// keyed reads a file of lines of a name and a number.
func keyed(file string) (map[string]uint64, error) {
	content, err := read(file)
	if err != nil {
		return nil, err
	}
	m := make(map[string]uint64)
	for line := range strings.Lines(content) {
		name, value, ok := strings.Cut(line, " ")
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64); err == nil {
			m[name] = n
		}
	}
	return m, nil
}
