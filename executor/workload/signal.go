package workload

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

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
	// A process may end and its number become a stranger's. A pidfd stays with
	// the process that had the number when it was opened; if the number is in the
	// group before and after, that process is either of the group or gone.
	fds := make(map[int]int, len(pids))
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			fds[pid] = fd
		} else if !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("cannot get hold of process %d: %w", pid, err)
		}
	}
	if pids, err = p.group.Processes(); err != nil {
		return err
	}
	var errs []error
	sent := 0
	for pid, fd := range fds {
		if _, in := slices.BinarySearch(pids, pid); !in {
			continue
		}
		switch err := unix.PidfdSendSignal(fd, sig, nil, 0); {
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

// signalSession does what can be done without a cgroup. The main process is not
// reaped meanwhile, so that the session's number is its own.
func (p *Process) signalSession(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	members := sessionMembers(processTable(), p.pid)
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
