// Package registry is what outlives a master, and its form on disk: the record
// Registry of Mesos (src/master/registry.proto) in protobuf's encoding. A real
// master keeps the same record in a replicated log; here it is a file of its
// own, replaced as a whole whenever it changes.
//
// It must never know how a master works: it encodes and decodes.
package registry

import (
	"cmp"
	"maps"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Registry is what outlives a master: the agents that it had admitted, which
// the next one expects back, and those that it had given up.
type Registry struct {
	// Master is the one that has written it; nil for none.
	Master *mesos.MasterInfo
	Agents []mesos.AgentInfo
	// Unreachable agents, by ID, and when they became so.
	Unreachable map[string]time.Time
	// Gone agents, by ID, are never taken back: an operator has marked them so
	// at that time.
	Gone map[string]time.Time
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

// Numbers of fields in registry.proto.
const (
	fieldMaster       = 1
	fieldAgents       = 2
	fieldMachines     = 3
	fieldSchedules    = 4
	fieldWeights      = 6
	fieldUnreachable  = 7
	fieldGone         = 8
	fieldCapabilities = 10
	fieldQuotas       = 11

	// The lists are messages with one field, and what they list wraps what it is
	// about in its first one.
	fieldItem = 1
	fieldInfo = 1

	fieldAgentDrain       = 2
	fieldAgentDeactivated = 3

	fieldTime                   = 2
	fieldUnreachableDrain       = 3
	fieldUnreachableDeactivated = 4
)

// What a master must be capable of to read the registry, by what is in it.
const (
	agentDraining = "AGENT_DRAINING"
	quotaV2       = "QUOTA_V2"
)

// Encode returns the registry as it is stored.
func (r *Registry) Encode() ([]byte, error) {
	w := new(wire.Fields)
	if r.Master != nil {
		w.Nested(fieldMaster, func() { w.Message(fieldInfo, r.Master) })
	}
	w.Nested(fieldAgents, func() {
		for i := range r.Agents {
			w.Nested(fieldItem, func() {
				w.Message(fieldInfo, &r.Agents[i])
				r.standing(w, r.Agents[i].ID.GetValue(), fieldAgentDrain, fieldAgentDeactivated)
			})
		}
	})
	r.machines(w)
	w.Message(fieldSchedules, &r.Schedule)
	for i := range r.Weights {
		w.Nested(fieldWeights, func() { w.Message(fieldInfo, &r.Weights[i]) })
	}
	w.Nested(fieldUnreachable, func() {
		for _, id := range oldestFirst(r.Unreachable) {
			w.Nested(fieldItem, func() {
				writeSince(w, id, r.Unreachable[id])
				r.standing(w, id, fieldUnreachableDrain, fieldUnreachableDeactivated)
			})
		}
	})
	w.Nested(fieldGone, func() {
		for _, id := range oldestFirst(r.Gone) {
			w.Nested(fieldItem, func() { writeSince(w, id, r.Gone[id]) })
		}
	})
	if len(r.Deactivated) > 0 || len(r.Draining) > 0 {
		w.Nested(fieldCapabilities, func() { w.Text(fieldInfo, agentDraining) })
	}
	if len(r.Quotas) > 0 {
		w.Nested(fieldCapabilities, func() { w.Text(fieldInfo, quotaV2) })
	}
	for i := range r.Quotas {
		w.Message(fieldQuotas, &r.Quotas[i])
	}
	return w.Encoded()
}

// standing writes what operators want of an agent.
func (r *Registry) standing(w *wire.Fields, id string, drain, deactivated int) {
	if info, ok := r.Draining[id]; ok {
		w.Message(drain, &info)
	}
	if slices.Contains(r.Deactivated, id) {
		w.Varint(deactivated, 1)
	}
}

// machines writes those of the schedule, which are draining unless they are
// down.
func (r *Registry) machines(w *wire.Fields) {
	w.Nested(fieldMachines, func() {
		for i := range r.Schedule.Windows {
			window := &r.Schedule.Windows[i]
			for _, id := range window.MachineIDs {
				mode := mesos.DRAINING
				if slices.ContainsFunc(r.Down, func(down mesos.MachineID) bool { return down.Equal(&id) }) {
					mode = mesos.DOWN
				}
				w.Nested(fieldItem, func() {
					w.Message(fieldInfo, &mesos.MachineInfo{ID: id, Mode: &mode, Unavailability: &window.Unavailability})
				})
			}
		}
	})
}

func oldestFirst(agents map[string]time.Time) []string {
	return slices.SortedFunc(maps.Keys(agents), func(a, b string) int {
		return cmp.Or(agents[a].Compare(agents[b]), cmp.Compare(a, b))
	})
}

// writeSince writes an agent's ID and the time of what became of it.
func writeSince(w *wire.Fields, id string, at time.Time) {
	w.Message(fieldInfo, &mesos.AgentID{Value: id})
	w.Message(fieldTime, &mesos.TimeInfo{Nanoseconds: at.UnixNano()})
}
