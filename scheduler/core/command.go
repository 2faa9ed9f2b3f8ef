package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

func (c *Core) onCommand(cmd Command) {
	r := Reply{ID: cmd.ID}
	q, again := c.takenBefore(cmd, &r)
	switch {
	case again && q != nil:
		q.waiting = append(q.waiting, cmd.ID)
		return
	case again:
		c.replies = append(c.replies, r)
		return
	case c.carryOut(cmd, &r):
		c.replies = append(c.replies, r)
		c.answerRequest(q, r, true)
	default:
		c.requestBegun(cmd, q)
	}
}

// carryOut does what a command asks for. It reports false where the reply comes
// later.
func (c *Core) carryOut(cmd Command, r *Reply) bool {
	switch {
	case cmd.Submit != nil:
		c.submit(cmd.Submit, nil, r)
	case cmd.Stop != nil:
		c.stop(cmd.Stop, r)
	case cmd.Update != nil:
		c.steer(cmd.Update, r)
	case cmd.Rollback != nil:
		c.rollback(cmd.Rollback, r)
	case cmd.Run != nil:
		c.runNow(cmd.Run, r)
	case cmd.Explain != nil:
		c.explain(cmd.Explain, r)
	case cmd.Withheld != nil:
		c.onWithheld(cmd.Withheld)
	case cmd.Drain != nil:
		c.drain(cmd.Drain, r)
	case cmd.PurgeVolume != nil:
		c.purgeVolume(cmd.PurgeVolume, r)
	case cmd.Restart != nil:
		c.restartJob(cmd.Restart, r)
	case cmd.Offers:
		r.Offers = c.listOffers()
	case cmd.Reconcile:
		c.reconcileNow(r)
	case cmd.Teardown:
		return c.teardown(cmd.ID, r)
	case cmd.KillTask != nil, cmd.SignalTask != nil, cmd.OpenSession != nil, cmd.Measure != nil, cmd.Upgrade != nil:
		return c.converse(cmd, r)
	default:
		r.Refused = &Refused{Conflict, "the command asks for nothing"}
	}
	return true
}

// checkVersion refuses a write that was made against another version than the
// job has. No job has version 0.
func checkVersion(id string, expected *uint64, has uint64) *Refused {
	if expected == nil || *expected == has {
		return nil
	}
	switch {
	case has == 0:
		return &Refused{StaleVersion, fmt.Sprintf("there is no job %s, but version %d of it was expected", id, *expected)}
	case *expected == 0:
		return &Refused{StaleVersion, fmt.Sprintf("there is a job %s already, at version %d", id, has)}
	}
	return &Refused{StaleVersion, fmt.Sprintf("job %s is at version %d, not %d: look at what has changed and try again", id, has, *expected)}
}

// submit makes a job be as its spec says, going back from another version or
// not.
func (c *Core) submit(s *Submit, from *retreat, r *Reply) {
	id := s.Job.GetId()
	j := c.jobs[id]
	has := uint64(0)
	if j != nil {
		has = j.rec.Version
	}
	if r.Refused = checkVersion(id, s.ExpectedVersion, has); r.Refused != nil {
		return
	}
	if len(s.Job.GetVolumes()) > 0 && !slices.ContainsFunc(c.cfg.Roles, func(role string) bool { return role != resource.AnyRole }) {
		r.Refused = &Refused{Conflict, fmt.Sprintf("job %s asks for volumes, and Mesos keeps none for role *: start the scheduler with a role of its own (--role)", id)}
		return
	}
	switch {
	case j == nil:
		j = c.createJob(s.Job)
	case j.runOf != nil:
		r.Refused = &Refused{Conflict, fmt.Sprintf("job %s is a run of %s: change that", id, j.runOf.id())}
		return
	case j.rec.Purge:
		r.Refused = &Refused{Conflict, fmt.Sprintf("job %s is being purged: try again when nothing of it runs", id)}
		return
	case !j.rec.Stopped && proto.Equal(j.rec.Spec, s.Job):
		r.Version = j.rec.Version
		return
	case j.rec.Spec.Type != s.Job.Type:
		r.Refused = &Refused{Conflict, fmt.Sprintf("job %s has another type: purge it first", id)}
		return
	default:
		if r.Refused = j.reduction(s); r.Refused != nil {
			return
		}
		c.changeJob(j, s.Job, from)
	}
	r.Version, r.Changed = j.rec.Version, true
}

// reduction refuses a change that asks for fewer instances and would so end more
// than half of those that run, unless that is forced: it is often a slip, and
// there is no way back to what has ended.
func (j *job) reduction(s *Submit) *Refused {
	if s.Force || j.daemon() || j.cron() || j.rec.Stopped {
		return nil
	}
	running, ending := 0, 0
	for _, in := range j.instances[:min(len(j.instances), j.count())] {
		if in == nil || in.live == nil || in.live.rec.KillReason != "" {
			continue
		}
		running++
		if in.slot >= s.Job.GetInstances() {
			ending++
		}
	}
	if 2*ending <= running {
		return nil
	}
	return &Refused{Conflict, fmt.Sprintf("of the %d instances of job %s that run, %d would end, which are more than half: if that is meant, force it (--force)",
		running, j.id(), ending)}
}

func (c *Core) createJob(spec *tandemv1.Job) *job {
	j := newJob(&tandemv1.JobRecord{
		Spec: spec, Version: 1, Created: c.stamp, Updated: c.stamp,
		AttemptFloor: c.framework.GetAttemptFloor(), Phase: tandemv1.JobPhase_JOB_PHASE_PENDING,
	})
	j.edited = c.step
	c.jobs[spec.Id] = j
	c.touch(j)
	c.addVersion(j)
	c.notice(Info, j, "new job with %d instances", j.count())
	c.tellUnlike(j)
	c.startCron(j)
	c.populate(j)
	return j
}

// changeJob gives a job a new version, going back from another or not.
func (c *Core) changeJob(j *job, spec *tandemv1.Job, from *retreat) {
	r := c.editJob(j)
	again := r.Stopped
	r.Spec, r.Version, r.Updated = spec, r.Version+1, c.stamp
	r.Stopped, r.Purge = false, false
	old := j.current()
	c.addVersion(j)
	c.notice(Info, j, "version %d", r.Version)
	c.tellUnlike(j)
	regrouped := j.current().group != old.group
	c.startCron(j)
	switch {
	case again:
		c.cancelUpdate(j, "the job was stopped")
	case regrouped && j.endless():
		c.beginUpdate(j, old, from)
	case j.updating():
		c.editUpdate(j).Version = r.Version
	}
	// What runs has its volumes; the rest may be kept from running by what was said
	// of those that are to be made.
	revolumed := !slices.EqualFunc(old.spec.Volumes, spec.Volumes, func(a, b *tandemv1.Volume) bool { return proto.Equal(a, b) })
	for _, in := range j.instances {
		if in != nil && (again || regrouped || revolumed && in.live == nil && in.rec.Phase != finished) {
			c.renew(in)
		}
	}
	c.markOutdated(j)
	c.populate(j)
}

// renew forgets what went before: the instance is to run what is asked for now,
// whether or not it had finished or failed.
func (c *Core) renew(in *instance) {
	if r := in.rec; len(r.Failures) > 0 || r.Streak > 0 || r.Losses > 0 {
		r = c.editInstance(in)
		r.Failures, r.Streak, r.Losses = nil, 0, 0
	}
	if in.live == nil && in.wanted() {
		c.await(in, "waiting for an offer")
	}
}

// populate makes instances that are missing, and settles all. Those of a daemon
// job are made when an offer of their agent comes.
func (c *Core) populate(j *job) {
	for _, in := range slices.Clone(j.instances) {
		if in != nil {
			c.settle(in)
		}
	}
	c.listDaemon(j)
	if j.daemon() {
		return
	}
	for slot := range int32(j.total()) {
		if int(slot) >= len(j.instances) || j.instances[slot] == nil {
			c.newInstance(j, slot)
		}
	}
}

// addVersion makes the job's record its newest version, and drops versions that
// nothing needs.
func (c *Core) addVersion(j *job) {
	r := versionRecord(j.rec)
	c.save = append(c.save, state.PutVersion(r))
	v := c.newVersion(j, r)
	c.gpus = c.gpus || v.need.GPUs > 0
	j.versions = append(j.versions, v)
	c.dropVersions(j)
	regroup(j)
	c.respread(j)
}

// keptVersions is how many versions of a job are kept to go back to.
const keptVersions = 10

func (c *Core) dropVersions(j *job) {
	if len(j.versions) <= keptVersions {
		return
	}
	used := map[*version]bool{
		j.current(): true, j.version(j.rec.StableVersion): true, j.version(j.rec.Update.GetFromVersion()): true,
	}
	for _, in := range j.instances {
		if in == nil {
			continue
		}
		for _, a := range in.open() {
			used[a.version] = true
		}
		used[j.version(in.rec.JobVersion)] = true
	}
	excess := len(j.versions) - keptVersions
	j.versions = slices.DeleteFunc(j.versions, func(v *version) bool {
		if excess == 0 || used[v] || v.waiting.count > 0 {
			return false
		}
		excess--
		c.save = append(c.save, removal(v.rec))
		return true
	})
}

// regroup finds out which versions run the same group.
func regroup(j *job) {
	for i, v := range j.versions {
		v.group = v.number
		for n := i - 1; n >= 0; n-- {
			if sameGroup(j.versions[n].spec, v.spec) {
				v.group = j.versions[n].group
				break
			}
		}
	}
}

// sameGroup reports whether instances of one spec need not be replaced to be
// the other's: they differ in numbers and policies alone.
func sameGroup(a, b *tandemv1.Job) bool {
	return proto.Equal(groupOf(a), groupOf(b))
}

func groupOf(spec *tandemv1.Job) *tandemv1.Job {
	g := &tandemv1.Job{
		Id: spec.Id, Type: spec.Type, User: spec.User, Labels: spec.Labels, Constraints: spec.Constraints,
		Executor: spec.Executor, Workloads: spec.Workloads,
	}
	for _, v := range spec.Volumes {
		// What else is said of volumes is for those that are to be made: an instance
		// that runs has its own.
		g.Volumes = append(g.Volumes, &tandemv1.Volume{Name: v.Name})
	}
	return g
}

func (c *Core) stop(s *Stop, r *Reply) {
	j := c.jobs[s.JobID]
	if j == nil {
		r.Refused = &Refused{NotFound, fmt.Sprintf("there is no job %s", s.JobID)}
		return
	}
	if r.Refused = checkVersion(s.JobID, s.ExpectedVersion, j.rec.Version); r.Refused != nil {
		return
	}
	r.Version = j.rec.Version
	if j.rec.Stopped && (j.rec.Purge || !s.Purge) {
		return
	}
	r.Changed = true
	c.stopJob(j, s.Purge)
}

// stopJob stops a job and, of a cron job, its runs.
func (c *Core) stopJob(j *job, purge bool) {
	if j.rec.Stopped && (j.rec.Purge || !purge) {
		return
	}
	rec := c.editJob(j)
	rec.Stopped, rec.Purge, rec.Updated = true, purge, c.stamp
	c.cancelUpdate(j, "the job was stopped")
	if rec.Cron.GetHeld() != nil {
		// Or it would be made up for when the job is submitted again.
		c.editCron(j).Held = nil
	}
	if purge {
		c.notice(Info, j, "stopping, to be forgotten")
	} else {
		c.notice(Info, j, "stopping")
	}
	c.timers.unset(&j.timer)
	c.populate(j)
	for _, run := range j.runs {
		if purge || run.active() {
			c.stopJob(run, purge)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), cmp.Compare[string])
}
