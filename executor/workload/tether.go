package workload

import (
	"runtime"
	"sync"
)

// tethers are threads of their own that start the workloads that have no cgroup.
// The kernel ends those with their parent, by which it means the thread that
// started them. Any other thread may be that of a goroutine that ends locked to
// it, and takes it along. There are as many as there were starts at once.
type tethers struct {
	mu   sync.Mutex // guards what follows
	idle []chan func()
}

// do runs f on one of the threads, and nothing else meanwhile.
func (t *tethers) do(f func()) {
	work := t.take()
	done := make(chan struct{})
	work <- func() {
		defer close(done)
		f()
	}
	<-done
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = append(t.idle, work)
}

func (t *tethers) take() chan func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.idle); n > 0 {
		work := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return work
	}
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		// The workloads have ended by the time that this does.
		defer runtime.UnlockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
}

// stop ends them. No call of do may be under way, or follow.
func (t *tethers) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, work := range t.idle {
		close(work)
	}
	t.idle = nil
}
