package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
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

// claim makes an executor's directory in a subtree, takes it, and clears those of
// the dead. It returns the descriptor that holds it.
func claim(subtree, id string) (held int, err error) {
	all, err := lockDir(subtree, unix.LOCK_EX)
	if err != nil {
		return -1, err
	}
	defer unix.Close(all)
	own := filepath.Join(subtree, id)
	if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return -1, err
	}
	held, err = lockDir(own, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return -1, fmt.Errorf("an executor that lives has %s: %w", id, err)
	}
	entries, err := os.ReadDir(subtree)
	if err != nil {
		return -1, errors.Join(err, unix.Close(held))
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != id {
			clearDead(subtree, e.Name())
		}
	}
	return held, nil
}

// clearDead ends and removes what an executor has left that lives no more. What
// cannot be removed now is left to the next executor.
func clearDead(subtree, id string) {
	dir := filepath.Join(subtree, id)
	fd, err := lockDir(dir, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return // it lives
	}
	defer unix.Close(fd)
	_, _ = clearDir(dir, RemoveTime)
}

func clearDir(dir string, patience time.Duration) (processes int, err error) {
	g := &Group{version: V2, name: path.Join("/", filepath.Base(filepath.Dir(dir)), filepath.Base(dir)), dirs: []Dir{{Path: dir}}}
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

// ClearAfter waits until the executor that holds a directory in a delegated subtree lives
// no more, ends what it has left there, says how many processes that were, and removes
// the directory.
func ClearAfter(dir string) (processes int, err error) {
	fd, err := lockDir(dir, unix.LOCK_EX)
	if err == nil {
		defer unix.Close(fd)
		processes, err = clearDir(dir, time.Minute)
	}
	if gone(err) {
		return processes, nil // It ended in order, or another executor was quicker.
	}
	return processes, err
}

// Delegated returns the executor's directory in a delegated subtree, or nothing where
// the container is the agent's.
func (c *Container) Delegated() string {
	if c.version == V2 && c.flat {
		return c.dirs[0].Path
	}
	return ""
}
