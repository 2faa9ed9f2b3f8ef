package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/executor/workload"
)

// Format is that of what this program writes.
const Format = 1

// MaxSize bounds what is read, in bytes.
const MaxSize = 1 << 30

// Reads says whether this program can go on with a state of a format.
func Reads(format int) bool { return format == Format }

// State is all that a program goes on with.
type State struct {
	Format int
	// Clock is CLOCK_MONOTONIC at the time of writing, in nanoseconds.
	Clock int64
	// ExecutorID and FrameworkID are whose state it is.
	ExecutorID, FrameworkID string
	// ContainerID, Hostname and User are what the agent said at the subscription:
	// the executor's container, the agent's name and the framework's user.
	ContainerID, Hostname, User string
	// Held is the descriptor that holds the directory in a delegated cgroup
	// subtree; 0 for none.
	Held int
	// Program is the SHA-256 of the program that the state is for, in hexadecimal,
	// which may be unable to read its own file; empty where it is not known.
	Program   string
	Core      core.State
	Workloads []Workload
}

// Workload is one that runs.
type Workload struct {
	Run core.Run
	workload.State
}

// Now returns CLOCK_MONOTONIC.
func Now() (int64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("cannot read the clock: %w", err)
	}
	return now.Nano(), nil
}

// Written returns when the state was written, on the clock that now is of.
func (s *State) Written(now time.Time, clock int64) time.Time {
	return now.Add(-time.Duration(max(clock-s.Clock, 0)))
}

// Descriptors lists the descriptors that the state speaks of.
func (s *State) Descriptors() []int {
	var all []int
	if s.Held > 0 {
		all = append(all, s.Held)
	}
	for _, w := range s.Workloads {
		for _, stream := range w.Streams {
			all = append(all, stream.Descriptors()...)
		}
	}
	return all
}

// Write returns a file with the state, from its beginning, which is in memory and
// goes with its last descriptor.
func Write(s *State) (*os.File, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("cannot write the state: %w", err)
	}
	fd, err := unix.MemfdCreate("tandem-executor-state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make a file for the state: %w", err)
	}
	f := os.NewFile(uintptr(fd), "state")
	if _, err := f.Write(data); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write the state: %w", err), f.Close())
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write the state: %w", err), f.Close())
	}
	return f, nil
}

// Read reads a state. The error says what about it this program cannot go on with.
func Read(r io.Reader) (*State, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the state: %w", err)
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("cannot read the state: it has more than %d bytes", MaxSize)
	}
	var head struct{ Format int }
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("cannot read the state: %w", err)
	}
	if !Reads(head.Format) {
		return nil, fmt.Errorf("cannot read the state: it is of format %d, and this program reads format %d", head.Format, Format)
	}
	s := &State{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("cannot read the state: %w", err)
	}
	return s, s.validate()
}

func (s *State) validate() error {
	all := s.Descriptors()
	slices.Sort(all)
	for i, fd := range all {
		if fd <= unix.Stderr || i > 0 && fd == all[i-1] {
			return fmt.Errorf("cannot read the state: descriptor %d is there twice, or cannot be", fd)
		}
	}
	runs := make(map[core.Run]bool, len(s.Workloads))
	for _, w := range s.Workloads {
		if w.Pid <= 1 || w.ID == "" || runs[w.Run] {
			return fmt.Errorf("cannot read the state: run %d is there twice, or has no process", w.Run)
		}
		runs[w.Run] = true
	}
	return nil
}

// Inherit lets the next program have descriptors, or takes that back.
func Inherit(fds []int, yes bool) error {
	flag := unix.FD_CLOEXEC
	if yes {
		flag = 0
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag); err != nil {
			return fmt.Errorf("cannot pass on descriptor %d: %w", fd, err)
		}
	}
	return nil
}
