package core

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

const (
	// onTime is how late a run may start without being one that was missed.
	onTime = time.Minute
	// keptRuns is how many runs that are over are kept of each cron job.
	keptRuns = 10
)

// active reports whether anything of the job runs or is going to.
func (j *job) active() bool {
	return j.present > j.phases[finished]+j.phases[failed]+j.phases[stopped]
}

// startCron begins the schedule of a cron job that is new, was stopped or has
// changed: starts before now are of no account.
func (c *Core) startCron(j *job) {
	if !j.cron() {
		return
	}
	c.editCron(j).Last = c.stamp
	c.cronDue(j)
}

func (c *Core) editCron(j *job) *tandemv1.CronRecord {
	r := c.editJob(j)
	old := r.Cron
	r.Cron = &tandemv1.CronRecord{
		Last: old.GetLast(), Next: old.GetNext(), Held: old.GetHeld(),
		Runs: old.GetRuns(), Skipped: old.GetSkipped(), Missed: old.GetMissed(),
	}
	return r.Cron
}

// cronDue makes the start of a cron job that has fallen due, if one has, and
// waits for the next. Of several that have passed only the last is made up for,
// if it is not too late for that.
func (c *Core) cronDue(j *job) {
	s := j.current().schedule
	if !j.cron() || j.rec.Stopped || s == nil {
		return
	}
	latest, starts := s.Latest(j.rec.Cron.GetLast().AsTime(), c.now)
	next := s.Next(c.now)
	if starts > 0 {
		r := c.editCron(j)
		r.Last = timestamppb.New(latest)
		r.Missed += uint64(starts - 1)
		late := c.now.Sub(latest)
		if late <= max(onTime, j.rec.Spec.Schedule.GetCatchUp().AsDuration()) {
			c.startRun(j, latest)
		} else {
			r.Missed++
			c.notice(Warn, j, "missed the run of %s", latest.Format(time.RFC3339))
		}
	}
	if at := timestamppb.New(next); !next.IsZero() && !proto.Equal(at, j.rec.Cron.GetNext()) {
		c.editCron(j).Next = at
	}
	c.timers.set(&j.timer, next)
	c.touch(j)
}

// startRun makes a run of a cron job, as far as those that are not over allow.
func (c *Core) startRun(j *job, due time.Time) {
	if slices.ContainsFunc(j.runs, (*job).active) {
		switch j.rec.Spec.Schedule.GetOverlap() {
		case tandemv1.Overlap_OVERLAP_ALLOW:
		case tandemv1.Overlap_OVERLAP_REPLACE:
			c.editCron(j).Held = timestamppb.New(due)
			for _, run := range j.runs {
				if run.active() {
					c.stopJob(run, false)
				}
			}
			return
		default:
			c.editCron(j).Skipped++
			c.notice(Info, j, "skipped the run of %s, for the last one is not over", due.Format(time.RFC3339))
			return
		}
	}
	c.createRun(j, due)
}

func runID(j *job, due time.Time) string { return state.RunID(j.id(), due) }

func (c *Core) createRun(j *job, due time.Time) {
	id := runID(j, due)
	if c.jobs[id] != nil {
		c.notice(Warn, j, "there is a job %s already, so that this run is not made", id)
		return
	}
	spec := proto.Clone(j.rec.Spec).(*tandemv1.Job)
	spec.Id, spec.Type, spec.Schedule, spec.Update = id, tandemv1.JobType_JOB_TYPE_BATCH, nil, nil
	c.editCron(j).Runs++
	run := c.createJob(spec)
	c.editJob(run).RunOf = j.id()
	c.linkRun(run)
	c.pruneRuns(j)
}

// runNow starts a run that the schedule does not ask for.
func (c *Core) runNow(s *Run, r *Reply) {
	j, refused := c.writable(s.JobID, s.ExpectedVersion)
	switch {
	case refused != nil:
		r.Refused = refused
	case !j.cron():
		r.Refused = &Refused{Conflict, fmt.Sprintf("job %s is no cron job: restart it instead", s.JobID)}
	case j.rec.Stopped:
		r.Refused = &Refused{Conflict, fmt.Sprintf("job %s is stopped: submit it to start it", s.JobID)}
	case j.rec.Spec.Schedule.GetOverlap() <= tandemv1.Overlap_OVERLAP_FORBID && slices.ContainsFunc(j.runs, (*job).active):
		r.Refused = &Refused{Conflict, fmt.Sprintf("the last run of job %s is not over", s.JobID)}
	case c.jobs[runID(j, c.now)] != nil:
		r.Refused = &Refused{Conflict, fmt.Sprintf("job %s was started in this very second", s.JobID)}
	default:
		c.startRun(j, c.now.Truncate(time.Second))
		r.Version, r.Changed, r.Run = j.rec.Version, true, runID(j, c.now)
	}
}

// linkRun puts a run among those of its cron job.
func (c *Core) linkRun(run *job) {
	if j := c.jobs[run.rec.RunOf]; j != nil && run.rec.RunOf != "" {
		run.runOf = j
		j.runs = append(j.runs, run)
	}
}

// unlinkRun takes a run that is forgotten away from its cron job, which may be
// waiting for that.
func (c *Core) unlinkRun(run *job) {
	if j := run.runOf; j != nil {
		j.runs = slices.DeleteFunc(j.runs, func(other *job) bool { return other == run })
		c.touch(j)
	}
}

// runEnded is called when a run is over: it may make way for another.
func (c *Core) runEnded(j *job) {
	c.touch(j)
	if held := j.rec.Cron.GetHeld(); held != nil && !j.rec.Stopped && !slices.ContainsFunc(j.runs, (*job).active) {
		c.editCron(j).Held = nil
		c.createRun(j, held.AsTime())
	}
	c.pruneRuns(j)
}

// pruneRuns forgets the oldest runs that are over.
func (c *Core) pruneRuns(j *job) {
	over := 0
	for _, run := range slices.Backward(slices.Clone(j.runs)) {
		if run.active() {
			continue
		}
		if over++; over > keptRuns {
			c.stopJob(run, true)
		}
	}
}

func (j *job) cronText() string {
	if next := j.rec.Cron.GetNext(); next != nil {
		return "the next run is due at " + next.AsTime().Format(time.RFC3339)
	}
	return "no run is due"
}
