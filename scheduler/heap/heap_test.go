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

// TestRelease: what a collection has found alive, and is dead when all is calm, is
// collected and given back; and what lives is left alone.
func TestRelease(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // no collection but those below
	const size = 4 * room
	burst := make([]byte, size)
	clear(burst)
	runtime.GC()
	runtime.KeepAlive(burst)
	burst = nil

	given := func() uint64 { return read("/memory/classes/heap/released:bytes") }
	forced := func() uint64 { return read("/gc/cycles/forced:gc-cycles") }
	before := given()
	p := &pace{}
	p.release()
	if got := given() - before; got < size {
		t.Errorf("%d bytes were given back, want %d", got, size)
	}
	p.lives, p.released = read("/gc/heap/live:bytes"), false // as collected does
	cycles := forced()
	p.release()
	if got := forced(); got != cycles {
		t.Error("it collects again when there is nothing to be given back")
	}
	p.stopped, p.lives = true, 0
	kept := make([]byte, size)
	p.release()
	runtime.KeepAlive(kept)
	if got := forced(); got != cycles {
		t.Error("it collects after it was stopped")
	}
}
