package spawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Program is what a child becomes, and how.
type Program struct {
	// Paths are the files to execute: the first that there is. None is looked
	// for in PATH.
	Paths []string
	// Args and Env are all that the program gets. A script that names no
	// interpreter is run by /bin/sh.
	Args, Env []string
	// Dir is the working directory.
	Dir string
	// Files become the descriptors 0, 1 and 2; nothing else is inherited. The
	// caller may close them once [Start] has returned.
	Files [3]*os.File

	// Terminal makes the first of Files, which is a terminal, the controlling one
	// of the program's session.
	Terminal bool

	Umask   int
	Rlimits []Rlimit
	// User is whom to become; nil for nobody else.
	User *User
	// Capabilities are what the program begins with; nil leaves them to User.
	Capabilities *Capabilities
	// View is what it sees of the machine, and Join says with whom: a namespace is
	// in one of both at the most.
	View View
	Join Joined
	// NoNewPrivileges sets no_new_privs.
	NoNewPrivileges bool
	// DieWithParent has the kernel kill the program when the thread that called
	// Start ends. A goroutine that ends while it is locked to a thread ends that
	// thread, so Start should be called on one that nobody else uses.
	DieWithParent bool
}

// Rlimit is a resource limit, by the kernel's number.
type Rlimit struct {
	Resource   int
	Soft, Hard uint64
}

// User is the numbers of one.
type User struct {
	UID, GID int
	Groups   []int
}

// Options say how a child is born.
type Options struct {
	// Cgroup is a descriptor of the v2 cgroup to be born in; 0 for the
	// caller's own.
	Cgroup int
	// Enter are the files through which the child moves itself into other
	// cgroups, before anything else that it waits for or does: the tasks files of
	// v1, or a cgroup.procs. A thread that moves itself through a tasks file is
	// spared what makes the move of another process slow, from Linux 5.16 on.
	Enter []string
	// Apart gives the child a copy of the memory; see the package's comment.
	Apart bool
	// WithoutPidfd makes the kernel one from before pidfds, for tests.
	WithoutPidfd bool
}

// Child is a process that waits, in a session of its own, and then becomes a
// program, if Become is called before Close. It must be kept, because the process
// works in its memory, until Become has returned nil or the process is reaped.
type Child struct {
	// Pid is the process's number; it is the caller's to reap.
	Pid int
	// Pidfd is a descriptor of it, the caller's to close; -1 where the kernel
	// has none.
	Pidfd int

	script *script
	socket *os.File
}

// Start makes a child. It is not inherited what the caller has open, and signals
// other than SIGKILL and SIGSTOP wait for the program. An error that is a
// [syscall.Errno] is the kernel's refusal to make a process so.
func Start(p Program, o Options) (*Child, error) {
	// Each word is a message of its own.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	defer unix.Close(fds[1])
	s, err := scriptOf(p, o.Enter, fds[1])
	if err == nil {
		err = unix.SetNonblock(fds[0], true) // so that reads wait in Go's poller
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]))
	}
	var pid int
	if s.among == nil {
		var errno syscall.Errno
		if pid, errno = s.bear(o); errno != 0 {
			err = errno
		}
	} else {
		pid, err = s.bearAmong(o)
	}
	runtime.KeepAlive(p.Files)
	runtime.KeepAlive(p.Join)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]))
	}
	pidfd := int(s.pidfd)
	if pidfd == 0 { // A kernel that does not know the flag leaves it alone.
		pidfd = -1
	}
	return &Child{Pid: pid, Pidfd: pidfd, script: s, socket: os.NewFile(uintptr(fds[0]), "child")}, nil
}

// Become lets the child become its program, and returns when that is being
// executed. After an error the process ends by itself, with status 127, unless it
// ended already: a [*Failure] says what did not succeed, and when ctx ends before
// the program runs the error is the context's cause.
func (c *Child) Become(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err := c.lead(ctx)
	c.Close()
	switch {
	case err == nil:
		c.script.done()
		c.script = nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return err
}

// Close gives the child up: if it waits it ends by itself, with status 127.
func (c *Child) Close() {
	_ = c.socket.Close() // Become has closed it, or nobody has.
}

// bear makes the process, with all signals blocked, so that no handler of Go's
// runs in the child.
func (s *script) bear(o Options) (pid int, err syscall.Errno) {
	flags := uintptr(unix.SIGCHLD) | s.flags
	if !o.Apart {
		flags |= unix.CLONE_VM
	}
	var pidfd uintptr
	if !o.WithoutPidfd {
		flags |= unix.CLONE_PIDFD
		pidfd = address(&s.pidfd)
	}
	// The child keeps the caller's stack pointer and never uses it.
	trap, a1, a2, a3 := uintptr(unix.SYS_CLONE), flags, uintptr(0), pidfd
	if o.Cgroup != 0 {
		s.args = cloneArgs{
			argFlags: uint64(flags&^0xff) | unix.CLONE_INTO_CGROUP, argExitSignal: uint64(unix.SIGCHLD),
			argPidfd: uint64(pidfd), argCgroup: uint64(o.Cgroup),
		}
		trap, a1, a2, a3 = unix.SYS_CLONE3, address(&s.args), unsafe.Sizeof(s.args), 0
	}
	// Nobody else should start a program while a descriptor is open that is
	// not marked to be closed.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	first := &s.ops[0]
	beforeFork() // From here to afterFork no stack may grow.
	r := clone(trap, a1, a2, a3, s, first)
	afterFork()
	if r > ^uintptr(4095) {
		return 0, syscall.Errno(-r)
	}
	return int(r), 0
}

// cloneArgs is struct clone_args of clone3(2), up to its member cgroup.
type cloneArgs [11]uint64

const (
	argFlags      = 0
	argPidfd      = 1
	argExitSignal = 4
	argCgroup     = 10
)

// clone makes a system call that is clone or clone3. In the child it performs
// the operations, and does not return.
func clone(trap, a1, a2, a3 uintptr, s *script, first *op) uintptr
