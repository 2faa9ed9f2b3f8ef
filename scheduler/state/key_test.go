package state_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// TestKeys holds that keys are what fmt would make of them.
func TestKeys(t *testing.T) {
	for _, n := range []uint64{0, 1, 9, 10, 12345678901, math.MaxUint64} {
		for _, slot := range []int32{0, 7, 100000, math.MaxInt32} {
			if got, want := state.AttemptKey("/a/b", slot, n), fmt.Sprintf("/a/b#%010d#%020d", slot, n); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got, want := state.InstanceKey("/a", slot), fmt.Sprintf("/a#%010d", slot); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if got, want := state.VersionKey("/a", n), fmt.Sprintf("/a#%020d", n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
