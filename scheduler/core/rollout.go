package core

import (
	"fmt"
	"slices"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// The phases of updates, shorter.
const (
	canaryUpdate    = tandemv1.UpdatePhase_UPDATE_PHASE_CANARY
	rollingUpdate   = tandemv1.UpdatePhase_UPDATE_PHASE_ROLLING
	pausedUpdate    = tandemv1.UpdatePhase_UPDATE_PHASE_PAUSED
	doneUpdate      = tandemv1.UpdatePhase_UPDATE_PHASE_DONE
	failedUpdate    = tandemv1.UpdatePhase_UPDATE_PHASE_FAILED
	cancelledUpdate = tandemv1.UpdatePhase_UPDATE_PHASE_CANCELLED
)

// updating reports whether an update of the job is under way.
func (j *job) updating() bool {
	switch j.rec.Update.GetPhase() {
	case canaryUpdate, rollingUpdate, pausedUpdate:
		return true
	}
	return false
}

// versionFor is the version that an instance is to be launched with. While an
// update rolls, an instance that has ended anyway becomes the new version's; in
// all other states of an update each stays with the version it had.
func (j *job) versionFor(in *instance) *version {
	switch j.rec.Update.GetPhase() {
	case canaryUpdate, pausedUpdate, failedUpdate:
		if v := j.version(in.rec.JobVersion); v != nil && int(in.slot) < j.count() {
			return v
		}
	}
	return j.current()
}

// editUpdate returns the job's update to be changed.
func (c *Core) editUpdate(j *job) *tandemv1.UpdateRecord {
	r := c.editJob(j)
	r.Update = state.CopyUpdate(r.Update)
	return r.Update
}

// retreat is the version that an update goes back from, and why.
type retreat struct {
	version uint64
	why     string
}

// lastGood is the version that an update is to go back to when it fails: the last that
// all instances have served with. Of a job that is too young to have one it is the one
// before the update, if all of that runs. There may be none.
func (j *job) lastGood(before *version) uint64 {
	switch u := j.rec.Update; {
	case j.version(j.rec.StableVersion) != nil:
		return j.rec.StableVersion
	case j.updating() || u.GetPhase() == failedUpdate:
		return u.FromVersion
	case j.present > 0 && j.phases[running] == j.present:
		return before.number
	}
	return 0
}

// beginUpdate starts the update from a version to the job's newest, in place of any
// that is under way. What is gone back to is known, and needs no canaries.
func (c *Core) beginUpdate(j *job, before *version, from *retreat) {
	u := &tandemv1.UpdateRecord{
		Phase: rollingUpdate, Version: j.rec.Version, Started: c.stamp, Progressed: c.stamp,
		FromVersion: j.lastGood(before),
	}
	if from != nil {
		u.Reverts = from.version
		u.Reason = from.why
	} else if n := j.rec.Spec.GetUpdate().GetCanary(); n > 0 && !j.daemon() {
		u.Phase, u.Reason = canaryUpdate, fmt.Sprintf("%d of the new version are tried first", n)
	}
	c.editJob(j).Update = u
	j.serving = 0
	for _, in := range j.instances {
		if in != nil {
			in.serves = false
		}
	}
	c.armUpdate(j)
}

// cancelUpdate ends an update for a reason outside it.
func (c *Core) cancelUpdate(j *job, reason string) {
	if j.updating() {
		c.endUpdate(j, cancelledUpdate, reason)
	}
}

func (c *Core) endUpdate(j *job, p tandemv1.UpdatePhase, reason string) {
	u := c.editUpdate(j)
	u.Phase, u.Reason, u.Ended = p, reason, c.stamp
	j.outdated = nil
	c.timers.unset(&j.timer)
}

// armUpdate lets the job's timer fire when the update should have progressed.
func (c *Core) armUpdate(j *job) {
	u, d := j.rec.Update, j.rec.Spec.GetUpdate().GetProgressDeadline().AsDuration()
	if d <= 0 || u.GetPhase() != rollingUpdate && (u.GetPhase() != canaryUpdate || j.serving >= j.canaries()) {
		c.timers.unset(&j.timer)
		return
	}
	c.timers.set(&j.timer, u.Progressed.AsTime().Add(d))
}

func (j *job) canaries() int { return j.total() - j.count() }

// fired is called when a cron job's next run is due, or an update has made no
// progress for too long.
func (j *job) fired(c *Core) {
	c.cronDue(j)
	if !j.updating() {
		return
	}
	if j.starved() {
		c.timers.set(&j.timer, c.now.Add(j.rec.Spec.GetUpdate().GetProgressDeadline().AsDuration()))
		return
	}
	c.failUpdate(j, fmt.Sprintf("no instance of version %d came to serve within %s",
		j.rec.Update.Version, j.rec.Spec.GetUpdate().GetProgressDeadline().AsDuration()))
}

// served notes that an instance of the current group serves, or no longer does.
func (c *Core) served(in *instance) {
	j := in.job
	if int(in.slot) >= j.count() {
		if in.serves {
			j.serving++
		} else {
			j.serving--
		}
	}
	if !j.updating() || c.resuming {
		return
	}
	if in.serves {
		c.editUpdate(j).Progressed = c.stamp
	}
	c.armUpdate(j)
	c.touch(j)
}

// markOutdated lists the instances that are to be replaced, in the order of
// their slots.
func (c *Core) markOutdated(j *job) {
	j.outdated = nil
	if j.rec.Update.GetPhase() == failedUpdate {
		return
	}
	for _, in := range j.instances {
		switch {
		case in == nil:
		case in.live == nil && in.waitsIn != nil && in.waitsIn != j.versionFor(in):
			c.await(in, in.rec.PhaseReason)
		case in.live != nil && in.live.outdated():
			j.outdated = append(j.outdated, in)
		}
	}
	if j.updating() {
		c.armUpdate(j)
	}
	c.touch(j)
}

// roll replaces outdated instances. Of a service no more than maxParallel are
// ever missing on that account; a batch is begun anew at once.
func (c *Core) roll(j *job) {
	if j.rec.Stopped {
		j.outdated = nil
		return
	}
	if p := j.rec.Update.GetPhase(); p == canaryUpdate || p == pausedUpdate {
		return
	}
	parallel := max(1, int(j.rec.Spec.GetUpdate().GetMaxParallel()))
	for len(j.outdated) > 0 {
		in := j.outdated[0]
		if in.next != nil && !in.next.outdated() {
			j.outdated = j.outdated[1:] // its move brings the new version
			continue
		}
		if in.live == nil || !in.live.outdated() || in.live.rec.KillReason != "" || !in.wanted() {
			j.outdated = j.outdated[1:]
			continue
		}
		if j.endless() && !in.short && j.unavailable >= parallel {
			return
		}
		j.outdated = j.outdated[1:]
		reason := fmt.Sprintf("replaced by version %d", j.current().number)
		if in.live.rec.Attempt <= in.rec.RestartThrough {
			reason = "a restart was asked for"
		}
		c.kill(in.live, reason)
		c.settle(in)
	}
}

// advance takes an update a step further when all that it waits for is there.
func (c *Core) advance(j *job) {
	if !j.endless() || j.rec.Stopped {
		j.broken = ""
		return
	}
	if why := j.broken; why != "" {
		j.broken = ""
		if j.updating() {
			c.failUpdate(j, why)
		}
		return
	}
	whole := len(j.outdated) == 0 && j.unavailable == 0 && j.count() > 0
	switch p := j.rec.Update.GetPhase(); {
	case p == canaryUpdate && j.serving >= j.canaries():
		reason := fmt.Sprintf("%d of version %d serve and wait for promotion", j.serving, j.rec.Update.Version)
		if j.rec.Update.Reason != reason {
			c.editUpdate(j).Reason = reason
			c.notice(Info, j, "%s", reason)
		}
	case p == rollingUpdate && (whole || j.count() == 0):
		c.endUpdate(j, doneUpdate, j.rec.Update.Reason)
		c.notice(Info, j, "every instance serves with version %d", j.rec.Update.Version)
		c.populate(j) // canaries go
	}
	if whole && !j.updating() && j.rec.Update.GetPhase() != failedUpdate && j.rec.StableVersion != j.rec.Version {
		c.editJob(j).StableVersion = j.rec.Version
	}
}

// brokeUpdate is called when an instance has used up its restarts. The update
// fails when the step ends, for what follows may change this very instance.
func (c *Core) brokeUpdate(in *instance, a *attempt, why string) {
	j := in.job
	if j.updating() && !a.outdated() {
		j.broken = fmt.Sprintf("instance %d of version %d: %s", in.slot, j.rec.Update.Version, why)
		c.touch(j)
	}
}

// failUpdate ends an update that has failed, and goes back to the last good
// version where the job's policy says so. An update that itself goes back does
// not do so again.
func (c *Core) failUpdate(j *job, why string) {
	u := j.rec.Update
	c.endUpdate(j, failedUpdate, why)
	c.notice(Warn, j, "the update to version %d has failed: %s", u.Version, why)
	if p := j.rec.Spec.GetUpdate(); u.Reverts == 0 && (p == nil || p.AutoRevert == nil || *p.AutoRevert) {
		c.revert(j, why)
	}
	c.populate(j) // canaries go
}

// revert makes the version that an update came from the newest.
func (c *Core) revert(j *job, why string) {
	bad := j.rec.Update.Version
	v := j.version(j.rec.Update.FromVersion)
	if v == nil {
		c.notice(Warn, j, "there is no version to go back to, for none has served: what runs stays as it is")
		return
	}
	c.changeJob(j, v.spec, &retreat{bad, fmt.Sprintf("going back, for version %d has failed: %s", bad, why)})
}

func (c *Core) steer(s *Update, r *Reply) {
	j, refused := c.writable(s.JobID, s.ExpectedVersion)
	if refused != nil {
		r.Refused = refused
		return
	}
	p := j.rec.Update.GetPhase()
	conflict := func(format string, args ...any) {
		r.Refused = &Refused{Conflict, fmt.Sprintf("job %s: ", s.JobID) + fmt.Sprintf(format, args...)}
	}
	r.Version = j.rec.Version
	switch {
	case !j.updating():
		conflict("no update is under way")
		return
	case s.Action == PauseUpdate && p == pausedUpdate, s.Action == ResumeUpdate && p != pausedUpdate:
		return
	case s.Action == PauseUpdate:
		u := c.editUpdate(j)
		u.Phase, u.Reason = pausedUpdate, "it was paused"
	case s.Action == ResumeUpdate:
		u := c.editUpdate(j)
		u.Phase, u.Reason, u.Progressed = rollingUpdate, "", c.stamp
		if !u.Promoted && j.canaries() > 0 {
			u.Phase = canaryUpdate
		}
	case s.Action == PromoteUpdate && p != canaryUpdate:
		conflict("no canaries wait for promotion")
		return
	case s.Action == PromoteUpdate && j.serving < j.canaries():
		conflict("of %d canaries %d serve: promote when all do", j.canaries(), j.serving)
		return
	case s.Action == PromoteUpdate:
		u := c.editUpdate(j)
		u.Phase, u.Promoted, u.Progressed, u.Reason = rollingUpdate, true, c.stamp, ""
	case s.Action == AbortUpdate:
		c.endUpdate(j, failedUpdate, "it was aborted")
		c.revert(j, "it was aborted")
		c.populate(j)
	}
	r.Changed, r.Version = true, j.rec.Version
	c.markOutdated(j)
	c.armUpdate(j)
	c.touch(j)
}

// writable returns the job that a command speaks of, or why it may not.
func (c *Core) writable(id string, expected *uint64) (*job, *Refused) {
	j := c.jobs[id]
	if j == nil {
		return nil, &Refused{NotFound, fmt.Sprintf("there is no job %s", id)}
	}
	return j, checkVersion(id, expected, j.rec.Version)
}

// unstopped is writable, and refuses a job that is stopped.
func (c *Core) unstopped(id string, expected *uint64) (*job, *Refused) {
	j, refused := c.writable(id, expected)
	if refused == nil && j.rec.Stopped {
		refused = &Refused{Conflict, fmt.Sprintf("job %s is stopped: submit it to start it", id)}
	}
	return j, refused
}

func (c *Core) rollback(b *Rollback, r *Reply) {
	j, refused := c.unstopped(b.JobID, b.ExpectedVersion)
	if refused != nil {
		r.Refused = refused
		return
	}
	to := j.version(b.Version)
	if b.Version == 0 {
		for _, v := range slices.Backward(j.versions) {
			if v.group != j.current().group && (j.rec.StableVersion == 0 || v.number <= j.rec.StableVersion) {
				to = v
				break
			}
		}
	}
	switch {
	case to == nil && b.Version == 0 && len(j.versions) > 1:
		r.Refused = &Refused{NotFound, fmt.Sprintf("job %[1]s has no earlier version that ran anything else: name the one to go back to, of those that `tandem history %[1]s` lists", b.JobID)}
	case to == nil && b.Version == 0:
		r.Refused = &Refused{NotFound, fmt.Sprintf("job %s has no earlier version to go back to", b.JobID)}
	case to == nil:
		r.Refused = &Refused{NotFound, fmt.Sprintf("version %d of job %s is not kept", b.Version, b.JobID)}
	default:
		c.submit(&Submit{Job: to.spec, ExpectedVersion: b.ExpectedVersion, Force: b.Force},
			&retreat{j.rec.Version, fmt.Sprintf("going back to version %d, as was asked for", to.number)}, r)
	}
}

func (c *Core) restartJob(s *Restart, r *Reply) {
	j, refused := c.unstopped(s.JobID, s.ExpectedVersion)
	if refused != nil {
		r.Refused = refused
		return
	}
	for _, slot := range s.Slots {
		if slot < 0 || int(slot) >= len(j.instances) || j.instances[slot] == nil {
			r.Refused = &Refused{NotFound, fmt.Sprintf("job %s has no instance %d", s.JobID, slot)}
			return
		}
	}
	for _, in := range j.instances {
		if in == nil || len(s.Slots) > 0 && !slices.Contains(s.Slots, in.slot) {
			continue
		}
		if in.live != nil {
			c.editInstance(in).RestartThrough = in.live.rec.Attempt
		}
		c.renew(in)
		c.settle(in)
	}
	c.markOutdated(j)
	r.Version, r.Changed = j.rec.Version, true
}
