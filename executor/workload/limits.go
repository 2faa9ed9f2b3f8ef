package workload

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// limited lists the cgroup files that limits would write, of those that
// restrict something. Without a cgroup they cannot be enforced.
func limited(r *specs.LinuxResources) []string {
	values, unsupported, err := cgroup.Values(cgroup.V2, r, cgroup.ValueOptions{})
	if err != nil {
		return []string{err.Error()}
	}
	var all []string
	for _, v := range values {
		// A weight divides what there is and forbids nothing.
		if !v.Optional && v.File != "cpu.weight" {
			all = append(all, v.File)
		}
	}
	for _, u := range unsupported {
		all = append(all, u.Error())
	}
	return all
}

// unenforced says why a workload is refused for its limits, and what can be done
// about it.
func unenforced(asked []string, err error) error {
	limits := strings.Join(asked, ", ")
	var none *cgroup.NoContainerError
	if errors.As(err, &none) {
		return fmt.Errorf("its limits (%s) cannot be enforced: %s; "+
			"run the agent with cgroup isolators and the executor as root, or say limits.policy: prefer", limits, none.Reason)
	}
	return fmt.Errorf("its limits (%s) cannot be enforced: %w; say limits.policy: prefer to run without them", limits, err)
}

// smallMemory says whether a workload may run out of memory before it has begun.
// The kernel then kills the process that is to become it, and whoever shares its
// memory.
func smallMemory(r *specs.LinuxResources) bool {
	const room = 16 << 20
	return limitsMemory(r) && *r.Memory.Limit < room
}

func limitsMemory(r *specs.LinuxResources) bool {
	return r != nil && r.Memory != nil && r.Memory.Limit != nil && *r.Memory.Limit >= 0
}

func errTooSmall(r *specs.LinuxResources) error {
	return fmt.Errorf("its memory limit of %d bytes is too small for a program to be started", *r.Memory.Limit)
}
