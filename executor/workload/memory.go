package workload

import (
	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// watchMemory ends the whole workload when the kernel has killed a part of it
// for want of memory. cgroup v2 does that by itself; v1 kills one process and
// lets the rest limp on.
func (p *Process) watchMemory() {
	if p.group.Version() != cgroup.V1 {
		return
	}
	w, err := p.group.WatchMemory()
	if err != nil {
		// The kill is still counted when the main process ends.
		p.launcher.log.WithField("task", p.id).Debugf("Watching a workload: %v", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.settling {
		_ = w.Close()
		return
	}
	p.watch = w
	go func() {
		for w.Wait() == nil {
			if n, err := p.group.OOMKills(); err == nil && n > 0 {
				p.Kill()
				return
			}
		}
	}()
}

func (p *Process) unwatchMemory() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watch != nil {
		_ = p.watch.Close()
	}
}
