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
	removed  map[string]bool
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
		return []event{{key.String(), "removed"}}
	case *tandemv1.WatchResponse_JobRemoved:
		b.removed[c.JobRemoved] = true
		delete(b.jobs, c.JobRemoved)
		maps.DeleteFunc(b.instances, func(s slot, _ *tandemv1.InstanceRecord) bool { return s.job == c.JobRemoved })
		maps.DeleteFunc(b.attempts, func(s slot, _ *tandemv1.AttemptRecord) bool { return s.job == c.JobRemoved })
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
	if before.GetPhase() == job.GetPhase() && before.GetVersion() == job.GetVersion() {
		return nil
	}
	text := present.JobPhase(job.GetPhase())
	if before.GetVersion() != job.GetVersion() {
		text += fmt.Sprintf(" (version %d)", job.GetVersion())
	}
	return []event{{id, because(text, job.GetPhaseReason())}}
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
	before := b.attempts[key]
	if before.GetAttempt() > a.GetAttempt() {
		return nil
	}
	b.attempts[key] = a
	known := map[string]*tandemv1.TaskRecord{}
	if before.GetAttempt() == a.GetAttempt() {
		for _, t := range before.GetTasks() {
			known[t.GetTaskId()] = t
		}
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

// outcome is what has become of a job that somebody waits for.
type outcome struct {
	done, well bool
	// text says what has become of it.
	text string
}

// outcome says whether a job, at the version or a later one, has come to where
// waiting ends: a batch to its end, anything else to where all that should run
// does.
func (b *board) outcome(id string, version uint64) outcome {
	job := b.jobs[id]
	switch {
	case job == nil && b.removed[id]:
		return outcome{done: true, text: "was removed"}
	case job == nil || job.GetVersion() < version || !b.complete:
		return outcome{}
	}
	endless := job.GetSpec().GetType() != tandemv1.JobType_JOB_TYPE_BATCH
	switch job.GetPhase() {
	case tandemv1.JobPhase_JOB_PHASE_FINISHED:
		return outcome{b.settled(id), true, "has finished"}
	case tandemv1.JobPhase_JOB_PHASE_FAILED:
		return outcome{done: b.settled(id), text: because("has failed", job.GetPhaseReason())}
	case tandemv1.JobPhase_JOB_PHASE_STOPPED:
		return outcome{done: true, text: "was stopped"}
	case tandemv1.JobPhase_JOB_PHASE_RUNNING:
		if endless {
			return outcome{b.settled(id), true, "runs"}
		}
	}
	return outcome{}
}

// settled says whether the records of the job's instances and tasks say what
// its phase says: they may come after the job's own.
func (b *board) settled(id string) bool {
	job := b.jobs[id]
	ended := 0
	for number := range job.GetSpec().GetInstances() {
		key := slot{id, number}
		i, a := b.instances[key], b.attempts[key]
		switch i.GetPhase() {
		case tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED, tandemv1.InstancePhase_INSTANCE_PHASE_FAILED:
			ended++
			if a != nil && a.GetEnded() == nil {
				return false
			}
		case tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING:
			if job.GetPhase() == tandemv1.JobPhase_JOB_PHASE_FINISHED || a.GetRunning() == nil {
				return false
			}
		default:
			// Where one instance has failed others may be anywhere.
			if job.GetPhase() != tandemv1.JobPhase_JOB_PHASE_FAILED {
				return false
			}
		}
	}
	return ended > 0 || job.GetPhase() == tandemv1.JobPhase_JOB_PHASE_RUNNING || job.GetSpec().GetInstances() == 0
}

// slots returns the instances of the board in order.
func (b *board) slots() []slot {
	return slices.SortedFunc(maps.Keys(b.instances), func(x, y slot) int {
		return cmp.Or(cmp.Compare(x.job, y.job), cmp.Compare(x.number, y.number))
	})
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
