package workload

import (
	"runtime"
	"sync"

	"github.com/tandem-mesos/tandem/executor/spawn"
)

// tether is a thread of its own that starts the workloads that have no cgroup.
// The kernel ends those with their parent, by which it means the thread that
// started them. Any other thread may be that of a goroutine that ends locked to
// it, and takes it along.
type tether struct {
	once sync.Once
	work chan func()
}

// do runs f on the thread, which exists from the first call on.
func (t *tether) do(f func()) {
	t.once.Do(func() {
		t.work = make(chan func())
		go func() {
			runtime.LockOSThread()
			// The workloads have ended by the time that this does.
			defer runtime.UnlockOSThread()
			for f := range t.work {
				f()
			}
		}()
	})
	done := make(chan struct{})
	t.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// stop ends it. No call of do may follow.
func (t *tether) stop() {
	t.once.Do(func() {})
	if t.work != nil {
		close(t.work)
	}
}

// spawnMortal starts a process that ends with the executor.
func (l *Launcher) spawnMortal(p spawn.Program, o spawn.Options) (child *spawn.Child, err error) {
	l.tether.do(func() { child, err = l.spawn(p, o) })
	return child, err
}
