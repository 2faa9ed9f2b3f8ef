// Package hands has goroutines that stay for the next thing to do. A new one begins with
// little stack, and what a workload's start or a call takes is copied to a larger one
// three times: that was 3 to 8 % of a task's processor time.
//
// It must never let anything wait for a goroutine.
package hands

// Hands are the goroutines.
type Hands struct {
	work    chan func()
	waiting chan struct{} // holds one for each that waits, or is about to
	done    chan struct{}
}

// New returns Hands of which keep at most wait for something to do.
func New(keep int) *Hands {
	return &Hands{work: make(chan func()), waiting: make(chan struct{}, keep), done: make(chan struct{})}
}

// Go has f called by one that waits, or by a new one. It returns at once.
func (h *Hands) Go(f func()) {
	select {
	case h.work <- f:
	default:
		go h.stay(f)
	}
}

// stay does one thing after the other, until enough others wait.
func (h *Hands) stay(f func()) {
	for {
		f()
		f = nil // It may hold much.
		select {
		case h.waiting <- struct{}{}:
		default:
			return
		}
		select {
		case f = <-h.work:
			<-h.waiting
		case <-h.done:
			return
		}
	}
}

// Close ends those that wait. Those that have something to do end after it.
func (h *Hands) Close() { close(h.done) }
