// Package guard ends what an executor leaves behind when it is killed and its agent has
// no means to find it: where workloads have no cgroup, or one in a subtree that the
// agent knows nothing of.
//
// A guard is a process of its own, which the executor starts when it first needs one. It
// waits until the executor is no more, ends the workloads, says so in the executor's
// log, and leaves. In an executor whose cgroup the agent has made there is none: there the
// agent ends everything with it.
//
// A guard of sessions has a pipe in which it reads which sessions there are, and whose
// end is the executor's. One of a cgroup waits for the lock that the executor has on it,
// which outlasts an upgrade in place.
//
// It never ends anything while the executor lives, and never holds it up: a guard that
// has gone, or does not read, is replaced by another.
//
// It does what can be done without a cgroup, and promises no more: what has left its
// session, lost its parents and taken the mark off gets away, and so may a fork bomb that
// gets more of the processors than the guard does.
package guard

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Name is what a guard is called, as its first argument, by which the program knows that
// it is to be one.
const Name = "tandem-guard"

const (
	ofSessions = "sessions"
	ofCgroup   = "cgroup"
)

// self is the executor's program, also where its file has been removed.
const self = "/proc/self/exe"

// Sessions has a guard that ends sessions, and the processes with a mark. Its methods
// may be called from several goroutines at once.
type Sessions struct {
	mark string

	mu     sync.Mutex // guards what follows
	guard  *os.Process
	orders *os.File
	known  map[int]bool
}

// NewSessions starts nothing yet. All that the executor starts has the mark, or one
// below it, in its environment; see package kin.
func NewSessions(mark string) *Sessions { return &Sessions{mark: mark, known: make(map[int]bool)} }

// Add says that a session, known by its leader's number, is to end with the executor.
func (s *Sessions) Add(leader int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[leader] = true
	if s.guard != nil && s.order('+', leader) == nil {
		return nil
	}
	return s.replace()
}

// Remove says that the number may become another's.
func (s *Sessions) Remove(leader int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, leader)
	if s.guard != nil && s.order('-', leader) != nil {
		s.dismiss() // It must not end others; the next Add starts a better one.
	}
}

// Close lets the guard go, which ends the sessions that there still are. Where there are
// none it has gone when Close returns, so that an executor leaves nobody behind.
func (s *Sessions) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guard == nil {
		return
	}
	if len(s.known) == 0 {
		_ = s.guard.Kill() // before it sees the end of its orders, which are those of a dead executor
		_, _ = s.guard.Wait()
	} else {
		_ = s.guard.Release() // Whoever reaps orphans reaps it.
	}
	_ = s.orders.Close()
	s.guard = nil
}

func (s *Sessions) order(what byte, leader int) error {
	line := append(strconv.AppendInt([]byte{what}, int64(leader), 10), '\n')
	// A pipe that is full says so: the guard does not read, and is of no use.
	for {
		if _, err := unix.Write(int(s.orders.Fd()), line); err != unix.EINTR {
			return err
		}
	}
}

// dismiss ends the guard before it can end anything.
func (s *Sessions) dismiss() {
	_ = s.guard.Kill()
	_ = s.guard.Release()
	_ = s.orders.Close()
	s.guard = nil
}

func (s *Sessions) replace() error {
	if s.guard != nil {
		s.dismiss()
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("cannot speak with a guard: %w", err)
	}
	orders := os.NewFile(uintptr(ends[0]), "orders")
	defer orders.Close()
	s.orders = os.NewFile(uintptr(ends[1]), "orders")
	err := unix.SetNonblock(ends[1], true)
	if err == nil {
		s.guard, err = start(orders, ofSessions, s.mark)
	}
	for leader := range s.known {
		if err == nil {
			err = s.order('+', leader)
		}
	}
	switch {
	case err == nil:
		return nil
	case s.guard != nil:
		s.dismiss()
	default:
		_ = s.orders.Close()
	}
	return fmt.Errorf("cannot have a guard: %w", err)
}

// OfCgroup starts a guard of an executor's directories in a delegated subtree, which ends
// what is in them as soon as nobody has the lock on the first.
func OfCgroup(dirs ...string) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	p, err := start(null, ofCgroup, dirs...)
	if err != nil {
		return fmt.Errorf("cannot have a guard: %w", err)
	}
	return p.Release()
}

// start starts a guard in a session of its own, with nothing of the executor's but its
// log.
func start(in *os.File, of string, what ...string) (*os.Process, error) {
	return os.StartProcess(self, append([]string{Name, of}, what...), &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{in, nil, os.Stderr},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
}
