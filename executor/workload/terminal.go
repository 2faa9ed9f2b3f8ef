package workload

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Terminal opens a terminal for a guest of a workload that has a root file system of its
// own: one of that, by whose name the guest finds it again. Reads and writes of ours
// return when it is closed.
func (p *Process) Terminal() (ours, theirs *os.File, err error) {
	ours, err = p.openMaster()
	if err != nil {
		return nil, nil, err
	}
	theirs, err = openSlave(ours)
	if err != nil {
		_ = ours.Close() // It was not used.
		return nil, nil, err
	}
	return ours, theirs, nil
}

// openMaster opens the multiplexer of terminals in the workload's root. Nothing that
// the program has put there instead is taken for it.
func (p *Process) openMaster() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped || p.settling {
		return nil, errEnded // Its number may be another's.
	}
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", p.pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot find its root: %w", err)
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, "dev/pts/ptmx", &unix.OpenHow{
		Flags:   unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open /dev/pts/ptmx in its root: %w", err)
	}
	ours := os.NewFile(uintptr(fd), "/dev/pts/ptmx")
	var is unix.Stat_t
	if err := unix.Fstat(fd, &is); err != nil || is.Mode&unix.S_IFMT != unix.S_IFCHR || is.Rdev != unix.Mkdev(5, 2) {
		_ = ours.Close() // It was not used.
		return nil, errors.New("its root has something else in the place of /dev/pts/ptmx")
	}
	return ours, nil
}

// openSlave opens a master's other end, without having to name it (ioctl_tty(2)).
func openSlave(master *os.File) (*os.File, error) {
	raw, err := master.SyscallConn()
	if err != nil {
		return nil, err
	}
	var slave uintptr
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		if failed := unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed != nil {
			errno, _ = failed.(syscall.Errno)
			return
		}
		slave, _, errno = syscall.Syscall(unix.SYS_IOCTL, fd, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the other end of a terminal: %w", err)
	}
	return os.NewFile(slave, "tty"), nil
}
