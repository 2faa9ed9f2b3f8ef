package output

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// State is a stream as it is passed on to a program that takes this one's place.
// The descriptors are those of the process, which stays the same.
type State struct {
	Name string
	// Ended says that nobody writes any more, and that all is in the files. Then
	// there are no descriptors.
	Ended bool
	// Pipe is read from, and Live written to, in the directory Dir.
	Pipe, Dir, Live int
	// MaxFiles and MaxFileSize are the bounds, and Owner is whom new files are
	// given to; nil for nobody.
	MaxFiles    int
	MaxFileSize int64
	Owner       *Owner
	// Size is that of the live file, and MidLine says that it ends within a line.
	Size    int64
	MidLine bool
	// Missing has been dropped and the file does not say so yet; Lost is all that
	// was dropped.
	Missing, Lost LossState
}

// LossState is a Loss.
type LossState struct {
	Bytes int64
	Why   string
}

func stateOf(l Loss) LossState {
	s := LossState{Bytes: l.Bytes}
	if l.Err != nil {
		s.Why = l.Err.Error()
	}
	return s
}

func (s LossState) loss() Loss {
	if s.Bytes == 0 {
		return Loss{}
	}
	return Loss{s.Bytes, errors.New(s.Why)}
}

// Suspend stops a stream, when all that was read is written, and returns its
// state. What the workload writes meanwhile waits in the pipe. It blocks while
// the disk works, and fails after 5 seconds, as if it had not been called.
func (s *Stream) Suspend() (State, error) {
	parked := make(chan struct{})
	s.mu.Lock()
	s.parked = parked
	s.mu.Unlock()
	_ = s.in.SetReadDeadline(time.Unix(1, 0)) // Fails when the stream has ended by itself.
	timer := time.NewTimer(s.keeper.patience)
	defer timer.Stop()
	select {
	case <-s.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		return State{Name: s.name, Ended: true, Lost: stateOf(s.lost)}, nil
	case <-parked:
		return s.state()
	case <-timer.C:
		s.Resume()
		return State{}, fmt.Errorf("the disk does not take the output that waits for %s", s.name)
	}
}

// Resume lets a stream go on that was suspended; another does so anyway.
func (s *Stream) Resume() {
	_ = s.in.SetReadDeadline(time.Time{}) // Fails when the stream has ended by itself.
	s.mu.Lock()
	parked := s.parked
	s.parked = nil
	s.mu.Unlock()
	if parked == nil {
		return
	}
	select {
	case <-parked:
		go s.run()
	default:
	}
}

// park says whether run is to stop, which it then does at once.
func (s *Stream) park() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked == nil {
		return false
	}
	close(s.parked)
	return true
}

func (s *Stream) ending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finishing
}

func (s *Stream) state() (State, error) {
	f := s.files
	s.mu.Lock()
	state := State{
		Name: s.name, Dir: f.dir, MaxFiles: f.maxFiles, MaxFileSize: f.maxSize, Owner: f.owner,
		Size: f.size, MidLine: f.midLine, Missing: stateOf(f.missing), Lost: stateOf(s.lost),
	}
	s.mu.Unlock()
	for fd, file := range map[*int]*os.File{&state.Pipe: s.in, &state.Live: f.live} {
		conn, err := file.SyscallConn()
		if err == nil {
			err = conn.Control(func(n uintptr) { *fd = int(n) })
		}
		if err != nil {
			return State{}, fmt.Errorf("cannot pass on %s: %w", s.name, err)
		}
	}
	return state, nil
}

// Descriptors are those that the state speaks of.
func (s State) Descriptors() []int {
	if s.Ended {
		return nil
	}
	return []int{s.Pipe, s.Dir, s.Live}
}

// Adopt goes on with a stream of the program before this one.
func (k *Keeper) Adopt(task string, state State) (*Stream, error) {
	if state.Ended {
		s := &Stream{keeper: k, name: state.Name, done: make(chan struct{}), lost: state.Lost.loss(), log: k.log}
		close(s.done)
		return s, nil
	}
	if state.MaxFiles < 1 || state.MaxFiles > MostFiles || state.MaxFileSize < LeastSize {
		return nil, fmt.Errorf("cannot go on with %s: it has %d files of %d bytes", state.Name, state.MaxFiles, state.MaxFileSize)
	}
	for _, fd := range state.Descriptors() {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("cannot go on with %s: descriptor %d: %w", state.Name, fd, err)
		}
	}
	files := &series{
		dir: state.Dir, name: state.Name, owner: state.Owner, maxFiles: state.MaxFiles, maxSize: state.MaxFileSize,
		live: os.NewFile(uintptr(state.Live), state.Name), size: state.Size, midLine: state.MidLine, missing: state.Missing.loss(),
	}
	s := &Stream{
		keeper: k, name: state.Name, in: os.NewFile(uintptr(state.Pipe), "output"), files: files, done: make(chan struct{}),
		lost: state.Lost.loss(), log: k.log.WithFields(logrus.Fields{"task": task, "file": state.Name}),
	}
	go s.run()
	return s, nil
}
