package core

import (
	"cmp"
	"slices"

	"github.com/tandem-mesos/tandem/pkg/schedule"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// restore builds the model from what was saved. Records that belong to nothing,
// which no crash can leave, are passed over.
func (c *Core) restore(saved state.Snapshot) {
	c.framework = saved.Framework
	for _, r := range saved.Jobs {
		c.jobs[r.Spec.Id] = newJob(r)
	}
	for _, r := range saved.Versions {
		if j := c.jobs[r.JobId]; j != nil {
			j.versions = append(j.versions, c.newVersion(j, r))
		}
	}
	for _, r := range saved.Jobs {
		j := c.jobs[r.Spec.Id]
		if len(j.versions) == 0 || j.current().number != r.Version {
			j.versions = append(j.versions, c.newVersion(j, versionRecord(r)))
		}
		regroup(j)
		c.gpus = c.gpus || j.current().need.GPUs > 0
	}
	for _, r := range saved.Instances {
		if j := c.jobs[r.JobId]; j != nil {
			j.add(newInstance(j, r))
		}
	}
	for _, r := range saved.Volumes {
		c.addVolume(r)
	}
	c.restoreRequests(saved.Requests)
	for _, r := range saved.Agents {
		h := c.host(r.AgentId)
		h.rec = r
		c.reviewLater(h)
	}
	for _, r := range saved.Attempts {
		j := c.jobs[r.JobId]
		if j == nil || int(r.Slot) >= len(j.instances) || j.instances[r.Slot] == nil {
			continue
		}
		c.restoreAttempt(j.instances[r.Slot], r)
	}
	for _, r := range saved.Jobs {
		c.respread(c.jobs[r.Spec.Id])
		c.listDaemon(c.jobs[r.Spec.Id])
		c.linkRun(c.jobs[r.Spec.Id])
	}
}

func (c *Core) restoreAttempt(in *instance, r *tandemv1.AttemptRecord) {
	a := newAttempt(in, r)
	if a.over() {
		in.ended = append(in.ended, a)
		return
	}
	// The process before may have ended between the save and the call.
	a.doubtful = !slices.ContainsFunc(r.Tasks, func(t *tandemv1.TaskRecord) bool {
		return t.State != tandemv1.TaskState_TASK_STAGING
	})
	c.join(a)
	c.occupy(a)
	if n := in.rec.LiveAttempt; n != 0 && r.Attempt > n && r.KillReason == "" && in.live != nil {
		in.next = a
		in.live.uncounted = true
		c.newMove(in)
		c.reviewLater(in.live.host)
		return
	}
	// Records come in the order of their numbers: the last that is open is the
	// live one, unless it was replaced and its successor has ended since.
	if in.live != nil && in.rec.LiveAttempt == 0 {
		in.old = append(in.old, in.live)
		in.live.uncounted = true
		in.live = nil
	}
	switch in.rec.Phase {
	case launching, running, stopping, unreachable:
		if r.Attempt == cmp.Or(in.rec.LiveAttempt, in.rec.Attempt) {
			in.live = a
			return
		}
	}
	in.old = append(in.old, a)
	a.uncounted = true
}

// resume is the first thing after a restore that knows the time: what was
// waiting goes on waiting.
func (c *Core) resume() {
	c.resuming = true
	for _, j := range c.jobsInOrder() {
		c.touch(j)
		for _, in := range j.instances {
			if in == nil {
				continue
			}
			for _, a := range in.open() {
				c.arm(a)
			}
			// A clock that ran ahead when a record was saved must not hold the
			// instance back for longer than its delays ever do.
			if in.rec.Since.AsTime().After(c.now) {
				c.editInstance(in).Since = c.stamp
			}
			if in.rec.NotBefore != nil {
				if latest := c.now.Add(maxDelay(j.rec.Spec)); in.rec.NotBefore.AsTime().After(latest) {
					c.editInstance(in).NotBefore = c.stampAt(latest)
				}
			}
			c.settle(in)
		}
		if u := j.rec.Update; j.updating() && u.Progressed.AsTime().After(c.now) {
			c.editUpdate(j).Progressed = c.stamp
		}
		c.markOutdated(j)
		c.cronDue(j)
		if j.cron() {
			c.runEnded(j) // one may have been held
		}
	}
	c.resuming = false
}

func newJob(r *tandemv1.JobRecord) *job {
	j := &job{rec: r}
	j.timer.owner = j
	return j
}

// openAttempts are those that are not over, in the order of their jobs.
func (c *Core) openAttempts() []*attempt {
	var open []*attempt
	for _, j := range c.jobsInOrder() {
		for _, in := range j.instances {
			if in == nil {
				continue
			}
			for _, a := range in.open() {
				if !a.over() {
					open = append(open, a)
				}
			}
		}
	}
	return open
}

func (c *Core) jobsInOrder() []*job {
	jobs := make([]*job, 0, len(c.jobs))
	for _, j := range c.jobs {
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b *job) int { return cmp.Compare(a.id(), b.id()) })
	return jobs
}

func (c *Core) newVersion(j *job, r *tandemv1.VersionRecord) *version {
	v := &version{job: j, number: r.Version, spec: r.Spec, rec: r}
	v.need = c.needOf(r.Spec)
	v.secretive = namesSecrets(r.Spec)
	v.why = c.lacking(v)
	// A validated spec has rules and a schedule that can be read; validation is
	// where to mend one that has not.
	v.rules, _ = match.Compile(r.Spec.Constraints, r.Spec.Prefer)
	if s := r.Spec.Schedule; s != nil {
		v.schedule, _ = schedule.Parse(s.Cron, s.TimeZone)
	}
	return v
}

func versionRecord(r *tandemv1.JobRecord) *tandemv1.VersionRecord {
	return &tandemv1.VersionRecord{JobId: r.Spec.Id, Version: r.Version, Spec: r.Spec, Created: r.Updated}
}

func newInstance(j *job, r *tandemv1.InstanceRecord) *instance {
	in := &instance{job: j, slot: r.Slot, rec: r}
	in.timer.owner = in
	return in
}

func newAttempt(in *instance, r *tandemv1.AttemptRecord) *attempt {
	a := &attempt{instance: in, rec: r, version: in.job.version(r.JobVersion)}
	a.timer.owner = a
	for _, t := range r.Tasks {
		if !state.Terminal(t.State) {
			a.open++
		}
	}
	return a
}

// add puts an instance into its slot.
func (j *job) add(in *instance) {
	for len(j.instances) <= int(in.slot) {
		j.instances = append(j.instances, nil)
	}
	j.instances[in.slot] = in
	j.present++
	if j.daemon() {
		if j.onAgent == nil {
			j.onAgent = map[string]*instance{}
		}
		j.onAgent[in.rec.AgentId] = in
	}
	j.phases[in.rec.Phase]++
}
