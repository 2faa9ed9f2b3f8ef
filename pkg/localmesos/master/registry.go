package master

import (
	"cmp"
	"maps"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/quota"
)

// Registry is what outlives a master: the agents that it had admitted, which
// the next one expects back, and those that it had given up.
type Registry struct {
	Agents []mesos.AgentInfo
	// Unreachable agents, by ID, and when they became so.
	Unreachable map[string]time.Time
	// Gone agents, which an operator has marked so, are never taken back.
	Gone []string
	// Deactivated agents, by ID, are offered to nobody, and Draining ones end
	// their tasks.
	Deactivated []string
	Draining    map[string]mesos.DrainInfo
	// Schedule is that of maintenance, and Down are the machines in it that are.
	Schedule maintenance.Schedule
	Down     []mesos.MachineID
	// Quotas and Weights are those of roles.
	Quotas  []quota.QuotaConfig
	Weights []mesos.WeightInfo
}

// Kill ends the master as kill -9 ends its process: its port closes and every
// connection breaks. It returns what the next master starts from, by
// Options.Registry. Agents and frameworks find out by themselves.
func (m *Master) Kill() *Registry {
	m.Thaw()
	registry := new(Registry)
	_ = m.do(func() error {
		registry = m.core.registry()
		m.core.stopTimers()
		return nil
	})
	_ = m.server.Close() // what is closed is closed
	m.mu.Lock()
	m.stopping = true
	m.wake()
	m.mu.Unlock()
	<-m.done
	return registry
}

func (c *core) registry() *Registry {
	r := &Registry{
		Unreachable: map[string]time.Time{}, Draining: map[string]mesos.DrainInfo{},
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
	for id := range c.gone {
		r.Gone = append(r.Gone, string(id))
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
func (c *core) recover(r *Registry) {
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
	for _, id := range r.Gone {
		c.gone[agentID(id)] = true
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
