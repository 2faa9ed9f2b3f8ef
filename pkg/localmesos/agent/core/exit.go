package core

import (
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Ending is how a container ended.
type Ending struct {
	// Status is the executor's raw wait status, or -1 if it never ran.
	Status int32
	// Limitation says that the container was destroyed because it used too
	// much of something.
	Limitation *Limitation
	// Unknown says that no containerizer knows of the container, for none can
	// make one like it.
	Unknown bool
}

// Limitation explains a container that used too much.
type Limitation struct {
	Reason    mesos.TaskStatus_Reason
	Message   string
	Resources []mesos.Resource
}

// Exited says that nothing is left of a container. The master learns first that
// the executor is gone, then of each task that had not ended.
func (c *Core) Exited(now time.Time, container string, end Ending) {
	e := c.containers[container]
	if e == nil || e.state == terminated {
		return
	}
	f := e.framework
	e.state = terminated
	e.registerBy, e.destroyAt, e.heartbeatAt = time.Time{}, time.Time{}, time.Time{}
	c.metrics.ExecutorsTerminated++
	if e.stream != noStream {
		c.emit(Hangup{Stream: e.stream})
		e.stream = noStream
	}
	e.nested = nil
	// An agent that recovers knows of no master yet, and leaves it to find out.
	if e.kind != CommandExecutor && c.phase != Recovering {
		c.emit(ReportExit{Framework: f.id, Executor: e.id(), Status: end.Status})
	}
	for _, held := range e.afterLimit {
		if held.update != nil {
			c.store(now, *held.update)
		}
	}
	e.afterLimit = nil
	if f.ending {
		for _, t := range e.launched.all() {
			e.remember(t)
		}
		e.launched = newTable[mesos.TaskID, *task]()
		for _, t := range e.queued.all() {
			delete(f.holders, t.TaskID)
		}
		e.queued, e.groups = newTable[mesos.TaskID, mesos.TaskInfo](), nil
	} else {
		c.reportTasks(now, e, end)
	}
	if f.ending || !e.incomplete() {
		c.removeExecutor(e)
	}
	c.removeIfIdle(f)
}

// reportTasks sends the last updates of an ended executor's tasks.
func (c *Core) reportTasks(now time.Time, e *executorState, end Ending) {
	state, reason := mesos.TASK_FAILED, mesos.REASON_EXECUTOR_TERMINATED
	var texts []string
	if e.verdict != nil {
		state, reason = e.verdict.State, e.verdict.Reason
		texts = append(texts, e.verdict.Message)
	}
	var limitation *mesos.TaskResourceLimitation
	if end.Limitation != nil {
		state, reason = mesos.TASK_FAILED, end.Limitation.Reason
		texts = append(texts, end.Limitation.Message)
		limitation = &mesos.TaskResourceLimitation{Resources: end.Limitation.Resources}
	}
	if end.Unknown {
		texts = append(texts, "Abnormal executor termination: unknown container")
	}
	if len(texts) == 0 {
		texts = []string{"Executor terminated"}
	}
	id := e.id()
	report := func(t mesos.TaskID) {
		c.agentUpdate(now, e.framework.id, &id, t, state, reason, strings.Join(texts, "; "), limitation)
	}
	for _, t := range e.launched.all() {
		report(t.info.TaskID)
	}
	for _, t := range e.queued.all() {
		report(t.TaskID)
	}
}
