package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// arrival is what the master wants launched together, and which the agent has
// not admitted yet.
type arrival struct {
	framework mesos.FrameworkID
	info      mesos.ExecutorInfo
	kind      ExecutorKind
	tasks     []mesos.TaskInfo
	group     *mesos.TaskGroupInfo // nil for a single task
	launch    bool                 // the master expects a new executor
}

// arrive asks for tasks to be admitted. A KILL that comes before the answer
// finds them pending.
func (c *Core) arrive(framework mesos.FrameworkInfo, a *arrival) {
	if c.phase == Recovering || c.phase == Terminating {
		return
	}
	f := c.framework(framework)
	a.framework = f.id
	for _, t := range a.tasks {
		f.pending[t.TaskID] = a
	}
	c.arrivals = append(c.arrivals, a)
	c.emit(Admit{})
}

// Admitted answers Admit: the tasks that came first are launched, unless they
// were killed meanwhile or their framework is ending.
func (c *Core) Admitted(now time.Time) {
	if len(c.arrivals) == 0 {
		return // they arrived in the agent's former life
	}
	a := c.arrivals[0]
	c.arrivals = c.arrivals[1:]
	f, ok := c.frameworks.get(a.framework)
	if !ok {
		c.neverLaunched(a.framework, a.info.ExecutorID, a.launch)
		return
	}
	// A KILL of one has removed all.
	killed := f.pending[a.tasks[0].TaskID] != a
	for _, t := range a.tasks {
		if f.pending[t.TaskID] == a {
			delete(f.pending, t.TaskID)
		}
	}
	if f.ending || killed {
		c.removeIfIdle(f)
		c.neverLaunched(f.id, a.info.ExecutorID, a.launch)
		return
	}
	c.run(now, f, a)
}

// killPending kills tasks that are not admitted yet: a task, or its whole group.
func (c *Core) killPending(now time.Time, a *arrival) {
	text := "Killed before delivery to the executor"
	if a.group != nil {
		text = "A task within the task group was killed before delivery to the executor"
	}
	for _, t := range a.tasks {
		c.agentUpdate(now, a.framework, &a.info.ExecutorID, t.TaskID, mesos.TASK_KILLED, mesos.REASON_TASK_KILLED_DURING_LAUNCH, text, nil)
	}
}

// settlePending takes a pending task's only update. A framework that has nothing
// left is forgotten before it is sent, as by a real agent, so that the update
// is repeated until it is acknowledged.
func (c *Core) settlePending(now time.Time, f *framework, u heldUpdate) {
	delete(f.pending, u.status.TaskID)
	c.removeIfIdle(f)
	u.fromExecutor = false
	c.store(now, u)
}

// reportedPending returns the pending tasks as a returning agent reports them.
func (c *Core) reportedPending(f *framework) []mesos.Task {
	var ts []mesos.Task
	for _, a := range c.arrivals {
		e := &executorState{info: a.info, kind: a.kind}
		for _, info := range a.tasks {
			if f.pending[info.TaskID] == a {
				ts = append(ts, (&task{info: info, state: mesos.TASK_STAGING}).message(f.id, e))
			}
		}
	}
	return ts
}
