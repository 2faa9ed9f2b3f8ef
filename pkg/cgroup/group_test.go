package cgroup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

func TestLimitsReachTheKernel(t *testing.T) {
	g := newGroup(t, v1Host(t), "web")
	skipped, err := g.Limit(&specs.LinuxResources{
		CPU:    &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(50_000)), Period: ptr(uint64(100_000))},
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(64 << 20))},
		Pids:   &specs.LinuxPids{Limit: ptr(int64(20))},
	}, cgroup.Require)
	if err != nil || len(skipped) > 0 {
		t.Fatalf("Limit = %v, %v", skipped, err)
	}
	for _, f := range []struct{ controller, file, want string }{
		{"cpu", "cpu.shares", "512"},
		{"cpu", "cpu.cfs_quota_us", "50000"},
		{"memory", "memory.limit_in_bytes", "67108864"},
		{"pids", "pids.max", "20"},
	} {
		if got := read(t, g, f.controller, f.file); got != f.want {
			t.Errorf("%s = %s, want %s", f.file, got, f.want)
		}
	}
}

func TestLimitsCanBeChanged(t *testing.T) {
	g := newGroup(t, v1Host(t), "web")
	for _, mib := range []int64{64, 128, 32} {
		if _, err := g.Limit(memory(mib<<20), cgroup.Require); err != nil {
			t.Fatalf("%d MiB: %v", mib, err)
		}
	}
	if got := read(t, g, "memory", "memory.memsw.limit_in_bytes"); got != strconv.Itoa(32<<20) {
		t.Errorf("memory.memsw.limit_in_bytes = %s", got)
	}
	for _, c := range []specs.LinuxCPU{
		{Quota: ptr(int64(200_000)), Period: ptr(uint64(100_000))},
		{Quota: ptr(int64(10_000)), Period: ptr(uint64(20_000))},
		{Quota: ptr(int64(-1)), Period: ptr(uint64(100_000))},
	} {
		if _, err := g.Limit(&specs.LinuxResources{CPU: &c}, cgroup.Require); err != nil {
			t.Fatalf("quota %d of %d: %v", *c.Quota, *c.Period, err)
		}
	}
}

func TestMissingControllerIsTheCallersChoice(t *testing.T) {
	h := v1Host(t)
	g := newGroup(t, h, "web")
	limits := &specs.LinuxResources{
		BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(100))},
		CPU:     &specs.LinuxCPU{Shares: ptr(uint64(2048))},
		Unified: map[string]string{"memory.zswap.max": "0"},
	}
	if _, err := g.Limit(limits, cgroup.Require); err == nil {
		t.Error("a limit without its controller was accepted under require")
	}
	skipped, err := g.Limit(limits, cgroup.Prefer)
	if err != nil {
		t.Fatal(err)
	}
	var absent *cgroup.AbsentError
	var unsupported *cgroup.UnsupportedError
	if len(skipped) != 2 || !errors.As(skipped[0], &unsupported) || !errors.As(skipped[1], &absent) {
		t.Fatalf("skipped = %v", skipped)
	}
	if absent.Controller != "blkio" {
		t.Errorf("absent controller = %q, want blkio", absent.Controller)
	}
	if got := read(t, g, "cpu", "cpu.shares"); got != "2048" {
		t.Errorf("the limit that could be set was not: cpu.shares = %s", got)
	}
}

func TestProcessesAreFoundAndKilledBelow(t *testing.T) {
	h := v1Host(t)
	g := newGroup(t, h, "job")
	below := newGroup(t, h, "job/inner")
	a, b := start(t, "sleep", "1000"), start(t, "sleep", "1000")
	if err := errors.Join(g.Add(a.Process.Pid), below.Add(b.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	want := []int{a.Process.Pid, b.Process.Pid}
	slices.Sort(want)
	got, err := g.Processes()
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("Processes = %v, %v; want %v", got, err, want)
	}
	if err := g.Remove(shortly(t)); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("removing a group with processes = %v, want EBUSY", err)
	}
	if err := g.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if populated, err := g.Populated(); populated || err != nil {
		t.Errorf("Populated = %v, %v after Kill", populated, err)
	}
	if err := g.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range g.Dirs() {
		if _, err := os.Stat(d.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there", d.Path)
		}
	}
	if err := errors.Join(g.Kill(t.Context()), g.Remove(t.Context())); err != nil {
		t.Errorf("a removed group cannot be killed and removed again: %v", err)
	}
}

// shortly is a context that ends at once for what should fail anyway.
func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestForkBombIsKilled(t *testing.T) {
	h := v1Host(t)
	for _, without := range []string{"nothing", "pids", "pids and freezer"} {
		t.Run("without "+without, func(t *testing.T) {
			// The bomb is bounded by a parent in every case, for the machine's
			// sake.
			parent := newGroup(t, h, "bounded")
			if _, err := parent.Limit(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(60))}}, cgroup.Require); err != nil {
				t.Fatal(err)
			}
			g := newGroup(t, h, "bounded/bomb")
			cmd, release := parked(t, fmt.Sprintf("exec %q %s", os.Args[0], bombArg))
			if err := g.Add(cmd.Process.Pid); err != nil {
				t.Fatal(err)
			}
			release()
			until(t, "the explosion", func() bool {
				pids, err := g.Processes()
				return err == nil && len(pids) > 20
			})
			switch without {
			case "pids":
				g = cgroup.Without(g, "pids")
			case "pids and freezer":
				g = cgroup.Without(cgroup.Without(g, "pids"), "freezer")
			}
			if err := g.Kill(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFrozenProcessesDie(t *testing.T) {
	g := newGroup(t, v1Host(t), "frozen")
	cmd := start(t, "sleep", "1000")
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for _, d := range g.Dirs() {
		if slices.Contains(d.Controllers, "freezer") {
			if err := os.WriteFile(filepath.Join(d.Path, "freezer.state"), []byte("FROZEN"), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := g.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestUsageAndOutOfMemory(t *testing.T) {
	g := newGroup(t, v1Host(t), "hungry")
	if _, err := g.Limit(memory(16<<20), cgroup.Require); err != nil {
		t.Fatal(err)
	}
	cmd, release := parked(t, "exec tail /dev/zero")
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	release()
	_ = cmd.Wait()
	if s := cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGKILL {
		t.Fatalf("the process ended with %v, want a kill", cmd.ProcessState)
	}
	if n, err := g.OOMKills(); n != 1 || err != nil {
		t.Errorf("OOMKills = %d, %v; want 1", n, err)
	}
	u, err := g.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU.Total <= 0 {
		t.Errorf("CPU = %+v", *u.CPU)
	}
	if u.Memory.Limit != 16<<20 || u.Memory.Peak < 8<<20 || u.Memory.Peak > 16<<20 || u.Memory.OOMKills != 1 {
		t.Errorf("Memory = %+v", *u.Memory)
	}
	if u.Pids.Current != 0 || u.Pids.Limit != cgroup.Unlimited {
		t.Errorf("Pids = %+v", *u.Pids)
	}
}

// A quota that is left on a removed cgroup still counts against its parent
// for a while; an agent would destroy the container over it.
func TestQuotaDoesNotOutliveTheGroup(t *testing.T) {
	h := v1Host(t)
	parent := newGroup(t, h, "container")
	quota := func(us int64) *specs.LinuxResources {
		return &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &us, Period: ptr(uint64(100_000))}}
	}
	for range 20 {
		if _, err := parent.Limit(quota(250_000), cgroup.Require); err != nil {
			t.Fatal(err)
		}
		task := newGroup(t, h, "container/task")
		if _, err := task.Limit(quota(200_000), cgroup.Require); err != nil {
			t.Fatal(err)
		}
		if _, err := parent.Limit(quota(50_000), cgroup.Require); !errors.Is(err, syscall.EINVAL) {
			t.Fatalf("a parent's quota below its child's = %v, want EINVAL", err)
		}
		if err := task.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := parent.Limit(quota(50_000), cgroup.Require); err != nil {
			t.Fatalf("right after the child's removal: %v", err)
		}
	}
}
