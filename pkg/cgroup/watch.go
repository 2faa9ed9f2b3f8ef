package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/ready"
)

// Watch wakes somebody when something may have happened to a group's memory.
// It proves nothing by itself: a v1 group is also woken for what happened to a
// relative, and by its own removal. [Group.OOMKills] and [Group.Overrun] tell.
//
// It costs one file descriptor, and neither a thread nor a goroutine. The
// library's notifications block a thread or take an inotify instance each, of
// which a user has 128.
type Watch struct {
	check func(told bool)
	on    *ready.Descriptor

	mu      sync.Mutex // guards what follows
	running sync.WaitGroup
	busy    bool // check runs
	again   bool // something has happened since it began
	closed  bool
}

// WatchMemory begins to watch. After every event check is called, in a goroutine
// of its own, and once more when there has been another meanwhile; never twice at a
// time. It fails with an [*AbsentError] for a group without the memory controller,
// and where the kernel has no notifications.
func (g *Group) WatchMemory(by *ready.Watcher, check func(told bool)) (*Watch, error) {
	dir, ok := g.dir("memory")
	if !ok {
		return nil, &AbsentError{Controller: "memory", Group: g.name}
	}
	var fd int
	var err error
	if g.version == V1 {
		fd, err = watchOOM(dir)
	} else {
		// It reports its changes as edges, and is always readable.
		fd, err = open(filepath.Join(dir, "memory.events"), unix.O_RDONLY)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot watch the memory of cgroup %s: %w", g.name, err)
	}
	w := &Watch{check: check}
	if w.on, err = by.Add(fd, func(*ready.Descriptor) { w.wake(true) }); err != nil {
		return nil, fmt.Errorf("cannot watch the memory of cgroup %s: %w", g.name, err)
	}
	return w, nil
}

// watchOOM registers an eventfd in the way of the kernel's
// cgroup-v1/memory.rst.
func watchOOM(dir string) (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, err
	}
	control, err := open(filepath.Join(dir, "memory.oom_control"), unix.O_RDONLY)
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	defer unix.Close(control)
	line := fmt.Sprintf("%d %d", fd, control)
	if err := write(filepath.Join(dir, "cgroup.event_control"), line); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// Look has check called as after an event, but with told false: for what has
// happened before there was a watch.
func (w *Watch) Look() { w.wake(false) }

// wake has check run, now or once more.
func (w *Watch) wake(told bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
	case w.busy:
		w.again = true
	default:
		w.busy = true
		w.running.Go(func() { w.run(told) })
	}
}

func (w *Watch) run(told bool) {
	for {
		w.check(told)
		w.mu.Lock()
		if !w.again || w.closed {
			w.busy = false
			w.mu.Unlock()
			return
		}
		w.again, told = false, true
		w.mu.Unlock()
	}
}

// Close ends the watch. It waits for a check that runs, and so must not be called
// by one. Further calls do nothing.
func (w *Watch) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.on.Close()
	w.running.Wait()
}
