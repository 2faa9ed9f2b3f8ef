package spawn

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// op is one system call of a child, as the assembly reads it.
type op struct {
	trap uintptr
	args [5]uintptr
	rule uintptr
	want uintptr
}

// What becomes of the result of a call.
const (
	// ruleAny goes on in any case.
	ruleAny = iota
	// ruleMust reports an error, and ends the child.
	ruleMust
	// ruleEqual reports a result other than what is wanted, and ends the child.
	ruleEqual
	// ruleAsk reports the result, and reads from the socket how many operations
	// to go forward.
	ruleAsk
)

// report is what a child says of an operation.
type report struct {
	op     uintptr // its address
	result uintptr
}

// script is what a child does, and the memory that it does it with.
type script struct {
	// The child writes to these two only.
	//lint:ignore U1000 The assembly uses it.
	said report
	//lint:ignore U1000 The assembly uses it.
	answer [8]byte

	ops   []op
	steps []step // of each operation
	args  cloneArgs
	pidfd int32
	flags uintptr  // of clone, for namespaces that a process is born in
	among *os.File // the namespace of processes to be born in; nil for the caller's

	told   [1]byte
	ready  [1]byte
	itself [1]byte
	action [64]byte // larger than the kernel's structure on any machine; zero means default
	none   [8]byte  // a signal mask
	keep   []any    // what the operations point to
}

// scripts are those that no child uses any more: most of what a start would have
// to allocate is one, and the next one is as long.
var scripts = sync.Pool{New: func() any { return new(script) }}

// done says that the child works in the memory of another program by now.
func (s *script) done() {
	s.keep = nil
	scripts.Put(s)
}

// step says which step of the program an operation belongs to. Of the two
// operations of StepExec for each path the second is its shell.
type step struct {
	step        Step
	which       int
	shell, last bool
}

const (
	// childSocket is the descriptor of the child's socket.
	childSocket = 3
	// failedStatus is what a child exits with that could not become its program.
	failedStatus = 127
	// ready is what a child says before it executes its program. Without it a
	// child that was killed before could not be told from one that has become
	// its program: both close the socket.
	ready = 'R'
	// itself is the writer's own number, for the files of a cgroup.
	itself = '0'
)

// scriptOf does all that takes memory. The socket is the child's.
func scriptOf(p Program, enter []string, socket int) (*script, error) {
	s := scripts.Get().(*script)
	*s = script{
		ready: [1]byte{ready}, itself: [1]byte{itself}, flags: p.View.Namespaces & unix.CLONE_NEWPID,
		ops: s.ops[:0], steps: s.steps[:0],
	}
	for i, f := range p.Files {
		s.add(StepFiles, i, ruleMust, unix.SYS_DUP3, f.Fd(), uintptr(i), 0)
	}
	if socket != childSocket {
		s.add(StepFiles, childSocket, ruleMust, unix.SYS_DUP3, uintptr(socket), childSocket, unix.O_CLOEXEC)
	}
	joined := s.keepOpen(p.Join, childSocket+1)
	next := childSocket + 1 + uintptr(len(joined))
	// What there is of the parent's files goes at once: a copy of another
	// child's socket would keep its parent waiting.
	s.closeFrom(next)
	if err := s.enter(enter, next); err != nil {
		return nil, err
	}
	s.join(joined)
	s.add(StepSession, 0, ruleMust, unix.SYS_SETSID)
	if p.Terminal {
		s.add(StepTerminal, 0, ruleMust, unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}

	s.add(StepSession, 0, ruleEqual, unix.SYS_READ, childSocket, address(&s.told), 1)
	s.ops[len(s.ops)-1].want = 1

	s.add(StepSession, 0, ruleAny, unix.SYS_UMASK, uintptr(p.Umask))
	if err := s.view(p.View, p.Dir); err != nil {
		return nil, err
	}
	// The limits come as late as the privilege to raise them allows.
	for i, r := range p.Rlimits {
		limit := &unix.Rlimit{Cur: r.Soft, Max: r.Hard}
		s.keep = append(s.keep, limit)
		s.add(StepRlimit, i, ruleMust, unix.SYS_PRLIMIT64, 0, uintptr(r.Resource), address(limit), 0)
	}
	s.bound(p.Capabilities)
	s.user(p.User)
	s.empower(p.Capabilities)
	if p.DieWithParent { // The kernel forgets this at every change of credentials.
		s.add(StepParent, 0, ruleMust, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL))
		s.add(StepParent, 0, ruleEqual, unix.SYS_GETPPID)
		if p.View.Namespaces&unix.CLONE_NEWPID == 0 && s.among == nil { // Its parent has the number 0 there.
			s.ops[len(s.ops)-1].want = uintptr(syscall.Getpid())
		}
	}
	if p.NoNewPrivileges {
		s.add(StepPrivileges, 0, ruleMust, unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	}
	dir, err := syscall.BytePtrFromString(p.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot use the directory %q: %w", p.Dir, err)
	}
	s.keep = append(s.keep, dir)
	s.add(StepDir, 0, ruleMust, unix.SYS_CHDIR, address(dir))
	s.add(StepExec, 0, ruleAny, unix.SYS_WRITE, childSocket, address(&s.ready), 1)
	s.resetSignals()
	if err := s.exec(p); err != nil {
		return nil, err
	}
	s.add(StepExec, 0, ruleAny, unix.SYS_EXIT_GROUP, failedStatus)
	return s, nil
}

// enter moves the process. What it opens gets the lowest number that is free,
// next, which it closes first, as an old kernel may have left another thread's file
// there.
func (s *script) enter(files []string, next uintptr) error {
	const here = ^uintptr(99) // AT_FDCWD
	for i, name := range files {
		file, err := syscall.BytePtrFromString(name)
		if err != nil {
			return fmt.Errorf("cannot use the file %q: %w", name, err)
		}
		s.keep = append(s.keep, file)
		s.add(StepCgroup, i, ruleAny, unix.SYS_CLOSE, next)
		s.add(StepCgroup, i, ruleMust, unix.SYS_OPENAT, here, address(file), unix.O_WRONLY|unix.O_CLOEXEC)
		s.add(StepCgroup, i, ruleMust, unix.SYS_WRITE, next, address(&s.itself), 1)
	}
	return nil
}

func (s *script) add(of Step, which int, rule, trap uintptr, args ...uintptr) {
	o := op{trap: trap, rule: rule}
	copy(o.args[:], args)
	s.ops = append(s.ops, o)
	s.steps = append(s.steps, step{step: of, which: which})
}

func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

func (s *script) user(u *User) {
	if u == nil {
		return
	}
	groups := make([]uint32, len(u.Groups)+1) // One more, so that there is one.
	for i, g := range u.Groups {
		groups[i] = uint32(g)
	}
	s.keep = append(s.keep, groups)
	uid, gid := uintptr(u.UID), uintptr(u.GID)
	s.add(StepUser, 0, ruleMust, unix.SYS_SETGROUPS, uintptr(len(u.Groups)), address(&groups[0]))
	s.add(StepUser, 0, ruleMust, unix.SYS_SETRESGID, gid, gid, gid)
	s.add(StepUser, 0, ruleMust, unix.SYS_SETRESUID, uid, uid, uid)
}

func (s *script) closeFrom(first uintptr) {
	if unix.CloseRange(^uint(0)>>1, ^uint(0)>>1, 0) == nil {
		s.add(StepFiles, 0, ruleAny, unix.SYS_CLOSE_RANGE, first, uintptr(^uint32(0)), 0)
		return
	}
	// A kernel before 5.9. What is opened meanwhile the standard library has
	// marked to be closed by the program's execution.
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.ParseUint(e.Name(), 10, 0); err == nil && uintptr(fd) >= first {
			s.add(StepFiles, 0, ruleAny, unix.SYS_CLOSE, uintptr(fd))
		}
	}
}

// resetSignals gives every signal its default action, and then unblocks all.
// The actions that are not the default are Go's handlers, which must not run here
// though they would end with the execution of the program: a signal that waits
// for the program is delivered before that.
func (s *script) resetSignals() {
	const signals, setMask = 64, 2
	for signal := uintptr(1); signal <= signals; signal++ {
		if signal != uintptr(unix.SIGKILL) && signal != uintptr(unix.SIGSTOP) {
			s.add(StepExec, 0, ruleAny, unix.SYS_RT_SIGACTION, signal, address(&s.action), 0, signals/8)
		}
	}
	s.add(StepExec, 0, ruleAny, unix.SYS_RT_SIGPROCMASK, setMask, address(&s.none), 0, signals/8)
}

// exec adds two operations for each path: the program itself, and a shell that
// runs it as a script. The parent chooses among them.
func (s *script) exec(p Program) error {
	args, err := syscall.SlicePtrFromStrings(p.Args)
	if err != nil {
		return fmt.Errorf("cannot use the arguments: %w", err)
	}
	env, err := syscall.SlicePtrFromStrings(p.Env)
	if err != nil {
		return fmt.Errorf("cannot use the environment: %w", err)
	}
	shell, err := syscall.SlicePtrFromStrings([]string{"sh", "/bin/sh"})
	if err != nil {
		return err
	}
	if len(p.Args) == 0 || len(p.Paths) == 0 {
		return errors.New("cannot run a program without a path and a name")
	}
	s.keep = append(s.keep, args, env, shell)
	for i, path := range p.Paths {
		file, err := syscall.BytePtrFromString(path)
		if err != nil {
			return fmt.Errorf("cannot use the path %q: %w", path, err)
		}
		script := append([]*byte{shell[0], file}, args[1:]...)
		s.keep = append(s.keep, file, script)
		s.add(StepExec, i, ruleAsk, unix.SYS_EXECVE, address(file), address(&args[0]), address(&env[0]))
		s.add(StepExec, i, ruleAsk, unix.SYS_EXECVE, address(shell[1]), address(&script[0]), address(&env[0]))
		attempts := s.steps[len(s.steps)-2:]
		attempts[1].shell = true
		attempts[0].last, attempts[1].last = i == len(p.Paths)-1, i == len(p.Paths)-1
	}
	return nil
}
