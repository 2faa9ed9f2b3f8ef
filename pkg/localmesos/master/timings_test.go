package master

import (
	"testing"
	"time"
)

func TestTimingsTellPercentiles(t *testing.T) {
	var of timings
	values := map[string]float64{}
	if of.show(values, "x_ms"); len(values) > 0 {
		t.Errorf("nothing is told as %v", values)
	}
	of.taken = []time.Duration{4 * time.Millisecond, 2 * time.Millisecond}
	of.show(values, "x_ms")
	for name, want := range map[string]float64{"": 2, "/count": 2, "/min": 2, "/max": 4, "/p50": 3, "/p90": 3.8} {
		if got := values["x_ms"+name]; got < want-1e-9 || got > want+1e-9 {
			t.Errorf("x_ms%s is %v, want %v", name, got, want)
		}
	}
	for range maxTimings + 3 {
		of.since(time.Now())
	}
	if len(of.taken) != maxTimings || of.last() == 4*time.Millisecond {
		t.Errorf("%d are kept", len(of.taken))
	}
}
