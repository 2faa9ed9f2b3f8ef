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
)

// report is what a child says.
type report struct {
	op     uintptr // the address of the one that has failed
	result uintptr // of it
	// ready is something as soon as the child has nothing left to do but to execute
	// its program. Without it one that was killed before could not be told from one
	// that has become its program.
	ready [8]byte
}

// script is what a child does, and the memory that it does it with.
type script struct {
	// said is where the child can write to: in own, or in page for one that has a
	// copy of all other memory.
	said *report
	//lint:ignore U1000 The assembly uses it.
	all [8]byte // all signals
	//lint:ignore U1000 The assembly uses it.
	before [8]byte // those that the thread had blocked

	ops   []op
	steps []step // of each operation
	own   report
	page  []byte
	args  cloneArgs
	flags uintptr // of clone, beside those that all have

	itself [1]byte
	score  []byte   // for oom_score_adj
	action [64]byte // larger than the kernel's structure on any machine; zero means default
	none   [8]byte  // a signal mask
	keep   []any    // what the operations point to

	exec  int // the index of the operation that executes the program
	files []*byte
	argv  []*byte
}

// scripts are those that no child uses any more: most of what a start would have
// to allocate is one, and the next one is as long.
var scripts = sync.Pool{New: func() any { return new(script) }}

// done says that no child works with it any more.
func (s *script) done() {
	if s.page != nil {
		_ = unix.Munmap(s.page)
	}
	*s = script{ops: s.ops[:0], steps: s.steps[:0]}
	scripts.Put(s)
}

// step says which step of the program an operation belongs to.
type step struct {
	step  Step
	which int
}

const (
	// failedStatus is what a child exits with that could not become its program.
	//lint:ignore U1000 The assembly uses it.
	failedStatus = 127
	// itself is the writer's own number, for the files of a cgroup.
	itself = '0'
	// here is AT_FDCWD.
	here = ^uintptr(99)
)

// scriptOf does all that takes memory.
func scriptOf(p *Program, o *Options) (*script, error) {
	s := scripts.Get().(*script)
	if err := s.write(p, o); err != nil {
		s.done()
		return nil, err
	}
	return s, nil
}

func (s *script) write(p *Program, o *Options) error {
	s.itself, s.flags = [1]byte{itself}, p.View.Namespaces&unix.CLONE_NEWPID
	for i := range s.all {
		s.all[i] = 0xff
	}
	s.said = &s.own
	if o.Apart {
		var err error
		if s.page, err = unix.Mmap(-1, 0, int(unsafe.Sizeof(report{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS); err != nil {
			return fmt.Errorf("cannot share memory: %w", err)
		}
		s.said = (*report)(unsafe.Pointer(&s.page[0]))
	}
	joined := s.take(p)
	next := firstFree + uintptr(len(joined))
	if err := s.enter(o.Enter, next); err != nil {
		return err
	}
	s.join(joined)
	if err := s.weigh(p.OOMScore, next); err != nil {
		return err
	}
	s.add(StepSession, 0, ruleMust, unix.SYS_SETSID)
	if p.Terminal {
		s.add(StepTerminal, 0, ruleMust, unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	s.add(StepSession, 0, ruleAny, unix.SYS_UMASK, uintptr(p.Umask))
	if err := s.view(p.View, p.Dir); err != nil {
		return err
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
		if p.View.Namespaces&unix.CLONE_NEWPID == 0 && p.Join.PID == nil { // Its parent has the number 0 there.
			s.ops[len(s.ops)-1].want = uintptr(syscall.Getpid())
		}
	}
	if p.NoNewPrivileges {
		s.add(StepPrivileges, 0, ruleMust, unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	}
	dir, err := syscall.BytePtrFromString(p.Dir)
	if err != nil {
		return fmt.Errorf("cannot use the directory %q: %w", p.Dir, err)
	}
	s.keep = append(s.keep, dir)
	s.add(StepDir, 0, ruleMust, unix.SYS_CHDIR, address(dir))
	s.resetSignals()
	return s.execute(p)
}

// firstFree is the lowest descriptor that a program does not have.
const firstFree = 3

// take has the child take the descriptors that it needs, and leave the parent's: a
// copy of another child's pipe would keep its reader waiting.
func (s *script) take(p *Program) []joining {
	last := uintptr(firstFree)
	for _, f := range p.Files {
		last = max(last, f.Fd())
	}
	joined := p.Join.list()
	for _, j := range joined {
		last = max(last, j.fd)
	}
	if knowsRanges() {
		// The child is born with the parent's table of descriptors in place of a copy
		// of it, and takes a copy of what is up to the last that it needs: the parent
		// may have thousands.
		s.flags |= unix.CLONE_FILES
		s.add(StepFiles, 0, ruleMust, unix.SYS_CLOSE_RANGE, last+1, uintptr(^uint32(0)), unix.CLOSE_RANGE_UNSHARE)
	}
	for i, f := range p.Files {
		s.add(StepFiles, i, ruleMust, unix.SYS_DUP3, f.Fd(), uintptr(i), 0)
	}
	// Sorted, none is overwritten before it was copied.
	for i := range joined {
		if to := firstFree + uintptr(i); joined[i].fd != to {
			s.add(StepNamespaces, 0, ruleMust, unix.SYS_DUP3, joined[i].fd, to, unix.O_CLOEXEC)
			joined[i].fd = to
		}
	}
	s.closeFrom(firstFree + uintptr(len(joined)))
	return joined
}

// enter moves the process. What it opens gets the lowest number that is free,
// next, which it closes first, as an old kernel may have left another thread's file
// there.
func (s *script) enter(files []string, next uintptr) error {
	for i, name := range files {
		if err := s.put(StepCgroup, i, ruleMust, name, s.itself[:], next); err != nil {
			return err
		}
	}
	return nil
}

// weigh sets the process's oom_score_adj, while it has all privileges.
func (s *script) weigh(score *OOMScore, next uintptr) error {
	if score == nil {
		return nil
	}
	s.score = strconv.AppendInt(nil, int64(score.Adjust), 10)
	rule := uintptr(ruleAny)
	if score.Must {
		rule = ruleMust
	}
	return s.put(StepOOMScore, 0, rule, "/proc/self/oom_score_adj", s.score, next)
}

// put writes to a file that there is.
func (s *script) put(of Step, which int, rule uintptr, name string, content []byte, next uintptr) error {
	file, err := syscall.BytePtrFromString(name)
	if err != nil {
		return fmt.Errorf("cannot use the file %q: %w", name, err)
	}
	s.keep = append(s.keep, file)
	s.add(of, which, ruleAny, unix.SYS_CLOSE, next)
	s.add(of, which, rule, unix.SYS_OPENAT, here, address(file), unix.O_WRONLY|unix.O_CLOEXEC)
	s.add(of, which, rule, unix.SYS_WRITE, next, address(&content[0]), uintptr(len(content)))
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

// knowsRanges says whether the kernel has close_range(2), from Linux 5.9 on.
var knowsRanges = sync.OnceValue(func() bool { return unix.CloseRange(^uint(0)>>1, ^uint(0)>>1, 0) == nil })

func (s *script) closeFrom(first uintptr) {
	if knowsRanges() {
		s.add(StepFiles, 0, ruleAny, unix.SYS_CLOSE_RANGE, first, uintptr(^uint32(0)), 0)
		return
	}
	// What is opened meanwhile the standard library has marked to be closed by the
	// program's execution.
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
	// The old mask, which is not empty, is what says that the child is ready.
	s.add(StepExec, 0, ruleAny, unix.SYS_RT_SIGPROCMASK, setMask, address(&s.none), address(&s.said.ready), signals/8)
}

// execute adds the operation that executes the program, for choose to say which.
func (s *script) execute(p *Program) (err error) {
	if s.argv, err = syscall.SlicePtrFromStrings(p.Args); err != nil {
		return fmt.Errorf("cannot use the arguments: %w", err)
	}
	env, err := syscall.SlicePtrFromStrings(p.Env)
	if err != nil {
		return fmt.Errorf("cannot use the environment: %w", err)
	}
	if len(p.Args) == 0 || len(p.Paths) == 0 {
		return errors.New("cannot run a program without a path and a name")
	}
	s.keep = append(s.keep, env)
	for _, path := range p.Paths {
		file, err := syscall.BytePtrFromString(path)
		if err != nil {
			return fmt.Errorf("cannot use the path %q: %w", path, err)
		}
		s.files = append(s.files, file)
	}
	s.exec = len(s.ops)
	s.add(StepExec, 0, ruleMust, unix.SYS_EXECVE, 0, 0, address(&env[0]))
	return nil
}

// The shell that runs what is a script without saying so.
var shellName, shellPath = []byte("sh\x00"), []byte("/bin/sh\x00")

// choose says which of the files is executed, and whether a shell does it.
func (s *script) choose(path int, shell bool) {
	file, args := s.files[path], s.argv
	if shell {
		file, args = &shellPath[0], append([]*byte{&shellName[0], file}, s.argv[1:]...)
		s.keep = append(s.keep, args)
	}
	s.steps[s.exec].which = path
	s.ops[s.exec].args[0], s.ops[s.exec].args[1] = address(file), address(&args[0])
}

// failure is what the child has reported.
func (s *script) failure() error {
	first := address(&s.ops[0])
	i := (s.said.op - first) / unsafe.Sizeof(op{})
	if s.said.op < first || i >= uintptr(len(s.ops)) {
		return errors.New("the process speaks of what it was not told to do")
	}
	errno := syscall.Errno(-s.said.result)
	if s.ops[i].rule == ruleEqual {
		errno = syscall.ESRCH // Nobody is there any more.
	}
	return &Failure{Step: s.steps[i].step, Which: s.steps[i].which, Errno: errno}
}
