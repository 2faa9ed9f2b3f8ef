package spawn

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// Joined are namespaces that there are, for a program to be in: files such as
// /proc/<pid>/ns/mnt. Those that are nil are the caller's. It takes the privileges that
// setns(2) asks for.
type Joined struct {
	Mount, IPC, UTS *os.File
	// PID is one that descends from the caller's. Its first process must live.
	PID *os.File
}

// joining is a descriptor of a namespace of a kind, as the child has it.
type joining struct{ fd, kind uintptr }

// list returns them in the order of their descriptors.
func (j Joined) list() []joining {
	var all []joining
	for kind, file := range map[uintptr]*os.File{unix.CLONE_NEWIPC: j.IPC, unix.CLONE_NEWUTS: j.UTS, unix.CLONE_NEWNS: j.Mount} {
		if file != nil {
			all = append(all, joining{file.Fd(), kind})
		}
	}
	slices.SortFunc(all, func(a, b joining) int { return cmp.Compare(a.fd, b.fd) })
	return all
}

// join has the child enter namespaces. It is born in that of processes.
func (s *script) join(all []joining) {
	for _, n := range all {
		s.add(StepNamespaces, 0, ruleMust, unix.SYS_SETNS, n.fd, n.kind)
	}
}

// bearAmong is bear for a child in a namespace of processes that there is. Only a
// thread of its own can have children elsewhere: the goroutine keeps it from
// others, and when it cannot be brought back it ends with the goroutine.
func (c *Child) bearAmong(s *script) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		own, err := unix.Open("/proc/thread-self/ns/pid_for_children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("cannot find the executor's namespace of processes: %w", err)
			return
		}
		defer unix.Close(own)
		if err = unix.Setns(int(c.Program.Join.PID.Fd()), unix.CLONE_NEWPID); err != nil {
			err = fmt.Errorf("cannot enter its namespace of processes: %w", err)
		} else {
			err = c.bear(s)
		}
		if unix.Setns(own, unix.CLONE_NEWPID) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
