package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Watch wakes somebody when something may have happened to a group's memory.
// It proves nothing by itself: a v1 group is also woken for what happened to a
// relative, and by its own removal. [Group.OOMKills] tells.
//
// It waits in Go's own poller and costs one file descriptor and no thread. The
// library's notifications block a thread or take an inotify instance each, of
// which a user has 128.
type Watch struct {
	file *os.File
	v1   bool
}

// WatchMemory begins to watch. It fails with an [*AbsentError] for a group
// without the memory controller, and where the kernel has no notifications.
func (g *Group) WatchMemory() (*Watch, error) {
	dir, ok := g.dir("memory")
	if !ok {
		return nil, &AbsentError{Controller: "memory", Group: g.name}
	}
	var (
		f   *os.File
		err error
	)
	if g.version == V1 {
		f, err = watchOOM(dir)
	} else {
		f, err = os.OpenFile(filepath.Join(dir, "memory.events"), os.O_RDONLY|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot watch the memory of cgroup %s: %w", g.name, err)
	}
	return &Watch{file: f, v1: g.version == V1}, nil
}

// watchOOM registers an eventfd in the way of the kernel's
// cgroup-v1/memory.rst.
func watchOOM(dir string) (*os.File, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "eventfd")
	control, err := os.Open(filepath.Join(dir, "memory.oom_control"))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	defer control.Close()
	line := fmt.Sprintf("%d %d", fd, control.Fd())
	if err := write(filepath.Join(dir, "cgroup.event_control"), line); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Wait blocks until the next event. After Close it fails with
// [os.ErrClosed]. Events that come while nobody waits are one event.
func (w *Watch) Wait() error {
	if w.v1 {
		var counter [8]byte
		_, err := w.file.Read(counter[:])
		return err
	}
	c, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	// A file of the cgroup file system can always be read; what the poller
	// reports are its changes, and the first time its being there.
	asked := false
	return c.Read(func(uintptr) bool {
		if !asked {
			asked = true
			return false
		}
		return true
	})
}

// Close ends the watch and whoever waits.
func (w *Watch) Close() error { return w.file.Close() }
