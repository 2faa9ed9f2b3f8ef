package conform

import (
	"encoding/json"
	"time"
)

// allocations finds when the recorded master allocated by itself: shortly before
// the offers that nothing but its interval had brought about.
func allocations(s *Scenario) []time.Duration {
	const (
		prompt = 40 * time.Millisecond // what a call brings comes within
		ahead  = 200 * time.Microsecond
	)
	called := -time.Hour
	var all []time.Duration
	for _, l := range s.Lines {
		var is struct{ Type string }
		_ = json.Unmarshal(l.Body, &is)
		switch {
		case l.Side == "scheduler" && l.Dir == "request" &&
			(is.Type == "SUBSCRIBE" || is.Type == "REVIVE" || is.Type == "UPDATE_FRAMEWORK"):
			called = l.At()
		case l.Side == "scheduler" && l.Dir == "event" && is.Type == "OFFERS" && l.At()-called > prompt:
			all = append(all, l.At()-ahead)
		}
	}
	return all
}
