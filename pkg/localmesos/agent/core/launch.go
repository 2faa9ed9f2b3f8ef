package core

import (
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// RunTask launches a single task, on its own executor or, when it brings none,
// on a command executor of its own.
func (c *Core) RunTask(framework mesos.FrameworkInfo, t mesos.TaskInfo, launch bool) {
	info, kind := commandExecutor(framework, &t), CommandExecutor
	if t.Executor != nil {
		info, kind = *t.Executor, CustomExecutor
	}
	c.arrive(framework, &arrival{info: info, kind: kind, tasks: []mesos.TaskInfo{t}, launch: launch})
}

// RunTaskGroup launches a task group. As a real master does, it fills the
// executor into each task.
func (c *Core) RunTaskGroup(framework mesos.FrameworkInfo, info mesos.ExecutorInfo, group mesos.TaskGroupInfo, launch bool) {
	tasks := make([]mesos.TaskInfo, len(group.Tasks))
	for i, t := range group.Tasks {
		if t.Executor == nil {
			t.Executor = &info
		}
		tasks[i] = t
	}
	kind := CustomExecutor
	if info.Type == mesos.ExecutorInfo_DEFAULT {
		kind = DefaultExecutor
	}
	c.arrive(framework, &arrival{info: info, kind: kind, tasks: tasks, group: &mesos.TaskGroupInfo{Tasks: tasks}, launch: launch})
}

func (c *Core) framework(info mesos.FrameworkInfo) *framework {
	f, ok := c.frameworks.get(*info.ID)
	if !ok {
		f = newFramework(info)
		c.frameworks.put(f.id, f)
		c.keep(f, KeepFramework{Agent: c.AgentID(), Info: info})
	}
	return f
}

// run launches tasks that were not killed before.
func (c *Core) run(now time.Time, f *framework, a *arrival) {
	info, kind, tasks, group, launch := a.info, a.kind, a.tasks, a.group, a.launch
	drop := func(reason mesos.TaskStatus_Reason, text string) {
		for _, t := range tasks {
			c.agentUpdate(now, f.id, &info.ExecutorID, t.TaskID, f.lost(), reason, text, nil)
		}
	}
	if c.drain != nil {
		drop(mesos.REASON_AGENT_DRAINING, "Task was received while agent was already draining")
		c.removeIfIdle(f)
		c.neverLaunched(f.id, info.ExecutorID, launch)
		return
	}
	if c.phase == Terminating {
		c.removeIfIdle(f)
		return
	}
	e, found := f.executors.get(info.ExecutorID)
	switch {
	case found && kind == CommandExecutor:
		drop(mesos.REASON_TASK_INVALID, "Cannot reuse an already existing executor for a command task")
		return
	case found && launch:
		drop(mesos.REASON_EXECUTOR_TERMINATED, "Master wants to launch executor, but one already exists")
		if e.state == terminated {
			c.neverLaunched(f.id, info.ExecutorID, true)
		} else if e.state < terminating {
			c.shutdown(now, e)
		}
		return
	case !found && !launch:
		drop(mesos.REASON_EXECUTOR_TERMINATED, "No executor is expected to launch and there is none running")
		return
	}
	if found && e.state >= terminating {
		text := "Executor terminating"
		if e.state == terminated {
			text = "Executor terminated"
		}
		for _, t := range tasks {
			c.agentUpdate(now, f.id, nil, t.TaskID, f.lost(), mesos.REASON_EXECUTOR_TERMINATED, text, nil)
		}
		return
	}
	if !found {
		e = newExecutor(f, info, c.config.NewContainerID())
		e.kind = kind
		f.executors.put(e.id(), e)
		c.containers[e.container] = e
		c.keep(f, KeepExecutor{Run: c.runOf(e), Info: info, Kind: kind})
	}
	c.keepTasks(e, tasks)
	e.enqueue(tasks, group)
	switch {
	case !found:
		c.launch(now, e)
	case e.state == running:
		// The limits rise before the executor learns of the tasks.
		deliver := afterLimit{tasks: tasks}
		if group != nil {
			deliver = afterLimit{groups: slices.Clone(e.groups[len(e.groups)-1:])}
		}
		c.limit(e, deliver)
	}
}

// neverLaunched tells a master that expected an executor to be launched that it
// was not.
func (c *Core) neverLaunched(framework mesos.FrameworkID, id mesos.ExecutorID, expected bool) {
	if expected {
		c.emit(ReportExit{Framework: framework, Executor: id, Status: -1})
	}
}

// launch starts the executor with the limits of its first tasks included.
func (c *Core) launch(now time.Time, e *executorState) {
	e.registerBy = now.Add(c.config.RegistrationTimeout)
	c.emit(c.description(e))
}

// description is the executor's container as it has to be now.
func (c *Core) description(e *executorState) Launch {
	return Launch{
		Container:  e.container,
		Agent:      c.AgentID(),
		Framework:  e.framework.info,
		Executor:   e.info,
		Kind:       e.kind,
		Limits:     e.demand.limits(e.info.Resources, c.config.CFS),
		Volumes:    e.volumes(),
		Disk:       e.disk(),
		Checkpoint: e.framework.info.GetCheckpoint(),
	}
}

// afterLimit is what an executor's next answer to Limit lets go: tasks and
// groups to deliver, or a terminal update to forward.
type afterLimit struct {
	tasks  []mesos.TaskInfo
	groups []*queuedGroup
	update *heldUpdate
}

func (c *Core) limit(e *executorState, then afterLimit) {
	e.afterLimit = append(e.afterLimit, then)
	c.emit(Limit{Container: e.container, Limits: e.demand.limits(e.info.Resources, c.config.CFS), Volumes: e.volumes(), Disk: e.disk()})
}

// Limited answers Limit: err says why the limits could not be set, and ends the
// container.
func (c *Core) Limited(now time.Time, container string, err error) {
	e := c.containers[container]
	if e != nil && e.unheard > 0 {
		e.unheard--
		return
	}
	if e == nil || len(e.afterLimit) == 0 {
		return
	}
	then := e.afterLimit[0]
	e.afterLimit = e.afterLimit[1:]
	if err != nil {
		c.emit(Destroy{Container: container})
		e.verdict = &Verdict{
			State:   e.framework.gone(),
			Reason:  mesos.REASON_CONTAINER_UPDATE_FAILED,
			Message: "Failed to update resources for container: " + err.Error(),
		}
	}
	if then.update != nil {
		c.store(now, *then.update)
		return
	}
	if err == nil {
		c.deliver(e, then)
	}
}

// deliver sends tasks and groups that are still queued; those killed meanwhile
// are not.
func (c *Core) deliver(e *executorState, d afterLimit) {
	if e.framework.ending || e.state != running {
		return
	}
	for _, t := range d.tasks {
		if _, ok := e.dequeue(t.TaskID); !ok {
			continue
		}
		e.addLaunched(t)
		c.send(e, &executor.Event{
			Type:   executor.Event_LAUNCH,
			Launch: &executor.Event_Launch{Task: t},
		})
	}
	for _, g := range d.groups {
		if !e.dequeueGroup(g) {
			continue
		}
		for _, t := range g.info.Tasks {
			e.addLaunched(t)
		}
		c.send(e, &executor.Event{
			Type:        executor.Event_LAUNCH_GROUP,
			LaunchGroup: &executor.Event_LaunchGroup{TaskGroup: g.info},
		})
	}
}

func (e *executorState) addLaunched(t mesos.TaskInfo) {
	e.everSent = true
	e.launched.put(t.TaskID, &task{info: t, state: mesos.TASK_STAGING})
}

// send puts an event on the executor's stream, if it has one.
func (c *Core) send(e *executorState, ev *executor.Event) {
	if e.stream != noStream {
		c.emit(Send{Stream: e.stream, Event: ev})
	}
}

// Launched says that a container's executor was started.
func (c *Core) Launched(container string, pid int) {
	e := c.containers[container]
	if e == nil {
		return
	}
	e.pid, e.hasPID = uint32(pid), true
	if e.state == terminating || e.framework.ending {
		c.emit(Destroy{Container: container})
	}
}

// LaunchFailed says that a container could not be launched, and why. Exited
// follows.
func (c *Core) LaunchFailed(container, text string) {
	c.metrics.LaunchErrors++
	if e := c.containers[container]; e != nil {
		e.verdict = &Verdict{
			State:   mesos.TASK_FAILED,
			Reason:  mesos.REASON_CONTAINER_LAUNCH_FAILED,
			Message: "Failed to launch container: " + text,
		}
	}
}

// NoSandbox says that a container's sandbox could not be made: the executor
// never was. Exited does not follow.
func (c *Core) NoSandbox(now time.Time, container, text string) {
	e := c.containers[container]
	if e == nil {
		return
	}
	e.verdict = &Verdict{
		State:   e.framework.lost(),
		Reason:  mesos.REASON_EXECUTOR_TERMINATED,
		Message: text,
	}
	c.Exited(now, container, Ending{Status: -1})
}

func (c *Core) registrationTimedOut(e *executorState) {
	e.registerBy = time.Time{}
	if e.state != registering || e.framework.ending {
		return
	}
	e.state = terminating
	e.verdict = &Verdict{
		State:   mesos.TASK_FAILED,
		Reason:  mesos.REASON_EXECUTOR_REGISTRATION_TIMEOUT,
		Message: "Executor did not register within " + FormatDuration(c.config.RegistrationTimeout),
	}
	c.emit(Destroy{Container: e.container})
}
