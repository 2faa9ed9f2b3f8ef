// Package present puts records into words for a person: the page and the
// command line say the same thing the same way. It must never fetch, decide or
// lay out anything.
package present

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// JobType returns service, batch, cron or daemon.
func JobType(t tandemv1.JobType) string {
	return strings.ToLower(strings.TrimPrefix(t.String(), "JOB_TYPE_"))
}

// JobPhase returns a phase such as RUNNING.
func JobPhase(p tandemv1.JobPhase) string { return strings.TrimPrefix(p.String(), "JOB_PHASE_") }

// Disk is root, path or mount.
func Disk(d tandemv1.VolumeDisk) string {
	if d == tandemv1.VolumeDisk_VOLUME_DISK_UNSPECIFIED {
		d = tandemv1.VolumeDisk_VOLUME_DISK_ROOT
	}
	return strings.ToLower(strings.TrimPrefix(d.String(), "VOLUME_DISK_"))
}

// InstancePhase returns a phase such as WAITING.
func InstancePhase(p tandemv1.InstancePhase) string {
	return strings.TrimPrefix(p.String(), "INSTANCE_PHASE_")
}

// Update returns where an update that is not done stands, such as "PAUSED from
// version 1 to version 2, 1 failure: it was paused", or how one was gone back from;
// nothing of others.
func Update(u *tandemv1.UpdateRecord) string {
	if u.GetPhase() == tandemv1.UpdatePhase_UPDATE_PHASE_DONE && u.GetReverts() != 0 {
		return fmt.Sprintf("version %d in place of version %d: %s", u.GetVersion(), u.GetReverts(), OneLine(u.GetReason()))
	}
	switch u.GetPhase() {
	case tandemv1.UpdatePhase_UPDATE_PHASE_UNSPECIFIED, tandemv1.UpdatePhase_UPDATE_PHASE_DONE, tandemv1.UpdatePhase_UPDATE_PHASE_CANCELLED:
		return ""
	}
	text := strings.TrimPrefix(u.GetPhase().String(), "UPDATE_PHASE_")
	if u.GetFromVersion() != 0 {
		text += fmt.Sprintf(" from version %d", u.GetFromVersion())
	}
	text += fmt.Sprintf(" to version %d", u.GetVersion())
	switch n := u.GetFailures(); n {
	case 0:
	case 1:
		text += ", 1 failure"
	default:
		text += fmt.Sprintf(", %d failures", n)
	}
	if u.GetReason() != "" {
		text += ": " + OneLine(u.GetReason())
	}
	return text
}

// Troubled says whether a task has ended other than well or by a kill, or cannot
// be reached.
func Troubled(s tandemv1.TaskState) bool {
	switch s {
	case tandemv1.TaskState_TASK_FINISHED, tandemv1.TaskState_TASK_KILLED:
		return false
	case tandemv1.TaskState_TASK_UNREACHABLE, tandemv1.TaskState_TASK_UNKNOWN:
		return true
	}
	return state.Terminal(s)
}

// Ended says whether a task has ended for good.
func Ended(t *tandemv1.TaskRecord) bool { return state.Terminal(t.GetState()) }

// Health returns what the checks of a running task found last and how often a
// task's workload was started again in place, such as healthy, or "unhealthy, not
// ready, 2 restarts", or nothing.
func Health(t *tandemv1.TaskRecord) string {
	var words []string
	for _, check := range []struct {
		found     *bool
		good, bad string
	}{{t.Healthy, "healthy", "unhealthy"}, {t.Ready, "ready", "not ready"}} {
		switch {
		case check.found == nil || Ended(t):
		case *check.found:
			words = append(words, check.good)
		default:
			words = append(words, check.bad)
		}
	}
	switch n := t.GetReport().GetRestarts(); n {
	case 0:
	case 1:
		words = append(words, "1 restart")
	default:
		words = append(words, fmt.Sprintf("%d restarts", n))
	}
	return strings.Join(words, ", ")
}

// Exit returns how a task's main process ended, such as "0" or "SIGKILL", or
// nothing while that is not known.
func Exit(t *tandemv1.TaskRecord) string {
	r := t.GetReport()
	switch {
	case r == nil:
		return ""
	case r.ExitCode != nil:
		return fmt.Sprint(r.GetExitCode())
	case r.Signal != nil:
		name := unix.SignalName(unix.Signal(r.GetSignal()))
		if name == "" {
			name = fmt.Sprintf("signal %d", r.GetSignal())
		}
		if r.GetCoreDumped() {
			name += " (core dumped)"
		}
		return name
	}
	return ""
}

// Instances returns how many of a job's instances run or have finished, of how many,
// such as 2/3; only the latter where they are not counted, and nothing of a cron job,
// whose runs are jobs of their own.
func Instances(job *tandemv1.Job, counts *tandemv1.InstanceCounts) string {
	if job.GetType() == tandemv1.JobType_JOB_TYPE_CRON {
		return ""
	}
	well, all := 0, 0
	for _, p := range counts.GetPhases() {
		all += int(p.GetCount())
		if p.GetPhase() == tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING || p.GetPhase() == tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED {
			well += int(p.GetCount())
		}
	}
	switch {
	case job.Instances != nil && counts == nil:
		return strconv.Itoa(int(job.GetInstances()))
	case job.Instances != nil:
		return fmt.Sprintf("%d/%d", well, job.GetInstances())
	case counts != nil: // a daemon has as many as there are agents
		return fmt.Sprintf("%d/%d", well, all)
	}
	return ""
}

// InstanceWhy says why an instance is in its phase, and when it is started again.
func InstanceWhy(now time.Time, i *tandemv1.InstanceRecord) string {
	why := OneLine(i.GetPhaseReason())
	switch i.GetPhase() {
	case tandemv1.InstancePhase_INSTANCE_PHASE_BACKOFF, tandemv1.InstancePhase_INSTANCE_PHASE_CRASH_LOOPING:
	default:
		return why
	}
	if at := i.GetNotBefore(); at != nil && now.Before(at.AsTime()) {
		return strings.TrimSuffix(fmt.Sprintf("again in %s: %s", Since(at.AsTime(), now), why), ": ")
	}
	return why
}

// Why returns the reason and the message of a task's latest status in one line,
// or nothing when they say no more than the state.
func Why(t *tandemv1.TaskRecord) string {
	message := OneLine(t.GetMessage())
	switch {
	case t.GetState() == tandemv1.TaskState_TASK_FINISHED:
		return ""
	case t.GetReason() == "" || t.GetReason() == "COMMAND_EXECUTOR_FAILED" || t.GetState() == tandemv1.TaskState_TASK_RUNNING:
		return message
	case message == "":
		return t.GetReason()
	}
	return t.GetReason() + ": " + message
}

// WallTime returns how long a task's workload ran.
func WallTime(t *tandemv1.TaskRecord) string { return Span(t.GetReport().GetUsage().GetWallTime()) }

// CPUTime returns how much processor time a task's workload has used.
func CPUTime(t *tandemv1.TaskRecord) string { return Span(t.GetReport().GetUsage().GetCpuTime()) }

// PeakMemory returns the most memory that a task's workload has used at one
// time, against its limit where there was one.
func PeakMemory(t *tandemv1.TaskRecord) string {
	u := t.GetReport().GetUsage()
	switch {
	case u == nil || u.MemoryPeakBytes == nil:
		return ""
	case u.MemoryLimitBytes == nil:
		return Bytes(u.GetMemoryPeakBytes())
	}
	return fmt.Sprintf("%s of %s", Bytes(u.GetMemoryPeakBytes()), Bytes(u.GetMemoryLimitBytes()))
}

// Ports returns name=host:port for each of a task's ports.
func Ports(hostname string, t *tandemv1.TaskRecord) []string {
	var ports []string
	for _, name := range slices.Sorted(maps.Keys(t.GetPorts())) {
		ports = append(ports, fmt.Sprintf("%s=%s:%d", name, hostname, t.GetPorts()[name]))
	}
	return ports
}

// Bytes returns an amount such as 12.3 MiB.
func Bytes(n uint64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	v, unit := float64(n)/1024, 0
	for v >= 1024 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	text := fmt.Sprintf("%.1f", v)
	return strings.TrimSuffix(text, ".0") + " " + units[unit]
}

// Span returns a duration with three digits or so, such as 1.52s, and nothing
// for none.
func Span(d *durationpb.Duration) string {
	if d == nil {
		return ""
	}
	v := d.AsDuration()
	switch {
	case v >= time.Minute:
		v = v.Round(time.Second)
	case v >= time.Second:
		v = v.Round(10 * time.Millisecond)
	case v >= time.Millisecond:
		v = v.Round(time.Millisecond)
	default:
		v = v.Round(time.Microsecond)
	}
	return v.String()
}

// Standing says whether an agent can be reached, or why it is to be left and how far
// that is.
func Standing(now time.Time, a *tandemv1.AgentView) string {
	r := a.GetLeaving()
	switch {
	case r.GetOperatorDrain() != nil:
		return "drained by an operator"
	case r.GetDrain() != nil && a.GetAttempts() == 0:
		return "drained"
	case r.GetDrain() != nil:
		text := "draining"
		if d := r.GetDrain().GetDeadline(); d != nil && now.Before(d.AsTime()) {
			text += ", ends in " + Since(d.AsTime(), now)
		}
		return text
	case r.GetMaintenance() != nil && now.Before(r.GetMaintenance().GetStart().AsTime()):
		return "maintenance in " + Since(r.GetMaintenance().GetStart().AsTime(), now)
	case r.GetMaintenance() != nil:
		return "in maintenance"
	case a.GetUnreachable() > 0:
		return "unreachable"
	}
	return "reachable"
}

// Since returns how long ago something was, such as 5s, 3m or 2d.
func Since(now, then time.Time) string {
	switch d := now.Sub(then); {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// OneLine returns a text as one line without control characters.
func OneLine(s string) string { return strings.TrimSpace(Plain(s)) }

// Plain returns a text without control characters, which a workload or an agent
// may have put there; ends of lines and tabs become spaces.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return -1
		}
		return r
	}, s)
}

// OfferOutcome says what became of an offer, such as "1 instance launched", "declined
// for another 54m" or "declined: maintenance".
func OfferOutcome(now time.Time, o *tandemv1.OfferView) string {
	switch n, until := o.GetLaunched(), o.GetDeclinedUntil(); {
	case n == 1:
		return "1 instance launched"
	case n > 1:
		return fmt.Sprintf("%d instances launched", n)
	case o.GetRefused() != "":
		return "declined: " + o.GetRefused()
	case until != nil && now.Before(until.AsTime()):
		return "declined for another " + Since(until.AsTime(), now)
	}
	return "declined"
}
