package cgroup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"
)

// Kill sends SIGKILL to every process in the group and below it, also to
// those that are forked meanwhile, until none is left. It blocks until then or
// until the context ends; processes in the kernel's hands can take a while to
// die. Killing an empty or a removed group succeeds at once. The caller stays
// responsible for reaping its own children.
//
// On v1 nothing can fork in a group after it had processes to kill; it is good for
// reading its usage and for removal.
//
// The library has no kill for v1, and its kill for v2 may wait for the
// processes and so take their exit statuses away from their owner.
func (g *Group) Kill(ctx context.Context) error {
	if g.gone.Load() {
		return nil
	}
	if g.version == V2 {
		kill := func() error {
			err := write(filepath.Join(g.dirs[0].Path, "cgroup.kill"), "1")
			if err != nil && !gone(err) {
				return fmt.Errorf("cannot kill cgroup %s: %w", g.name, errno(err))
			}
			return err
		}
		err := kill()
		if gone(err) { // a kernel before 5.14, or no group any more
			return g.killEach(ctx)
		}
		if err != nil {
			return err
		}
		// Kernels before 6.14 miss a child whose fork is under way: it lives on
		// unless it is killed in a later round.
		return g.emptied(ctx, 0, func() (bool, error) {
			populated, err := g.Populated()
			if err == nil && !populated {
				return true, nil
			}
			return false, errors.Join(err, kill())
		})
	}
	return g.killEach(ctx)
}

// killEach signals process by process. A fork bomb would outrun that, so
// forking is stopped first: by a limit of no processes where there is the pids
// controller, which cannot get stuck, and by the freezer otherwise. All are
// signalled once before: a shell that could not fork would otherwise end by
// itself, and not by the signal that ended it in truth. Where nobody is, nobody
// can fork.
func (g *Group) killEach(ctx context.Context) error {
	if n, err := g.signalAll(); n == 0 || err != nil {
		return err
	}
	freezer := g.freezers()
	defer thaw(freezer)
	if dir, ok := g.dir("pids"); ok {
		g.pids.Store(0)
		err := eachDir(dir, func(d string) error { return write(filepath.Join(d, "pids.max"), "0") })
		if err == nil || gone(err) {
			freezer = nil
		}
	}
	return g.emptied(ctx, shortest, func() (bool, error) {
		if len(freezer) > 0 {
			freeze(ctx, freezer)
		}
		n, err := g.signalAll()
		// Frozen processes die only when they are thawed; a task may have
		// frozen some of its own.
		thaw(g.freezers())
		return n == 0, err
	})
}

// signalAll sends SIGKILL to those that are in the group now, and says how many
// there are.
func (g *Group) signalAll() (int, error) {
	pids, err := g.Processes()
	for _, pid := range pids {
		if kerr := syscall.Kill(pid, syscall.SIGKILL); kerr != nil && !errors.Is(kerr, syscall.ESRCH) {
			err = errors.Join(err, fmt.Errorf("cannot kill process %d of cgroup %s: %w", pid, g.name, kerr))
		}
	}
	return len(pids), err
}

// shortest is the first pause between two looks at those that are to die.
const shortest = 200 * time.Microsecond

// emptied waits, and calls kill until that says that the group is empty.
func (g *Group) emptied(ctx context.Context, wait time.Duration, kill func() (empty bool, err error)) error {
	for ; ; wait = min(max(2*wait, shortest), 100*time.Millisecond) {
		if wait > 0 {
			if err := pause(ctx, wait); err != nil {
				pids, _ := g.Processes()
				return fmt.Errorf("cannot kill cgroup %s: processes %v are still there: %w", g.name, pids, err)
			}
		}
		empty, err := kill()
		if err != nil && !gone(err) {
			return err
		}
		if empty && err == nil {
			return nil
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
