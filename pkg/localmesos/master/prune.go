package master

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// pruneRegularly forgets agents that are not there for long, every
// RegistryGCInterval (Master::doRegistryGc in src/master/master.cpp).
func (c *core) pruneRegularly() {
	c.pruner = c.after(c.options.RegistryGCInterval, func() {
		c.prune()
		c.pruneRegularly()
	})
}

// prune forgets unreachable and gone agents: the oldest until no more than
// RegistryMaxAgentCount are left of each, and those that have been so for longer
// than RegistryMaxAgentAge. Of the tasks of such agents nothing is known then.
func (c *core) prune() {
	unreachable, gone := c.tooOld(c.unreachable), c.tooOld(c.gone)
	if len(unreachable)+len(gone) == 0 {
		return
	}
	for _, id := range unreachable {
		delete(c.unreachable, id)
	}
	for _, id := range gone {
		delete(c.gone, id)
	}
	for _, f := range c.frameworks {
		f.unreachable = slices.DeleteFunc(f.unreachable, func(t *task) bool { return slices.Contains(unreachable, t.agent()) })
	}
	c.changed = true
	c.options.Logger.WithFields(map[string]any{"unreachable": len(unreachable), "gone": len(gone)}).
		Info("agents dropped from the registry")
}

// tooOld chooses among agents by the time since when they are not there.
func (c *core) tooOld(since map[agentID]time.Time) []agentID {
	now := c.now()
	oldestFirst := slices.SortedFunc(maps.Keys(since), func(a, b agentID) int {
		return cmp.Or(since[a].Compare(since[b]), cmp.Compare(a, b))
	})
	old := oldestFirst[:max(0, len(since)-c.options.RegistryMaxAgentCount)]
	for _, id := range oldestFirst[len(old):] {
		if now.Sub(since[id]) > c.options.RegistryMaxAgentAge {
			old = append(old, id)
		}
	}
	return old
}
