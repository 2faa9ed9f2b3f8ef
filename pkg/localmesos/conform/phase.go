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
	called := map[string]time.Duration{} // by whom, what brings offers
	var all []time.Duration
	for _, l := range s.Lines {
		if l.Side != "scheduler" {
			continue
		}
		var is struct{ Type string }
		_ = json.Unmarshal(l.Body, &is)
		switch is.Type {
		case "SUBSCRIBE", "SUBSCRIBED", "REVIVE", "UPDATE_FRAMEWORK":
			called[l.Who] = l.At()
		case "OFFERS":
			if at, ok := called[l.Who]; !ok || l.At()-at > prompt {
				all = append(all, l.At()-ahead)
			}
			delete(called, l.Who)
		}
	}
	return all
}
