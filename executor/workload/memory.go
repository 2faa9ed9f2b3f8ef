package workload

import (
	"time"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// watchMemory ends the whole workload when it has run out of memory, in the
// two cases in which the kernel does not: cgroup v1 kills one process and lets
// the rest limp on, and a soft limit on v2 is only ours to enforce. What happened
// before is not seen, see lookAtMemory. It returns at once.
func (p *Process) watchMemory() {
	var over func(told bool) bool
	switch {
	case p.group.Version() == cgroup.V1:
		over = p.hasLost
	case p.group.SoftMemory():
		over = p.overruns
	default:
		return
	}
	w, err := p.group.WatchMemory(p.launcher.ready, func(told bool) {
		if over(told) {
			p.Kill()
		}
	})
	if err != nil {
		// A kill by the kernel is still counted when the main process ends.
		p.launcher.log.WithField("task", p.id).Debugf("Watching a workload: %v", err)
		return
	}
	p.mu.Lock()
	settling := p.settling
	if !settling {
		p.watch = w
	}
	p.mu.Unlock()
	if settling {
		w.Close()
	}
}

// lookAtMemory does as watchMemory does for what has happened before.
func (p *Process) lookAtMemory() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watch != nil {
		p.watch.Look()
	}
}

func (p *Process) unwatchMemory() {
	p.mu.Lock()
	w := p.watch
	p.mu.Unlock()
	if w != nil {
		w.Close()
	}
}

// hasLost says whether the kernel has killed a process of the workload for
// want of memory. It notifies before it chooses whom to kill, and it also
// notifies those whose relative's limit was hit, so when told the count is
// waited for.
func (p *Process) hasLost(told bool) bool {
	const patience = 2 * time.Second
	for wait := time.Millisecond; wait < patience; wait *= 2 {
		n, err := p.group.OOMKills()
		if err != nil {
			return false
		}
		if n > 0 {
			return true
		}
		if !told || !p.sleep(wait) {
			return false
		}
	}
	return false
}

// overruns says whether the workload is to be ended for the memory it holds.
// The kernel notifies whenever it reclaims, which with much page cache is
// normal and frequent, so there is a pause after each look.
func (p *Process) overruns(bool) bool {
	over, err := p.group.Overrun()
	if err != nil || !over {
		p.sleep(10 * time.Millisecond)
		return false
	}
	p.overran.Store(true)
	return true
}

// sleep waits for the time to pass, or for the main process to end, and says
// which.
func (p *Process) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ending:
		return false
	}
}
