package workload

import (
	"slices"
	"syscall"

	"github.com/tandem-mesos/tandem/executor/spawn"
)

// RefuseBirths makes the launcher's kernel one that starts no process in a
// given cgroup.
func (l *Launcher) RefuseBirths(err syscall.Errno) (refused func() int) {
	n := 0
	l.spawn = func(p spawn.Program, o spawn.Options) (*spawn.Child, error) {
		if o.Cgroup != 0 {
			n++
			return nil, err
		}
		return spawn.Start(p, o)
	}
	return func() int { return n }
}

// WithoutPidfds makes the launcher's kernel one from before pidfds.
func (l *Launcher) WithoutPidfds() {
	l.spawn = func(p spawn.Program, o spawn.Options) (*spawn.Child, error) {
		o.WithoutPidfd = true
		return spawn.Start(p, o)
	}
}

// OnlyRuntime has the launcher know that OCI runtime only, and says whether the
// machine has it.
func (l *Launcher) OnlyRuntime(name string) bool {
	l.runtimes = slices.DeleteFunc(slices.Clone(runtimes), func(r ociRuntime) bool { return r.name != name })
	_, _, err := findRuntime(l.runtimes)
	return err == nil
}

var (
	CgroupMounts   = cgroupMounts
	ParseStat      = parseStat
	SessionMembers = sessionMembers
)

// Table is a process table.
type Table = []process

// TableEntry makes a line of a process table.
func TableEntry(pid, parent, session int, zombie bool) process {
	return process{pid: pid, parent: parent, session: session, zombie: zombie}
}
