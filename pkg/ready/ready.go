// Package ready waits for many descriptors to become readable, in one goroutine and
// no thread.
//
// The descriptors are those that stay open for as long as a task lives. They are put
// aside, above the numbers that others get: a process is born with a copy of its
// parent's descriptors up to the last that it needs, and should not have to copy
// thousands.
//
// It must never read from a descriptor.
package ready

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// aside is the least number that a descriptor gets here. Where all from here on are in
// use none is taken any more, so that there is always room for what is open for a
// moment. A process that may not have as many has no such room.
const aside = 32

// many is how many descriptors there is room for from the start. To make room for more
// the kernel waits until all processors have taken notice, which takes ten milliseconds,
// and each time doubles what there is.
const many = 2048

// Watcher waits until it is closed.
type Watcher struct {
	file *os.File // of an epoll instance, which is in Go's poller itself

	mu     sync.Mutex // guards what follows, and the watcher of each descriptor
	all    map[int32]*Descriptor
	last   int32
	closed bool
}

// Descriptor is one that is waited for.
type Descriptor struct {
	by   *Watcher // nil once it is closed
	id   int32
	fd   int
	wake func(*Descriptor)
}

// New returns a Watcher.
func New() (*Watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		if err = unix.SetNonblock(fd, true); err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot wait for descriptors: %w", err)
	}
	w := &Watcher{file: os.NewFile(uintptr(fd), "epoll"), all: make(map[int32]*Descriptor)}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot wait for descriptors: %w", err), w.file.Close())
	}
	go w.makeRoom()
	go func() {
		events := make([]unix.EpollEvent, 32)
		_ = raw.Read(func(fd uintptr) bool { // until it is closed
			for {
				n, err := unix.EpollWait(int(fd), events, 0)
				if n <= 0 && err != unix.EINTR {
					return false
				}
				for _, e := range events[:max(n, 0)] {
					if d := w.find(e.Fd); d != nil {
						d.wake(d)
					}
				}
			}
		})
	}()
	return w, nil
}

// makeRoom has the kernel make room for descriptors, as far as that is allowed.
func (w *Watcher) makeRoom() {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for last := many - 1; last > aside; last /= 2 {
			if high, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, last); err == nil {
				_ = unix.Close(high)
				return
			}
		}
	})
}

func (w *Watcher) find(id int32) *Descriptor {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[id]
}

// Add waits for a descriptor, and is given it whatever becomes of that. Each time that
// it is readable anew wake is called, which must return at once. It may be called
// before Add returns, and once more after Close has been called elsewhere.
func (w *Watcher) Add(fd int, wake func(*Descriptor)) (*Descriptor, error) {
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, aside)
	if err != unix.EINVAL {
		_ = unix.Close(fd)
		fd = high
	}
	if err != nil && err != unix.EINVAL {
		return nil, fmt.Errorf("cannot put a descriptor aside: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &Descriptor{by: w, fd: fd, wake: wake}
	err = os.ErrClosed
	if !w.closed {
		// What its number is when it happens does not count, as another may have that
		// by then: it is known by a number of its own.
		for w.last++; w.all[w.last] != nil; w.last++ {
		}
		d.id = w.last
		w.all[d.id] = d
		err = w.watch(d)
	}
	if err != nil {
		delete(w.all, d.id)
		return nil, errors.Join(fmt.Errorf("cannot wait for a descriptor: %w", err), unix.Close(fd))
	}
	return d, nil
}

// Close ends the waiting and closes the descriptor. It says whether nobody has before.
func (d *Descriptor) Close() (first bool) {
	w := d.by
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all[d.id] != d {
		return false
	}
	delete(w.all, d.id)
	_ = unix.Close(d.fd) // which ends the waiting
	return true
}

func (w *Watcher) watch(d *Descriptor) error {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) {
		failure = unix.EpollCtl(int(fd), unix.EPOLL_CTL_ADD, d.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: d.id})
	})
	return errors.Join(err, failure)
}

// Close stops waiting. Descriptors that there still are have to be closed nevertheless.
func (w *Watcher) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	return w.file.Close()
}
