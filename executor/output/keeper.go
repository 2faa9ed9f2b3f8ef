package output

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

const (
	// writers is how many streams are written at once. Each can hold a thread
	// for as long as a disk takes.
	writers = 4
	// piece is how much of a stream is written in one turn: all that a pipe
	// holds.
	piece = 64 << 10
	// patience is how long the end of a stream waits for a disk that neither
	// takes nor refuses what is left.
	patience = 5 * time.Second
	// MostFiles is how many files a stream may be kept in: each new one renames
	// all.
	MostFiles = 1000
	// LeastSize is the least that a file's size may be bounded to.
	LeastSize = 4096
)

// Options say how a stream is kept.
type Options struct {
	// Path is the live file's, absolute.
	Path string
	// MaxFiles is how many files are kept, the live one included: 1 to
	// MostFiles.
	MaxFiles int
	// MaxFileSize is the size in bytes that no file exceeds, LeastSize or more.
	MaxFileSize int64
	// Owner is given the files; nil for nobody.
	Owner *Owner
	// Task is whose it is, for the log.
	Task string
}

func (o Options) validate() error {
	switch {
	case !filepath.IsAbs(o.Path):
		return fmt.Errorf("cannot write its output to %q: the path is not absolute", o.Path)
	case o.MaxFiles < 1 || o.MaxFiles > MostFiles:
		return fmt.Errorf("cannot keep its output in %d files: from 1 to %d may be asked for", o.MaxFiles, MostFiles)
	case o.MaxFileSize < LeastSize:
		return fmt.Errorf("cannot keep its output in files of %d bytes: %d is the least", o.MaxFileSize, LeastSize)
	}
	return nil
}

// Loss is output that was not kept though it should have been.
type Loss struct {
	Bytes int64
	// Err is why, the latest reason where there are several.
	Err error
}

func (l *Loss) add(n int64, err error) {
	if n > 0 {
		l.Bytes += n
		l.Err = err
	}
}

// String says "4096 bytes are missing: no space left on device".
func (l Loss) String() string {
	var errno syscall.Errno
	reason := l.Err
	if errors.As(l.Err, &errno) {
		reason = errno
	}
	noun := "bytes are"
	if l.Bytes == 1 {
		noun = "byte is"
	}
	return fmt.Sprintf("%d %s missing: %v", l.Bytes, noun, reason)
}

// Keeper writes the streams of one executor. Its methods may be called from
// several goroutines at once.
type Keeper struct {
	log      logrus.FieldLogger
	turns    chan []byte // a buffer each, nil before its first use
	patience time.Duration
}

// NewKeeper returns a Keeper. The log is told of what is lost.
func NewKeeper(log logrus.FieldLogger) *Keeper {
	k := &Keeper{log: log, turns: make(chan []byte, writers), patience: patience}
	for range writers {
		k.turns <- nil
	}
	return k
}

// Open begins a stream. The file is the end of the pipe that the workload
// writes to; the caller closes it once the workload has it.
func (k *Keeper) Open(o Options) (*Stream, *os.File, error) {
	if err := o.validate(); err != nil {
		return nil, nil, err
	}
	dir, name := filepath.Split(o.Path)
	files, err := openSeries(dir, name, o)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot write its output to %s: %w", o.Path, err)
	}
	ours, theirs, err := pipe(o.Owner)
	if err != nil {
		files.close()
		return nil, nil, fmt.Errorf("cannot make a pipe for its output: %w", err)
	}
	s := &Stream{
		keeper: k, name: name, in: ours, files: files, done: make(chan struct{}),
		log: k.log.WithFields(logrus.Fields{"task": o.Task, "file": name}),
	}
	go s.run()
	return s, theirs, nil
}

// pipe makes a pipe whose reading end, the first, waits in Go's poller. The
// other is the owner's, so that a program that opens /dev/stdout may.
func pipe(owner *Owner) (ours, theirs *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	err = unix.SetNonblock(fds[0], true)
	if err == nil && owner != nil {
		err = unix.Fchown(fds[1], owner.UID, owner.GID)
	}
	if err != nil {
		return nil, nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "output"), os.NewFile(uintptr(fds[1]), "output"), nil
}

// Stream is one stream of a workload.
type Stream struct {
	keeper *Keeper
	name   string
	in     *os.File
	files  *series // of the goroutine of run
	log    logrus.FieldLogger
	done   chan struct{} // closed when all is written that will be

	mu        sync.Mutex // guards what follows
	lost      Loss
	finishing bool
	writing   int           // bytes that are read and on their way to the disk
	parked    chan struct{} // closed when run has stopped for a Suspend; nil without one
}

// Name is the live file's, without its directory.
func (s *Stream) Name() string { return s.name }

// Finish writes what is in the pipe, closes the files and returns what was lost.
// It is called when the workload has ended: a process that escaped it, and
// still holds the pipe, finds nobody at its other end. It blocks while the disk
// works, and for 5 seconds at the most.
func (s *Stream) Finish() Loss {
	s.mu.Lock()
	s.finishing = true
	s.mu.Unlock()
	// It ends the wait for more. What has been written by now is still read.
	_ = s.in.SetReadDeadline(time.Unix(1, 0)) // fails when the stream has ended by itself
	timer := time.NewTimer(s.keeper.patience)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		s.abandon()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// abandon counts as lost what the disk has not taken yet. It may do so later.
func (s *Stream) abandon() {
	left := 0
	if conn, err := s.in.SyscallConn(); err == nil {
		left = waiting(conn)
	}
	s.mu.Lock()
	left += s.writing
	s.mu.Unlock()
	s.lose(Loss{int64(left), fmt.Errorf("the disk did not take them within %s", s.keeper.patience)})
}

func (s *Stream) underWay(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = n
}

func (s *Stream) lose(l Loss) {
	if l.Bytes == 0 {
		return
	}
	s.mu.Lock()
	first := s.lost.Bytes == 0
	s.lost.add(l.Bytes, l.Err)
	s.mu.Unlock()
	if first {
		s.log.Warnf("Output of a workload is not kept: %s", l)
	}
}

// run writes the stream until its end, or until Finish, and then what the pipe
// holds at that time.
func (s *Stream) run() {
	if s.write() {
		return
	}
	_ = s.in.Close()
	s.files.close()
	close(s.done)
}

// write does so, and says whether it stopped for a Suspend.
func (s *Stream) write() (suspended bool) {
	conn, err := s.in.SyscallConn()
	if err != nil {
		return false // cannot be: nobody else closes it
	}
	for {
		err := conn.Read(readable)
		if s.park() {
			return true
		}
		if err == nil {
			if s.turn(conn, piece) == 0 {
				return false
			}
			continue
		}
		if s.ending() {
			break
		}
		// A Suspend has come and gone.
	}
	for left := waiting(conn); left > 0; {
		n := s.turn(conn, min(left, piece))
		if n == 0 {
			break
		}
		left -= n
	}
	return false
}

// turn moves up to so many bytes to the files, when it is this stream's turn. It
// returns how many there were, which is 0 at the end of the stream.
func (s *Stream) turn(conn syscall.RawConn, most int) int {
	buf := <-s.keeper.turns
	if buf == nil {
		buf = make([]byte, piece)
	}
	defer func() { s.keeper.turns <- buf }()
	n := read(conn, buf[:most])
	s.underWay(n)
	s.lose(s.files.take(buf[:n]))
	s.underWay(0)
	return n
}

// readable says whether a read would not block: a call of it leaves waiting to
// Go's poller.
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n > 0 || (err != nil && !errors.Is(err, unix.EINTR))
}

// waiting returns how many bytes are in the pipe.
func waiting(conn syscall.RawConn) (n int) {
	_ = conn.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n
}

// read reads without waiting, past the file's deadline too. It returns 0 at the
// end of the stream.
func read(conn syscall.RawConn, p []byte) (n int) {
	_ = conn.Control(func(fd uintptr) {
		var err error
		for {
			if n, err = unix.Read(int(fd), p); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	return max(n, 0)
}
