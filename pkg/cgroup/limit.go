package cgroup

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Policy says what to do about a limit that cannot be set because the
// version, the kernel or the agent has nothing to set it with.
type Policy int

const (
	// Require fails.
	Require Policy = iota
	// Prefer goes on without it and reports it.
	Prefer
)

// String returns "require" or "prefer".
func (p Policy) String() string {
	if p == Prefer {
		return "prefer"
	}
	return "require"
}

// Limit puts the limits in force. Under [Prefer], skipped names those that
// could not be: each is an [*AbsentError] or an [*UnsupportedError]. Under
// [Require] the first of them is the error. Limits that make no sense, or that
// the kernel refuses, are an error under both.
func (g *Group) Limit(r *specs.LinuxResources, policy Policy) (skipped []error, err error) {
	values, unsupported, err := Values(g.version, r, g.options)
	if err != nil {
		return nil, err
	}
	if policy == Require && len(unsupported) > 0 {
		return nil, unsupported[0]
	}
	skipped = unsupported
	if g.options.SoftMemory && r != nil && r.Memory != nil && r.Memory.Limit != nil {
		g.soft.Store(max(*r.Memory.Limit, 0))
	}
	if r != nil && r.Pids != nil && r.Pids.Limit != nil && g.Has("pids") {
		g.pids.Store(max(*r.Pids.Limit, 0))
	}
	for i, v := range values {
		err := g.set(v, values[i:])
		var absent *AbsentError
		var impossible *UnsupportedError
		switch {
		case err == nil:
		case policy == Prefer && (errors.As(err, &absent) || errors.As(err, &impossible)):
			skipped = append(skipped, err)
		default:
			return skipped, err
		}
	}
	return skipped, nil
}
