package clock

import (
	"container/heap"
	"sync"
	"time"
)

// Shifted is a clock that runs like the machine's and can be put forward. Its
// zero value shows the machine's time. It is safe for concurrent use.
type Shifted struct {
	mu     sync.Mutex
	shift  time.Duration
	timers timers
	next   uint64
	// wake is the one timer of the machine's, for the first of ours.
	wake   *time.Timer
	wakeAt time.Time
}

// settle is for how long Advance stops at a timer, so that those whom it wakes
// can do what they do.
const settle = 2 * time.Millisecond

type shiftedTimer struct {
	at    time.Time
	order uint64 // those of one time run out in the order they were set
	index int    // within the heap; -1 when out of it
	f     func()
}

// Now is the machine's time and what it was put forward.
func (c *Shifted) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Shifted) now() time.Time { return time.Now().Add(c.shift) }

// AfterFunc calls f in a goroutine of its own.
func (c *Shifted) AfterFunc(d time.Duration, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	t := &shiftedTimer{at: c.now().Add(d), order: c.next, f: f}
	heap.Push(&c.timers, t)
	c.arm()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if t.index >= 0 {
			heap.Remove(&c.timers, t.index)
		}
	}
}

// arm sets the machine's timer for the first of ours. The caller holds mu.
func (c *Shifted) arm() {
	if len(c.timers) == 0 {
		return
	}
	at := c.timers[0].at
	if c.wake != nil && c.wakeAt.Equal(at) {
		return
	}
	c.wakeAt = at
	wait := max(0, at.Sub(c.now()))
	if c.wake == nil {
		c.wake = time.AfterFunc(wait, c.run)
		return
	}
	c.wake.Reset(wait)
}

// run calls what is due.
func (c *Shifted) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeAt = time.Time{}
	for len(c.timers) > 0 && !c.timers[0].at.After(c.now()) {
		go heap.Pop(&c.timers).(*shiftedTimer).f()
	}
	c.arm()
}

// Advance puts the clock forward. On the way it stops where timers run out, for
// a moment, so that what happens on the way happens in its order; it blocks
// meanwhile. It stops at most a few hundred times: what is due within a fraction
// of d is due at once.
func (c *Shifted) Advance(d time.Duration) {
	end := c.Now().Add(d)
	for c.step(end, d/maxStops) {
		c.run()
		time.Sleep(settle)
	}
}

// maxStops bounds how often Advance stops.
const maxStops = 400

// step goes on to the first timer before the end and a little further, or to the
// end if there is none.
func (c *Shifted) step(end time.Time, further time.Duration) (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to, more := end, false
	if len(c.timers) > 0 && !c.timers[0].at.After(end) {
		to, more = c.timers[0].at.Add(further), true
		if to.After(end) {
			to = end
		}
	}
	c.shift += max(0, to.Sub(c.now()))
	c.wakeAt = time.Time{}
	c.arm()
	return more
}

// timers are a heap, the first to run out on top.
type timers []*shiftedTimer

func (h timers) Len() int { return len(h) }

func (h timers) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *timers) Push(x any) {
	t := x.(*shiftedTimer)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
