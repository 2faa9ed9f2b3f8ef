package core

import (
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// offerState is what waits for offers, and how the master was told about it.
type offerState struct {
	queue   []*version // with waiting instances, the longest waiting first
	waiting int        // instances
	// newWork says that offers which were refused before may be of use now.
	newWork    bool
	suppressed bool
	// suppressAfter is when a SUPPRESS may be made again after one that failed.
	suppressAfter time.Time
	// filtered says that some offer was turned down for long since the last
	// REVIVE.
	filtered   bool
	looking    []*job // whose agents are looked at; see balance
	lastRevive time.Time
	// round counts the times that all filters were lifted.
	round     uint64
	lastOffer time.Time
	// asked is when offers were asked for last, by a subscription or a REVIVE.
	asked time.Time
	shape shape
	timer timer // for a REVIVE or SUPPRESS that would come too soon after the last
}

// enqueue lets an instance wait for an offer.
func (c *Core) enqueue(in *instance) {
	v := in.job.version(in.rec.JobVersion)
	if v == nil {
		v = in.job.current()
	}
	if in.waitsIn == v {
		return
	}
	c.dequeue(in)
	in.waitsIn = v
	if c.lacking(v) == "" {
		c.offers.newWork = true
	}
	if in.job.daemon() {
		// It waits for its agent, though not for ever: see agentless.
		c.timers.set(&in.timer, c.now.Add(in.job.rec.Spec.GetUnreachable().GetExpungeAfter().AsDuration()))
		return
	}
	if c.tie(in, v) {
		return
	}
	v.waiting.push(in)
	c.offers.waiting++
	if v.waiting.count == 1 {
		c.offers.shape.stale = true
	}
	if !v.queued {
		v.queued = true
		c.offers.queue = append(c.offers.queue, v)
	}
}

func (c *Core) dequeue(in *instance) {
	switch {
	case in.waitsIn == nil:
	case in.job.daemon():
		in.waitsIn = nil
	case in.tied != "":
		c.untie(in)
	default:
		in.waitsIn.waiting.remove(in)
		in.waitsIn = nil
		c.offers.waiting--
	}
}

// wantsOffers reports whether some offer may be of use.
func (c *Core) wantsOffers() bool {
	return c.offers.waiting > 0 || len(c.daemons) > 0 || c.volumes.purging > 0 || len(c.offers.looking) > 0
}

// demand tells the master, at the end of a step, whether offers are wanted:
// SUPPRESS when nothing waits, no volume is to be purged and no job looks out for
// agents, REVIVE when there is new work that refused offers may be good for, and
// neither otherwise.
func (c *Core) demand() {
	o := &c.offers
	if c.subscribed {
		c.shapeOffers()
	}
	switch {
	case !c.subscribed:
	case !c.wantsOffers():
		o.newWork = false
		switch {
		case o.suppressed:
			c.timers.unset(&o.timer)
		case c.now.Before(o.suppressAfter):
			c.timers.set(&o.timer, o.suppressAfter)
		default:
			c.timers.unset(&o.timer)
			o.suppressed = true
			c.calls.demand = append(c.calls.demand, &scheduler.Call{
				Type: scheduler.Call_SUPPRESS, Suppress: &scheduler.Call_Suppress{Roles: c.cfg.Roles},
			})
		}
	case !o.newWork:
	case !o.suppressed && !o.filtered:
		o.newWork = false // offers are on their way
	case !o.lastRevive.IsZero() && c.now.Before(o.lastRevive.Add(c.cfg.ReviveInterval)):
		c.timers.set(&o.timer, o.lastRevive.Add(c.cfg.ReviveInterval))
	default:
		o.newWork, o.suppressed, o.filtered, o.lastRevive, o.asked = false, false, false, c.now, c.now
		o.round++
		c.calls.demand = append(c.calls.demand, &scheduler.Call{
			Type: scheduler.Call_REVIVE, Revive: &scheduler.Call_Revive{Roles: c.cfg.Roles},
		})
	}
}

// reviveDue is called when a REVIVE or SUPPRESS that was put off may be made;
// demand, which follows every step, makes it.
func (c *Core) reviveDue() {}
