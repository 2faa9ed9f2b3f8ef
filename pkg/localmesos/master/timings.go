package master

import (
	"slices"
	"time"
)

// timings are how long something took the last times, of which a real master
// tells percentiles (process::metrics::Timer in its libprocess). They are of the
// machine's clock, whatever the master's is.
type timings struct {
	taken []time.Duration // oldest first
	next  int             // the place of the next one, once all places are taken
}

const maxTimings = 1000

func (t *timings) since(start time.Time) {
	d := time.Since(start)
	if len(t.taken) < maxTimings {
		t.taken = append(t.taken, d)
		return
	}
	t.taken[t.next] = d
	t.next = (t.next + 1) % maxTimings
}

// last is what the last time took.
func (t *timings) last() time.Duration {
	n := len(t.taken)
	return t.taken[(t.next+n-1)%n]
}

var percentiles = []struct {
	name string
	of   float64
}{{"min", 0}, {"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}, {"max", 1}}

// show adds the metrics of that name, in milliseconds, if there is anything to
// tell.
func (t *timings) show(values map[string]float64, name string) {
	n := len(t.taken)
	if n == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(t.taken))
	values[name] = milliseconds(t.last())
	values[name+"/count"] = float64(n)
	for _, p := range percentiles {
		place := p.of * float64(n-1)
		below := int(place)
		above := min(below+1, n-1)
		low, high := milliseconds(sorted[below]), milliseconds(sorted[above])
		values[name+"/"+p.name] = low + (high-low)*(place-float64(below))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
