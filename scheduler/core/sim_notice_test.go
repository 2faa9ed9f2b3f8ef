package core_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// notices hold what docs/operations.md promises of the log: one line for each
// decision, with the fields of what it is about. They see a step while the store
// is as it was before it.
type notices struct {
	r    *stepRules
	show []core.Notice
}

func (n notices) check(e core.Effects) {
	n.show = e.Show
	for i := range e.Show {
		if wrong := n.wrong(&e.Show[i], e); wrong != "" {
			n.r.k.s.w.fail("the log's line %q of %s#%d, attempt %d, task %q, agent %q: %s", e.Show[i].Text,
				e.Show[i].Job, e.Show[i].Slot, e.Show[i].Attempt, e.Show[i].Task, e.Show[i].Agent, wrong)
		}
	}
	for _, c := range e.Save {
		n.decided(c, e)
	}
}

// wrong says what a line's fields lack, or how they contradict one another, the
// records and the text; nothing when all is well.
func (n notices) wrong(l *core.Notice, e core.Effects) string {
	switch {
	case l.Text == "" || strings.ContainsAny(l.Text, "\r\n") || strings.TrimSpace(l.Text) != l.Text:
		return "it is not one line of text"
	case l.OfInstance && l.Job == "":
		return "it has an instance and no job"
	case l.Attempt != 0 && (!l.OfInstance || l.Agent == ""):
		return "it has an attempt and no instance, or no agent"
	case l.Task != "" && l.Agent == "":
		return "it has a task and no agent"
	}
	if name, ours := state.ParseTaskName(l.Task); ours && (name.Job != l.Job || name.Slot != l.Slot || name.Attempt != l.Attempt) {
		return "its task is of another attempt"
	}
	if a := n.attempt(l, e); a != nil && a.AgentId != l.Agent {
		return "its attempt is on agent " + a.AgentId
	}
	// What the text speaks of has its field. A line about a whole job may name
	// an instance of it, or an agent, as a reason.
	words := strings.FieldsFunc(l.Text, func(c rune) bool { return strings.ContainsRune(" ,:;()", c) })
	for i, word := range words {
		before := ""
		if i > 0 {
			before = words[i-1]
		}
		whole := l.Job != "" && !l.OfInstance
		switch {
		case before == "task" && isTask(word) && l.Task != word && !whole:
			return "it has not the task that it speaks of"
		case before == "volume" && strings.Contains(word, ".") && !l.OfInstance:
			return "it has not the instance whose volume it speaks of"
		case before == "attempt" && isNumber(word) && strconv.FormatUint(l.Attempt, 10) != word && !whole:
			return "it has not the attempt that it speaks of"
		case (before == "agent" || before == "executor") && l.Agent == "" && !whole:
			return "it has not the agent that it speaks of"
		}
	}
	return ""
}

func isTask(word string) bool {
	_, ok := state.ParseTaskName(word)
	return ok
}

func isNumber(word string) bool {
	_, err := strconv.ParseUint(word, 10, 64)
	return err == nil
}

// attempt returns the record that the line is about, before the step or after it;
// nil where it is not known any more.
func (n notices) attempt(l *core.Notice, e core.Effects) *tandemv1.AttemptRecord {
	if l.Attempt == 0 {
		return nil
	}
	if a := n.r.attempt(l.Job, l.Slot, l.Attempt); a != nil {
		return a
	}
	key := state.AttemptKey(l.Job, l.Slot, l.Attempt)
	for _, c := range e.Save {
		if a, ok := c.Record.(*tandemv1.AttemptRecord); ok && c.Key.String() == key {
			return a
		}
	}
	return nil
}

// decided holds that what a step has decided, or learned of a task, has its line.
func (n notices) decided(c state.Change, e core.Effects) {
	switch rec := c.Record.(type) {
	case *tandemv1.JobRecord:
		if old := n.r.job(rec.Spec.Id); old == nil || old.Phase != rec.Phase || old.Version != rec.Version {
			n.said("the change of job "+rec.Spec.Id, func(l core.Notice) bool { return l.Job == rec.Spec.Id && !l.OfInstance })
		}
	case *tandemv1.InstanceRecord:
		old := n.r.instance(rec.JobId, rec.Slot)
		if old == nil || old.Phase == rec.Phase {
			return
		}
		switch rec.Phase {
		case tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED, tandemv1.InstancePhase_INSTANCE_PHASE_FAILED,
			tandemv1.InstancePhase_INSTANCE_PHASE_BACKOFF, tandemv1.InstancePhase_INSTANCE_PHASE_CRASH_LOOPING:
			ended := n.ended(rec, e)
			n.said(fmt.Sprintf("instance %s#%d becoming %s", rec.JobId, rec.Slot, rec.Phase), func(l core.Notice) bool {
				return l.Job == rec.JobId && l.OfInstance && l.Slot == rec.Slot && l.Task == "" &&
					(len(ended) == 0 || slices.Contains(ended, l.Attempt))
			})
		}
	case *tandemv1.AttemptRecord:
		old := n.r.attempt(rec.JobId, rec.Slot, rec.Attempt)
		if old == nil {
			n.said(fmt.Sprintf("the launch of %s#%d, attempt %d", rec.JobId, rec.Slot, rec.Attempt), func(l core.Notice) bool {
				return l.Job == rec.JobId && l.Slot == rec.Slot && l.Attempt == rec.Attempt
			})
			return
		}
		for i, t := range rec.Tasks {
			if old.Tasks[i].State != t.State {
				n.said("task "+t.TaskId+" becoming "+t.State.String(), func(l core.Notice) bool { return l.Task == t.TaskId })
			}
		}
	}
}

// ended returns the instance's attempts whose end is saved in the step.
func (n notices) ended(in *tandemv1.InstanceRecord, e core.Effects) (numbers []uint64) {
	for _, c := range e.Save {
		a, ok := c.Record.(*tandemv1.AttemptRecord)
		if !ok || a.JobId != in.JobId || a.Slot != in.Slot || a.Ended == nil {
			continue
		}
		if old := n.r.attempt(a.JobId, a.Slot, a.Attempt); old == nil || old.Ended == nil {
			numbers = append(numbers, a.Attempt)
		}
	}
	return numbers
}

func (n notices) said(what string, about func(core.Notice) bool) {
	if !slices.ContainsFunc(n.show, about) {
		n.r.k.s.w.fail("%s has no line in the log", what)
	}
}
