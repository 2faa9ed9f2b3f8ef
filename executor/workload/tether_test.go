package workload_test

import (
	"runtime"
	"testing"

	"github.com/tandem-mesos/tandem/executor/workload"
)

// A workload without a cgroup ends with the executor, and not with the thread on
// which it happened to be asked for.
func TestEndOfAThreadIsNotTheExecutors(t *testing.T) {
	e := newEnv(t, setup{"", none})
	for range 3 {
		type result struct {
			p   *workload.Process
			err error
		}
		started := make(chan result)
		s := e.shell("sleep 0.1; exit 3")
		go func() {
			runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
			p, err := e.launcher.Start(t.Context(), s)
			started <- result{p, err}
		}()
		r := <-started
		if r.err != nil {
			t.Fatal(r.err)
		}
		if exit := e.wait(r.p); exit.Status != (workload.Status{Code: 3}) {
			t.Errorf("exit = %+v", exit)
		}
	}
}
