package container

import (
	"context"
	"os"
	"path"
	"slices"
	"time"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// staleTimeout bounds how long the removal of one stale cgroup may take.
const staleTimeout = 5 * time.Second

// RemoveStale removes the cgroups at the top of the hierarchies whose names are
// those of runtimes that are no more, with all that still runs in them. What
// cannot be removed stays.
func RemoveStale(stale func(name string) bool) {
	host, err := cgroup.ReadHost()
	if err != nil {
		return
	}
	var names []string
	for _, h := range host.Hierarchies {
		entries, err := os.ReadDir(h.Mount)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.IsDir() && stale(e.Name()) && !slices.Contains(names, e.Name()) {
				names = append(names, e.Name())
			}
		}
	}
	for _, name := range names {
		removeStale(host, path.Join(base(host), name))
	}
}

func removeStale(host cgroup.Host, name string) {
	group, err := host.Create(name, controllers...)
	if err != nil {
		return
	}
	pids, err := group.Processes()
	if err != nil || slices.Contains(pids, 0) {
		// A process of another pid namespace: whose name looks dead from here
		// may be alive there.
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), staleTimeout)
	defer cancel()
	if group.Kill(ctx) == nil {
		_ = group.Remove(ctx) // the next one tries again
	}
}
