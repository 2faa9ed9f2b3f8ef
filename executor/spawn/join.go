package spawn

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Joined are namespaces that there are, for a program to be in: descriptors of
// files such as /proc/<pid>/ns/mnt, which OpenNamespace opens. Those that are nil
// are the caller's. It takes the privileges that setns(2) asks for.
type Joined struct {
	Mount, IPC, UTS *os.File
	// PID is one that descends from the caller's. Its first process must live.
	PID *os.File
}

// OpenNamespace opens the file of a namespace, with a number that a child does not
// use itself.
func OpenNamespace(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil || f.Fd() > childSocket {
		return f, err
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, childSocket+1)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// joining is a descriptor of a namespace of a kind, as the child has it.
type joining struct{ fd, kind uintptr }

// keepOpen gives the descriptors of namespaces the numbers from first on, which is
// above those of the child's files and socket. Sorted, none is overwritten before it
// was copied.
func (s *script) keepOpen(j Joined, first uintptr) []joining {
	s.among = j.PID
	var all []joining
	for kind, file := range map[uintptr]*os.File{unix.CLONE_NEWIPC: j.IPC, unix.CLONE_NEWUTS: j.UTS, unix.CLONE_NEWNS: j.Mount} {
		if file != nil {
			all = append(all, joining{file.Fd(), kind})
		}
	}
	slices.SortFunc(all, func(a, b joining) int { return cmp.Compare(a.fd, b.fd) })
	for i := range all {
		if to := first + uintptr(i); all[i].fd != to {
			s.add(StepNamespaces, 0, ruleMust, unix.SYS_DUP3, all[i].fd, to, unix.O_CLOEXEC)
			all[i].fd = to
		}
	}
	return all
}

// join has the child enter namespaces. It is born in that of processes.
func (s *script) join(all []joining) {
	for _, n := range all {
		s.add(StepNamespaces, 0, ruleMust, unix.SYS_SETNS, n.fd, n.kind)
	}
}

// bearAmong is bear for a child in the namespace of processes of s.among. Only a
// thread of its own can have children elsewhere: the goroutine keeps it from
// others, and when it cannot be brought back it ends with the goroutine.
func (s *script) bearAmong(o Options) (pid int, err error) {
	type birth struct {
		pid int
		err error
	}
	done := make(chan birth)
	go func() {
		runtime.LockOSThread()
		own, err := unix.Open("/proc/thread-self/ns/pid_for_children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			done <- birth{err: fmt.Errorf("cannot find the executor's namespace of processes: %w", err)}
			return
		}
		defer unix.Close(own)
		var b birth
		if err := unix.Setns(int(s.among.Fd()), unix.CLONE_NEWPID); err != nil {
			b.err = fmt.Errorf("cannot enter its namespace of processes: %w", err)
		} else {
			var errno syscall.Errno
			if b.pid, errno = s.bear(o); errno != 0 {
				b.err = errno
			}
		}
		if unix.Setns(own, unix.CLONE_NEWPID) == nil {
			runtime.UnlockOSThread()
		}
		done <- b
	}()
	b := <-done
	return b.pid, b.err
}
