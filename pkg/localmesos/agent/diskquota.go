package agent

import (
	"path/filepath"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
)

// watchQuotas measures from time to time what the executors' sandboxes and volumes
// take of their disk, and has those ended that take too much. It is the loop's.
func (a *Agent) watchQuotas() {
	if !a.options.EnforceDiskQuota || a.options.Fake != nil {
		return
	}
	a.options.Clock.AfterFunc(a.options.DiskQuotaInterval, func() {
		a.inputs.post(func(time.Time) {
			if !a.stopping {
				a.measureDisks()
			}
		})
	})
}

// measureDisks looks at all containers, one after the other, beside the loop.
func (a *Agent) measureDisks() {
	type measured struct {
		container *container.Container
		quotas    []container.DiskQuota
	}
	var all []measured
	for _, id := range sortedKeys(a.containers) {
		if w := a.containers[id]; w.running != nil && !a.down {
			all = append(all, measured{w.running, a.quotas(w)})
		}
	}
	a.workers.Go(func() {
		for _, m := range all {
			m.container.MeasureDisk(m.quotas)
		}
		a.inputs.post(func(time.Time) { a.watchQuotas() })
	})
}

// quotas are what a container may take of which directory: all that was asked for
// without a volume is for the sandbox.
func (a *Agent) quotas(w *worker) []container.DiskQuota {
	var all []container.DiskQuota
	var sandbox []mesos.Resource
	for _, r := range w.disk {
		if r.GetDisk().GetVolume() == nil {
			sandbox = append(sandbox, r)
			continue
		}
		// A volume that is not the agent's to make is left to who made it.
		if name := r.GetDisk().GetVolume().GetContainerPath(); !filepath.IsAbs(name) && r.GetDisk().GetPersistence() != nil {
			all = append(all, container.DiskQuota{Dir: a.volumePath(&r), Resources: []mesos.Resource{r}})
		}
	}
	if len(sandbox) > 0 {
		all = append(all, container.DiskQuota{Dir: a.sandboxPath(w.launch).Dir(), Resources: sandbox})
	}
	return all
}
