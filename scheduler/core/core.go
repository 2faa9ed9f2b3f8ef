package core

import (
	"time"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Core is one scheduler's mind. The zero value is not usable; see New.
type Core struct {
	cfg Config
}

// New returns a core that goes on from what was saved. An empty snapshot is a
// new scheduler. It keeps the snapshot's records and never changes them. The
// configuration must be valid (Config.Validate).
func New(cfg Config, saved state.Snapshot) *Core {
	return &Core{cfg: cfg.withDefaults()}
}

// Step takes in what has happened and says what is to be done about it. The
// time should not run backwards; where it does, the core's own time stands
// still until it is caught up with.
func (c *Core) Step(now time.Time, in Input) Effects {
	return Effects{}
}

// Next returns when a Ticked is due, and false when nothing waits for time to
// pass. It may have changed after every Step.
func (c *Core) Next() (time.Time, bool) {
	return time.Time{}, false
}
