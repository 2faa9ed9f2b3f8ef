package spawn

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
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
	// Files become the descriptors 0, 1 and 2, which they are not themselves. Nothing
	// else is inherited. The caller may close them once [Child.Start] has returned.
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
	// OOMScore is its oom_score_adj; nil for the caller's.
	OOMScore *OOMScore
	// NoNewPrivileges sets no_new_privs.
	NoNewPrivileges bool
	// DieWithParent has the kernel kill the program when the thread that called
	// Start ends. A goroutine that ends while it is locked to a thread ends that
	// thread, so Start should be called on one that nobody else uses.
	DieWithParent bool
}

// OOMScore is a value of oom_score_adj. To lower it takes a privilege.
type OOMScore struct {
	Adjust int
	// Must says that the program does not run without it.
	Must bool
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
	// cgroups, before anything else that it does: the tasks files of
	// v1, or a cgroup.procs. A thread that moves itself through a tasks file is
	// spared what makes the move of another process slow, from Linux 5.16 on.
	Enter []string
	// Apart gives the child a copy of the memory; see the package's comment.
	Apart bool
	// WithoutPidfd makes the kernel one from before pidfds, for tests.
	WithoutPidfd bool
}

// Child is a process to be: what it is to become, and how. Only its Start and Pid
// may be called by several goroutines at once, and Start once.
type Child struct {
	Program Program
	Options Options
	// Pidfd is a descriptor of the process, once Start has succeeded, and the
	// caller's to close; -1 where the kernel has none.
	Pidfd int

	pid atomic.Int32 // The kernel writes it.

	mu   sync.Mutex // guards what follows, and who the pid is
	over bool       // Start is
}

// Pid is the process's number, 0 while there is none. It is known before the process
// can have ended, and is the caller's to reap when Start has succeeded.
func (c *Child) Pid() int { return int(c.pid.Load()) }

// Start makes the process, in a session of its own, and returns when it executes its
// program. It does not inherit what the caller has open, and signals other than
// SIGKILL and SIGSTOP wait for the program. After an error there is no process: a
// [*Failure] says what did not succeed, a [syscall.Errno] is the kernel's refusal to
// make a process so, and when ctx ends before the program runs the error is the
// context's cause.
func (c *Child) Start(ctx context.Context) error {
	s, err := scriptOf(&c.Program, &c.Options)
	if err != nil {
		return err
	}
	defer s.done()
	defer c.killAfter(ctx)()
	if err := c.lead(ctx, s); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	c.Pidfd = -1
	if !c.Options.WithoutPidfd {
		if fd, err := unix.PidfdOpen(c.Pid(), 0); err == nil {
			c.Pidfd = fd
		}
	}
	return nil
}

// killAfter kills the process when ctx ends before what it returns is called.
func (c *Child) killAfter(ctx context.Context) (over func()) {
	stop := context.AfterFunc(ctx, func() {
		// There may be no process yet, or one after this one.
		for wait := time.Millisecond; c.kill(); wait = min(2*wait, 100*time.Millisecond) {
			time.Sleep(wait)
		}
	})
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.over = true
		stop()
	}
}

// kill kills the process, if there is one, and says whether there may be another.
func (c *Child) kill() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pid := c.Pid(); pid != 0 && !c.over {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return !c.over
}

// reap forgets a process that has ended, or is about to.
func (c *Child) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if _, err := syscall.Wait4(c.Pid(), nil, 0, nil); !errors.Is(err, syscall.EINTR) {
			c.pid.Store(0)
			return
		}
	}
}

// try makes the process once. It returns when that executes what the script says,
// or is no more.
func (c *Child) try(s *script) error {
	*s.said = report{}
	var err error
	if c.Program.Join.PID == nil {
		err = c.bear(s)
	} else {
		err = c.bearAmong(s)
	}
	runtime.KeepAlive(&c.Program)
	switch {
	case err != nil:
		return err
	case s.said.op != 0:
		c.reap()
		return s.failure()
	case s.said.ready == [8]byte{}:
		c.reap()
		return errors.New("the process ended early")
	}
	return nil
}

// bear makes the process, and returns when it works in another memory or has ended.
func (c *Child) bear(s *script) error {
	flags := uintptr(unix.SIGCHLD|unix.CLONE_VFORK|unix.CLONE_PARENT_SETTID) | s.flags
	if !c.Options.Apart {
		flags |= unix.CLONE_VM
	}
	// The child keeps the caller's stack pointer and never uses it.
	trap, a1, a2, a3 := uintptr(unix.SYS_CLONE), flags, uintptr(0), uintptr(unsafe.Pointer(&c.pid))
	if c.Options.Cgroup != 0 {
		s.args = cloneArgs{
			argFlags: uint64(flags&^0xff) | unix.CLONE_INTO_CGROUP, argExitSignal: uint64(unix.SIGCHLD),
			argParentTID: uint64(a3), argCgroup: uint64(c.Options.Cgroup),
		}
		trap, a1, a2, a3 = unix.SYS_CLONE3, address(&s.args), unsafe.Sizeof(s.args), 0
	}
	if r := blocking(trap, a1, a2, a3, s, &s.ops[0], givenSlack()); r > ^uintptr(4095) {
		return syscall.Errno(-r)
	}
	return nil
}

// blocking is clone for a thread that other goroutines need not wait for, and that may
// have a timer slack which no program is to inherit.
//
//go:nosplit
//go:norace
func blocking(trap, a1, a2, a3 uintptr, s *script, first *op, slack uintptr) (r uintptr) {
	enterSyscall()
	takeSlack(slack)
	r = clone(trap, a1, a2, a3, s, first)
	exitSyscall()
	return r
}

// cloneArgs is struct clone_args of clone3(2), up to its member cgroup.
type cloneArgs [11]uint64

const (
	argFlags      = 0
	argParentTID  = 3
	argExitSignal = 4
	argCgroup     = 10
)

// clone makes a system call that is clone or clone3, with all signals blocked, so
// that no handler of Go's runs in the child. In the child it performs the
// operations, and does not return.
func clone(trap, a1, a2, a3 uintptr, s *script, first *op) uintptr
