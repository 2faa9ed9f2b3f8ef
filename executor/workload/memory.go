package workload

import (
	"time"

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
			if p.lost() {
				p.Kill()
				return
			}
		}
	}()
}

// lost says whether the kernel has killed a process of the workload for want
// of memory. It notifies before it chooses whom to kill, and it also notifies
// those whose relative's limit was hit, so the count has to be waited for.
func (p *Process) lost() bool {
	const patience = 2 * time.Second
	for wait := time.Millisecond; wait < patience; wait *= 2 {
		n, err := p.group.OOMKills()
		if err != nil {
			return false // it has ended
		}
		if n > 0 {
			return true
		}
		time.Sleep(wait)
	}
	return false
}

func (p *Process) unwatchMemory() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watch != nil {
		_ = p.watch.Close()
	}
}
