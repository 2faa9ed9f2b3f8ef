package api

import (
	"cmp"
	"context"
	"path"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// nearestJob finds the job that an ID was probably meant to be: the only one whose
// path ends as it does, or else the one that is written most alike.
func (s *Server) nearestJob(ctx context.Context, id string) string {
	n := nearest{word: id}
	end, ending := "/"+strings.TrimPrefix(id, "/"), []string{}
	for _, j := range s.opt.Reader.Jobs() {
		other := j.GetSpec().GetId()
		if !shown(ctx, other) {
			continue
		}
		if strings.HasSuffix(other, end) || path.Base(other) == path.Base(id) {
			ending = append(ending, other)
		}
		n.try(other)
	}
	if len(ending) == 1 {
		return ending[0]
	}
	return n.best
}

// nearestTask finds the task that an ID was probably meant to be: the one of the
// same workload in the newest attempt of its instance, or else the one of the job's
// newest attempts that is written most alike.
func (s *Server) nearestTask(ctx context.Context, id string) string {
	name, ok := state.ParseTaskName(id)
	if !ok {
		return s.taskOf(ctx, id)
	}
	job, ok := s.opt.Reader.Job(name.Job)
	if !ok || !shown(ctx, name.Job) {
		if job, ok = s.opt.Reader.Job(s.nearestJob(ctx, name.Job)); !ok {
			return ""
		}
	}
	n, same := nearest{word: id}, ""
	for _, i := range job.GetInstances() {
		if len(i.GetAttempts()) == 0 {
			continue
		}
		for _, t := range i.GetAttempts()[0].GetTasks() {
			if i.GetInstance().GetSlot() == name.Slot && t.GetWorkload() == name.Workload {
				same = t.GetTaskId()
			} else {
				n.try(t.GetTaskId())
			}
		}
	}
	return cmp.Or(same, n.best)
}

// taskOf finds a task of what is no task's ID, but a job's, or that of an instance
// as it stands in task IDs, such as payments_api.2.
func (s *Server) taskOf(ctx context.Context, id string) string {
	name, slot, _ := strings.Cut(strings.ReplaceAll(strings.TrimPrefix(id, "/"), "/", "_"), ".")
	job := "/" + strings.ReplaceAll(name, "_", "/")
	view, ok := s.opt.Reader.Job(job)
	if !ok || !shown(ctx, job) {
		return ""
	}
	slot, _, _ = strings.Cut(slot, ".")
	for _, i := range view.GetInstances() {
		if slot != "" && slot != strconv.Itoa(int(i.GetInstance().GetSlot())) || len(i.GetAttempts()) == 0 {
			continue
		}
		for _, t := range i.GetAttempts()[0].GetTasks() {
			return t.GetTaskId()
		}
	}
	return ""
}

func (s *Server) nearestAgent(ctx context.Context, name string) string {
	n := nearest{word: name}
	for _, a := range (&service{s}).agents(ctx) {
		n.try(a.GetHostname())
		n.try(a.GetAgentId())
	}
	return n.best
}

func (s *Server) nearestVolume(ctx context.Context, id string) string {
	n := nearest{word: id}
	for _, v := range s.opt.Reader.Volumes() {
		if shown(ctx, v.GetJobId()) {
			n.try(v.GetId())
		}
	}
	return n.best
}

// nearest finds the name that a word was probably meant to be: the most alike, the
// first in order of those that are equally so, and none that is not much alike. What
// differs in numbers alone is another of a kind, and no slip.
type nearest struct {
	word, best string
	distance   int
}

// longestWord bounds what is compared, for a comparison takes the product of both
// lengths.
const longestWord = 256

func (n *nearest) try(name string) {
	if len(n.word) > longestWord || len(name) > longestWord || withoutDigits(name) == withoutDigits(n.word) {
		return
	}
	d := levenshtein.ComputeDistance(strings.ToLower(n.word), strings.ToLower(name))
	// Of a path it is the last part that tells one from the other.
	most := min(3, len(n.word)/3, (len(path.Base(n.word))+1)/2)
	if d <= most && (n.best == "" || d < n.distance || d == n.distance && name < n.best) {
		n.best, n.distance = name, d
	}
}

func withoutDigits(name string) string {
	return strings.Map(func(c rune) rune {
		if '0' <= c && c <= '9' {
			return -1
		}
		return c
	}, name)
}
