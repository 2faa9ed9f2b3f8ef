package master

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/durable"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/registry"
)

// Kill ends the master as kill -9 ends its process: its port closes and every
// connection breaks. It returns what the next master starts from, by
// Options.Registry. Agents and frameworks find out by themselves.
func (m *Master) Kill() *registry.Registry {
	m.Thaw()
	left := new(registry.Registry)
	_ = m.do(func() error {
		left = m.core.registry()
		m.core.stopTimers()
		return nil
	})
	_ = m.server.Close() // what is closed is closed
	m.mu.Lock()
	m.stopping = true
	m.wake()
	m.mu.Unlock()
	<-m.done
	return left
}

func (c *core) registry() *registry.Registry {
	info := c.info
	r := &registry.Registry{
		Master: &info, Unreachable: map[string]time.Time{}, Gone: map[string]time.Time{}, Draining: map[string]mesos.DrainInfo{},
		Quotas: slices.Collect(maps.Values(c.quotas)), Weights: c.weightInfos(),
	}
	for _, a := range c.sortedAgents() {
		r.Agents = append(r.Agents, a.info)
	}
	r.Agents = append(r.Agents, c.sortedRecovered()...)
	for id, since := range c.unreachable {
		r.Unreachable[string(id)] = since
	}
	r.Schedule, r.Down = c.plan.schedule, slices.Collect(maps.Values(c.plan.down))
	for id, since := range c.gone {
		r.Gone[string(id)] = since
	}
	for id := range c.deactivated {
		r.Deactivated = append(r.Deactivated, string(id))
	}
	for id, info := range c.draining {
		r.Draining[string(id)] = *info
	}
	return r
}

// recover takes over from the master before. Its agents have a time to come
// back, after which they are unreachable.
func (c *core) recover(r *registry.Registry) {
	if r == nil {
		return
	}
	for id, since := range r.Unreachable {
		c.unreachable[agentID(id)] = since
	}
	c.plan.schedule = r.Schedule
	for _, id := range r.Down {
		c.plan.down[machineOf(id)] = id
	}
	for id, since := range r.Gone {
		c.gone[agentID(id)] = since
	}
	for _, id := range r.Deactivated {
		c.deactivated[agentID(id)] = true
	}
	for id, info := range r.Draining {
		c.draining[agentID(id)] = &info
	}
	for _, config := range r.Quotas {
		c.setQuota(config)
	}
	for _, info := range r.Weights {
		c.setWeight(info.GetRole(), info.Weight)
	}
	for _, info := range r.Agents {
		c.recovered[agentID(info.ID.Value)] = info
	}
	if len(c.recovered) > 0 {
		c.recoveryTimer = c.after(c.options.AgentReregisterTimeout, c.giveUpRecovered)
	}
}

func (c *core) giveUpRecovered() {
	for _, info := range c.sortedRecovered() {
		id := agentID(info.ID.Value)
		c.markUnreachable(id, c.now())
		c.metrics.counters["recovery_slave_removals"]++
		delete(c.recovered, id)
		c.changed = true
		c.tellAgentLost(id)
	}
}

func (c *core) sortedRecovered() []mesos.AgentInfo {
	return slices.SortedFunc(maps.Values(c.recovered), func(a, b mesos.AgentInfo) int {
		return cmp.Compare(a.ID.Value, b.ID.Value)
	})
}

// inTransition tells whether an agent, or any if none is named, is yet to come
// back to this master; until then nobody knows of its tasks.
func (c *core) inTransition(on *mesos.AgentID) bool {
	if on == nil {
		return len(c.recovered) > 0
	}
	_, ok := c.recovered[agentID(on.Value)]
	return ok
}

// recoveredAgents writes the agents that are yet to come back.
func (v view) recoveredAgents() {
	for _, info := range v.core.sortedRecovered() {
		v.BeginObject()
		v.text("id", info.ID.Value)
		v.text("hostname", info.Hostname)
		v.Key("port")
		v.Int(int64(info.GetPort()))
		v.attributes(info.Attributes)
		v.domain(info.Domain)
		v.EndObject()
	}
}

// readRegistry reads what the master before has stored. There is nothing before
// the first one.
func readRegistry(file string) (*registry.Registry, error) {
	stored, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the registry: %w", err)
	}
	r, err := registry.Decode(stored)
	if err != nil {
		return nil, fmt.Errorf("cannot read the registry %s: %w", file, err)
	}
	return r, nil
}

// onceStored calls a function when the registry is stored as it is now, at once
// if it is already.
func (c *core) onceStored(then func(error)) {
	if !c.changed || c.options.RegistryFile == "" {
		then(nil)
		return
	}
	c.waiting = append(c.waiting, then)
}

// store writes the registry if it has changed, and tells those who wait for that.
// What cannot be written now is tried again after the next commands.
func (c *core) store() {
	if !c.changed || c.options.RegistryFile == "" {
		return
	}
	stored, err := c.registry().Encode()
	if err == nil {
		err = durable.WriteFile(c.options.RegistryFile, stored, 0o600)
	}
	if err != nil {
		err = fmt.Errorf("cannot store the registry: %w", err)
		c.options.Logger.WithError(err).Error("a master that starts now does not know what has changed")
	}
	c.changed = err != nil
	for _, then := range c.waiting {
		then(err)
	}
	c.waiting = nil
}
