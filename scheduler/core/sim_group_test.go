package core_test

import (
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// simGroup is the tasks of one launch, with the executor that carries them: inits run
// one after another, then mains and sidecars, and in the end poststops one after
// another (executor/core/group.go).
type simGroup struct {
	executor  string
	info      string // of its executor
	resources resource.Resources
	tasks     []*simTask
	volumes   []string
	started   bool
	ending    bool // with its executor
	failed    bool // an essential task has
}

// open are the tasks of a group that have not ended.
func (g *simGroup) open() []*simTask {
	return slices.DeleteFunc(slices.Clone(g.tasks), func(t *simTask) bool { return terminal(t.state) })
}

// left counts the tasks in one of some places of the group's life that have not ended.
func (g *simGroup) left(places ...tandemv1.Lifecycle) int {
	n := 0
	for _, t := range g.open() {
		if slices.Contains(places, t.lifecycle) {
			n++
		}
	}
	return n
}

// turn reports whether a task may begin.
func (g *simGroup) turn(t *simTask) bool {
	for _, other := range g.tasks {
		if other == t {
			break
		}
		if other.lifecycle == t.lifecycle && !terminal(other.state) && (t.lifecycle == initially || t.lifecycle == finally) {
			return false
		}
	}
	switch t.lifecycle {
	case initially:
		return !g.failed
	case finally:
		return g.left(initially, mainly, beside) == 0
	}
	return !g.failed && g.left(initially) == 0
}

// The places in a group's life, shorter.
const (
	initially = tandemv1.Lifecycle_LIFECYCLE_INIT
	mainly    = tandemv1.Lifecycle_LIFECYCLE_MAIN
	beside    = tandemv1.Lifecycle_LIFECYCLE_SIDECAR
	finally   = tandemv1.Lifecycle_LIFECYCLE_POSTSTOP
)

// advance begins the tasks whose turn has come, and stops sidecars without mains.
func (a *simAgent) advance(g *simGroup) {
	if a.dead || g.ending {
		return
	}
	for _, t := range g.tasks {
		if t.state == mesos.TASK_STARTING && !t.begun && g.turn(t) {
			t.begun = true
			a.w.after(a.w.upTo(time.Second), func() { a.run(t) })
		}
	}
	if g.left(mainly) > 0 || g.failed && g.left(initially) > 0 {
		return
	}
	for _, t := range g.open() {
		if t.lifecycle == beside {
			a.stop(t, true, "stopped because the main tasks of its group have ended")
		}
	}
}

// run lets a task's program run.
func (a *simAgent) run(t *simTask) {
	if t.state != mesos.TASK_STARTING {
		return
	}
	a.report(t, mesos.TASK_RUNNING, "")
	a.live(t)
	a.check(t)
	a.relive(t)
}

// stop ends a task, in order or not.
func (a *simAgent) stop(t *simTask, inOrder bool, why string) {
	switch {
	case terminal(t.state) || t.state == mesos.TASK_KILLING:
		return
	case !t.begun:
		a.report(t, mesos.TASK_KILLED, why)
		a.ended(t, inOrder)
		return
	}
	a.report(t, mesos.TASK_KILLING, "")
	a.w.after(a.w.upTo(5*time.Second), func() {
		if !terminal(t.state) {
			a.report(t, mesos.TASK_KILLED, "Command terminated with signal 15: "+why)
			a.ended(t, inOrder)
		}
	})
}

// ended lets the end of a task take effect on its group.
func (a *simAgent) ended(t *simTask, inOrder bool) {
	g := t.group
	if g.ending {
		return
	}
	if t.essential && t.state != mesos.TASK_FINISHED && !inOrder && !g.failed {
		g.failed = true
		for _, other := range g.tasks {
			if other.lifecycle == initially || other.lifecycle == mainly {
				a.stop(other, false, "stopped because a task of its group ended")
			}
		}
	}
	a.advance(g)
}

// endGroup ends a group with its executor.
func (a *simAgent) endGroup(g *simGroup, st mesos.TaskState, message string) {
	g.ending = true
	for _, t := range g.open() {
		a.report(t, st, message)
	}
}

// lifecycles gives some groups programs that run first, beside and last.
func (t *team) lifecycles(j *tandemv1.Job) {
	r := t.w.random
	if r.IntN(3) > 0 {
		return
	}
	add := func(name, cmd string, place tandemv1.Lifecycle, essential bool) {
		j.Workloads = append(j.Workloads, &tandemv1.Workload{
			Name: name, Cmd: cmd, Lifecycle: place, Essential: proto.Bool(essential),
			Resources: &tandemv1.Resources{Cpus: 0.1, Mem: 8}, Kill: j.Workloads[0].Kill,
		})
	}
	for range r.IntN(2) {
		add("first", "ok 0", initially, true)
	}
	for range r.IntN(2) {
		add("beside", "run 0", beside, r.IntN(2) == 0)
	}
	lasts := []string{"ok 0", "fail 0", "slow 0"}
	if j.Schedule != nil {
		lasts = lasts[:2] // or its runs would never rest
	}
	for range r.IntN(2) {
		add("last", lasts[r.IntN(len(lasts))], finally, false)
	}
	if r.IntN(3) == 0 {
		j.Workloads[0].Essential = proto.Bool(len(j.Workloads) == 1)
	}
}

// fellShort reports whether a group did not do what it was for: an essential workload
// has ended otherwise than well, and is no sidecar that was stopped after its mains.
func fellShort(a *tandemv1.AttemptRecord, spec *tandemv1.Job) bool {
	cut := false // a main was killed
	for i, w := range spec.Workloads {
		cut = cut || w.Lifecycle == mainly && a.Tasks[i].State == tandemv1.TaskState_TASK_KILLED
	}
	for i, w := range spec.Workloads {
		st := a.Tasks[i].State
		if w.GetEssential() && st != tandemv1.TaskState_TASK_FINISHED &&
			(w.Lifecycle != beside || st != tandemv1.TaskState_TASK_KILLED || cut) {
			return true
		}
	}
	return false
}

// judged: a batch job's instance has finished when its group did what it was for, and
// has failed only otherwise.
func (r *stepRules) judged(in *tandemv1.InstanceRecord, old *tandemv1.InstanceRecord) {
	j, a := r.job(in.JobId), r.attempt(in.JobId, in.Slot, in.Attempt)
	if j == nil || a == nil || a.Ended == nil || j.Spec.Type != tandemv1.JobType_JOB_TYPE_BATCH || old == nil || old.Phase == in.Phase {
		return
	}
	v, kept := r.k.s.store[state.KindVersion][state.VersionKey(in.JobId, a.JobVersion)]
	if !kept {
		return
	}
	short := fellShort(a, v.record.(*tandemv1.VersionRecord).Spec)
	if finished := in.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED; finished && short || !short && in.Streak > old.Streak {
		r.k.s.w.fail("%s#%d is %s, and its tasks are %v", in.JobId, in.Slot, in.Phase, a.Tasks)
	}
}

// ending: a group is ended for a failure only while more of it is left than what runs
// last.
func (r *stepRules) ending(old, a *tandemv1.AttemptRecord) {
	if old.KillReason != "" || !strings.Contains(a.KillReason, "its group did not end") {
		return
	}
	for _, t := range a.Tasks {
		if t.Workload != "last" && !state.Terminal(t.State) {
			return
		}
	}
	r.k.s.w.fail("attempt %d of %s#%d is ended while its last workloads run", a.Attempt, a.JobId, a.Slot)
}

// staysUp reports whether a task of a running instance is to run: not when it ran first,
// or may end without its group.
func staysUp(w *tandemv1.Workload, t *tandemv1.TaskRecord) bool {
	return !state.Terminal(t.State) || w.GetEssential() && w.GetLifecycle() != initially
}
