package workload

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/kin"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// Activity reads what the workload does with devices and how much it waits.
// Without a cgroup nothing is known. It fails once the cgroup has been removed.
func (p *Process) Activity() (cgroup.Activity, error) {
	if p.group == nil {
		return cgroup.Activity{}, nil
	}
	return p.group.Activity()
}

// SignalAll sends a signal to every process of the workload that there is when
// it looks; one that is forked meanwhile may be missed. Once nothing is left the
// error is [os.ErrProcessDone].
func (p *Process) SignalAll(sig syscall.Signal) error {
	if p.group == nil {
		return p.signalSession(sig)
	}
	pids, err := p.group.Processes()
	if err != nil {
		return err
	}
	holds := make(map[int]hold, len(pids))
	defer func() {
		for _, h := range holds {
			h.release()
		}
	}()
	for _, pid := range pids {
		if h, err := holdOf(pid); err == nil {
			holds[pid] = h
		} else if !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("cannot get hold of process %d: %w", pid, err)
		}
	}
	// A number that is in the group before and after it was held is that of a
	// process of the group, or of one that has ended.
	if pids, err = p.group.Processes(); err != nil {
		return err
	}
	var errs []error
	sent := 0
	for pid, h := range holds {
		if _, in := slices.BinarySearch(pids, pid); !in {
			continue
		}
		switch err := h.signal(sig); {
		case err == nil:
			sent++
		case !errors.Is(err, unix.ESRCH):
			errs = append(errs, fmt.Errorf("cannot signal process %d: %w", pid, err))
		}
	}
	if sent == 0 && len(errs) == 0 {
		return os.ErrProcessDone
	}
	return errors.Join(errs...)
}

// hold is a process that is to be signalled, and no other that gets its number.
// A kernel before 5.3 has no pidfds; there the number alone must do.
type hold struct{ pid, fd int }

func holdOf(pid int) (hold, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) {
		return hold{pid, -1}, nil
	}
	return hold{pid, fd}, err
}

func (h hold) signal(sig syscall.Signal) error {
	if h.fd < 0 {
		return syscall.Kill(h.pid, sig)
	}
	return unix.PidfdSendSignal(h.fd, sig, nil, 0)
}

func (h hold) release() {
	if h.fd >= 0 {
		_ = unix.Close(h.fd)
	}
}

// signalSession does what can be done without a cgroup. The main process is not
// reaped meanwhile, so that the session's number is its own.
func (p *Process) signalSession(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	members := kin.Members(kin.Table(), p.pid)
	if len(members) == 0 {
		return os.ErrProcessDone
	}
	var errs []error
	for _, pid := range members {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("cannot signal process %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}
