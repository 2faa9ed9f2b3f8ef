package workload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// shimName is the argv[0] that makes a program a shim. The workload's id
	// follows it, for people who look at a process list.
	shimName = "tandem-workload-shim"
	// shimSocket is the shim's only file descriptor beside the standard ones.
	shimSocket = 3
	// failedStatus is what a shim exits with that could not become its
	// program. Nobody takes it for an exit status of the workload.
	failedStatus = 127
)

// Shim must be the first statement of the main function of a program that
// uses this package. In a process that a [Launcher] has started it becomes the
// workload and does not return. Otherwise it does nothing.
func Shim() {
	if len(os.Args) == 0 || os.Args[0] != shimName {
		return
	}
	// The credentials and the signal mask of this thread are those that the
	// program gets.
	runtime.LockOSThread()
	socket := os.NewFile(shimSocket, "socket")
	_, _ = socket.Write([]byte{up})
	data, err := io.ReadAll(socket)
	if err != nil || len(data) == 0 {
		os.Exit(failedStatus) // the executor has gone, or has changed its mind
	}
	p, err := decodePlan(data)
	if err == nil {
		err = p.become(func() { _, _ = socket.Write([]byte{ready}) })
	}
	_, _ = socket.WriteString(string(rune(failed)) + err.Error())
	os.Exit(failedStatus)
}

// become turns the process into the program. It returns only to fail.
func (p plan) become(beforehand func()) error {
	if err := p.adjustOOMScore(); err != nil {
		return err
	}
	syscall.Umask(p.Umask)
	// The limits come as late as the privilege to raise them allows: they
	// bind this process too.
	for _, r := range p.Rlimits {
		// The standard library's call also keeps its own restoring of
		// RLIMIT_NOFILE from undoing this.
		if err := syscall.Setrlimit(r.Resource, &syscall.Rlimit{Cur: r.Soft, Max: r.Hard}); err != nil {
			return fmt.Errorf("cannot set %s to %d:%d: %w", r.Name, r.Soft, r.Hard, err)
		}
	}
	if u := p.User; u != nil {
		if err := u.assume(); err != nil {
			return err
		}
	}
	// The kernel forgets this at every change of credentials.
	if err := p.dieWithParent(); err != nil {
		return err
	}
	if p.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("cannot give up new privileges: %w", err)
		}
	}
	if err := os.Chdir(string(p.Dir)); err != nil {
		return fmt.Errorf("cannot enter the working directory: %w", err)
	}
	closeOnExec(3)
	beforehand()
	resetSignals()
	return p.exec()
}

// dieWithParent has the kernel kill the program when the executor's thread that
// started it ends. Threads of a Go program end with the process, unless a
// goroutine ends that was locked to one; the executor has none that does.
func (p plan) dieWithParent() error {
	if p.Parent == 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("cannot tie it to the executor's life: %w", err)
	}
	if os.Getppid() != p.Parent {
		return errors.New("the executor has ended")
	}
	return nil
}

// adjustOOMScore gives the program the score that was asked for. An executor
// may have one of its own that should not be inherited; to lower it takes a
// privilege, and without it the program lives with it.
func (p plan) adjustOOMScore() error {
	score := 0
	if p.OOMScoreAdj != nil {
		score = *p.OOMScoreAdj
	}
	err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(score)), 0)
	if err != nil && p.OOMScoreAdj != nil {
		return fmt.Errorf("cannot set the oom_score_adj %d: %w", score, err)
	}
	return nil
}

// closeOnExec marks every descriptor from the first on, also those that the
// executor was made to inherit.
func closeOnExec(first int) {
	if unix.CloseRange(uint(first), ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	entries, err := os.ReadDir("/proc/self/fd") // a kernel before 5.11
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
}

// resetSignals gives every signal its default action and unblocks it. Go's
// runtime restores neither what was ignored nor what was blocked when the
// executor was started.
func resetSignals() {
	const signals = 64
	var action [64]byte // larger than the kernel's structure on any machine; zero means default
	for sig := 1; sig <= signals; sig++ {
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, signals/8, 0, 0)
	}
	var none [signals / 8]byte
	const setMask = 2 // SIG_SETMASK
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, setMask, uintptr(unsafe.Pointer(&none)), 0, signals/8, 0, 0)
}

// exec executes the program, in the way of execvp(3).
func (p plan) exec() error {
	path, args, env := string(p.Path), texts(p.Args), texts(p.Env)
	candidates := []string{path}
	if !strings.Contains(path, "/") {
		candidates = nil
		search := lookup(env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
		for _, dir := range strings.Split(search, ":") {
			if dir == "" {
				dir = "."
			}
			candidates = append(candidates, filepath.Join(dir, path))
		}
	}
	err := error(syscall.ENOENT)
	for _, candidate := range candidates {
		switch e := execute(candidate, args, env); {
		case errors.Is(e, syscall.ENOENT), errors.Is(e, syscall.ENOTDIR):
		case errors.Is(e, syscall.EACCES):
			err = e // another directory may have one that is permitted
		default:
			return explain(candidate, e)
		}
	}
	return explain(path, err)
}

// execute is execve(2), with patience for a file that is still open for
// writing in a process that was forked in that moment, and with a shell for a
// script that names no interpreter.
func execute(path string, args, env []string) error {
	err := syscall.Exec(path, args, env)
	for wait := time.Millisecond; errors.Is(err, syscall.ETXTBSY) && wait < time.Second; wait *= 2 {
		time.Sleep(wait)
		err = syscall.Exec(path, args, env)
	}
	if errors.Is(err, syscall.ENOEXEC) {
		rest := args[min(1, len(args)):]
		err = syscall.Exec("/bin/sh", append([]string{"sh", path}, rest...), env)
	}
	return err
}

func explain(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT) && !strings.Contains(path, "/"):
		return fmt.Errorf("cannot run %q: it is in no directory of PATH", path)
	case errors.Is(err, syscall.ENOENT) && exists(path):
		return fmt.Errorf("cannot run %q: its interpreter, or its dynamic loader, does not exist", path)
	default:
		return fmt.Errorf("cannot run %q: %w", path, err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func lookup(env []string, name, otherwise string) string {
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return otherwise
}
