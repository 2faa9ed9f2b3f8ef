package task

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/confine"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// askedOf returns what a task is to be confined to: by its settings, and where they say
// nothing by its container, in which other schedulers say it. Package core has refused
// what of a container cannot be had at all.
func askedOf(task *mesos.TaskInfo, settings *tandemv1.TaskSettings) (confine.Spec, error) {
	asked, err := confine.Parse(settings.GetOciConfinement())
	if err != nil || task.Container == nil {
		return asked, err
	}
	var process confine.Process
	if asked.Process != nil {
		process = *asked.Process
	}
	if process.Capabilities == nil {
		if process.Capabilities, err = capabilitiesOf(task.Container.LinuxInfo); err != nil {
			return asked, err
		}
	}
	if process.Rlimits, err = rlimitsOf(task.Container.RlimitInfo, process.Rlimits); err != nil {
		return asked, err
	}
	if process.Capabilities != nil || len(process.Rlimits) > 0 {
		asked.Process = &process
	}
	return asked, nil
}

// capabilitiesOf returns what a Mesos agent's isolator linux/capabilities makes of a
// container's capabilities: the effective ones are in all sets, also in the ambient one,
// so that a user other than root keeps them; the bounding ones are the effective ones
// where none are given, and root begins with them where no effective ones are. Nil is
// for nothing asked.
func capabilitiesOf(linux *mesos.LinuxInfo) (*specs.LinuxCapabilities, error) {
	given := linux.GetEffectiveCapabilities()
	switch old := linux.GetCapabilityInfo(); {
	case old != nil && given != nil:
		return nil, errors.New("its container has both capability_info and effective_capabilities: give the latter alone")
	case old != nil:
		given = old
	}
	if given == nil && linux.GetBoundingCapabilities() == nil {
		return nil, nil
	}
	effective, err := capabilityNames(given)
	if err != nil {
		return nil, err
	}
	bounding, err := capabilityNames(linux.GetBoundingCapabilities())
	switch {
	case err != nil:
		return nil, err
	case given == nil:
		return &specs.LinuxCapabilities{Bounding: bounding, Effective: bounding, Permitted: bounding, Inheritable: bounding}, nil
	case linux.GetBoundingCapabilities() == nil:
		bounding = effective
	}
	for _, name := range effective {
		if !slices.Contains(bounding, name) {
			return nil, fmt.Errorf("its container's effective_capabilities have %s, which is not in bounding_capabilities", name)
		}
	}
	return &specs.LinuxCapabilities{Bounding: bounding, Effective: effective, Permitted: effective, Inheritable: bounding, Ambient: effective}, nil
}

// firstCapability is Mesos's number of the capability that the kernel has as 0; the
// others follow in the kernel's order.
const firstCapability = mesos.CapabilityInfo_CHOWN

func capabilityNames(info *mesos.CapabilityInfo) ([]string, error) {
	var names []string
	for _, c := range info.GetCapabilities() {
		name, ok := confine.CapabilityName(uint(c - firstCapability))
		if !ok {
			return nil, fmt.Errorf("its container has a capability that this executor does not know: %s", c)
		}
		names = append(names, name)
	}
	return names, nil
}

// rlimitsOf adds a container's resource limits to those that there are, which go before
// them. One without numbers is no limit, as Mesos has it.
func rlimitsOf(info *mesos.RLimitInfo, have []confine.Rlimit) ([]confine.Rlimit, error) {
	all := slices.Clone(have)
	for _, r := range info.GetRlimits() {
		limit := confine.Rlimit{
			Type: "RLIMIT_" + strings.TrimPrefix(r.Type.String(), "RLMT_"), Soft: confine.Unlimited, Hard: confine.Unlimited,
		}
		if _, ok := confine.ResourceOf(limit.Type); !ok {
			return nil, fmt.Errorf("its container has a resource limit that this executor does not know: %s", r.Type)
		}
		if (r.Soft == nil) != (r.Hard == nil) {
			return nil, fmt.Errorf("its container's %s has one of soft and hard: give both, or for no limit neither", r.Type)
		}
		if r.Soft != nil {
			limit.Soft, limit.Hard = confine.Amount(*r.Soft), confine.Amount(*r.Hard)
		}
		if !slices.ContainsFunc(all, func(o confine.Rlimit) bool { return o.Type == limit.Type }) {
			all = append(all, limit)
		}
	}
	return all, nil
}
