// Package heap bounds how far the scheduler's heap grows between two collections of
// garbage, and gives back what a burst has taken.
//
// Go lets a heap grow to twice what lives. Of a small scheduler that is so little that
// it collects many times within one event of ten thousand offers; of one with 100,000
// tasks so much that half of its memory is garbage. The package must never do more
// than set the collector's pace: memory is freed by what is kept, and not by when it
// is looked at.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// room is how much is allocated between two collections: more than an event of
	// ten thousand offers takes that launches nothing, and a third of what lives with
	// 100,000 tasks.
	room = 64 << 20
	// least is the percentage of what lives that may be allocated at least, so that the
	// largest heaps are not collected all the time.
	least = 25
	// smallest is the size that a heap is taken for at least.
	smallest = 4 << 20
	// calm is how long after the last collection memory is given back, where there is
	// more of it than what lives and the next collections will need.
	calm = 5 * time.Second
)

// Bound sets the collector's pace, and keeps it in step with the heap until stop is
// called, which sets it as it was. It does nothing where the environment sets it
// (GOGC).
func Bound() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	p := &pace{set: percent(0)}
	was := debug.SetGCPercent(p.set)
	p.calm = time.AfterFunc(calm, p.release)
	p.follow()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stopped = true
		p.calm.Stop()
		debug.SetGCPercent(was)
	}
}

// needed is how much is allocated between two collections where so much lives.
func needed(live uint64) uint64 { return max(room, live*least/100) }

// percent is the collector's pace where so much lives.
func percent(live uint64) int { return int(100 * needed(live) / max(live, smallest)) }

func read(metric string) uint64 {
	s := []metrics.Sample{{Name: metric}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// release gives back to the machine what a burst has taken. The last collection of one
// comes in its midst and finds alive what no longer is when it is over; nothing may be
// allocated for minutes then that would bring about the next.
func (p *pace) release() {
	p.mu.Lock()
	had := read("/memory/classes/heap/objects:bytes") + read("/memory/classes/heap/free:bytes")
	due := !p.stopped && had > p.lives+needed(p.lives)*5/4
	p.released = due
	p.mu.Unlock()
	if due {
		debug.FreeOSMemory()
	}
}

type pace struct {
	calm *time.Timer

	mu      sync.Mutex
	set     int
	stopped bool
	// lives is how much surely lives, as a collection has found that came of a release,
	// or a later one that found less.
	lives    uint64
	released bool // and what that collection has found was not looked at yet
}

// follow has the pace looked at after the next collection: it ends what nothing
// refers to.
func (p *pace) follow() {
	runtime.SetFinalizer(&sentinel{pace: p}, func(s *sentinel) { s.pace.collected() })
}

type sentinel struct{ pace *pace }

func (p *pace) collected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	live := read("/gc/heap/live:bytes")
	if p.released || live < p.lives {
		p.lives, p.released = live, false
	}
	// To set it stops the program for a moment.
	if to := percent(live); to < p.set-p.set/10 || to > p.set+p.set/10 {
		debug.SetGCPercent(to)
		p.set = to
	}
	p.calm.Reset(calm)
	p.follow()
}
