package cgroup

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Watcher waits for the events of many watches, in one goroutine and no thread.
type Watcher struct {
	file *os.File // of an epoll instance, which is in Go's poller itself

	mu      sync.Mutex // guards what follows
	watches map[int32]*Watch
	last    int32
	closed  bool
}

// NewWatcher returns a watcher that waits until it is closed.
func NewWatcher() (*Watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		if err = unix.SetNonblock(fd, true); err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot watch cgroups: %w", err)
	}
	w := &Watcher{file: os.NewFile(uintptr(fd), "epoll"), watches: make(map[int32]*Watch)}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot watch cgroups: %w", err), w.file.Close())
	}
	go func() {
		events := make([]unix.EpollEvent, 32)
		_ = raw.Read(func(fd uintptr) bool { // until it is closed
			for {
				n, err := unix.EpollWait(int(fd), events, 0)
				if n <= 0 && err != unix.EINTR {
					return false
				}
				w.wake(events[:max(n, 0)])
			}
		})
	}()
	return w, nil
}

func (w *Watcher) wake(events []unix.EpollEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		if watch := w.watches[e.Fd]; watch != nil {
			watch.wake(true)
		}
	}
}

// add begins to wait for a watch. What its descriptor is when it happens does not
// count, as another may have the number by then: it is known by a number of its own.
func (w *Watcher) add(watch *Watch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return os.ErrClosed
	}
	for w.last++; w.watches[w.last] != nil; w.last++ {
	}
	watch.id = w.last
	w.watches[watch.id] = watch
	err := w.control(unix.EPOLL_CTL_ADD, watch)
	if err != nil {
		delete(w.watches, watch.id)
	}
	return err
}

func (w *Watcher) remove(watch *Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watches, watch.id)
	if !w.closed {
		_ = w.control(unix.EPOLL_CTL_DEL, watch) // It ends with the descriptor, too.
	}
}

func (w *Watcher) control(op int, watch *Watch) error {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) {
		failure = unix.EpollCtl(int(fd), op, watch.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: watch.id})
	})
	return errors.Join(err, failure)
}

// Close stops waiting. Watches that there still are tell nothing any more.
func (w *Watcher) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	return w.file.Close()
}
