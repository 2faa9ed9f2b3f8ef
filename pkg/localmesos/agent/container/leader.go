package container

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// leader is a container's first process.
type leader interface {
	pid() int
	// wait returns how it has ended. Meanwhile, when it has and its process ID
	// cannot be another's yet, it calls a function.
	wait(ended func()) Status
	kill()
}

// started is a process of ours.
type started struct{ command *exec.Cmd }

func (s started) pid() int { return s.command.Process.Pid }

func (s started) wait(ended func()) Status {
	for {
		err := unix.Waitid(unix.P_PID, s.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	ended()
	// The error says no more than ProcessState does.
	_ = s.command.Wait()
	return Status(s.command.ProcessState.Sys().(syscall.WaitStatus))
}

// kill: it may be gone already.
func (s started) kill() { _ = s.command.Process.Kill() }

// adopted is a process of an agent that is no more; how it ends is told to
// somebody else.
type adopted struct {
	id int
	fd int // of the process, or -1 when it has ended
}

func (a *adopted) pid() int { return a.id }

func (a *adopted) wait(ended func()) Status {
	for a.fd >= 0 {
		poll := []unix.PollFd{{Fd: int32(a.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	ended()
	if a.fd >= 0 {
		_ = unix.Close(a.fd)
	}
	return StatusNone
}

func (a *adopted) kill() {
	if a.fd >= 0 {
		_ = unix.PidfdSendSignal(a.fd, unix.SIGKILL, nil, 0) // it may be gone already
	}
}
