package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// board is what a watch has brought so far. It is not safe for concurrent use.
type board struct {
	jobs      map[string]*tandemv1.JobRecord
	instances map[slot]*tandemv1.InstanceRecord
	// attempts holds the newest attempt of each instance.
	attempts map[slot]*tandemv1.AttemptRecord
	// earlier holds the attempt before that: the two run beside each other for a
	// while where an instance moves.
	earlier map[slot]*tandemv1.AttemptRecord
	removed map[string]bool
	// complete says that all that was there before the watch has come.
	complete bool
}

// slot names an instance.
type slot struct {
	job    string
	number int32
}

// String returns the instance as it stands in task IDs.
func (s slot) String() string {
	id := state.TaskName{Job: s.job, Slot: s.number, Attempt: 1, Workload: "w"}.String()
	return strings.TrimSuffix(id, ".1.w")
}

func newBoard() *board {
	return &board{
		jobs:      map[string]*tandemv1.JobRecord{},
		instances: map[slot]*tandemv1.InstanceRecord{},
		attempts:  map[slot]*tandemv1.AttemptRecord{},
		earlier:   map[slot]*tandemv1.AttemptRecord{},
		removed:   map[string]bool{},
	}
}

// event is one thing that has happened, for a line of text.
type event struct{ what, text string }

// apply takes a change in, and returns what a person would want to hear of it.
func (b *board) apply(change *tandemv1.WatchResponse) []event {
	switch c := change.GetChange().(type) {
	case *tandemv1.WatchResponse_Job:
		return b.applyJob(c.Job)
	case *tandemv1.WatchResponse_Instance:
		return b.applyInstance(c.Instance)
	case *tandemv1.WatchResponse_Attempt:
		return b.applyAttempt(c.Attempt)
	case *tandemv1.WatchResponse_InstanceRemoved:
		key := slot{c.InstanceRemoved.GetJobId(), c.InstanceRemoved.GetSlot()}
		delete(b.instances, key)
		delete(b.attempts, key)
		delete(b.earlier, key)
		return []event{{key.String(), "removed"}}
	case *tandemv1.WatchResponse_JobRemoved:
		b.removed[c.JobRemoved] = true
		delete(b.jobs, c.JobRemoved)
		maps.DeleteFunc(b.instances, func(s slot, _ *tandemv1.InstanceRecord) bool { return s.job == c.JobRemoved })
		for _, attempts := range []map[slot]*tandemv1.AttemptRecord{b.attempts, b.earlier} {
			maps.DeleteFunc(attempts, func(s slot, _ *tandemv1.AttemptRecord) bool { return s.job == c.JobRemoved })
		}
		return []event{{c.JobRemoved, "removed"}}
	case *tandemv1.WatchResponse_SnapshotEnd:
		b.complete = true
	}
	return nil
}

func (b *board) applyJob(job *tandemv1.JobRecord) []event {
	id := job.GetSpec().GetId()
	before := b.jobs[id]
	b.jobs[id] = job
	delete(b.removed, id)
	var events []event
	if before.GetPhase() != job.GetPhase() || before.GetVersion() != job.GetVersion() {
		text := present.JobPhase(job.GetPhase())
		if before.GetVersion() != job.GetVersion() {
			text += fmt.Sprintf(" (version %d)", job.GetVersion())
		}
		events = append(events, event{id, because(text, job.GetPhaseReason())})
	}
	if u := present.Update(job.GetUpdate()); u != "" && before != nil && u != present.Update(before.GetUpdate()) {
		events = append(events, event{id, "update " + u})
	}
	return events
}

func (b *board) applyInstance(i *tandemv1.InstanceRecord) []event {
	key := slot{i.GetJobId(), i.GetSlot()}
	before := b.instances[key]
	b.instances[key] = i
	if before.GetPhase() == i.GetPhase() {
		return nil
	}
	return []event{{key.String(), because(present.InstancePhase(i.GetPhase()), i.GetPhaseReason())}}
}

func (b *board) applyAttempt(a *tandemv1.AttemptRecord) []event {
	key := slot{a.GetJobId(), a.GetSlot()}
	if a.GetEnded() != nil && a.GetAttempt() < b.instances[key].GetAttempt() && !b.complete {
		return nil // It had ended before anybody looked.
	}
	newest, earlier := b.attempts[key], b.earlier[key]
	var before *tandemv1.AttemptRecord
	switch {
	case a.GetAttempt() == newest.GetAttempt():
		before, b.attempts[key] = newest, a
	case a.GetAttempt() > newest.GetAttempt():
		b.attempts[key] = a
		if newest != nil {
			b.earlier[key] = newest
		}
	case a.GetAttempt() == earlier.GetAttempt():
		before, b.earlier[key] = earlier, a
	case a.GetAttempt() > earlier.GetAttempt():
		b.earlier[key] = a
	default:
		return nil
	}
	known := map[string]*tandemv1.TaskRecord{}
	for _, t := range before.GetTasks() {
		known[t.GetTaskId()] = t
	}
	var events []event
	for _, t := range a.GetTasks() {
		old, seen := known[t.GetTaskId()]
		if seen && old.GetState() == t.GetState() && present.Health(old) == present.Health(t) {
			continue
		}
		events = append(events, event{t.GetTaskId(), taskText(a.GetHostname(), t)})
	}
	return events
}

// taskText says where a task stands, and after its end how it ended.
func taskText(hostname string, t *tandemv1.TaskRecord) string {
	parts := []string{t.GetState().String()}
	if health := present.Health(t); health != "" {
		parts[0] += " and " + health
	}
	if !present.Ended(t) {
		switch t.GetState() {
		case tandemv1.TaskState_TASK_STAGING:
			parts = append(parts, "on "+hostname)
		case tandemv1.TaskState_TASK_RUNNING:
			parts = append(parts, present.Ports(hostname, t)...)
		}
		return strings.Join(parts, " ")
	}
	for _, fact := range []struct{ name, text string }{
		{"exit ", present.Exit(t)}, {"after ", present.WallTime(t)},
		{"processor ", present.CPUTime(t)}, {"peak memory ", present.PeakMemory(t)},
	} {
		if fact.text != "" {
			parts = append(parts, fact.name+fact.text)
		}
	}
	text := strings.Join(parts, ", ")
	return because(text, present.Why(t))
}

func because(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + present.OneLine(reason)
}

// slots returns the instances of the board in order.
func (b *board) slots() []slot {
	return slices.SortedFunc(maps.Keys(b.instances), func(x, y slot) int {
		return cmp.Or(cmp.Compare(x.job, y.job), cmp.Compare(x.number, y.number))
	})
}

// view returns a job of a board that follows one, as it was last.
func (b *board) view(id string) *tandemv1.JobView {
	view := &tandemv1.JobView{Job: b.jobs[id]}
	for _, key := range b.slots() {
		i := &tandemv1.InstanceView{Instance: b.instances[key]}
		if a := b.attempts[key]; a != nil {
			i.Attempts = append(i.Attempts, a)
		}
		view.Instances = append(view.Instances, i)
	}
	return view
}

// live returns the board as a table that fits on a screen.
func (b *board) live(now time.Time) *table {
	t := &table{}
	t.add("INSTANCE", "PHASE", "SINCE", "TASK", "STATE", "EXIT", "WALL", "CPU", "PEAK MEMORY", "WHERE", "WHY")
	for _, key := range b.slots() {
		i, a := b.instances[key], b.attempts[key]
		t.add(key.String(), present.InstancePhase(i.GetPhase()), present.Since(now, i.GetSince().AsTime()), "", "", "", "", "", "",
			a.GetHostname(), present.OneLine(i.GetPhaseReason()))
		for _, task := range a.GetTasks() {
			t.add("", "", "", task.GetWorkload(), stateText(task), present.Exit(task), present.WallTime(task),
				present.CPUTime(task), present.PeakMemory(task), strings.Join(present.Ports(a.GetHostname(), task), " "), present.Why(task))
		}
	}
	return t
}

func stateText(t *tandemv1.TaskRecord) string {
	if health := present.Health(t); health != "" {
		return t.GetState().String() + " " + health
	}
	return t.GetState().String()
}

// report writes what each workload did and used, and what it did not get.
func (b *board) report(sys *System) {
	t := &table{}
	t.add("TASK", "STATE", "EXIT", "WALL", "CPU", "PEAK MEMORY", "WHY")
	var warnings []string // in the order in which they first came
	tasks := map[string][]string{}
	for _, key := range b.slots() {
		for _, task := range b.attempts[key].GetTasks() {
			t.add(task.GetTaskId(), stateText(task), present.Exit(task), present.WallTime(task),
				present.CPUTime(task), present.PeakMemory(task), present.Why(task))
			for _, warning := range task.GetReport().GetWarnings() {
				if tasks[warning] == nil {
					warnings = append(warnings, warning)
				}
				tasks[warning] = append(tasks[warning], task.GetTaskId())
			}
		}
	}
	if len(t.rows) > 1 {
		t.write(sys)
	}
	for _, warning := range warnings {
		fmt.Fprintf(sys.Stdout, "warning about %s: %s\n", strings.Join(tasks[warning], ", "), present.OneLine(warning))
	}
}
