package workload

import (
	"os"
	"syscall"
	"time"

	"github.com/tandem-mesos/tandem/executor/kin"
)

// killSession ends what can be found of a workload without a cgroup: the
// processes of its session, those that this executor has adopted and that have
// the workload's mark in their environment, and the descendants of all of them.
// It says how many there were beside the main process. Some may get away; see package kin.
func (p *Process) killSession() int {
	const rounds = 50
	seen := make(map[int]bool)
	for range rounds {
		p.mu.Lock()
		if p.reaped { // the session's number may be another's
			p.mu.Unlock()
			break
		}
		table := kin.Table()
		strays, unsure := p.strays(table)
		members := kin.Members(table, append(strays, p.pid)...)
		for _, pid := range members {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		p.mu.Unlock()
		if len(members) == 0 && !unsure {
			break
		}
		for _, pid := range members {
			seen[pid] = true
		}
		time.Sleep(time.Millisecond)
	}
	delete(seen, p.pid)
	return len(seen)
}

// strays are those of a workload without a cgroup that this process has adopted. They
// are not known for sure while one has no environment yet.
func (p *Process) strays(table []kin.Process) (pids []int, unsure bool) {
	if p.group != nil || p.mark == "" {
		return nil, false
	}
	own := os.Getpid()
	for _, q := range table {
		if q.Parent != own || q.Pid == p.pid || q.Zombie {
			continue
		}
		marked, unknown := kin.Marked(q.Pid, p.mark)
		if marked {
			pids = append(pids, q.Pid)
		}
		unsure = unsure || unknown
	}
	return pids, unsure
}
