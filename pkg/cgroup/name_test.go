package cgroup_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

func FuzzDirName(f *testing.F) {
	f.Add("web.0.1.main", "web.0.1.side")
	f.Add("mesos", "leaf")
	f.Add("a/b", "a%2fb")
	f.Add(strings.Repeat("x", 300), strings.Repeat("x", 301))
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := cgroup.DirName(a), cgroup.DirName(b)
		if (a == b) != (x == y) {
			t.Errorf("%q and %q are named %q and %q", a, b, x, y)
		}
		if len(x) > 255 || strings.ContainsAny(x, "/\n\x00") || !strings.HasPrefix(x, "task-") {
			t.Errorf("%q is named %q", a, x)
		}
	})
}

func TestChainKeepsTheSharesOfItsTasks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few enough and light enough not to meet the kernel's upper bound.
		chain := rapid.SliceOfN(rapid.Uint64Range(0, 300), 1, 30).Draw(t, "weights")
		chain = append(chain, 1)
		links := cgroup.ChainWeights(chain)
		var sum float64
		for _, w := range chain {
			sum += float64(w)
		}
		share := 1.0 // of the link, among all tasks
		for i, w := range chain {
			siblings := float64(w)
			if i+1 < len(links) {
				siblings += float64(links[i+1])
			}
			if got, want := share*float64(w)/siblings, float64(w)/sum; got < want*0.999 || got > want*1.001 {
				t.Fatalf("task %d of %v has a share of %f, want %f", i, chain, got, want)
			}
			if i+1 < len(links) {
				share *= float64(links[i+1]) / siblings
			}
		}
	})
	if got := cgroup.ChainWeights([]uint64{10_000, 0, 10_000}); !slices.Equal(got, []uint64{10_000, 10_000, 10_000}) {
		t.Errorf("weights = %v", got)
	}
	if got := cgroup.LowestFree([]uint64{100, 0, 100, 0}); got != 1 {
		t.Errorf("lowest free = %d", got)
	}
	if got := cgroup.LowestFree([]uint64{100, 100}); got != 2 {
		t.Errorf("lowest free = %d", got)
	}
}
