package footprint_test

import (
	"runtime"
	"testing"

	"github.com/tandem-mesos/tandem/executor/footprint"
)

func TestProcessorsFollowWhatThereIsToDo(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(all)
	if all < 2 {
		t.Skip("needs two processors")
	}
	f := footprint.New()
	defer f.Stop()
	await := func(n int) {
		for runtime.GOMAXPROCS(0) != n {
			runtime.Gosched()
		}
	}
	await(1)
	for range 2 {
		f.Busy(true)
		await(all)
		f.Busy(true)
		f.Busy(false)
		await(1)
	}
}
