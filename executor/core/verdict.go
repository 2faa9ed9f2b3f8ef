package core

import (
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// reportMagic marks TaskStatus.data as a TaskReport.
const reportMagic = 0x746e6472

const mebibyte = 1 << 20

// verdict is what a terminal update says.
type verdict struct {
	state      mesos.TaskState
	reason     *mesos.TaskStatus_Reason
	message    string
	limitation *mesos.TaskResourceLimitation
	exit       *Exit // nil for a task that never ran
}

// judge says what the end of a task's workload means. What was asked for comes
// before what happened: a task that was being killed is TASK_KILLED however it
// ended. Only what kills without warning, max_completion_time and the limit of disk,
// gives way to a workload that had ended by itself in that very moment.
func (t *task) judge(exit Exit) verdict {
	v := verdict{exit: &exit, message: describe(exit)}
	oomKilled := exit.Usage.GetOomKills() > 0
	switch {
	case t.kill != nil && t.kill.cause == byMaxTime && exit.Signal == int(unix.SIGKILL):
		v.state = mesos.TASK_FAILED
		v.reason = mesos.REASON_MAX_COMPLETION_TIME_REACHED.Enum()
		v.message += ": " + t.kill.why
	case t.kill != nil && t.kill.cause == byDisk && exit.Signal == int(unix.SIGKILL):
		v.state = mesos.TASK_FAILED
		v.reason = mesos.REASON_CONTAINER_LIMITATION_DISK.Enum()
		v.message = upperFirst(t.kill.why)
		v.limitation = limitation("disk", t.diskLimit())
	case t.kill != nil && !t.kill.cause.isFailure():
		v.state = mesos.TASK_KILLED
		v.message += ": " + t.kill.why
		if oomKilled {
			v.message += "; " + lowerFirst(describeOOM(exit.Usage))
		}
	case exit.Err != "":
		v.state = mesos.TASK_FAILED
	case exit.Code == 0 && exit.Signal == 0:
		v.state = mesos.TASK_FINISHED
		if oomKilled {
			v.message += "; " + lowerFirst(describeOOM(exit.Usage))
		}
	case oomKilled:
		v.state = mesos.TASK_FAILED
		v.reason = mesos.REASON_CONTAINER_LIMITATION_MEMORY.Enum()
		v.message = describeOOM(exit.Usage)
		v.limitation = memoryLimitation(exit.Usage)
	default:
		v.state = mesos.TASK_FAILED
	}
	if n := exit.Usage.GetForksRefused(); n > 0 {
		// Which failure came of it nobody can tell; that it happened explains many.
		v.message += fmt.Sprintf("; at its limit of %d processes %d more could not be started", exit.Usage.GetPidsLimit(), n)
	}
	return v
}

// describe says how a main process ended, in the words of Mesos's own
// executors.
func describe(exit Exit) string {
	switch {
	case exit.Err != "":
		return "Command terminated with unknown status: " + exit.Err
	case exit.Signal != 0:
		text := "Command terminated with signal " + signalName(exit.Signal)
		if exit.CoreDumped {
			text += " (core dumped)"
		}
		return text
	default:
		return fmt.Sprintf("Command exited with status %d", exit.Code)
	}
}

func signalName(number int) string {
	if name := unix.SignalName(unix.Signal(number)); name != "" {
		return name
	}
	return fmt.Sprint(number)
}

// describeOOM says that the task was killed for want of memory, and whose limit
// it was: a task is also killed below its own limit, when the container around
// it is full.
func describeOOM(usage *tandemv1.Usage) string {
	kills := "1 OOM kill"
	if n := usage.GetOomKills(); n != 1 {
		kills = fmt.Sprintf("%d OOM kills", n)
	}
	switch {
	case usage.MemoryLimitBytes == nil || usage.MemoryPeakBytes == nil:
		return fmt.Sprintf("Memory limit exceeded; killed (%s)", kills)
	case !reached(*usage.MemoryPeakBytes, *usage.MemoryLimitBytes):
		return fmt.Sprintf("Memory limit of the executor's container exceeded: this task used %s of its %s; killed (%s)",
			size(*usage.MemoryPeakBytes), size(*usage.MemoryLimitBytes), kills)
	default:
		return fmt.Sprintf("Memory limit exceeded: used %s of %s; killed (%s)",
			size(*usage.MemoryPeakBytes), size(*usage.MemoryLimitBytes), kills)
	}
}

// reached says whether a peak is that of a full cgroup. The kernel charges
// memory in batches and so refuses somewhat before the limit.
func reached(peak, limit uint64) bool {
	slack := max(limit/20, mebibyte)
	return peak+slack >= limit
}

func size(bytes uint64) string {
	if bytes < mebibyte {
		return fmt.Sprintf("%d KiB", bytes/1024)
	}
	return fmt.Sprintf("%d MiB", (bytes+mebibyte/2)/mebibyte)
}

func memoryLimitation(usage *tandemv1.Usage) *mesos.TaskResourceLimitation {
	if usage.MemoryLimitBytes == nil {
		return nil
	}
	return limitation("mem", *usage.MemoryLimitBytes)
}

// limitation says in Mesos's words, and MiB, of what there was too little.
func limitation(of string, bytes uint64) *mesos.TaskResourceLimitation {
	return &mesos.TaskResourceLimitation{Resources: []mesos.Resource{{
		Name:   of,
		Type:   mesos.SCALAR.Enum(),
		Scalar: &mesos.Value_Scalar{Value: float64(bytes) / mebibyte},
	}}}
}

// status returns the terminal update. Its data hold a TaskReport, whoever the
// scheduler is: Mesos passes it on unread.
func (v verdict) status(t *task) mesos.TaskStatus {
	return mesos.TaskStatus{
		State:      v.state.Enum(),
		Message:    &v.message,
		Reason:     v.reason,
		Limitation: v.limitation,
		Data:       v.report(t),
	}
}

func (v verdict) report(t *task) []byte {
	report := &tandemv1.TaskReport{
		Magic: reportMagic, Warnings: t.warnings, Restarts: t.restarts.total, Usage: t.restarts.usage,
	}
	if v.exit != nil {
		report.Warnings = slices.Concat(t.warnings, v.exit.Warnings)
		report.Usage = v.exit.Usage
		report.CoreDumped = v.exit.CoreDumped
		switch {
		case v.exit.Err != "":
		case v.exit.Signal != 0:
			report.Signal = proto.Int32(int32(v.exit.Signal))
		default:
			report.ExitCode = proto.Int32(int32(v.exit.Code))
		}
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(report)
	if err != nil {
		// A warning that is not UTF-8 is all that can fail; the rest is worth
		// more than it is.
		report.Warnings = nil
		data, _ = proto.Marshal(report)
	}
	return data
}

// runningStatus says that a task runs, and what is not enforced for it.
func runningStatus(t *task) mesos.TaskStatus {
	status := mesos.TaskStatus{State: mesos.TASK_RUNNING.Enum()}
	if len(t.warnings) > 0 {
		message := "Not enforced: " + strings.Join(t.warnings, "; ")
		status.Message = &message
	}
	return status
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
