package footprint

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Footprint is that of the process: there should be one.
type Footprint struct {
	timer   *time.Timer
	resting atomic.Bool
}

const (
	// restAfter is how long after the last start memory is given back that starts
	// have taken and what runs does not need.
	restAfter = 500 * time.Millisecond
	// whileStarting lets the heap grow to 4 MB before it is collected for the first
	// time. More leaves the memory of those that stay between that of garbage, from
	// where it cannot be given back.
	whileStarting, atRest = 100, 50
)

// New begins with a process that has just been started, and is about to start
// workloads.
func New() *Footprint {
	f := &Footprint{}
	debug.SetGCPercent(whileStarting)
	f.timer = time.AfterFunc(restAfter, f.rest)
	return f
}

// Begun says that the process has begun its work, once. It takes up to a millisecond.
func (f *Footprint) Begun() { unmapProgram() }

// Starting says that workloads are started now. It returns at once.
func (f *Footprint) Starting() {
	if f.resting.Swap(false) {
		go debug.SetGCPercent(whileStarting) // It waits for a collection that is under way.
	}
	f.timer.Reset(restAfter)
}

// Stop leaves everything as it is.
func (f *Footprint) Stop() { f.timer.Stop() }

func (f *Footprint) rest() {
	debug.SetGCPercent(atRest)
	f.resting.Store(true)
	debug.FreeOSMemory()
}
