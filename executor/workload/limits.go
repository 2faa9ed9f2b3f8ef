package workload

import (
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
