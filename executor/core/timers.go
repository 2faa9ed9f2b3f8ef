package core

import (
	"container/heap"
	"time"
)

// timers is a heap of wake-up times. An entry that has been overtaken stays in
// it until it is due; whoever takes it out sees that its task waits for
// another.
type timers struct{ entries timerHeap }

type timer struct {
	at  time.Time
	run Run
}

func (t *timers) set(at time.Time, run Run) { heap.Push(&t.entries, timer{at, run}) }

func (t *timers) next() (time.Time, bool) {
	if len(t.entries) == 0 {
		return time.Time{}, false
	}
	return t.entries[0].at, true
}

// due takes out one entry that is due.
func (t *timers) due(now time.Time) (Run, bool) {
	if len(t.entries) == 0 || t.entries[0].at.After(now) {
		return 0, false
	}
	return heap.Pop(&t.entries).(timer).run, true
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].run < h[j].run
	}
	return h[i].at.Before(h[j].at)
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
