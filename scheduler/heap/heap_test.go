package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// TestPace: a small heap gets the whole room, a large one no more than is due to it,
// and nothing stays set in the end.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 1600}, {4 << 20, 1600}, {64 << 20, 100}, {200 << 20, 32}, {4 << 30, least}} {
		if got := percent(c.live); got != c.want {
			t.Errorf("%d live: %d %%, want %d", c.live, got, c.want)
		}
	}
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	stop := Bound()
	runtime.GC()
	release()
	stop()
	if got := debug.SetGCPercent(before); got != 77 {
		t.Errorf("%d %% stays set", got)
	}
	t.Setenv("GOGC", "50")
	debug.SetGCPercent(50)
	Bound()()
	if got := debug.SetGCPercent(before); got != 50 {
		t.Errorf("%d %% is set over the environment's", got)
	}
}
