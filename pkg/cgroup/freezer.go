package cgroup

import (
	"context"
	"path/filepath"
	"strings"
	"time"
)

// How long one attempt at freezing may take, and how often it is looked at.
// The v1 freezer can get stuck half way, for instance on a process in vfork;
// thawing and trying again gets it out. The library's Freeze and Thaw wait for
// ever.
const (
	freezeTime  = 50 * time.Millisecond
	freezeCheck = time.Millisecond
)

// freezers lists the group's v1 freezer directory and those below it.
func (g *Group) freezers() []string {
	dir, ok := g.dir("freezer")
	if !ok || g.version != V1 {
		return nil
	}
	return subdirs(dir)
}

// freeze tries to stop every process below the first of the directories. It
// is a help and not a promise: whoever kills must look again afterwards.
func freeze(ctx context.Context, dirs []string) {
	state := filepath.Join(dirs[0], "freezer.state")
	if write(state, "FROZEN") != nil {
		return
	}
	for waited := time.Duration(0); waited < freezeTime; waited += freezeCheck {
		now, err := read(state)
		if err != nil || strings.TrimSpace(now) == "FROZEN" {
			return
		}
		if pause(ctx, freezeCheck) != nil {
			return
		}
	}
}

// thaw lets every process below run again, parents first.
func thaw(dirs []string) {
	for _, d := range dirs {
		_ = write(filepath.Join(d, "freezer.state"), "THAWED")
	}
}
