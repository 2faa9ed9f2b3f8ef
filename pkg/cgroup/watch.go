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
// relative, and by its own removal. [Group.OOMKills] and [Group.Overrun] tell.
//
// It waits in Go's own poller and costs one file descriptor and no thread. The
// library's notifications block a thread or take an inotify instance each, of
// which a user has 128.
type Watch struct{ file *os.File }

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
		f, err = watchEvents(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot watch the memory of cgroup %s: %w", g.name, err)
	}
	return &Watch{f}, nil
}

// watchOOM registers an eventfd in the way of the kernel's
// cgroup-v1/memory.rst.
func watchOOM(dir string) (*os.File, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "eventfd")
	control, err := open(filepath.Join(dir, "memory.oom_control"), unix.O_RDONLY)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	defer unix.Close(control)
	line := fmt.Sprintf("%d %d", fd, control)
	if err := write(filepath.Join(dir, "cgroup.event_control"), line); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// watchEvents opens memory.events so that Go's poller takes it: a file of the
// cgroup file system is always readable and reports its changes as edges, which
// is what that poller looks for.
func watchEvents(dir string) (*os.File, error) {
	fd, err := unix.Open(filepath.Join(dir, "memory.events"), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "memory.events"), nil
}

// Until calls check now and after every event, until check returns true. What
// happens while check runs makes it be called again. On v1 told is false for a
// first call that comes before any event. It fails with [os.ErrClosed] once the
// watch is closed.
func (w *Watch) Until(check func(told bool) bool) error {
	c, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	// The check is made within Read because the poller forgets, at the
	// beginning of each Read, what it was told before.
	return c.Read(func(fd uintptr) bool {
		// This empties an eventfd. Of memory.events the content is not used.
		var buffer [8]byte
		n, _ := unix.Read(int(fd), buffer[:])
		return check(n > 0)
	})
}

// Close ends the watch and whoever waits. It waits for a check that runs.
func (w *Watch) Close() error { return w.file.Close() }
