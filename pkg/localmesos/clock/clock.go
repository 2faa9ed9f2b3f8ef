// Package clock is the time as an embedded master and its agents see it, so
// that whoever tests with them can make ten minutes pass in none. It must never
// know who asks.
package clock

import "time"

// Clock tells the time and calls back.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f, in a goroutine of its own, once d has passed, unless
	// stop is called before.
	AfterFunc(d time.Duration, f func()) (stop func())
}

// Real is the machine's own clock.
type Real struct{}

// Now returns the present time.
func (Real) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (Real) AfterFunc(d time.Duration, f func()) (stop func()) {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}
