package native

import (
	"bytes"
	"fmt"
	"slices"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"golang.org/x/sys/unix"
)

// Settings are what an executor finds in its environment.
type Settings struct {
	Framework mesos.FrameworkID
	Executor  mesos.ExecutorID
	// Checkpoint says that the executor outlives its agent, by Recovery at
	// most.
	Checkpoint bool
	Recovery   time.Duration
	// ShutdownGrace is the time that the executor has to shut down.
	ShutdownGrace time.Duration
	// IP is the agent's, and so the container's.
	IP string
	// Version is that of the Mesos that the executor comes with, and API the
	// address of the agent's operator API, which the default executor uses.
	Version, API string
}

type connection int

const (
	disconnected connection = iota
	connected
	subscribed
)

// base is what both executors have in common: the conversation with the agent.
type base struct {
	Settings
	world World

	state     connection
	gone      bool
	info      mesos.FrameworkInfo
	container mesos.ContainerID
	unacked   []executor.Call_Update
	// shutdown is what SHUTDOWN does, and unackedTasks what SUBSCRIBE tells.
	shutdown     func()
	unackedTasks func() []mesos.TaskInfo
	stopRecovery func()
}

// retryInterval is between two SUBSCRIBE calls that are not answered.
const retryInterval = time.Second

func (b *base) Connected() {
	if b.gone {
		return
	}
	b.cancelRecovery()
	b.state = connected
	b.subscribe()
}

func (b *base) subscribe() {
	if b.state != connected || b.gone {
		return
	}
	c := b.call(executor.Call_SUBSCRIBE)
	c.Subscribe = &executor.Call_Subscribe{
		UnacknowledgedTasks:   b.unackedTasks(),
		UnacknowledgedUpdates: slices.Clone(b.unacked),
	}
	b.world.Call(c)
	b.world.After(retryInterval, b.subscribe)
}

func (b *base) call(t executor.Call_Type) *executor.Call {
	return &executor.Call{Type: t, FrameworkID: b.Framework, ExecutorID: b.Executor}
}

// Disconnected: without checkpointing the agent's end is the executor's, as the
// executor library has it (src/executor/executor.cpp).
func (b *base) Disconnected() {
	if b.gone || b.state == disconnected {
		return
	}
	b.state = disconnected
	if !b.Checkpoint {
		b.shutdown()
		return
	}
	b.stopRecovery = b.world.After(b.Recovery, b.shutdown)
}

func (b *base) cancelRecovery() {
	if b.stopRecovery != nil {
		b.stopRecovery()
		b.stopRecovery = nil
	}
}

// Gone ends the executor.
func (b *base) Gone() {
	b.gone = true
	b.cancelRecovery()
}

// later is world.After for what must not happen to an executor that is gone.
func (b *base) later(d time.Duration, f func()) (stop func()) {
	return b.world.After(d, func() {
		if !b.gone {
			f()
		}
	})
}

func (b *base) greet(place string, e *executor.Event_Subscribed) {
	b.state, b.info = subscribed, e.FrameworkInfo
	if e.ContainerID != nil {
		b.container = *e.ContainerID
	}
	b.log(place, "Subscribed executor on %s", e.AgentInfo.Hostname)
}

func (b *base) log(place, format string, args ...any) {
	b.world.Log('I', place, fmt.Sprintf(format, args...))
}

func (b *base) warn(place, format string, args ...any) {
	b.world.Log('W', place, fmt.Sprintf(format, args...))
}

func (b *base) status(t *mesos.TaskInfo, state mesos.TaskState) mesos.TaskStatus {
	source, id, at := mesos.SOURCE_EXECUTOR, b.Executor, seconds(b.world.Now())
	s := mesos.TaskStatus{
		TaskID: t.TaskID, State: &state, Source: &source, ExecutorID: &id,
		UUID: b.world.NewUUID(), Timestamp: &at,
	}
	if t.Check != nil {
		s.CheckStatus = noCheckStatus(t.Check.Type)
	}
	return s
}

// again is an update that says something new of a task in the same state.
func (b *base) again(s mesos.TaskStatus, reason mesos.TaskStatus_Reason) mesos.TaskStatus {
	at := seconds(b.world.Now())
	s.UUID, s.Timestamp, s.Reason = b.world.NewUUID(), &at, &reason
	return s
}

func (b *base) forward(s mesos.TaskStatus) {
	c := b.call(executor.Call_UPDATE)
	c.Update = &executor.Call_Update{Status: s}
	b.unacked = append(b.unacked, *c.Update)
	if b.state == subscribed {
		b.world.Call(c)
	}
}

// acknowledged forgets an update, and says whether it was known.
func (b *base) acknowledged(e *executor.Event_Acknowledged) (mesos.TaskStatus, bool) {
	for i, u := range b.unacked {
		if bytes.Equal(u.Status.UUID, e.UUID) {
			if b.unacked = slices.Delete(b.unacked, i, i+1); len(b.unacked) == 0 {
				b.unacked = nil // as it is for most of the time
			}
			return u.Status, true
		}
	}
	return mesos.TaskStatus{}, false
}

func (b *base) kills() bool {
	return slices.ContainsFunc(b.info.Capabilities, func(c mesos.FrameworkInfo_Capability) bool {
		return c.Type == mesos.FrameworkInfo_Capability_TASK_KILLING_STATE
	})
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// Explain words a wait status as Mesos does (WSTRINGIFY in
// 3rdparty/stout/include/stout/exit.hpp).
func Explain(s syscall.WaitStatus) string {
	if s.Exited() {
		return fmt.Sprintf("exited with status %d", s.ExitStatus())
	}
	text := "terminated with signal " + signalText(s.Signal())
	if s.CoreDump() {
		text += " (core dumped)"
	}
	return text
}

// signalText is strsignal(3).
func signalText(s syscall.Signal) string {
	if text, ok := signalTexts[s]; ok {
		return text
	}
	if n := int(s) - realTimeMin; n >= 0 && n <= realTimeMax-realTimeMin {
		return fmt.Sprintf("Real-time signal %d", n)
	}
	return fmt.Sprintf("Unknown signal %d", int(s))
}

// The real-time signals that the C library leaves to programs.
const (
	realTimeMin = 34
	realTimeMax = 64
)

var signalTexts = map[syscall.Signal]string{
	unix.SIGHUP: "Hangup", unix.SIGINT: "Interrupt", unix.SIGQUIT: "Quit", unix.SIGILL: "Illegal instruction",
	unix.SIGTRAP: "Trace/breakpoint trap", unix.SIGABRT: "Aborted", unix.SIGBUS: "Bus error",
	unix.SIGFPE: "Floating point exception", unix.SIGKILL: "Killed", unix.SIGUSR1: "User defined signal 1",
	unix.SIGSEGV: "Segmentation fault", unix.SIGUSR2: "User defined signal 2", unix.SIGPIPE: "Broken pipe",
	unix.SIGALRM: "Alarm clock", unix.SIGTERM: "Terminated", unix.SIGSTKFLT: "Stack fault",
	unix.SIGCHLD: "Child exited", unix.SIGCONT: "Continued", unix.SIGSTOP: "Stopped (signal)",
	unix.SIGTSTP: "Stopped", unix.SIGTTIN: "Stopped (tty input)", unix.SIGTTOU: "Stopped (tty output)",
	unix.SIGURG: "Urgent I/O condition", unix.SIGXCPU: "CPU time limit exceeded",
	unix.SIGXFSZ: "File size limit exceeded", unix.SIGVTALRM: "Virtual timer expired",
	unix.SIGPROF: "Profiling timer expired", unix.SIGWINCH: "Window changed", unix.SIGIO: "I/O possible",
	unix.SIGPWR: "Power failure", unix.SIGSYS: "Bad system call",
}

// roleOf is the role that a task's resources are allocated to.
func roleOf(t *mesos.TaskInfo) string {
	if len(t.Resources) > 0 {
		return t.Resources[0].AllocationInfo.GetRole()
	}
	return ""
}

func nanoseconds(d *mesos.DurationInfo) time.Duration { return time.Duration(d.Nanoseconds) }
