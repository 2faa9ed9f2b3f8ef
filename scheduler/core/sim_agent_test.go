package core_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// simAgent is an agent with its executors.
type simAgent struct {
	w              *world
	id, host, rack string
	total          resource.Resources
	cut            bool // no message passes
	dead           bool
	registrations  int
	draining       bool // it ends its tasks, and says why
	tasks          map[string]*simTask
	written        map[string]bool // volumes that hold data
	operations     map[string]bool // of which nobody has said that he knows
	// operators are the amounts that an operator has reserved, by name.
	operators map[string]float64
	// programs are what each executor has been, by its ID.
	programs map[string][]string
}

type simTask struct {
	id        string
	group     *simGroup
	lifecycle tandemv1.Lifecycle
	essential bool
	begun     bool // its turn has come
	command   string
	resources resource.Resources
	state     mesos.TaskState
	checked   bool // has a readiness check
	ready     bool
	restarted bool // in place, when its workload fails
	failing   bool // it is to be started again
	restarts  uint32
	updates   []mesos.TaskStatus // not acknowledged, the first one sent
}

func (a *simAgent) launch(g *mesos.Offer_Operation_LaunchGroup) {
	if a.dead {
		return
	}
	m := a.w.master
	if a.draining {
		for _, t := range g.TaskGroup.Tasks {
			a.drop(t.TaskID.Value)
		}
		return
	}
	bytes, err := g.Executor.Marshal()
	if err != nil {
		a.w.fail("%v", err)
	}
	info := string(bytes)
	if old := a.executor(g.Executor.ExecutorID.Value); old != nil {
		if old.info != info {
			a.w.fail("executor %s is %q, and would be %q", old.executor, old.info, info)
		}
		if len(old.open()) == 0 && a.w.chance(0.5) {
			// It is about to end, or has.
			for _, t := range g.TaskGroup.Tasks {
				a.drop(t.TaskID.Value)
			}
			return
		}
	}
	a.begins(&g.Executor)
	group := &simGroup{executor: g.Executor.ExecutorID.Value, info: info, resources: m.read(g.Executor.Resources)}
	if !a.mount(group, g.Executor.Resources) {
		for _, t := range g.TaskGroup.Tasks {
			a.drop(t.TaskID.Value)
		}
		return
	}
	for _, t := range g.TaskGroup.Tasks {
		settings := settingsOf(t.Data)
		task := &simTask{
			id: t.TaskID.Value, group: group, lifecycle: settings.GetLifecycle(), essential: settings.GetEssential(), command: t.Command.GetValue(), resources: m.read(t.Resources), state: mesos.TASK_STAGING,
			checked: settings.GetReadinessCheck() != nil, restarted: settings.GetRestart() != nil,
		}
		if a.tasks[task.id] != nil {
			a.w.fail("task ID %s reached agent %s twice", task.id, a.id)
		}
		a.tasks[task.id] = task
		group.tasks = append(group.tasks, task)
	}
	a.w.after(a.w.upTo(3*time.Second), func() { a.start(group) })
}

func (a *simAgent) start(g *simGroup) {
	if a.dead || g.ending {
		return
	}
	g.started = true
	if a.w.faults() && a.w.chance(0.05) {
		a.endGroup(g, mesos.TASK_FAILED, "Executor terminated")
		return
	}
	a.write(g)
	for _, t := range g.tasks {
		a.report(t, mesos.TASK_STARTING, "")
	}
	a.advance(g)
}

// executor returns a group that an executor carries, one that runs if there is
// any, or nil.
func (a *simAgent) executor(id string) *simGroup {
	var found *simGroup
	for _, task := range slices.Sorted(maps.Keys(a.tasks)) {
		if g := a.tasks[task].group; g.executor == id && (found == nil || len(found.open()) == 0) {
			found = g
		}
	}
	return found
}

// executorDies ends all that an executor carries.
func (a *simAgent) executorDies(id string) {
	for _, task := range slices.Sorted(maps.Keys(a.tasks)) {
		if t := a.tasks[task]; t != nil && t.group.executor == id && t.group.started {
			a.endGroup(t.group, mesos.TASK_FAILED, "Executor terminated")
		}
	}
	a.w.master.send(core.Failed{AgentID: &mesos.AgentID{Value: a.id}, ExecutorID: &mesos.ExecutorID{Value: id}})
}

// check lets a task become ready, and sometimes lose that again.
func (a *simAgent) check(t *simTask) {
	if !t.checked {
		return
	}
	a.w.after(a.w.upTo(20*time.Second), func() {
		if t.state != mesos.TASK_RUNNING {
			return
		}
		t.ready = !t.ready || !a.w.faults()
		a.report(t, mesos.TASK_RUNNING, "")
		if !t.ready || a.w.faults() && a.w.chance(0.3) {
			a.check(t)
		}
	})
}

func settingsOf(data []byte) *tandemv1.TaskSettings {
	s := &tandemv1.TaskSettings{}
	_ = proto.Unmarshal(data, s) // the core's own
	return s
}

// live lets a running task come to its end: run never ends by itself, ok,
// slow and fail end that way.
func (a *simAgent) live(t *simTask) {
	end := func(st mesos.TaskState, message string) {
		if t.state != mesos.TASK_RUNNING {
			return
		}
		a.report(t, st, message)
		a.ended(t, false)
	}
	switch {
	case strings.HasPrefix(t.command, "ok"):
		a.w.after(a.w.upTo(20*time.Second), func() { end(mesos.TASK_FINISHED, "") })
	case strings.HasPrefix(t.command, "slow"):
		a.w.after(a.w.upTo(8*time.Minute), func() { end(mesos.TASK_FINISHED, "") })
	case strings.HasPrefix(t.command, "fail"):
		a.w.after(a.w.upTo(20*time.Second), func() { end(mesos.TASK_FAILED, "Command exited with status 1") })
	case a.w.faults() && a.w.chance(0.1):
		a.w.after(a.w.upTo(time.Minute), func() { end(mesos.TASK_FAILED, "Command terminated with signal 11") })
	}
}

func (a *simAgent) kill(task string) {
	t := a.tasks[task]
	switch {
	case a.dead || t == nil || terminal(t.state):
	case !t.group.started:
		a.endGroup(t.group, mesos.TASK_KILLED, "A task within the task group was killed before delivery to the executor")
	case a.w.faults() && a.w.chance(0.2): // the executor was not connected
	default:
		a.stop(t, false, "killed at the scheduler's request")
	}
}

// report queues a status; one of each task is under way at a time.
func (a *simAgent) report(t *simTask, st mesos.TaskState, message string) {
	if a.dead || terminal(t.state) {
		return
	}
	t.state = st
	a.w.uuids++
	source := mesos.SOURCE_EXECUTOR
	now := float64(a.w.now.UnixNano()) / 1e9
	status := mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: t.id}, AgentID: &mesos.AgentID{Value: a.id}, State: &st, Source: &source,
		Message: &message, Timestamp: &now, UUID: fmt.Appendf(nil, "uuid%012d", a.w.uuids),
	}
	if a.draining && (st == mesos.TASK_KILLING || st == mesos.TASK_KILLED) {
		status.Reason = agentDraining.Enum()
	}
	t.tellRestarts(&status)
	if t.checked {
		status.CheckStatus = &mesos.CheckStatusInfo{Type: mesos.CheckInfo_HTTP.Enum(), HTTP: &mesos.CheckStatusInfo_Http{}}
		if code := uint32(200); t.ready {
			status.CheckStatus.HTTP.StatusCode = &code
		}
	}
	t.updates = append(t.updates, status)
	if len(t.updates) == 1 {
		a.forward(t)
	}
}

func (a *simAgent) forward(t *simTask) {
	if len(t.updates) == 0 || a.dead {
		return
	}
	s := t.updates[0]
	a.w.message(a, func() { a.w.master.update(a, s) })
	if a.w.faults() && a.w.chance(0.1) {
		a.w.message(a, func() { a.w.master.update(a, s) })
	}
	a.w.after(10*time.Second, func() {
		if len(t.updates) > 0 && string(t.updates[0].UUID) == string(s.UUID) {
			a.forward(t)
		}
	})
}

// told is the state that the task's latest status says, which the master was sent, and
// uuid that status's, or nothing when it was acknowledged.
func (t *simTask) told() mesos.TaskState {
	if len(t.updates) > 0 {
		return t.updates[0].GetState()
	}
	return t.state
}

func (t *simTask) uuid() string {
	if len(t.updates) > 0 {
		return string(t.updates[0].UUID)
	}
	return ""
}

// retry forwards what was not acknowledged, at once.
func (a *simAgent) retry() {
	for _, id := range slices.Sorted(maps.Keys(a.tasks)) {
		a.forward(a.tasks[id])
	}
}

func (a *simAgent) acknowledge(task, uuid string) {
	t := a.tasks[task]
	if t == nil || len(t.updates) == 0 || string(t.updates[0].UUID) != uuid {
		return
	}
	done := terminal(t.updates[0].GetState())
	t.updates = t.updates[1:]
	if done {
		delete(a.tasks, task)
		return
	}
	a.forward(t)
}

// reconnect registers with the leading master, when it can be reached.
func (a *simAgent) reconnect() {
	if a.dead || a.cut || !a.w.master.up {
		return
	}
	if known := a.w.master.agents[a.id]; known != nil && known.state == registered {
		return
	}
	a.w.master.registers(a)
}

func (a *simAgent) die() {
	a.dead = true
	a.tasks = map[string]*simTask{}
}

// running are the tasks that have a process.
func (a *simAgent) running() []*simTask {
	var out []*simTask
	for _, t := range a.tasks {
		if !terminal(t.state) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(x, y *simTask) int { return cmp.Compare(x.id, y.id) })
	return out
}
