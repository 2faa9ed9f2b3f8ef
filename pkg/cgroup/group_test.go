package cgroup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

func TestLimitsReachTheKernel(t *testing.T) {
	files := map[cgroup.Version][]struct{ controller, file, want string }{
		cgroup.V1: {
			{"cpu", "cpu.shares", "512"},
			{"cpu", "cpu.cfs_quota_us", "50000"},
			{"memory", "memory.limit_in_bytes", "67108864"},
			{"pids", "pids.max", "20"},
		},
		cgroup.V2: {
			{"cpu", "cpu.weight", "50"},
			{"cpu", "cpu.max", "50000 100000"},
			{"memory", "memory.max", "67108864"},
			{"pids", "pids.max", "20"},
		},
	}
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "web")
		need(t, g, "cpu", "memory", "pids")
		skipped, err := g.Limit(&specs.LinuxResources{
			CPU:    &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(50_000)), Period: ptr(uint64(100_000))},
			Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(64 << 20))},
			Pids:   &specs.LinuxPids{Limit: ptr(int64(20))},
		}, cgroup.Require)
		if err != nil || len(skipped) > 0 {
			t.Fatalf("Limit = %v, %v", skipped, err)
		}
		for _, f := range files[h.Version] {
			if got := read(t, g, f.controller, f.file); got != f.want {
				t.Errorf("%s = %s, want %s", f.file, got, f.want)
			}
		}
		u, err := g.Usage()
		if err != nil || u.Memory.Limit != 64<<20 || u.Pids.Limit != 20 {
			t.Errorf("the limits are read as %+v, %+v, %v", u.Memory, u.Pids, err)
		}
	})
}

func TestLimitsCanBeChanged(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "web")
		need(t, g, "cpu", "memory")
		for _, mib := range []int64{64, 128, 32} {
			if _, err := g.Limit(memory(mib<<20), cgroup.Require); err != nil {
				t.Fatalf("%d MiB: %v", mib, err)
			}
			if u, err := g.Usage(); err != nil || u.Memory.Limit != uint64(mib)<<20 {
				t.Errorf("%d MiB are read as %+v, %v", mib, u.Memory, err)
			}
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
	})
}

func TestMissingControllerIsTheCallersChoice(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "web")
		need(t, g, "cpu")
		limits := &specs.LinuxResources{
			BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(100))},
			CPU:     &specs.LinuxCPU{Shares: ptr(uint64(2048))},
			Memory:  &specs.LinuxMemory{KernelTCP: ptr(int64(1 << 30))}, // gone from v2
			Network: &specs.LinuxNetwork{ClassID: ptr(uint32(1))},       // a controller that nobody asked for
		}
		if _, err := g.Limit(limits, cgroup.Require); err == nil {
			t.Error("a limit without its controller was accepted under require")
		}
		skipped, err := g.Limit(limits, cgroup.Prefer)
		if err != nil {
			t.Fatal(err)
		}
		var absent *cgroup.AbsentError
		for _, err := range skipped {
			var a *cgroup.AbsentError
			if errors.As(err, &a) && (a.Controller == "blkio" || a.Controller == "io") {
				absent = a
			}
		}
		if absent == nil {
			t.Errorf("skipped = %v, want the weight of block devices among them", skipped)
		}
		file, want := "cpu.shares", "2048"
		if h.Version == cgroup.V2 {
			file, want = "cpu.weight", "200"
		}
		if got := read(t, g, "cpu", file); got != want {
			t.Errorf("the limit that could be set was not: %s = %s", file, got)
		}
	})
}

// As in a container, whose processes are in what it sees as the root: no
// domain controller can be enabled there.
func TestGroupThatCannotBeMadeLeavesNothing(t *testing.T) {
	h := v2Host(t)
	full := newGroup(t, h, "full")
	need(t, full, "cpu", "memory")
	if err := full.Add(start(t, "sleep", "1000").Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Create(full.String()+"/agent/probe", controllers...); err == nil {
		t.Fatal("a group with controllers was made below processes")
	}
	if got := read(t, full, "cpu", "cgroup.subtree_control"); got != "" {
		t.Errorf("enabled below: %q", got)
	}
	if _, err := os.Stat(filepath.Join(full.Dirs()[0].Path, "agent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory is left: %v", err)
	}
}

func TestFirstInstructionIsInsideWhereTheKernelOffersIt(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "newborn")
		cmd := exec.Command("cat", "/proc/self/cgroup")
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		var out bytes.Buffer
		cmd.Stdout = &out
		release, ok, err := g.Prepare(cmd.SysProcAttr)
		if err != nil || ok != (h.Version == cgroup.V2) {
			t.Fatalf("Prepare on %s = %v, %v", h.Version, ok, err)
		}
		defer release()
		if !ok {
			return
		}
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if want := "0::" + g.String() + "\n"; !strings.HasSuffix(out.String(), want) {
			t.Errorf("born in %q, want %q", out.String(), want)
		}
	})
}

func TestProcessMovesItselfIn(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "mover")
		script := `for file; do echo 0 > "$file" || exit 1; done; exec sleep 1000`
		mover := start(t, "sh", append([]string{"-c", script, "sh"}, g.Entrances()...)...)
		until(t, "its move", func() bool {
			for _, d := range g.Dirs() {
				pids, err := os.ReadFile(filepath.Join(d.Path, "cgroup.procs"))
				if err != nil {
					t.Fatal(err)
				}
				if strings.TrimSpace(string(pids)) != strconv.Itoa(mover.Process.Pid) {
					return false
				}
			}
			return true
		})
	})
}

func TestProcessesAreFoundAndKilledBelow(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "job")
		// On v2 processes live in leaves only.
		one, two := newGroup(t, h, "job/one"), newGroup(t, h, "job/two/inner")
		a, b := start(t, "sleep", "1000"), start(t, "sleep", "1000")
		if err := errors.Join(one.Add(a.Process.Pid), two.Add(b.Process.Pid)); err != nil {
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
	})
}

// Nobody is lost sight of: what cannot go at once can be killed and removed afterwards.
func TestOnlyWhatIsEmptyGoesAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		inside, above, empty := newGroup(t, h, "inside"), newGroup(t, h, "above"), newGroup(t, h, "empty")
		newGroup(t, h, "above/child")
		cmd := start(t, "sleep", "1000")
		if err := inside.Add(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		if inside.RemoveEmpty() || above.RemoveEmpty() {
			t.Error("a group is gone that somebody was in, or something below")
		}
		for range 2 {
			if !empty.RemoveEmpty() {
				t.Error("a group stays in which nobody is")
			}
		}
		if pids, err := inside.Processes(); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
			t.Errorf("the processes are %v, %v", pids, err)
		}
		if err := errors.Join(inside.Kill(t.Context()), inside.Remove(t.Context()), above.Remove(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// shortly is a context that ends at once for what should fail anyway.
func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestForkBombIsKilled(t *testing.T) {
	kill := func(ctx context.Context, g *cgroup.Group) error { return g.Kill(ctx) }
	onEach(t, func(t *testing.T, h cgroup.Host) {
		for _, way := range []struct {
			name string
			kill func(ctx context.Context, g *cgroup.Group) error
			only cgroup.Version
		}{
			{"with all there is", kill, cgroup.None},
			{"without pids", func(ctx context.Context, g *cgroup.Group) error {
				return kill(ctx, cgroup.Without(g, "pids"))
			}, cgroup.V1},
			{"without pids and freezer", func(ctx context.Context, g *cgroup.Group) error {
				return kill(ctx, cgroup.Without(cgroup.Without(g, "pids"), "freezer"))
			}, cgroup.V1},
			{"without cgroup.kill", func(ctx context.Context, g *cgroup.Group) error {
				return cgroup.KillEach(ctx, g)
			}, cgroup.V2},
		} {
			if way.only != cgroup.None && way.only != h.Version {
				continue
			}
			t.Run(way.name, func(t *testing.T) {
				// The bomb is bounded by a parent in every case, for the
				// machine's sake.
				parent := newGroup(t, h, "bounded")
				need(t, parent, "pids")
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
				if err := way.kill(t.Context(), g); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

func TestFrozenProcessesDie(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "frozen")
		cmd := start(t, "sleep", "1000")
		if err := g.Add(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		file, content := filepath.Join(g.Dirs()[0].Path, "cgroup.freeze"), "1"
		for _, d := range g.Dirs() {
			if h.Version == cgroup.V1 && slices.Contains(d.Controllers, "freezer") {
				file, content = filepath.Join(d.Path, "freezer.state"), "FROZEN"
			}
		}
		if err := os.WriteFile(file, []byte(content), 0); err != nil {
			t.Fatal(err)
		}
		if err := g.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// v1's kernel refuses by itself. v2's would kill for such a limit.
func TestLimitBelowWhatIsUsedIsRefusedWhereAsked(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "full")
		need(t, g, "memory")
		cmd, release := parked(t, "(head -c 16000000 /dev/zero; sleep 100) | tail -c 16000000")
		if err := g.Add(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		release()
		until(t, "the use of memory", func() bool {
			u, err := g.Usage()
			return err == nil && u.Memory.Current >= 16_000_000
		})
		limits := memory(8 << 20)
		limits.Memory.CheckBeforeUpdate = ptr(true)
		if _, err := g.Limit(limits, cgroup.Prefer); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("Limit = %v, want EBUSY", err)
		}
		if n, err := g.OOMKills(); n != 0 || err != nil {
			t.Errorf("OOMKills = %d, %v", n, err)
		}
		*limits.Memory.Limit = 64 << 20
		if _, err := g.Limit(limits, cgroup.Require); err != nil {
			t.Errorf("a limit above what is used: %v", err)
		}
	})
}

func TestUsageAndOutOfMemory(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "hungry")
		need(t, g, "memory", "pids", "cpu")
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
	})
}

func TestQuotaHoldsBackAndIsCounted(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "busy")
		need(t, g, "cpu")
		if _, err := g.Limit(&specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(5_000)), Period: ptr(uint64(50_000))}}, cgroup.Require); err != nil {
			t.Fatal(err)
		}
		cmd, release := parked(t, "while :; do :; done")
		if err := g.Add(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		release()
		until(t, "throttling", func() bool {
			u, err := g.Usage()
			return err == nil && u.CPU.ThrottledPeriods > 2 && u.CPU.Throttled > 0 && u.CPU.Total > 0
		})
		u, err := g.Usage()
		if err != nil {
			t.Fatal(err)
		}
		if u.CPU.Periods < u.CPU.ThrottledPeriods {
			t.Errorf("CPU = %+v", *u.CPU)
		}
	})
}

func TestProcessLimitHoldsBack(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		g := newGroup(t, h, "many")
		need(t, g, "pids")
		if _, err := g.Limit(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(3))}}, cgroup.Require); err != nil {
			t.Fatal(err)
		}
		cmd, release := parked(t, "sleep 1000 & sleep 1000 & sleep 1000 & wait")
		if err := g.Add(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		release()
		// The shell gives up at the process that it cannot have.
		if err := cmd.Wait(); err == nil {
			t.Error("a shell had a process too many")
		}
		if u, err := g.Usage(); err != nil || u.Pids.Current != 2 || u.Pids.Limit != 3 {
			t.Errorf("Pids = %+v, %v", u.Pids, err)
		}
	})
}

// A v1 quota that is left on a removed cgroup still counts against its parent
// for a while; an agent would destroy the container over it.
func TestQuotaDoesNotOutliveTheGroup(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		parent := newGroup(t, h, "container")
		need(t, parent, "cpu")
		quota := func(us int64) *specs.LinuxResources {
			return &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &us, Period: ptr(uint64(100_000))}}
		}
		for i := range 20 {
			if _, err := parent.Limit(quota(250_000), cgroup.Require); err != nil {
				t.Fatal(err)
			}
			task := newGroup(t, h, "container/task")
			if _, err := task.Limit(quota(200_000), cgroup.Require); err != nil {
				t.Fatal(err)
			}
			_, err := parent.Limit(quota(50_000), cgroup.Require)
			if refused := errors.Is(err, syscall.EINVAL); refused != (h.Version == cgroup.V1) {
				t.Fatalf("a parent's quota below its child's = %v on %s", err, h.Version)
			}
			if i%2 == 0 && !task.RemoveEmpty() {
				t.Fatal("a group with nobody in it stays")
			}
			if err := task.Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := parent.Limit(quota(50_000), cgroup.Require); err != nil {
				t.Fatalf("right after the child's removal: %v", err)
			}
		}
	})
}
