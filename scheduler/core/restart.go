package core

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// outcome is how an attempt ended.
type outcome int

const (
	// wentWell: every essential workload has finished.
	wentWell outcome = iota
	// wentWrong: a workload failed.
	wentWrong
	// wasRefused: the master did not take the group for a valid one.
	wasRefused
	// wasLost: it ended for a reason outside its workloads.
	wasLost
	// wasKilled: this scheduler ended it.
	wasKilled
)

// groupDidNotEnd is the reason of a kill that follows a failure instead of
// causing the end.
const groupDidNotEnd = "a workload failed and its group did not end"

// refusedLimit is how many refused launches in a row are enough: the master
// judges the same group the same way every time.
const refusedLimit = 3

// outcome tells how an attempt that is over has ended, and why.
func (a *attempt) outcome() (outcome, string) {
	well, gone := true, false
	var failed, refused, lost, ended *tandemv1.TaskRecord
	first := func(p **tandemv1.TaskRecord, t *tandemv1.TaskRecord) {
		if *p == nil || t.Updated.AsTime().Before((*p).Updated.AsTime()) {
			*p = t
		}
	}
	byUs := a.rec.KillReason != "" && a.rec.KillReason != groupDidNotEnd
	inVain := a.inVain()
	for i, t := range a.rec.Tasks {
		counts := inVain || a.essential(i) || byUs && a.main(i)
		if !counts || t.State == tandemv1.TaskState_TASK_FINISHED || a.dismissed(i) {
			gone = gone || outOfReach(t.State)
			continue
		}
		well = false
		switch t.State {
		case tandemv1.TaskState_TASK_FAILED:
			first(&failed, t)
		case tandemv1.TaskState_TASK_ERROR:
			first(&refused, t)
		case tandemv1.TaskState_TASK_KILLED:
			if t.Reason == drainingReason {
				first(&lost, t)
			} else {
				first(&ended, t)
			}
		default:
			first(&lost, t)
		}
	}
	switch {
	case well && !gone:
		return wentWell, "finished"
	case lost != nil && outOfReach(lost.State):
		return wasLost, "agent " + a.rec.Hostname + " could not be reached"
	case byUs:
		return wasKilled, a.rec.KillReason
	case refused != nil && refused.Source == "EXECUTOR":
		// It cannot do what the job asks for, such as one that is older than the job's
		// scheduler and is shared with others.
		return wentWrong, taskText(refused)
	case refused != nil && a.joined():
		// Where its executor has just ended, the resources for another are not
		// among those of the launch. That is nobody's fault.
		return wasLost, taskText(refused)
	case refused != nil:
		return wasRefused, "the master refused the launch: " + headline(refused.Message)
	case failed != nil && failed.Reason == reregistered && !a.started():
		// So end executors that were being started when their agent's process ended. The
		// agent says so a moment later.
		return wasLost, fmt.Sprintf("it ended while agent %s was out of reach, and nothing of it is known to have run", a.rec.Hostname)
	case failed != nil && a.withoutExecutor(failed):
		return wasLost, a.noExecutor(failed.Message)
	case failed != nil:
		return wentWrong, taskText(failed)
	case lost != nil && lost.Reason == drainingReason:
		return wasLost, "an operator drains agent " + a.rec.Hostname
	case lost != nil || gone:
		return wasLost, taskText(lost)
	default:
		return wentWrong, taskText(ended)
	}
}

// inVain reports whether none of an attempt's mains came to an end of its own: how they
// were lost matters then, essential or not.
func (a *attempt) inVain() bool {
	for i, t := range a.rec.Tasks {
		switch t.State {
		case tandemv1.TaskState_TASK_FINISHED, tandemv1.TaskState_TASK_FAILED, tandemv1.TaskState_TASK_KILLED:
			if a.main(i) {
				return false
			}
		}
	}
	return true
}

// noExecutor says why there was none. A fetcher says no more than that it failed; what it
// fetches is the executor, and files that jobs name are the executor's to fetch.
func (a *attempt) noExecutor(message string) string {
	why := fmt.Sprintf("no executor came up on agent %s: %s", a.rec.Hostname, headline(message))
	if strings.Contains(message, "Failed to fetch all URIs") {
		why += "; does the agent reach the address that the scheduler advertises? tandem logs shows what it tried"
	}
	return why
}

// withoutExecutor reports whether an attempt failed with this task because its
// agent could not fetch or start the executor, such as when this scheduler was
// away for a moment, or because the executor ended or was silent before any task
// ran. The workloads had no part in it.
func (a *attempt) withoutExecutor(failed *tandemv1.TaskRecord) bool {
	if failed.Source != "AGENT" || a.started() {
		return false
	}
	// Mesos's reasons, without REASON_. The agent gives that of a limit where the
	// executor broke one.
	switch failed.Reason {
	case "CONTAINER_LAUNCH_FAILED", "EXECUTOR_TERMINATED", "EXECUTOR_REGISTRATION_TIMEOUT":
		return true
	}
	return false
}

// started reports whether a task of the attempt is known to have run.
func (a *attempt) started() bool {
	return slices.ContainsFunc(a.rec.Tasks, func(t *tandemv1.TaskRecord) bool { return t.Started != nil })
}

// taskText says how a task ended: web failed: Command exited with status 1.
func taskText(t *tandemv1.TaskRecord) string {
	if t == nil {
		return "a task was lost"
	}
	verb := map[tandemv1.TaskState]string{
		tandemv1.TaskState_TASK_FAILED:           "failed",
		tandemv1.TaskState_TASK_KILLED:           "was killed",
		tandemv1.TaskState_TASK_ERROR:            "was refused",
		tandemv1.TaskState_TASK_LOST:             "was lost",
		tandemv1.TaskState_TASK_DROPPED:          "was never launched",
		tandemv1.TaskState_TASK_GONE:             "is gone",
		tandemv1.TaskState_TASK_GONE_BY_OPERATOR: "is gone with its agent",
	}[t.State]
	if verb == "" {
		verb = "ended"
	}
	if t.Message == "" || t.Reason == reconciled {
		return t.Workload + " " + verb
	}
	return t.Workload + " " + verb + ": " + headline(t.Message)
}

// headline is the first line of a message. Agents append pages of statistics to
// some, such as of a container that ran out of memory; the task's record has all.
func headline(message string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	return strings.TrimSpace(first)
}

// conclude decides what follows the end of an instance's live attempt.
func (c *Core) conclude(in *instance, a *attempt) {
	how, why := a.outcome()
	c.keep(in, a)
	if c.takeOver(in) {
		return
	}
	c.lostLive(in)
	switch how {
	case wasKilled:
		// Whoever killed it knows what follows: another version, or nothing.
	case wentWell:
		if !in.job.endless() {
			c.setPhase(in, finished, "")
			c.noticeAttempt(Info, a, "finished")
			return
		}
		c.failedOnce(in, a, "all its workloads have finished")
	case wentWrong:
		c.failedOnce(in, a, why)
	case wasRefused:
		if in.refusedInARow() >= min(refusedLimit, c.cfg.KeepAttempts) {
			c.setPhase(in, failed, why)
			c.noticeAttempt(Warn, a, "giving up: %s", why)
			c.brokeUpdate(in, a, why)
			return
		}
		c.lostOnce(in, a, why)
	case wasLost:
		c.lostOnce(in, a, why)
	}
}

// failedOnce counts a failure and lets the instance wait for the delay that its
// policy asks for, or ends it.
func (c *Core) failedOnce(in *instance, a *attempt, why string) {
	policy := in.job.rec.Spec.GetRestart()
	interval := policy.GetInterval().AsDuration()
	r := c.editInstance(in)
	r.Failures = append(recent(r.Failures, c.now.Add(-interval)), c.stamp)
	if a.rec.Running != nil && interval > 0 && a.rec.Ended.AsTime().Sub(a.rec.Running.AsTime()) >= interval {
		r.Streak = 0
	}
	r.Streak++
	c.countFailure(in, a, why)
	allowed := int(policy.GetAttempts())
	switch exhausted := len(r.Failures) > allowed || int(r.Streak) > allowed; {
	case exhausted && !in.job.endless():
		c.setPhase(in, failed, why)
		c.noticeAttempt(Warn, a, "failed for good: %s", why)
	case exhausted:
		c.delay(in, crashLooping, maxDelay(in.job.rec.Spec), why).about(a)
		c.brokeUpdate(in, a, why)
	default:
		c.delay(in, backoff, restartDelay(policy, int(r.Streak)), why).about(a)
	}
}

// lostOnce starts the instance anew: at once if it had been running, and after
// a delay if it did not come so far, for then it may not the next time either.
func (c *Core) lostOnce(in *instance, a *attempt, why string) {
	if a.rec.Running != nil {
		c.noticeAttempt(Warn, a, "starting anew: %s", why)
		c.setPhase(in, waiting, why)
		return
	}
	c.putOff(in, why).about(a)
}

// putOff lets an instance wait that did not come to run for no fault of its
// workloads. Whatever its policy says, it does so for a second at least.
func (c *Core) putOff(in *instance, why string) *Notice {
	r := c.editInstance(in)
	r.Losses++
	return c.delay(in, backoff, max(time.Second, restartDelay(in.job.rec.Spec.GetRestart(), int(r.Losses))), why)
}

// delay lets the instance wait in the phase before it is tried again, and returns
// the line that says so.
func (c *Core) delay(in *instance, p tandemv1.InstancePhase, d time.Duration, why string) *Notice {
	d = c.jitter(d).Round(time.Millisecond)
	c.setPhase(in, p, why)
	c.editInstance(in).NotBefore = timestamppb.New(c.now.Add(d))
	return c.noticeInstance(Warn, in, "trying again in %s: %s", d, why)
}

// refusedInARow counts the latest attempts that the master refused.
func (in *instance) refusedInARow() int {
	n := 0
	for i := len(in.ended) - 1; i >= 0; i-- {
		if how, _ := in.ended[i].outcome(); how != wasRefused {
			break
		}
		n++
	}
	return n
}

// recent returns those that are not before a time, in a list of its own.
func recent(times []*timestamppb.Timestamp, since time.Time) []*timestamppb.Timestamp {
	var kept []*timestamppb.Timestamp
	for _, t := range times {
		if !t.AsTime().Before(since) {
			kept = append(kept, t)
		}
	}
	return kept
}

// restartDelay is the wait after the nth failure in a row, from 1.
func restartDelay(p *tandemv1.RestartPolicy, n int) time.Duration {
	longest := p.GetMaxDelay().AsDuration()
	d := float64(p.GetDelay().AsDuration()) * math.Pow(max(1, p.GetFactor()), float64(n-1))
	if longest > 0 && d > float64(longest) {
		return longest
	}
	return time.Duration(min(d, float64(math.MaxInt64/4)))
}

func maxDelay(spec *tandemv1.Job) time.Duration {
	return max(spec.GetRestart().GetMaxDelay().AsDuration(), spec.GetRestart().GetDelay().AsDuration())
}

func removal(m any) state.Change {
	switch r := m.(type) {
	case *tandemv1.JobRecord:
		return state.PutJob(r).Removal()
	case *tandemv1.VersionRecord:
		return state.PutVersion(r).Removal()
	case *tandemv1.InstanceRecord:
		return state.PutInstance(r).Removal()
	case *tandemv1.AttemptRecord:
		return state.PutAttempt(r).Removal()
	}
	panic(fmt.Sprintf("core: no record is a %T", m))
}
