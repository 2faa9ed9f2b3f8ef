package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// longestKillRetry bounds the wait between two KILLs of the same task.
const longestKillRetry = 5 * time.Minute

// kill decides that an attempt ends. KILL is sent until every task is terminal,
// for it may be lost on the way: an agent drops it while the executor is not
// connected. Of an attempt that is ending already only the first reason counts.
func (c *Core) kill(a *attempt, reason string) {
	if a.over() || a.rec.KillReason != "" {
		return
	}
	c.editAttempt(a).KillReason = reason
	a.kills = 0
	c.sendKill(a)
	c.arm(a)
}

// sendKill sends KILL for the tasks that have not ended. While the agent is out
// of reach it waits for its return, and without a subscription for the next.
func (c *Core) sendKill(a *attempt) {
	a.killAt = 0
	if !c.subscribed || a.rec.Unreachable != nil {
		return
	}
	for _, t := range a.toKill() {
		c.callKill(t.TaskId, a.rec.AgentId)
	}
	a.killAt = c.now.Add(a.grace() + c.retryDelay(a.kills)).UnixNano()
	a.kills++
}

// poststopKills is how many KILLs of the rest a group's last workloads are left alone
// for.
const poststopKills = 3

// toKill are the tasks that a KILL is to be sent for. A group stops in order: when its
// mains have ended its executor stops the sidecars, and then runs what is to run last.
// Sidecars that do not end by that are killed too, and in the end whatever is left.
func (a *attempt) toKill() []*tandemv1.TaskRecord {
	through := tandemv1.Lifecycle_LIFECYCLE_MAIN
	switch {
	case a.kills >= poststopKills:
		through = tandemv1.Lifecycle_LIFECYCLE_POSTSTOP
	case a.kills > 0:
		through = tandemv1.Lifecycle_LIFECYCLE_SIDECAR
	}
	var tasks []*tandemv1.TaskRecord
	for i, t := range a.rec.Tasks {
		if w := a.workload(i); w.GetLifecycle() <= through && !state.Terminal(t.State) && !outOfReach(t.State) {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

func (c *Core) retryDelay(n int) time.Duration {
	return min(c.cfg.KillRetry<<min(n, 10), longestKillRetry)
}

func (c *Core) callKill(task, agent string) {
	call := &scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: task}}}
	if agent != "" {
		call.Kill.AgentID = &mesos.AgentID{Value: agent}
	}
	c.calls.kill = append(c.calls.kill, call)
}

// stray is a task that runs although nobody asks for it: one that no record
// knows, or of an attempt that is over.
type stray struct {
	task, agent string
	// asked says that somebody wants it killed, and that it is not stray as yet.
	asked bool
	kills int
	timer timer
}

// chase kills a stray task until it has ended, or lets it be, as the
// configuration says.
func (c *Core) chase(task, agent, why string) {
	if c.strays[task] != nil {
		return
	}
	policy := "killing it"
	if c.cfg.StrayTasks == LeaveStrays {
		policy = "leaving it alone"
	}
	n := c.notice(Warn, nil, "task %s runs, but %s: %s", task, why, policy)
	n.Task, n.Agent = task, agent
	if name, ours := state.ParseTaskName(task); ours {
		n.Job, n.OfInstance, n.Slot, n.Attempt = name.Job, true, name.Slot, name.Attempt
	}
	if c.cfg.StrayTasks == LeaveStrays {
		return
	}
	s := &stray{task: task, agent: agent}
	s.timer.owner = s
	c.strays[task] = s
	s.fired(c)
}

// fired sends KILL, and again later.
func (s *stray) fired(c *Core) {
	if s.asked && c.hasEnded(s.task) {
		c.caught(s.task)
		return
	}
	if !c.subscribed {
		return
	}
	c.callKill(s.task, s.agent)
	c.timers.set(&s.timer, c.now.Add(c.retryDelay(s.kills)))
	s.kills++
}

// caught forgets a stray task that has ended, or that the master does not know.
func (c *Core) caught(task string) {
	if s := c.strays[task]; s != nil {
		c.timers.unset(&s.timer)
		delete(c.strays, task)
		if len(c.daemons) > 0 {
			c.offers.newWork = true // its agent has returned, and may be filtered
		}
	}
}

// onStray takes in a status of a task that no record knows, or whose attempt is
// over.
func (c *Core) onStray(s *mesos.TaskStatus, why string) {
	st := tandemv1.TaskState(s.GetState())
	switch {
	case state.Terminal(st) || outOfReach(st):
		c.caught(s.TaskID.Value)
	default:
		c.chase(s.TaskID.Value, s.GetAgentID().GetValue(), why)
	}
}
