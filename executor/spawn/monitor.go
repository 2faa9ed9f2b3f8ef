package spawn

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patientSlack is how much later than asked the monitor may wake up.
const patientSlack = time.Millisecond

// Calm has Go's monitor look after system calls once in a millisecond. It is a thread of
// the runtime that otherwise does so every twenty microseconds for as long as there is
// something to do, and takes the processor from a goroutine whose call it meets twice:
// the making of a process, or of a cgroup, is such a call. That, its giving back, and
// the monitor itself are a twentieth to a fifth of the processor time of a start and an
// end. A call that hangs it still finds, a little later.
//
// It is for a program's beginning, before there is anything to wait for, and takes
// CAP_SYS_NICE. Where it fails everything is as it was.
func Calm() error {
	givenSlack() // before any thread has another
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return fmt.Errorf("cannot find out who this is: %w", err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("cannot list the threads: %w", err)
	}
	// The runtime makes it before any other. Numbers begin anew after the highest.
	pid, _ := strconv.Atoi(self)
	monitor, first := 0, ^uint32(0)
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if after := uint32(tid - pid); err == nil && after != 0 && after < first {
			monitor, first = tid, after
		}
	}
	if monitor == 0 {
		return fmt.Errorf("cannot find Go's monitor among %d threads", len(threads))
	}
	return os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", monitor), strconv.AppendInt(nil, int64(patientSlack), 10), 0)
}

// givenSlack is the timer slack that the program was started with, in nanoseconds; 0 for
// unknown.
var givenSlack = sync.OnceValue(func() uintptr {
	data, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		return 0
	}
	slack, _ := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 0)
	return uintptr(slack)
})

// Exec executes another program in this process, with the timer slack that this one was
// given. It returns only when that fails.
func Exec(path string, args, env []string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	takeSlack(givenSlack())
	return syscall.Exec(path, args, env)
}

// takeSlack gives the calling thread, and so what it starts, the program's own slack: a
// thread that the monitor has made has the monitor's.
//
//go:nosplit
//go:norace
func takeSlack(slack uintptr) {
	if slack != 0 {
		syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, slack, 0)
	}
}
