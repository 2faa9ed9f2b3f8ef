package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// SoftMemory says that the group's memory limit is one that the kernel
// reclaims and throttles for but never kills for; see [Container.SoftMemory].
func (g *Group) SoftMemory() bool { return g.options.SoftMemory }

// thrashTime is how long a group is looked at before it is called thrashing.
const thrashTime = time.Second

// thrash is what [Group.Overrun] remembers of the major faults of a group.
type thrash struct {
	mu     sync.Mutex
	since  time.Time
	faults uint64
}

// Overrun says whether a group holds more memory than its soft limit allows,
// of the kind that the kernel cannot take back. Page cache, which it can, counts
// for nothing, and neither does what has gone to swap. A group without a soft
// limit never overruns it.
//
// A limit can be too small for a program's own code, too. Under a hard limit the
// kernel kills such a program in the end; under a soft one it takes the pages
// back, is asked for them again, and so on, for ever. So a group is overrunning as
// well when within a second it has read its whole limit from disk four times over
// to go on with its program, which only happens to limits of a few MiB.
func (g *Group) Overrun() (bool, error) {
	dir, ok := g.dir("memory")
	limit := uint64(g.soft.Load())
	if !ok || limit == 0 {
		return false, nil
	}
	stat, err := keyed(filepath.Join(dir, "memory.stat"))
	if err != nil {
		return false, fmt.Errorf("cannot read the memory of cgroup %s: %w", g.name, err)
	}
	var held uint64
	for _, kind := range []string{"anon", "shmem", "kernel_stack", "pagetables", "sec_pagetables", "percpu", "sock", "slab_unreclaimable"} {
		held += stat[kind]
	}
	// The kernel takes memory for the group in batches, of 64 pages for each
	// processor, so a full group can hold less than its limit.
	slack := min(limit/8, 64*uint64(os.Getpagesize()))
	if held+slack >= limit {
		return !maySwap(dir), nil
	}
	const times = 4
	return g.thrash.sees(time.Now(), stat["pgmajfault"], times*limit/uint64(os.Getpagesize())), nil
}

// sees takes a count of faults, and says whether there were so many in no more
// than [thrashTime].
func (t *thrash) sees(now time.Time, faults, many uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() || now.Sub(t.since) > thrashTime {
		t.since, t.faults = now, faults
		return false
	}
	return faults-t.faults >= many
}

// maySwap says whether the kernel can still take memory of the group's back by
// writing it to swap. It notifies of an overrun before it tries.
func maySwap(dir string) bool {
	var machine unix.Sysinfo_t
	if unix.Sysinfo(&machine) != nil || machine.Freeswap == 0 {
		return false
	}
	used, err := number(filepath.Join(dir, "memory.swap.current"))
	if err != nil {
		return false // it is not accounted for, and so not limited either
	}
	limit, err := number(filepath.Join(dir, "memory.swap.max"))
	return err == nil && used < limit
}
