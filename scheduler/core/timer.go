package core

import "time"

// timer is one thing that waits for time to pass. Its owner holds it by value
// and sets it again as often as it likes.
type timer struct {
	at    int64  // nanoseconds since 1970; 0 when not set
	order uint64 // breaks ties: the one set first fires first
	pos   int32  // in the heap, plus one
	owner firer
}

// firer is told when a timer of its fires, which is then no longer set.
type firer interface{ fired(c *Core) }

// fireFunc is a function as a firer.
type fireFunc func(c *Core)

func (f fireFunc) fired(c *Core) { f(c) }

// timers is a heap of those that are set.
type timers struct {
	heap []*timer
	sets uint64
}

// set makes t fire at a time, in place of any other; the zero time unsets it.
func (ts *timers) set(t *timer, at time.Time) {
	if at.IsZero() {
		ts.unset(t)
		return
	}
	ts.setNano(t, at.UnixNano())
}

func (ts *timers) setNano(t *timer, at int64) {
	if at == 0 {
		ts.unset(t)
		return
	}
	if t.pos != 0 && t.at == at {
		return
	}
	ts.sets++
	t.at, t.order = at, ts.sets
	if t.pos == 0 {
		ts.heap = append(ts.heap, t)
		t.pos = int32(len(ts.heap))
	}
	ts.fix(int(t.pos) - 1)
}

func (ts *timers) unset(t *timer) {
	if t.pos == 0 {
		return
	}
	i, last := int(t.pos)-1, len(ts.heap)-1
	ts.swap(i, last)
	ts.heap[last] = nil
	ts.heap = ts.heap[:last]
	t.pos, t.at = 0, 0
	if i < last {
		ts.fix(i)
	}
}

// due takes the next timer out that fires at or before now.
func (ts *timers) due(now int64) *timer {
	if len(ts.heap) == 0 || ts.heap[0].at > now {
		return nil
	}
	t := ts.heap[0]
	ts.unset(t)
	return t
}

// next is when the next timer fires, and false when none is set.
func (ts *timers) next() (time.Time, bool) {
	if len(ts.heap) == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, ts.heap[0].at), true
}

func (ts *timers) less(i, j int) bool {
	a, b := ts.heap[i], ts.heap[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

func (ts *timers) swap(i, j int) {
	ts.heap[i], ts.heap[j] = ts.heap[j], ts.heap[i]
	ts.heap[i].pos, ts.heap[j].pos = int32(i+1), int32(j+1)
}

func (ts *timers) fix(i int) {
	for i > 0 && ts.less(i, (i-1)/2) {
		ts.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(ts.heap); child++ {
			if ts.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		ts.swap(i, least)
		i = least
	}
}
