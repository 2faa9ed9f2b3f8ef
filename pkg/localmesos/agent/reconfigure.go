package agent

import (
	"fmt"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Reconfiguration says how an agent may differ from its former process and still
// be the same agent (--reconfiguration_policy).
type Reconfiguration int

const (
	// ReconfigureEqual wants it to be the same in all.
	ReconfigureEqual Reconfiguration = iota
	// ReconfigureAdditive lets it have more resources and more attributes.
	ReconfigureAdditive
)

// permitted says what about the change of an agent is not, or nothing
// (src/slave/compatibility.cpp).
func permitted(before, now mesos.AgentInfo, policy Reconfiguration) error {
	if policy == ReconfigureEqual {
		if !before.Equal(&now) {
			return fmt.Errorf("%w: it was %v, and is %v", errReconfigured, &before, &now)
		}
		return nil
	}
	switch {
	case before.Hostname != now.Hostname:
		return fmt.Errorf("%w: the host name changed from %s to %s", errReconfigured, before.Hostname, now.Hostname)
	case before.GetPort() != now.GetPort():
		return fmt.Errorf("%w: the port changed from %d to %d", errReconfigured, before.GetPort(), now.GetPort())
	case before.Domain != nil && !before.Domain.Equal(now.Domain):
		return fmt.Errorf("%w: the domain changed from %v to %v", errReconfigured, before.Domain, now.Domain)
	}
	had, err := resource.FromMesos(before.Resources)
	if err != nil {
		return err
	}
	has, err := resource.FromMesos(now.Resources)
	if err != nil {
		return err
	}
	if !has.Contains(had) {
		return fmt.Errorf("%w: it had %v, and has %v", errReconfigured, had, has)
	}
	return attributesKept(before.Attributes, now.Attributes)
}

func attributesKept(before, now []mesos.Attribute) error {
	for i := range before {
		a := &before[i]
		match := (*mesos.Attribute)(nil)
		for j := range now {
			if now[j].Name == a.Name {
				match = &now[j]
				break
			}
		}
		if match == nil || match.Type != a.Type || !match.Equal(a) && !covers(match.Ranges, a.Ranges) {
			return fmt.Errorf("%w: the attribute %v is gone or another", errReconfigured, a)
		}
	}
	return nil
}

// covers says whether ranges include others.
func covers(all, some *mesos.Value_Ranges) bool {
	if all == nil || some == nil {
		return false
	}
	for _, r := range some.Range {
		inside := false
		for _, outer := range all.Range {
			inside = inside || outer.Begin <= r.Begin && r.End <= outer.End
		}
		if !inside {
			return false
		}
	}
	return true
}
