package workload

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/spawn"
)

// reaper reaps the orphans that workloads leave to their subreaper, and
// nothing else: main processes belong to their supervise, and other children of
// the program to whoever started them.
type reaper struct {
	mu       sync.Mutex // guards what follows
	expected map[*spawn.Child]bool
	managed  map[int]*Process
	holds    int

	log     logrus.FieldLogger
	signals chan os.Signal
	look    chan struct{}
	done    chan struct{}
	stopped chan struct{}
}

// foreignWait is how long to leave another's zombie, which hides those behind
// it, before looking again.
const foreignWait = 50 * time.Millisecond

func newReaper(log logrus.FieldLogger) *reaper {
	return &reaper{
		expected: make(map[*spawn.Child]bool),
		managed:  make(map[int]*Process),
		log:      log,
		signals:  make(chan os.Signal, 1),
		look:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		stopped:  make(chan struct{}),
	}
}

// start begins to reap. Main processes that there are already must be managed.
func (r *reaper) start() {
	signal.Notify(r.signals, syscall.SIGCHLD)
	go r.run()
}

func (r *reaper) stop() {
	signal.Stop(r.signals)
	close(r.done)
	<-r.stopped
}

// expect tells of a child before its start, so that it is not taken for an orphan
// when it ends at once.
func (r *reaper) expect(c *spawn.Child) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected[c] = true
}

// forget is called when a child's start is over, and what has come of it is managed.
// One that is no more may have hidden others.
func (r *reaper) forget(c *spawn.Child) {
	r.mu.Lock()
	delete(r.expected, c)
	managed := r.managed[c.Pid()] != nil
	r.mu.Unlock()
	if !managed {
		r.lookAgain()
	}
}

func (r *reaper) manage(p *Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.managed[p.pid] = p
}

// hold keeps orphans from being reaped, because one of them may turn out to be a
// main process. The returned function ends that.
func (r *reaper) hold() (unhold func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holds++
	return func() {
		r.mu.Lock()
		r.holds--
		r.mu.Unlock()
		r.lookAgain()
	}
}

// release forgets a main process that was reaped. It may have hidden others.
func (r *reaper) release(pid int) {
	r.mu.Lock()
	delete(r.managed, pid)
	r.mu.Unlock()
	r.lookAgain()
}

func (r *reaper) lookAgain() {
	select {
	case r.look <- struct{}{}:
	default:
	}
}

func (r *reaper) run() {
	defer close(r.stopped)
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-r.done:
			r.sweep()
			return
		case <-r.signals:
		case <-r.look:
		case <-again.C:
		}
		if foreign := r.sweep(); foreign {
			again.Reset(foreignWait)
		}
	}
}

// sweep reaps orphans until it meets a zombie that is not its to reap. It says
// whether that is one whose end nobody will tell it.
func (r *reaper) sweep() (foreign bool) {
	for {
		pid := zombie(unix.P_ALL, 0)
		if pid == 0 {
			return false
		}
		r.mu.Lock()
		p, held, expected := r.managed[pid], r.holds > 0, r.expects(pid)
		r.mu.Unlock()
		if expected {
			return false // forget calls again
		}
		if p != nil {
			select {
			case p.poke <- struct{}{}:
			default:
			}
			return false // release calls again
		}
		if held {
			r.pokeAll() // It may hide one of theirs.
			return true
		}
		if ownSession(pid) {
			return true
		}
		var w syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &w, syscall.WNOHANG, nil); err != nil {
			return false
		}
		r.log.WithField("pid", pid).Debugf("Reaped an orphan: %s", statusOf(w))
	}
}

// expects says whether a process is a child that is being started.
func (r *reaper) expects(pid int) bool {
	for c := range r.expected {
		if c.Pid() == pid {
			return true
		}
	}
	return false
}

// pokeAll has every main process looked at.
func (r *reaper) pokeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.managed {
		select {
		case p.poke <- struct{}{}:
		default:
		}
	}
}

// ownSession says whether a child is of this program's own session: all that
// a workload starts is in another.
func ownSession(pid int) bool {
	own, err := unix.Getsid(0)
	if err != nil {
		return true
	}
	session, err := unix.Getsid(pid)
	return err == nil && session == own
}

// hasEnded says whether a child has ended, reaped or not.
func hasEnded(pid int) bool { return zombie(unix.P_PID, pid) != 0 }

// zombie returns the pid of a child that has ended, without reaping it, or 0.
// For a single child that does not exist it returns that child.
func zombie(kind, id int) int {
	var info unix.Siginfo
	for {
		err := unix.Waitid(kind, id, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		switch err {
		case nil:
			return siginfoPid(&info)
		case unix.EINTR:
		default:
			return id
		}
	}
}

// siginfoPid reads si_pid, for which the library has no field: it follows
// three ints, aligned for a pointer.
func siginfoPid(info *unix.Siginfo) int {
	const size = unsafe.Sizeof(uintptr(0))
	offset := (3*unsafe.Sizeof(int32(0)) + size - 1) / size * size
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
