package cgroup

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"
)

// Without returns the group as an agent would have given it that does not
// isolate with the controller.
func Without(g *Group, controller string) *Group {
	return &Group{version: g.version, name: g.name, options: g.options, dirs: slices.DeleteFunc(g.Dirs(), func(d Dir) bool {
		return slices.Contains(d.Controllers, controller)
	})}
}

// KillEach kills as on a kernel without a way to kill a whole group.
func KillEach(ctx context.Context, g *Group) error { return g.killEach(ctx) }

// ParseV2 reads a mount table as if it had no v1 hierarchies, so that a
// hybrid machine can test what it can of v2.
func ParseV2(r io.Reader) (Host, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return Host{}, err
	}
	var kept []string
	for line := range strings.Lines(string(data)) {
		if !strings.Contains(line, " - cgroup ") {
			kept = append(kept, line)
		}
	}
	return ParseHost(strings.NewReader(strings.Join(kept, "")))
}

// Has says whether the container's tasks can be limited with the controller.
func (c *Container) Has(controller string) bool { return slices.Contains(c.Controllers(), controller) }

var (
	DirName      = dirName
	LowestFree   = lowestFree
	ChainWeights = chainWeights
)

// Thrash counts the faults of a group.
type Thrash = thrash

// Sees takes a count.
func (t *Thrash) Sees(now time.Time, faults, many uint64) bool { return t.sees(now, faults, many) }
