package core

import (
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// What the agent remembers of the past (src/slave/constants.hpp).
const (
	maxCompletedFrameworks = 50
	maxCompletedExecutors  = 150
	maxCompletedTasks      = 200
)

// framework is a framework that has something on this agent.
type framework struct {
	id   mesos.FrameworkID
	info mesos.FrameworkInfo
	// ending says that the master shut the framework down: nothing more is
	// launched or reported for it.
	ending    bool
	executors table[mesos.ExecutorID, *executorState]
	// pending are the tasks that are not admitted yet.
	pending map[mesos.TaskID]*arrival
	// holders are the executors of the tasks that are not completed.
	holders   map[mesos.TaskID]*executorState
	completed []*executorState
}

func newFramework(info mesos.FrameworkInfo) *framework {
	return &framework{
		id:        *info.ID,
		info:      info,
		executors: newTable[mesos.ExecutorID, *executorState](),
		pending:   map[mesos.TaskID]*arrival{},
		holders:   map[mesos.TaskID]*executorState{},
	}
}

func (f *framework) partitionAware() bool {
	return slices.ContainsFunc(f.info.Capabilities, func(c mesos.FrameworkInfo_Capability) bool {
		return c.Type == mesos.FrameworkInfo_Capability_PARTITION_AWARE
	})
}

// lost is the state of a task that never reached its executor.
func (f *framework) lost() mesos.TaskState {
	if f.partitionAware() {
		return mesos.TASK_DROPPED
	}
	return mesos.TASK_LOST
}

// gone is the state of a task that the agent itself ended.
func (f *framework) gone() mesos.TaskState {
	if f.partitionAware() {
		return mesos.TASK_GONE
	}
	return mesos.TASK_LOST
}

// executorPhase is how far an executor is.
type executorPhase int

const (
	// registering: launched, and not subscribed yet.
	registering executorPhase = iota
	// running: subscribed once; its stream may have ended since.
	running
	// terminating: told to shut down, or being destroyed.
	terminating
	// terminated: its container is gone, but updates of its tasks wait for
	// acknowledgement.
	terminated
)

// executorState is one run of an executor.
type executorState struct {
	framework *framework
	info      mesos.ExecutorInfo
	container string
	kind      ExecutorKind
	nested    []nested
	state     executorPhase
	stream    StreamID
	pid       uint32
	hasPID    bool
	// subscribed says that it has, in this life of the agent.
	subscribed bool

	queued    table[mesos.TaskID, mesos.TaskInfo]
	groups    []*queuedGroup // the groups among the queued, in order
	launched  table[mesos.TaskID, *task]
	ended     table[mesos.TaskID, *task] // terminal, with updates to be acknowledged
	completed []*task
	everSent  bool
	// demand is that of the queued and the launched tasks.
	demand demand

	// afterLimit is what waits for the answers to Limit, in order.
	afterLimit []afterLimit
	// unheard counts answers to Limit that are of the agent's former life.
	unheard int
	// verdict says why the agent ended the container, for the tasks' updates.
	verdict *Verdict
	// registerBy is when the executor must have subscribed; destroyAt when
	// the grace period of its shutdown ends.
	registerBy time.Time
	destroyAt  time.Time
	// heartbeatAt is when the executor's stream gets its next HEARTBEAT.
	heartbeatAt time.Time
}

// Verdict explains the end of a container in the updates of its tasks.
type Verdict struct {
	State   mesos.TaskState
	Reason  mesos.TaskStatus_Reason
	Message string
}

// task is a task that was sent to its executor, or that ended before.
type task struct {
	info     mesos.TaskInfo
	state    mesos.TaskState
	statuses []mesos.TaskStatus
	// updateState and updateUUID are of the update that was last forwarded.
	updateState *mesos.TaskState
	updateUUID  []byte
}

func newExecutor(f *framework, info mesos.ExecutorInfo, container string) *executorState {
	return &executorState{
		framework: f,
		info:      info,
		container: container,
		queued:    newTable[mesos.TaskID, mesos.TaskInfo](),
		launched:  newTable[mesos.TaskID, *task](),
		ended:     newTable[mesos.TaskID, *task](),
	}
}

func (e *executorState) id() mesos.ExecutorID { return e.info.ExecutorID }

// incomplete says that the executor has tasks whose last update is not
// acknowledged.
func (e *executorState) incomplete() bool {
	return e.queued.len()+e.launched.len()+e.ended.len() > 0
}

// queuedGroup is a group of which nothing was delivered yet.
type queuedGroup struct {
	info mesos.TaskGroupInfo
	left int // tasks that are still queued
}

// enqueue takes tasks that are to be delivered, as a group unless that is nil.
func (e *executorState) enqueue(tasks []mesos.TaskInfo, g *mesos.TaskGroupInfo) {
	for i := range tasks {
		e.queued.put(tasks[i].TaskID, tasks[i])
		e.framework.holders[tasks[i].TaskID] = e
		e.demand.add(&tasks[i])
	}
	if g != nil {
		e.groups = append(e.groups, &queuedGroup{*g, len(g.Tasks)})
	}
}

// groupOf returns the queued group of a task, or nil.
func (e *executorState) groupOf(id mesos.TaskID) *queuedGroup {
	for _, g := range e.groups {
		if slices.ContainsFunc(g.info.Tasks, func(t mesos.TaskInfo) bool { return t.TaskID == id }) {
			return g
		}
	}
	return nil
}

// dequeue takes a task out of the queue, and its group once that has none left.
func (e *executorState) dequeue(id mesos.TaskID) (mesos.TaskInfo, bool) {
	info, ok := e.queued.get(id)
	if !ok {
		return info, false
	}
	e.queued.remove(id)
	if g := e.groupOf(id); g != nil {
		if g.left--; g.left == 0 {
			e.drop(g)
		}
	}
	return info, true
}

// dequeueGroup takes a whole group out of the queue; it returns false if that
// is not there any more.
func (e *executorState) dequeueGroup(g *queuedGroup) bool {
	if !slices.Contains(e.groups, g) {
		return false
	}
	e.drop(g)
	for _, t := range g.info.Tasks {
		e.queued.remove(t.TaskID)
	}
	return true
}

func (e *executorState) drop(g *queuedGroup) {
	e.groups = slices.DeleteFunc(e.groups, func(other *queuedGroup) bool { return other == g })
}

// remember keeps an ended task among the completed ones.
func (e *executorState) remember(t *task) {
	if e.framework.holders[t.info.TaskID] == e {
		delete(e.framework.holders, t.info.TaskID)
	}
	e.completed = appendBounded(e.completed, t, maxCompletedTasks)
}

func appendBounded[T any](all []T, one T, most int) []T {
	all = append(all, one)
	if len(all) > most {
		all = slices.Delete(all, 0, len(all)-most)
	}
	return all
}

// reported returns the tasks as a returning agent reports them to the master.
func (e *executorState) reported(id mesos.FrameworkID) []mesos.Task {
	var ts []mesos.Task
	for _, info := range e.queued.all() {
		ts = append(ts, (&task{info: info, state: mesos.TASK_STAGING}).message(id, e))
	}
	for _, t := range append(e.launched.all(), e.ended.all()...) {
		ts = append(ts, t.message(id, e))
	}
	return ts
}

// message is the task as others see it. The executor that the agent made for it
// does not show.
func (t *task) message(framework mesos.FrameworkID, e *executorState) mesos.Task {
	state := t.state
	var executor *mesos.ExecutorID
	if e.kind != CommandExecutor {
		id := e.id()
		executor = &id
	}
	return mesos.Task{
		Name:              t.info.Name,
		TaskID:            t.info.TaskID,
		FrameworkID:       framework,
		ExecutorID:        executor,
		AgentID:           t.info.AgentID,
		State:             &state,
		Resources:         t.info.Resources,
		Statuses:          slices.Clone(t.statuses),
		StatusUpdateState: t.updateState,
		StatusUpdateUUID:  t.updateUUID,
		Labels:            t.info.Labels,
		Discovery:         t.info.Discovery,
		Container:         t.info.Container,
		HealthCheck:       t.info.HealthCheck,
		KillPolicy:        t.info.KillPolicy,
	}
}
