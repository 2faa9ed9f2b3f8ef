package core

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/constraint"
)

// maxConstrained is how many groups a master is asked to judge agents by. The
// offers of more groups than that are not worth narrowing.
const maxConstrained = 32

// shape is what the master is told of the offers that are wanted, beside
// whether any are. A call of UPDATE_FRAMEWORK that changes nothing but
// constraints stays within the master; one that changes the FrameworkInfo, as
// for GPUs, goes on to every agent (Master::updateFramework in
// src/master/master.cpp).
type shape struct {
	// stale says that what waits has changed since the last look.
	stale bool
	// constraints are those that the master has, in protobuf, and known is false
	// when a call to change them may have been lost.
	constraints []byte
	known       bool
	// able says that the master judges by constraints, and refused that it did
	// not take some of ours.
	able, refused bool
	gpus          bool // the master offers agents with GPUs
	// retry is when a call that failed may be made again.
	retry time.Time
	timer timer
}

// Wanted is what a subscription says of the offers that are wanted.
type Wanted struct {
	// None: nothing waits, so that no offers are to come.
	None bool
	// GPUs: agents with graphics processors are of use, for a job asks for some.
	GPUs bool
	// Constraints go with a call of UPDATE_FRAMEWORK, in protobuf. A
	// subscription has none, for one that the master refuses would end it.
	Constraints []byte
}

// Wanted returns what is wanted now. Before the first Step that is not known,
// and offers are wanted.
func (c *Core) Wanted() Wanted {
	return Wanted{
		None: c.step > 0 && !c.wantsOffers(),
		GPUs: c.gpus, Constraints: c.offers.shape.constraints,
	}
}

// subscribed forgets what the last master was told.
func (s *shape) subscribed(in Subscribed) {
	s.stale, s.known, s.able, s.gpus = true, true, judges(in.Master.GetVersion()), in.GPUs
	s.constraints, s.refused, s.retry = nil, false, time.Time{}
}

// judges reports whether a master of this version knows offer constraints.
func judges(version string) bool { return atLeast(version, 11) }

// answers reports whether a master of this version, and agents of the version
// before, tell what becomes of an operation that has an ID.
func answers(version string) bool { return atLeast(version, 9) }

// atLeast compares a version with 1.minor.
func atLeast(version string, least int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (major > 1 || major == 1 && minor >= least)
}

// shapeOffers tells the master of what agents offers are wanted, where that has
// changed. While nothing waits it stays as it is, for no offers come.
func (c *Core) shapeOffers() {
	s := &c.offers.shape
	if !s.stale && s.gpus == c.gpus || !c.wantsOffers() || !s.retry.IsZero() && c.now.Before(s.retry) {
		return
	}
	s.stale = false
	wanted := c.constraints().Marshal()
	if s.known && bytes.Equal(wanted, s.constraints) && (s.gpus || !c.gpus) {
		return
	}
	// What was hidden may be of use now.
	c.offers.filtered = c.offers.filtered || len(s.constraints) > 0 || !s.known
	s.constraints, s.known, s.gpus = wanted, true, c.gpus
	update := &scheduler.Call_UpdateFramework{}
	if c.offers.suppressed {
		update.SuppressedRoles = c.cfg.Roles
	}
	c.calls.demand = append(c.calls.demand, &scheduler.Call{Type: scheduler.Call_UPDATE_FRAMEWORK, UpdateFramework: update})
}

// constraints are satisfied by every agent that something which waits may go
// to. There are none as soon as something may go anywhere.
func (c *Core) constraints() constraint.Offers {
	s := &c.offers.shape
	if !s.able || s.refused || c.volumes.purging > 0 || len(c.volumes.tied) > 0 {
		// Volumes are where they are, whatever a job's rules say by now.
		return nil
	}
	var groups []constraint.Group
	seen := map[string]bool{}
	add := func(v *version) bool {
		g := v.rules.Constraints()
		key := string(constraint.Offers{"": {g}}.Marshal())
		if !seen[key] {
			seen[key] = true
			groups = append(groups, g)
		}
		return len(g) > 0 && len(groups) <= maxConstrained
	}
	for _, v := range c.offers.queue {
		if v.waiting.count > 0 && !add(v) {
			return nil
		}
	}
	for _, j := range c.daemons {
		for _, v := range j.versions { // instances of any may wait
			if !add(v) {
				return nil
			}
		}
	}
	for _, j := range c.offers.looking {
		if !add(j.current()) {
			return nil
		}
	}
	offers := constraint.Offers{}
	for _, role := range c.cfg.Roles {
		offers[role] = groups
	}
	return offers
}

// shapeFailed takes in that the master may not have what it was told. Where it
// has refused it, it is told of no constraints any more.
func (c *Core) shapeFailed(f CallFailed) {
	s := &c.offers.shape
	s.known, s.stale, s.refused = false, true, s.refused || !f.Uncertain
	s.retry = c.now.Add(c.cfg.CallRetry)
	c.offers.newWork = true
	c.timers.set(&s.timer, s.retry)
}
