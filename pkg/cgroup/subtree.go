package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A delegated subtree has nobody who cleans up in it when an executor dies. So
// each executor holds a lock on its own directory there for as long as it lives,
// and ends and removes what is below those that nobody holds. Somebody who waits for
// the lock can do so at once; see ClearAfter. The lock on the subtree itself keeps an
// executor that begins from being taken for a dead one.

// lockDir takes a lock on a directory, which lasts until the descriptor is closed.
func lockDir(dir string, how int) (fd int, err error) {
	fd, err = unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	for {
		err = unix.Flock(fd, how)
		switch err {
		case nil:
			return fd, nil
		case unix.EINTR:
		default:
			return -1, errors.Join(err, unix.Close(fd))
		}
	}
}

// errUnusable says why a delegated subtree does not serve.
func errUnusable(subtree string, err error) error {
	return &NoContainerError{fmt.Sprintf("the subtree %s cannot be used: %v", subtree, err)}
}

func openV2Subtree(o ContainerOptions) (*Container, error) {
	subtree, err := o.Host.Hierarchies[0].Dir(path.Join("/", o.Subtree))
	if err != nil {
		return nil, err
	}
	held, err := take(o, []Dir{{Path: subtree}})
	if err != nil {
		return nil, errUnusable(o.Subtree, err)
	}
	group, dir := path.Join("/", o.Subtree, o.ID), filepath.Join(subtree, o.ID)
	available, err := words(filepath.Join(subtree, "cgroup.controllers"))
	for _, d := range []string{subtree, dir} {
		if err == nil {
			_, err = enable(d, available)
		}
	}
	if err != nil {
		_ = unix.Close(held)
		return nil, errUnusable(o.Subtree, err)
	}
	g, err := openV2(group, dir)
	if err != nil {
		return nil, errors.Join(err, unix.Close(held))
	}
	return &Container{version: V2, name: group, dirs: g.dirs, flat: true, delegated: true, held: held, options: ValueOptions{GroupOOM: true}}, nil
}

// openV1Subtree uses the hierarchies in which the operator has made the subtree. Their
// order is that of the mounts, so that all executors hold their directories in the same.
func openV1Subtree(o ContainerOptions) (*Container, error) {
	var above []Dir
	for _, h := range o.Host.Hierarchies {
		if strings.HasPrefix(h.Controllers[0], namePrefix) {
			continue
		}
		dir, err := h.Dir(path.Join("/", o.Subtree))
		if err != nil {
			return nil, err
		}
		if o.Held > 0 { // Those that there were when it was taken.
			_, err = os.Lstat(filepath.Join(dir, o.ID))
		} else {
			_, err = os.Lstat(dir)
		}
		if err == nil {
			above = append(above, Dir{Path: dir, Controllers: h.Controllers})
		}
	}
	if len(above) == 0 {
		return nil, errUnusable(o.Subtree, errors.New("it is in none of the v1 hierarchies; make it in those of cpu, cpuacct, memory, pids and freezer"))
	}
	held, err := take(o, above)
	if err != nil {
		return nil, errUnusable(o.Subtree, err)
	}
	return &Container{version: V1, name: path.Join("/", o.Subtree, o.ID), dirs: below(above, o.ID), flat: true, delegated: true, held: held}, nil
}

// below returns directories of a name.
func below(above []Dir, name string) []Dir {
	all := slices.Clone(above)
	for i := range all {
		all[i].Path = filepath.Join(all[i].Path, name)
	}
	return all
}

// take takes the executor's directory, which is made where there is no program before
// this one that held it.
func take(o ContainerOptions, above []Dir) (held int, err error) {
	if o.Held > 0 {
		return o.Held, hold(o.Held, filepath.Join(above[0].Path, o.ID))
	}
	return claim(above, o.ID)
}

// claim makes an executor's directory in a subtree, in each of its hierarchies, takes
// that in the first, and clears those of the dead. It returns the descriptor that holds it.
func claim(above []Dir, id string) (held int, err error) {
	subtree := above[0].Path
	all, err := lockDir(subtree, unix.LOCK_EX)
	if err != nil {
		return -1, err
	}
	defer unix.Close(all)
	for i, d := range below(above, id) {
		shareV1(above[i].Path, d.Controllers)
		if err := makeV1(above[i].Path, d.Path, d.Controllers); err != nil && !errors.Is(err, os.ErrExist) {
			return -1, err
		}
	}
	held, err = lockDir(filepath.Join(subtree, id), unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return -1, fmt.Errorf("an executor that lives has %s: %w", id, err)
	}
	entries, err := os.ReadDir(subtree)
	if err != nil {
		return -1, errors.Join(err, unix.Close(held))
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != id {
			clearDead(paths(below(above, e.Name())))
		}
	}
	return held, nil
}

// clearDead ends and removes what an executor has left that lives no more. What
// cannot be removed now is left to the next executor.
func clearDead(dirs []string) {
	fd, err := lockDir(dirs[0], unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return // it lives
	}
	defer unix.Close(fd)
	_, _ = clearDirs(dirs, RemoveTime)
}

// clearDirs removes the first directory last: as long as it is there, somebody finds what
// is left.
func clearDirs(dirs []string, patience time.Duration) (processes int, err error) {
	g := &Group{version: V1, name: path.Join("/", filepath.Base(filepath.Dir(dirs[0])), filepath.Base(dirs[0]))}
	for _, dir := range slices.Backward(dirs) {
		if _, err := os.Lstat(dir); err == nil { // It may have died while it made them.
			g.dirs = append(g.dirs, Dir{Path: dir, Controllers: inDir(dir)})
		}
	}
	if _, err := os.Lstat(filepath.Join(dirs[0], "cgroup.controllers")); err == nil {
		g.version = V2
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	left, err := g.Processes()
	if err != nil {
		return 0, err
	}
	if err := g.Kill(ctx); err != nil {
		return len(left), err
	}
	return len(left), g.Remove(ctx)
}

// inDir lists the controllers of a v1 directory with which processes are ended.
func inDir(dir string) (controllers []string) {
	for _, c := range []struct{ controller, file string }{{"freezer", "freezer.state"}, {"pids", "pids.max"}, {"cpu", "cpu.cfs_quota_us"}} {
		if _, err := os.Lstat(filepath.Join(dir, c.file)); err == nil {
			controllers = append(controllers, c.controller)
		}
	}
	return controllers
}

// ClearAfter waits until the executor that holds its directories in a delegated subtree
// lives no more, ends what it has left there, says how many processes that were, and
// removes the directories.
func ClearAfter(dirs ...string) (processes int, err error) {
	fd, err := lockDir(dirs[0], unix.LOCK_EX)
	if err == nil {
		defer unix.Close(fd)
		processes, err = clearDirs(dirs, time.Minute)
	}
	if gone(err) {
		return processes, nil // It ended in order, or another executor was quicker.
	}
	return processes, err
}

// Delegated returns the executor's directories in a delegated subtree, or nothing where
// the container is the agent's. The first is the one that is held.
func (c *Container) Delegated() []string {
	if c.delegated {
		return paths(c.dirs)
	}
	return nil
}

func paths(dirs []Dir) (all []string) {
	for _, d := range dirs {
		all = append(all, d.Path)
	}
	return all
}
