package core

import (
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"golang.org/x/sys/unix"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// defaultGrace is the time between the first signal and the last, for a task
// without a kill policy. Mesos's own executors have the same.
const defaultGrace = 3 * time.Second

// killAgain is the time after which a workload that has been killed for good
// and still lives is killed once more: a process can be stuck in the kernel.
const killAgain = 10 * time.Second

// cause is who wants a task to end.
type cause int

const (
	byScheduler cause = iota // Event KILL.
	byGroup                  // Another task of the group has failed.
	byMains                  // The mains that a sidecar serves have ended.
	byHealth                 // Too many failures of its health check.
	byMaxTime                // max_completion_time is over.
	byClosing                // The executor ends.
	byDisk                   // Its directory takes more than its limit.
)

// isFailure says whether a task that ends by a cause has broken a rule of its own: it
// is killed at once, and has failed.
func (by cause) isFailure() bool { return by == byMaxTime || by == byDisk }

// kill is a task's end under way.
type kill struct {
	cause cause
	why   string
	// again says that only the workload is to end, and then to be started again.
	again bool
	// deadline is when the whole cgroup is killed.
	deadline time.Time
	// stopping says that the pre-stop hook is under way.
	stopping bool
	// next is when something is to be done: at the deadline, and then again.
	next time.Time
}

func (c *Core) killAsked(in KillAsked) {
	t := c.tasks[in.TaskID.Value]
	if t == nil || t.ended() {
		c.note(Info, nil, "ignored KILL of task %s: it is not running here", in.TaskID.Value)
		return
	}
	grace := t.grace()
	if in.Policy.GetGracePeriod() != nil {
		grace = policyGrace(in.Policy)
	}
	c.kill(t, byScheduler, "killed at the scheduler's request", grace)
}

// grace returns the time that the task's own kill policy gives it.
func (t *task) grace() time.Duration {
	if t.info.KillPolicy.GetGracePeriod() != nil {
		return policyGrace(t.info.KillPolicy)
	}
	return defaultGrace
}

// policyGrace reads a grace period; agents pass on negative ones, which mean
// none.
func policyGrace(p *mesos.KillPolicy) time.Duration {
	return max(0, time.Duration(p.GetGracePeriod().GetNanoseconds()))
}

// kill ends a task, or hastens an end that is under way; it never grants more
// time than was granted before.
func (c *Core) kill(t *task, by cause, why string, grace time.Duration) {
	if t.ended() {
		return
	}
	if by == byClosing {
		grace = min(grace, c.closing.grace)
	}
	deadline := c.now.Add(grace)
	if t.kill != nil {
		if t.kill.again && by != byHealth {
			t.kill.cause, t.kill.why, t.kill.again = by, why, false
			c.reportKilling(t)
		}
		if deadline.Before(t.kill.deadline) {
			c.note(Info, t, "to be killed in %s instead of %s", grace, t.kill.deadline.Sub(c.now))
			t.kill.deadline = deadline
			if t.phase == running {
				t.kill.next = deadline
				c.escalateIfDue(t)
			}
			c.arm(t)
		}
		return
	}
	t.kill = &kill{cause: by, why: why, again: by == byHealth && c.mayRestart(t), deadline: deadline}
	switch t.phase {
	case fetching:
		c.out.StopFetches = append(c.out.StopFetches, t.run)
		fallthrough
	case queued, waiting:
		c.finish(t, verdict{state: mesos.TASK_KILLED, message: "Not started: " + why})
		return
	case resting:
		c.finish(t, verdict{state: mesos.TASK_KILLED, message: "Not started again: " + why})
		return
	}
	c.note(Info, t, "to be ended within %s: %s", grace, why)
	c.reportKilling(t)
	if t.phase == running {
		c.carryOut(t)
		c.arm(t)
	}
}

// reportKilling says that a task is ending, where its scheduler knows of that
// state and the task itself is to end.
func (c *Core) reportKilling(t *task) {
	if t.kill.cause.isFailure() || t.kill.again || !c.capabilities[mesos.FrameworkInfo_Capability_TASK_KILLING_STATE] {
		return
	}
	message := upperFirst(t.kill.why)
	c.report(t, mesos.TaskStatus{State: mesos.TASK_KILLING.Enum(), Message: &message})
}

// carryOut takes the first step against a running task that is to end.
func (c *Core) carryOut(t *task) {
	c.stopChecks(t)
	t.kill.next = t.kill.deadline
	if !t.kill.deadline.After(c.now) {
		c.escalate(t)
		return
	}
	if hook, ok := preStopSpec(t.settings); ok {
		t.kill.stopping = true
		c.out.PreStops = append(c.out.PreStops, PreStop{
			Run:     t.run,
			Spec:    hook,
			Timeout: t.kill.deadline.Sub(c.now),
		})
		return
	}
	c.signal(t)
}

// preStopSpec returns false for a task that has no pre-stop hook.
func preStopSpec(s *tandemv1.TaskSettings) (CheckSpec, bool) {
	switch {
	case s.GetPreStopHttp() != nil:
		return httpSpec(s.PreStopHttp, s.PreStopPort), true
	case s.GetPreStopCommand() != nil:
		return CheckSpec{Command: &mesos.CommandInfo{Value: &s.PreStopCommand.Cmd}}, true
	default:
		return CheckSpec{}, false
	}
}

func (c *Core) preStopped(in PreStopped) {
	t := c.runs[in.Run]
	if t == nil || t.phase != running || t.kill == nil || !t.kill.stopping {
		return
	}
	t.kill.stopping = false
	if failure := in.Result.failure(in.Spec); failure != "" {
		c.note(Warn, t, "its pre-stop hook failed: %s", failure)
	}
	if t.kill.deadline.After(c.now) {
		c.signal(t)
	}
}

// signal sends the first signal. A name that the kernel does not know was
// refused at the launch.
func (c *Core) signal(t *task) {
	signal := unix.SIGTERM
	if name := t.settings.GetKillSignal(); name != "" {
		signal = unix.SignalNum(name)
	}
	c.out.Signals = append(c.out.Signals, Signal{Run: t.run, Signal: signal})
}

func (c *Core) escalateIfDue(t *task) {
	if due(t.kill.next, c.now) {
		c.escalate(t)
	}
}

// escalate kills the whole cgroup of a task whose time is up.
func (c *Core) escalate(t *task) {
	if !due(t.kill.next, c.now) {
		return
	}
	c.out.Kills = append(c.out.Kills, t.run)
	if !t.kill.cause.isFailure() {
		c.note(Info, t, "its time is up: killing all its processes")
	}
	t.kill.stopping = false
	t.kill.next = c.now.Add(killAgain)
}

// killNow ends a task whose max_completion_time is over.
func (c *Core) killNow(t *task) {
	c.kill(t, byMaxTime, fmt.Sprintf("killed after its max_completion_time of %s", t.maxTime()), 0)
}

func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
