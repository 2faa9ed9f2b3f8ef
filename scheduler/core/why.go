package core

import (
	"time"

	"github.com/tandem-mesos/tandem/scheduler/match"
)

// Bounds of what is told unasked: a summary costs a look at every agent, and a
// change of it a record for each instance.
const (
	whyInterval  = 10 * time.Second
	whyVersions  = 8
	whyInstances = 20
)

// tellWhy writes into instances that go on waiting why they do. In one event it
// does so for a few jobs only, and for each of them not more often than every
// whyInterval; `explain` looks at once.
func (c *Core) tellWhy(versions []*version) {
	told := 0
	for _, v := range versions {
		if v.waiting.count == 0 || told == whyVersions || v.why != "" && c.now.Before(v.whyAt.Add(whyInterval)) {
			continue
		}
		told++
		v.whyAt = c.now
		agents := make([]match.Agent, 0, len(c.agents.list))
		for _, a := range c.agents.list {
			if !a.lastSeen.IsZero() {
				agents = append(agents, a.last)
			}
		}
		why := "waiting: " + match.Summary(agents, &match.Request{
			Need: v.need, Rules: v.rules, Spread: c.spread(v.job), Count: v.waiting.count,
		})
		if why == v.why {
			continue
		}
		v.why = why
		c.touch(v.job)
		for _, in := range v.waiting.first(whyInstances) {
			c.setPhase(in, waiting, why)
		}
	}
}
