package registry

import (
	"errors"
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Decode reads what Encode, or a real master, has written. What it does not
// know it passes over, but for capabilities that a master must have.
func Decode(stored []byte) (*Registry, error) {
	r := &Registry{
		Unreachable: map[string]time.Time{}, Gone: map[string]time.Time{}, Draining: map[string]mesos.DrainInfo{},
	}
	err := wire.EachField(stored, func(f wire.Field) error {
		switch f.Number {
		case fieldMaster:
			return eachNested(f, fieldInfo, func(f wire.Field) error {
				r.Master = new(mesos.MasterInfo)
				return f.Message(r.Master)
			})
		case fieldAgents:
			return eachNested(f, fieldItem, r.agent)
		case fieldMachines:
			return eachNested(f, fieldItem, r.machine)
		case fieldSchedules:
			var s maintenance.Schedule
			err := f.Message(&s)
			r.Schedule.Windows = append(r.Schedule.Windows, s.Windows...)
			return err
		case fieldWeights:
			return eachNested(f, fieldInfo, func(f wire.Field) error { return appended(f, &r.Weights, new(mesos.WeightInfo)) })
		case fieldUnreachable:
			return eachNested(f, fieldItem, r.unreachable)
		case fieldGone:
			return eachNested(f, fieldItem, func(f wire.Field) error {
				id, at, err := since(f)
				r.Gone[id] = at
				return err
			})
		case fieldCapabilities:
			return eachNested(f, fieldInfo, capability)
		case fieldQuotas:
			return appended(f, &r.Quotas, new(quota.QuotaConfig))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("this is no registry of a master: %w", err)
	}
	return r, nil
}

func (r *Registry) agent(f wire.Field) error {
	var info *mesos.AgentInfo
	if err := eachNested(f, fieldInfo, func(f wire.Field) error { info = new(mesos.AgentInfo); return f.Message(info) }); err != nil {
		return err
	}
	if info == nil || info.ID.GetValue() == "" {
		return errors.New("an agent has no ID")
	}
	r.Agents = append(r.Agents, *info)
	return r.readStanding(f, info.ID.Value, fieldAgentDrain, fieldAgentDeactivated)
}

func (r *Registry) unreachable(f wire.Field) error {
	id, at, err := since(f)
	if err != nil {
		return err
	}
	r.Unreachable[id] = at
	return r.readStanding(f, id, fieldUnreachableDrain, fieldUnreachableDeactivated)
}

// readStanding reads what standing writes.
func (r *Registry) readStanding(f wire.Field, id string, drain, deactivated int) error {
	return wire.EachField(f.Bytes, func(f wire.Field) error {
		switch f.Number {
		case drain:
			var info mesos.DrainInfo
			err := f.Message(&info)
			r.Draining[id] = info
			return err
		case deactivated:
			if f.Varint != 0 {
				r.Deactivated = append(r.Deactivated, id)
			}
		}
		return nil
	})
}

func (r *Registry) machine(f wire.Field) error {
	return eachNested(f, fieldInfo, func(f wire.Field) error {
		var info mesos.MachineInfo
		if err := f.Message(&info); err != nil {
			return err
		}
		if info.GetMode() == mesos.DOWN {
			r.Down = append(r.Down, info.ID)
		}
		return nil
	})
}

// since reads an agent's ID and the time of what became of it.
func since(f wire.Field) (id string, at time.Time, err error) {
	err = wire.EachField(f.Bytes, func(f wire.Field) error {
		switch f.Number {
		case fieldInfo:
			var agent mesos.AgentID
			err := f.Message(&agent)
			id = agent.Value
			return err
		case fieldTime:
			var t mesos.TimeInfo
			err := f.Message(&t)
			at = time.Unix(0, t.Nanoseconds)
			return err
		}
		return nil
	})
	if err == nil && id == "" {
		err = errors.New("an agent has no ID")
	}
	return id, at, err
}

// capability refuses what this master cannot do, as a real one does, since what
// it does not understand would be lost.
func capability(f wire.Field) error {
	if name := string(f.Bytes); name != agentDraining && name != quotaV2 {
		return fmt.Errorf("its master had the capability %q, which this one does not have", name)
	}
	return nil
}

// appended reads a message into a list.
func appended[T any, M interface {
	*T
	Unmarshal([]byte) error
}](f wire.Field, list *[]T, m M) error {
	err := f.Message(m)
	*list = append(*list, *m)
	return err
}

// eachNested calls a function with every field of that number in a message.
func eachNested(outer wire.Field, number int, read func(wire.Field) error) error {
	return wire.EachField(outer.Bytes, func(f wire.Field) error {
		if f.Number != number {
			return nil
		}
		return read(f)
	})
}
