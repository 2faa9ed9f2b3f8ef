package footprint

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Footprint is that of the process: there should be one.
type Footprint struct {
	timer   *time.Timer
	resting atomic.Bool
	program func() []mapping // where what can be forgotten of it is mapped
	// used counts what has made the process use pages of its program.
	used atomic.Int32

	processors int // that it may have
	calm       *time.Timer
	adjusting  sync.Mutex // held while their number changes
	mu         sync.Mutex // guards what follows
	busy       bool
	alone      bool // it has one processor, or is about to
}

const (
	// restAfter is how long after the last start memory is given back that starts
	// have taken and what runs does not need.
	restAfter = 500 * time.Millisecond
	// whileStarting lets the heap grow to 4 MB before it is collected for the first
	// time. More leaves the memory of those that stay between that of garbage, from
	// where it cannot be given back.
	whileStarting, atRest = 100, 50
	// burst is how many starts there are before the pages of the program are given
	// back that they have used. The next start takes a third of a millisecond more
	// for it, so that one now and then finds them as the last one has left them.
	burst = 32
)

// New begins with a process that has just been started, and is about to start
// workloads.
func New() *Footprint {
	f := &Footprint{processors: runtime.GOMAXPROCS(0), program: sync.OnceValue(programMapped)}
	f.used.Store(burst) // Its own start is as much as that.
	debug.SetGCPercent(whileStarting)
	f.calm = time.AfterFunc(restAfter, f.calmDown)
	f.timer = time.AfterFunc(restAfter, f.rest)
	return f
}

// Starting says that a workload is started now, or several. It returns at once.
func (f *Footprint) Starting() {
	f.used.Add(1)
	if f.resting.Swap(false) {
		go debug.SetGCPercent(whileStarting) // It waits for a collection that is under way.
	}
	f.timer.Reset(restAfter)
}

// Busy says whether there is more to do than one thing after the other, which takes as
// many processors as there are. With one, none of them is woken for what another has
// begun, which takes longer than to do it. It returns at once.
func (f *Footprint) Busy(busy bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy = busy
	switch {
	case f.alone == !busy:
	case busy:
		f.alone = false
		go f.adjust()
	default:
		f.calm.Reset(restAfter)
	}
}

func (f *Footprint) calmDown() {
	f.mu.Lock()
	f.alone = !f.busy
	f.mu.Unlock()
	f.adjust()
}

func (f *Footprint) adjust() {
	f.adjusting.Lock()
	defer f.adjusting.Unlock()
	f.mu.Lock()
	n := f.processors
	if f.alone {
		n = 1
	}
	f.mu.Unlock()
	runtime.GOMAXPROCS(n)
}

// Stop leaves everything as it is.
func (f *Footprint) Stop() {
	f.timer.Stop()
	f.calm.Stop()
}

func (f *Footprint) rest() {
	debug.SetGCPercent(atRest)
	f.resting.Store(true)
	debug.FreeOSMemory()
	if f.used.Load() >= burst {
		f.used.Store(0)
		forget(f.program())
	}
}
