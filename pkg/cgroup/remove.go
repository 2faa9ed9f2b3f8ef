package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// RemoveTime bounds how long [Group.Remove] tries. The kernel can call a
// cgroup busy for more than a second after its last process has gone.
const RemoveTime = 5 * time.Second

// Remove removes the group and all below it. It kills nothing: a group with
// processes stays and gives EBUSY in the end. It blocks while the kernel calls
// the group busy, up to [RemoveTime] or the context's end. A group that is gone
// already is no error. The library would give up after 150 ms.
//
// On v1 the CPU quota is taken off first: the kernel counts the quota of a
// removed cgroup against its parent for some milliseconds more, and an agent
// that lowers the parent's quota in that moment is refused and destroys the
// container.
func (g *Group) Remove(ctx context.Context) error {
	if g.gone.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, RemoveTime)
	defer cancel()
	if dir, ok := g.dir("cpu"); ok && g.version == V1 {
		// Children first: a parent without a quota bounds them no more.
		for _, d := range slices.Backward(subdirs(dir)) {
			dropQuota(d)
		}
	}
	var errs []error
	for _, d := range g.dirs {
		if err := removeTree(ctx, d.Path); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove cgroup %s (%s): %w", g.name, strings.Join(d.Controllers, ","), err))
		}
	}
	if len(errs) == 0 {
		g.forget()
	}
	return errors.Join(errs...)
}

// RemoveEmpty removes the group if nobody is in it and nothing is below it, and says
// whether it is gone: that is one system call for each directory, where it takes four to
// see that nobody is there. Those directories of others that are empty may be gone as
// well.
func (g *Group) RemoveEmpty() (removed bool) {
	if g.gone.Load() {
		return true
	}
	if dir, ok := g.dir("cpu"); ok && g.version == V1 {
		dropQuota(dir)
	}
	for _, d := range g.dirs {
		if err := unlinkDir(d.Path); err != nil && !gone(err) {
			return false
		}
	}
	g.forget()
	return true
}

// dropQuota takes the quota off a directory of v1. One that is not there is not taken
// off: for every write the kernel looks at all the cgroups of the machine.
func dropQuota(dir string) {
	file := filepath.Join(dir, "cpu.cfs_quota_us")
	if quota, err := read(file); err != nil || strings.TrimSpace(quota) != "-1" {
		_ = write(file, "-1")
	}
}

// forget is called when the directories are gone.
func (g *Group) forget() {
	if !g.gone.Swap(true) && g.removed != nil {
		g.removed()
	}
}

func removeTree(ctx context.Context, dir string) error {
	if err := unlinkDir(dir); err == nil || gone(err) {
		return nil
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		var err error
		for _, d := range slices.Backward(subdirs(dir)) {
			if e := unlinkDir(d); e != nil && !gone(e) {
				err = e
			}
		}
		// A child that was made meanwhile gives ENOTEMPTY.
		busy := errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.ENOTEMPTY)
		if !busy {
			return err
		}
		if pause(ctx, wait) != nil {
			return err
		}
	}
}

// unlinkDir is os.Remove without its second attempt at unlinking a file.
func unlinkDir(dir string) error {
	for {
		err := syscall.Rmdir(dir)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	}
}

// subdirs lists a directory and those below it, parents first.
func subdirs(dir string) []string {
	if _, err := os.Lstat(dir); err != nil {
		return nil
	}
	var all []string
	_ = eachDir(dir, func(d string) error {
		all = append(all, d)
		return nil
	})
	return all
}
