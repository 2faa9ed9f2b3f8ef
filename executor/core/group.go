package core

import (
	"fmt"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// group is the tasks of one LAUNCH_GROUP, by their place in its life.
type group struct {
	inits, mains, sidecars, poststops []*task
	// initsDone and poststopsDone count those that have ended, in order;
	// mainsLeft and othersLeft count those that have not: mains, and all but
	// the poststops.
	initsDone, poststopsDone int
	mainsLeft, othersLeft    int
	// failed says that an essential task has, and that the group ends.
	failed bool
}

func (g *group) add(t *task) {
	t.group = g
	switch t.lifecycle {
	case tandemv1.Lifecycle_LIFECYCLE_INIT:
		g.inits = append(g.inits, t)
	case tandemv1.Lifecycle_LIFECYCLE_SIDECAR:
		g.sidecars = append(g.sidecars, t)
	case tandemv1.Lifecycle_LIFECYCLE_POSTSTOP:
		g.poststops = append(g.poststops, t)
		return
	default:
		g.mains = append(g.mains, t)
		g.mainsLeft++
	}
	g.othersLeft++
}

// turn says whether a task may start now.
func (g *group) turn(t *task) bool {
	switch {
	case t.lifecycle == tandemv1.Lifecycle_LIFECYCLE_POSTSTOP:
		return g.othersLeft == 0 && g.poststops[g.poststopsDone] == t
	case g.failed:
		return false
	case t.lifecycle == tandemv1.Lifecycle_LIFECYCLE_INIT:
		return g.inits[g.initsDone] == t
	default:
		return g.initsDone == len(g.inits)
	}
}

// ready starts a task that has all its files, if its turn has come.
func (c *Core) ready(t *task) {
	if t.phase == waiting && c.closing == nil && t.group.turn(t) {
		c.start(t)
	}
}

// afterEnd lets the end of a task take effect on its group.
func (c *Core) afterEnd(t *task, v verdict) {
	g := t.group
	if t.lifecycle != tandemv1.Lifecycle_LIFECYCLE_POSTSTOP {
		g.othersLeft--
	}
	if t.lifecycle == tandemv1.Lifecycle_LIFECYCLE_MAIN {
		g.mainsLeft--
	}
	if t.essential && v.state != mesos.TASK_FINISHED && !(t.kill != nil && t.kill.cause == byMains) {
		c.failGroup(g, fmt.Sprintf("task %s of its group ended: %s", t.id, lowerFirst(v.message)))
	}
	switch t.lifecycle {
	case tandemv1.Lifecycle_LIFECYCLE_INIT:
		c.advanceInits(g)
	case tandemv1.Lifecycle_LIFECYCLE_MAIN:
		if g.mainsLeft == 0 {
			for _, s := range g.sidecars {
				c.kill(s, byMains, "stopped because the main tasks of its group have ended", s.grace())
			}
		}
	}
	c.advancePoststops(g)
}

// failGroup kills the inits and mains; the sidecars follow when the last main
// has ended.
func (c *Core) failGroup(g *group, why string) {
	if g.failed {
		return
	}
	g.failed = true
	for _, tasks := range [][]*task{g.inits, g.mains} {
		for _, t := range tasks {
			c.kill(t, byGroup, "stopped because "+why, t.grace())
		}
	}
	if len(g.mains) == 0 {
		for _, t := range g.sidecars {
			c.kill(t, byGroup, "stopped because "+why, t.grace())
		}
	}
}

// advanceInits starts the next init task, or after the last one the mains and
// sidecars.
func (c *Core) advanceInits(g *group) {
	for g.initsDone < len(g.inits) && g.inits[g.initsDone].ended() {
		g.initsDone++
	}
	if g.initsDone < len(g.inits) {
		c.ready(g.inits[g.initsDone])
		return
	}
	for _, tasks := range [][]*task{g.sidecars, g.mains} {
		for _, t := range tasks {
			c.ready(t)
		}
	}
}

// advancePoststops starts the next poststop task when all others have ended.
func (c *Core) advancePoststops(g *group) {
	for g.poststopsDone < len(g.poststops) && g.poststops[g.poststopsDone].ended() {
		g.poststopsDone++
	}
	if g.othersLeft == 0 && g.poststopsDone < len(g.poststops) {
		c.ready(g.poststops[g.poststopsDone])
	}
}
