package cgroup

import "slices"

// Without returns the group as an agent would have given it that does not
// isolate with the controller.
func Without(g *Group, controller string) *Group {
	return &Group{version: g.version, name: g.name, options: g.options, dirs: slices.DeleteFunc(g.Dirs(), func(d Dir) bool {
		return slices.Contains(d.Controllers, controller)
	})}
}
