package clock_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/clock"
)

func TestAdvance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock.Shifted
		start := c.Now()
		var mu sync.Mutex
		var times []time.Duration
		note := func() {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, c.Now().Sub(start).Round(time.Minute))
		}
		c.AfterFunc(5*time.Minute, note)
		c.AfterFunc(time.Minute, func() {
			note()
			c.AfterFunc(time.Minute, note) // set on the way, and due on the way
		})
		stop := c.AfterFunc(3*time.Minute, note)
		c.AfterFunc(15*time.Minute, note)
		stop()
		c.Advance(10 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if want := []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute}; !slices.Equal(times, want) {
			t.Errorf("timers ran out after %v, want %v", times, want)
		}
	})
}

func TestShiftedClockRunsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock.Shifted
		done := make(chan struct{})
		c.Advance(time.Hour)
		start := time.Now()
		c.AfterFunc(time.Minute, func() { close(done) })
		<-done
		if d := time.Since(start); d != time.Minute {
			t.Errorf("a minute took %v", d)
		}
	})
}
