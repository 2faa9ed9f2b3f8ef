package footprint

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Footprint is that of the process: there should be one.
type Footprint struct {
	timer   *time.Timer
	program func() []mapping // where what can be forgotten of it is mapped
	// used counts what has made the process use pages of its program.
	used atomic.Int32
}

const (
	// restAfter is how long after the last start memory is given back that starts
	// have taken and what runs does not need.
	restAfter = 500 * time.Millisecond
	// burst is how many starts there are before the pages of the program are given
	// back that they have used. The next start takes a third of a millisecond more
	// for it, so that one now and then finds them as the last one has left them.
	burst = 32
)

// New begins with a process that has just been started, and is about to start
// workloads.
func New() *Footprint {
	f := &Footprint{program: sync.OnceValue(programMapped)}
	f.used.Store(burst) // Its own start is as much as that.
	f.timer = time.AfterFunc(restAfter, f.rest)
	return f
}

// Starting says that a workload is started now, or several. It returns at once.
func (f *Footprint) Starting() {
	f.used.Add(1)
	f.timer.Reset(restAfter)
}

// Stop leaves everything as it is.
func (f *Footprint) Stop() { f.timer.Stop() }

// Rest gives back what the process's own start has taken, once, where it waits for one
// thing from now on.
func Rest() {
	debug.FreeOSMemory()
	forget(programMapped())
}

func (f *Footprint) rest() {
	debug.FreeOSMemory()
	if f.used.Load() >= burst {
		f.used.Store(0)
		forget(f.program())
	}
}
