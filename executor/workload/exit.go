package workload

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// Exit is how a workload ended.
type Exit struct {
	// Status is that of the main process.
	Status Status
	// OOMKills is how many processes of the workload were killed for want of
	// memory, at its own limit or at that of the container around it.
	OOMKills uint64
	// Usage is that of the whole workload.
	Usage Usage
	// Leftovers is how many processes outlived the main process and were
	// killed.
	Leftovers int
	// LostOutput says what of its output was not kept, one error a stream.
	LostOutput []error
	// Err tells what of the workload could not be cleaned up or found out.
	// The other fields say what is known nevertheless.
	Err error
}

// Status is the end of a process. Exactly one of an exit status and a signal
// ended it; Signal is 0 for an exit. Code is -1 where neither is known, in which
// case Exit.Err says why.
type Status struct {
	Code       int
	Signal     syscall.Signal
	CoreDumped bool
}

// Success says that the process exited with status 0.
func (s Status) Success() bool { return s.Code == 0 && s.Signal == 0 }

// String returns "exit status 3", or "signal SIGSEGV (core dumped)".
func (s Status) String() string {
	if s.Signal == 0 {
		return fmt.Sprintf("exit status %d", s.Code)
	}
	name := unix.SignalName(s.Signal)
	if name == "" {
		name = fmt.Sprint(int(s.Signal))
	}
	if s.CoreDumped {
		return fmt.Sprintf("signal %s (core dumped)", name)
	}
	return "signal " + name
}

func statusOf(w syscall.WaitStatus) Status {
	if w.Signaled() {
		return Status{Signal: w.Signal(), CoreDumped: w.CoreDump()}
	}
	return Status{Code: w.ExitStatus()}
}

// Source says where figures of usage come from.
type Source string

// The sources of figures.
const (
	// FromV1 and FromV2 are the accounts of the workload's cgroup, complete
	// but for parts whose controller is missing.
	FromV1 Source = "cgroup-v1"
	FromV2 Source = "cgroup-v2"
	// FromRusage is what the kernel tells of the main process and of those of
	// its descendants that were waited for; it is known after the exit only.
	FromRusage Source = "rusage"
)

// Usage is what a workload has used.
type Usage struct {
	cgroup.Usage
	Source Source
	// WallTime is from the start of the main process to its end, or to now.
	WallTime time.Duration
}

// complete fills in what the cgroup does not tell.
func (u *Usage) complete(r *syscall.Rusage) {
	if u.CPU == nil || u.CPU.Total == 0 {
		user, system := time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
		c := cgroup.CPUUsage{}
		if u.CPU != nil {
			c = *u.CPU
		}
		c.User, c.System, c.Total = user, system, user+system
		u.CPU = &c
	}
	if u.Memory == nil {
		u.Memory = &cgroup.MemoryUsage{Peak: uint64(r.Maxrss) * 1024, Limit: cgroup.Unlimited}
	}
}

func sourceOf(g *cgroup.Group) Source {
	switch {
	case g == nil:
		return FromRusage
	case g.Version() == cgroup.V1:
		return FromV1
	default:
		return FromV2
	}
}
