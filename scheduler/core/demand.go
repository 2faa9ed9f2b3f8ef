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
	// filtered says that some offer was turned down for long since the last
	// REVIVE.
	filtered   bool
	lastRevive time.Time
	lastOffer  time.Time
	timer      timer // for a REVIVE that would come too soon after the last
	figures    Figures
}

// Figures tell how good a neighbour the scheduler is, since it started.
type Figures struct {
	// Received, Declined and Used count offers.
	Received, Declined, Used uint64
	// Revives and Suppresses count calls.
	Revives, Suppresses uint64
	// Suppressed says that the master was asked for no offers, as nothing waits.
	Suppressed bool
	// Waiting is how many instances wait for an offer.
	Waiting int
}

// Figures returns the figures of now. It is called between Steps, by the
// goroutine that makes them.
func (c *Core) Figures() Figures {
	f := c.offers.figures
	f.Suppressed, f.Waiting = c.offers.suppressed, c.offers.waiting
	return f
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
	v.waiting.push(in)
	c.offers.waiting++
	c.offers.newWork = true
	if !v.queued {
		v.queued = true
		c.offers.queue = append(c.offers.queue, v)
	}
}

func (c *Core) dequeue(in *instance) {
	if in.waitsIn != nil {
		in.waitsIn.waiting.remove(in)
		in.waitsIn = nil
		c.offers.waiting--
	}
}

// demand tells the master, at the end of a step, whether offers are wanted:
// SUPPRESS when nothing waits, REVIVE when there is new work that refused
// offers may be good for, and neither otherwise.
func (c *Core) demand() {
	o := &c.offers
	switch {
	case !c.subscribed:
	case o.waiting == 0:
		o.newWork = false
		c.timers.unset(&o.timer)
		if !o.suppressed {
			o.suppressed = true
			o.figures.Suppresses++
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
		o.newWork, o.suppressed, o.filtered, o.lastRevive = false, false, false, c.now
		o.figures.Revives++
		c.calls.demand = append(c.calls.demand, &scheduler.Call{
			Type: scheduler.Call_REVIVE, Revive: &scheduler.Call_Revive{Roles: c.cfg.Roles},
		})
	}
}

// reviveDue is called when a REVIVE that was put off may be made; demand, which
// follows every step, makes it.
func (c *Core) reviveDue() {}
