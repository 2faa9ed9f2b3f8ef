package core

import "fmt"

// starved reports whether nothing stands in the way of the update but that its
// instances wait for offers. That is not the new version's failing, and how long
// it takes nobody can say: the deadline does not run meanwhile. Canaries take
// room beside what there was, and so may be in the way themselves: with them it
// does.
func (j *job) starved() bool {
	if j.canaries() > 0 {
		return false
	}
	waits := false
	for _, in := range j.instances {
		switch {
		case in == nil || in.rec.Phase == running || j.versionFor(in).group != j.current().group:
		case in.waitsIn == j.current() && in.rec.Streak == 0 && in.rec.Losses == 0:
			waits = true
		default:
			return false
		}
	}
	return waits
}

// launched notes that an instance has found its place, from when on it has the
// whole deadline to come to serve. One that is launched again after it failed
// gets no more time.
func (c *Core) launched(in *instance, v *version) {
	j := in.job
	if j.updating() && v.group == j.current().group && in.rec.Streak == 0 && in.rec.Losses == 0 {
		c.editUpdate(j).Progressed = c.stamp
		c.armUpdate(j)
	}
}

// countFailure notes that an updated instance has failed, which fails the update
// when it is one too many.
func (c *Core) countFailure(in *instance, a *attempt, why string) {
	j := in.job
	if !j.updating() || a.outdated() {
		return
	}
	u := c.editUpdate(j)
	u.Failures++
	if p := j.rec.Spec.GetUpdate(); p != nil && p.MaxFailures != nil && u.Failures > uint32(p.GetMaxFailures()) {
		j.broken = fmt.Sprintf("more failures than %d, the last of instance %d: %s", p.GetMaxFailures(), in.slot, why)
		c.touch(j)
	}
}
