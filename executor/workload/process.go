package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tandem-mesos/tandem/executor/output"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/ready"
)

// Process is a workload that was started. Its methods may be called from
// several goroutines at once, and after its end.
type Process struct {
	launcher *Launcher
	id       string
	pid      int
	group    *cgroup.Group // nil for none
	host     *Process      // whose cgroup it is a guest in; nil for a workload
	mark     string        // what its environment has: of a guest, and without a cgroup
	started  time.Time
	entry    *entry // into its root file system; nil for none
	skipped  []error
	exits    chan Exit
	poke     chan struct{} // the reaper has seen it end
	ending   chan struct{} // closed when the main process has ended
	killing  sync.WaitGroup
	visits   sync.WaitGroup // starts of guests
	overran  atomic.Bool    // it is ended here for its memory
	streams  []*output.Stream

	mu       sync.Mutex    // guards what follows
	reaped   bool          // pid is no longer its own
	killed   bool          // Kill is at work, or was
	settling bool          // supervise is at work, and nobody else may kill
	held     chan struct{} // open while it is suspended; nil when it is not
	wanted   bool          // Kill was called meanwhile
	watch    *cgroup.Watch // of its memory; nil for none
	guests   []*Process    // that have not ended
	visitors int           // guests that are being started
	over     bool          // the exit has been told
	onExit   func(Exit)    // whom to tell; nil for exits
}

// Pid is the process id of the main process.
func (p *Process) Pid() int { return p.pid }

// Skipped lists the limits that are not enforced; see [cgroup.Prefer].
func (p *Process) Skipped() []error { return p.skipped }

// Exit returns the channel on which the end of the workload comes, once, after
// all its processes have ended and its cgroup is removed. It is closed then.
func (p *Process) Exit() <-chan Exit { return p.exits }

// OnExit has f called with the exit, once, in place of its coming on the channel
// of Exit: so nobody has to wait. It is called from another goroutine, at once
// when the workload has ended already.
func (p *Process) OnExit(f func(Exit)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.onExit = f
		return
	}
	if exit, ok := <-p.exits; ok {
		go f(exit)
	}
}

// tell says how the workload has ended.
func (p *Process) tell(exit Exit) {
	p.mu.Lock()
	p.over = true
	f := p.onExit
	if f == nil {
		p.exits <- exit
	}
	close(p.exits)
	p.mu.Unlock()
	if f != nil {
		f(exit)
	}
}

// Signal sends a signal to the main process. Once that has ended the error is
// [os.ErrProcessDone].
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped || p.pid == 0 {
		return os.ErrProcessDone
	}
	err := syscall.Kill(p.pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// Kill ends every process of the workload with SIGKILL. It returns at once;
// the exit follows. Further calls do nothing.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		p.wanted = true
		return
	}
	if p.killed || p.settling {
		return
	}
	p.killed = true
	p.killing.Go(func() {
		if p.host != nil {
			p.killGuest()
			return
		}
		if p.group == nil {
			p.killSession()
			return
		}
		if err := p.empty(); err != nil {
			p.launcher.log.WithField("task", p.id).Errorf("Killing a workload: %v", err)
			_ = p.Signal(syscall.SIGKILL)
		}
	})
}

// empty kills all that is in the cgroup. It goes on for as long as that takes:
// a process that the kernel does not let go of still counts against the
// container, and the workload has not ended before it has.
func (p *Process) empty() error {
	const worth = 30 * time.Second // a line in the log
	for {
		ctx, cancel := context.WithTimeout(context.Background(), worth)
		err := p.group.Kill(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		p.launcher.log.WithField("task", p.id).Warnf("Still killing a workload: %v", err)
	}
}

// Usage reads what the workload has used so far. Without a cgroup it is known
// after the exit only, and nothing but WallTime is set. It fails once the
// cgroup has been removed.
func (p *Process) Usage() (Usage, error) {
	u := Usage{Source: sourceOf(p.group), WallTime: time.Since(p.started)}
	if p.group == nil {
		return u, nil
	}
	var err error
	u.Usage, err = p.group.Usage()
	return u, err
}

// ended is called when what was started is a zombie: a runtime may have left the
// main process.
func (p *Process) ended() {
	if p.entry != nil {
		if pidfd, goesOn := p.changeOver(); goesOn {
			p.await(pidfd, p.supervise)
			return
		}
	}
	p.supervise()
}

// supervise sees the process, which is a zombie, through to its end.
func (p *Process) supervise() {
	ended := time.Now()
	p.mu.Lock()
	for held := p.held; held != nil; held = p.held {
		p.mu.Unlock()
		<-held
		p.mu.Lock()
	}
	p.settling = true
	p.mu.Unlock()
	close(p.ending)
	p.visits.Wait() // They are given up, and nobody comes any more.
	p.mu.Lock()
	guests := p.guests
	p.mu.Unlock()
	for _, g := range guests {
		g.Kill() // Without a cgroup nothing else ends them.
	}
	if p.host != nil {
		p.seeOff()
		return
	}
	var exit Exit
	if p.group == nil {
		// The process is not reaped yet, so that its number cannot be
		// another's and the session can be found by it.
		exit.Leftovers = p.killSession()
	}
	var rusage syscall.Rusage
	exit.Status, exit.Err = p.reap(&rusage)
	if p.group != nil {
		exit.Err = errors.Join(exit.Err, p.settle(&exit))
	}
	exit.Usage.Source = sourceOf(p.group)
	exit.Usage.WallTime = ended.Sub(p.started)
	exit.Usage.complete(&rusage)
	exit.LostOutput = p.finishOutput()
	p.launcher.leave(p.id)
	p.tell(exit)
}

// settle empties the cgroup of a workload whose main process has ended, reads
// its accounts, and removes it.
func (p *Process) settle(exit *Exit) error {
	p.unwatchMemory()
	// Another workload may get a cgroup of the same name once this one is
	// removed; no hand may be left on it.
	p.killing.Wait()
	usage, err := p.group.Totals()
	errs := []error{err}
	if !p.group.RemoveEmpty() {
		left, err := p.group.Processes()
		exit.Leftovers = len(left)
		errs = append(errs, err)
		if err != nil || len(left) > 0 {
			errs = append(errs, p.empty())
		}
		// What they did since counts, too, unless their accounts are gone.
		if all, err := p.group.Totals(); err == nil {
			all.Pids = usage.Pids
			usage = all
		}
		errs = append(errs, p.group.Remove(context.Background()))
	}
	exit.Usage.Usage = usage
	if usage.Memory != nil {
		exit.OOMKills = usage.Memory.OOMKills
	}
	if p.overran.Load() {
		exit.OOMKills++
	}
	return errors.Join(errs...)
}

// discard takes back a workload that never had a process.
func (p *Process) discard() error {
	defer p.launcher.leave(p.id)
	p.finishOutput()
	if p.group == nil {
		return nil
	}
	p.unwatchMemory()
	p.killing.Wait()
	return p.group.Remove(context.Background())
}

// await has a function called, in a goroutine of its own, when the main process is a
// zombie. It is given the pidfd, which is -1 where the kernel has none.
func (p *Process) await(pidfd int, then func()) {
	pid := p.pid
	if pidfd >= 0 {
		_, err := p.launcher.ready.Add(pidfd, func(d *ready.Descriptor) {
			if hasEnded(pid) && d.Close() {
				p.launcher.hands.Go(then)
			}
		})
		if err == nil {
			return
		}
	}
	go func() {
		for !hasEnded(pid) {
			<-p.poke
		}
		then()
	}()
}

// reap takes the exit status. From then on the pid may be anybody's.
func (p *Process) reap(r *syscall.Rusage) (Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped { // A runtime that has left nothing.
		return Status{Code: -1}, nil
	}
	if p.group == nil {
		p.launcher.guard.Remove(p.pid)
	}
	var w syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.pid, &w, 0, r)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		p.reaped = true
		p.launcher.reaper.release(p.pid)
		if err != nil {
			return Status{Code: -1}, fmt.Errorf("cannot find out how process %d ended: %w", p.pid, err)
		}
		return statusOf(w), nil
	}
}
