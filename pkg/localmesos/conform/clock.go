package conform

import (
	"slices"
	"sync"
	"time"
)

// clock is a virtual time for a cluster: it stands still but for advance. It is
// a clock.Clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
	// ticks are when what comes at every interval came; what is set for about
	// such a time is due then.
	interval time.Duration
	ticks    []time.Time
	timers   []*timer // by time, those of one time in the order they were set
}

type timer struct {
	at time.Time
	f  func()
}

func newClock(now time.Time) *clock { return &clock{now: now} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc calls f in advance's goroutine, which the functions of a cluster do
// not mind: they only wake somebody.
func (c *clock) AfterFunc(d time.Duration, f func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at: c.due(d), f: f}
	i, _ := slices.BinarySearchFunc(c.timers, t, func(a, b *timer) int {
		if a.at.After(b.at) {
			return 1
		}
		return -1
	})
	c.timers = slices.Insert(c.timers, i, t)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.timers = slices.DeleteFunc(c.timers, func(other *timer) bool { return other == t })
	}
}

// follow has the clock follow ticks, counted from a time.
func (c *clock) follow(interval time.Duration, from time.Time, ticks []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interval = interval
	for _, t := range ticks {
		c.ticks = append(c.ticks, from.Add(t))
	}
}

// due is when a timer is due: at its time or, if it is set for the interval, at
// the tick next to that.
func (c *clock) due(d time.Duration) time.Time {
	at := c.now.Add(max(d, 0))
	if d != c.interval {
		return at
	}
	best := at
	for _, tick := range c.ticks {
		if off := tick.Sub(at).Abs(); off < c.interval/4 && (best.Equal(at) || off < best.Sub(at).Abs()) {
			best = tick
		}
	}
	return best
}

// advance moves the time to the given one, unless it is past already, and stops
// at every timer on the way until settle returns, so that what the timer did
// is done at its time.
func (c *clock) advance(to time.Time, settle func()) {
	for {
		f := c.step(to)
		if f == nil {
			return
		}
		f()
		settle()
	}
}

// step moves on to the next timer, or to the end if there is none before.
func (c *clock) step(to time.Time) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.timers) == 0 || c.timers[0].at.After(to) {
		if to.After(c.now) {
			c.now = to
		}
		return nil
	}
	t := c.timers[0]
	c.timers = c.timers[1:]
	if t.at.After(c.now) {
		c.now = t.at
	}
	return t.f
}
