package cgroup

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SoftMemory says that the group's memory limit is one that the kernel
// reclaims and throttles for but never kills for; see [Container.SoftMemory].
func (g *Group) SoftMemory() bool { return g.options.SoftMemory }

// Overrun says whether a group holds more memory than its soft limit allows,
// of the kind that the kernel cannot take back. Page cache, which it can, counts
// for nothing, and neither does what has gone to swap. A group without a soft
// limit never overruns it.
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
	return held+slack >= limit && !maySwap(dir), nil
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
