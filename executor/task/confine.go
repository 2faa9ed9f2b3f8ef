package task

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/confine"
)

// confined puts what a task's process is confined to into its workload's spec,
// which has the limits of its settings already: those win.
func confined(spec *workload.Spec, asked confine.Spec) {
	for _, n := range asked.Namespaces {
		spec.View.Namespaces = append(spec.View.Namespaces, n.Type)
	}
	spec.View.ReadonlyRoot = asked.Root != nil && asked.Root.Readonly
	spec.View.Mounts = asked.Mounts
	p := asked.Process
	if p == nil {
		return
	}
	if u := p.User; u != nil {
		if u.Umask != nil {
			umask := int(*u.Umask)
			spec.Umask = &umask
		}
		for _, g := range u.AdditionalGids {
			spec.Groups = append(spec.Groups, int(g))
		}
	}
	spec.Capabilities = p.Capabilities
	spec.NoNewPrivileges = p.NoNewPrivileges
	if p.OOMScoreAdj != nil {
		spec.OOMScoreAdj = p.OOMScoreAdj
	}
	for _, r := range p.Rlimits {
		has := slices.ContainsFunc(spec.Rlimits, func(have specs.POSIXRlimit) bool { return have.Type == r.Type })
		if !has {
			spec.Rlimits = append(spec.Rlimits, specs.POSIXRlimit{Type: r.Type, Soft: r.Soft.Kernel(), Hard: r.Hard.Kernel()})
		}
	}
}
