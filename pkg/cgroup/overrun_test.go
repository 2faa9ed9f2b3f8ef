package cgroup_test

import (
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

func TestThrashingIsManyFaultsInAShortTime(t *testing.T) {
	const many = 1024
	for name, looks := range map[string][]struct {
		at     time.Duration
		faults uint64
		want   bool
	}{
		"a program that begins":       {{0, 0, false}, {10 * time.Millisecond, 300, false}, {990 * time.Millisecond, 1023, false}},
		"one that gets nowhere":       {{0, 50, false}, {500 * time.Millisecond, 800, false}, {900 * time.Millisecond, 1074, true}},
		"as many in a longer time":    {{0, 0, false}, {1100 * time.Millisecond, 5000, false}, {1200 * time.Millisecond, 5100, false}},
		"at once after a quiet while": {{0, 0, false}, {time.Hour, 10, false}, {time.Hour + time.Second, 1034, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var thrash cgroup.Thrash
			for i, l := range looks {
				if got := thrash.Sees(time.Unix(1000, 0).Add(l.at), l.faults, many); got != l.want {
					t.Errorf("look %d: %v, want %v", i, got, l.want)
				}
			}
		})
	}
}
