package conform

import (
	"encoding/json"
	"time"
)

// allocationPhase finds when, within the allocation interval, the recorded
// master allocated: shortly before the earliest of the offers that came by
// themselves, rather than upon a call.
func allocationPhase(s *Scenario, interval time.Duration) time.Duration {
	const (
		prompt = 40 * time.Millisecond // an answer to a call comes within
		ahead  = 3 * time.Millisecond  // an allocation is before its offers
	)
	var called time.Duration = -time.Hour
	best, found := time.Duration(0), false
	for _, l := range s.Lines {
		var is struct{ Type string }
		_ = json.Unmarshal(l.Body, &is)
		switch {
		case l.Side == "scheduler" && l.Dir == "request" &&
			(is.Type == "SUBSCRIBE" || is.Type == "REVIVE" || is.Type == "UPDATE_FRAMEWORK"):
			called = l.At()
		case l.Dir == "event" && is.Type == "OFFERS" && l.At()-called > prompt:
			phase := (l.At() - ahead) % interval
			// Earlier, if it is nearer that way round.
			if ahead := (best - phase + interval) % interval; !found || ahead < interval/2 {
				best, found = phase, true
			}
		}
	}
	if !found {
		return interval / 2
	}
	return (best + interval) % interval
}
