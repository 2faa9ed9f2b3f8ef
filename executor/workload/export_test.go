package workload

import "syscall"

// RefuseBirths makes the launcher's kernel one that starts no process in a
// given cgroup.
func (l *Launcher) RefuseBirths(err syscall.Errno) (refused func() int) {
	n := 0
	l.fork = func(program string, args []string, attr *syscall.ProcAttr) (int, error) {
		if attr.Sys.UseCgroupFD {
			n++
			return 0, err
		}
		return syscall.ForkExec(program, args, attr)
	}
	return func() int { return n }
}

// WithoutPidfds makes the launcher's kernel one from before pidfds.
func (l *Launcher) WithoutPidfds() {
	l.fork = func(program string, args []string, attr *syscall.ProcAttr) (int, error) {
		attr.Sys.PidFD = nil
		return syscall.ForkExec(program, args, attr)
	}
}

var (
	ParseStat      = parseStat
	SessionMembers = sessionMembers
	Verdict        = verdict
)

// Table is a process table.
type Table = []process

// TableEntry makes a line of a process table.
func TableEntry(pid, parent, session int, zombie bool) process {
	return process{pid: pid, parent: parent, session: session, zombie: zombie}
}

// RoundTrip sends a workload's strings the way to its shim.
func RoundTrip(args, env []string) (gotArgs, gotEnv []string, err error) {
	data, err := planOf(&Spec{Args: args, Env: env}, nil).encode()
	if err != nil {
		return nil, nil, err
	}
	p, err := decodePlan(data)
	return texts(p.Args), texts(p.Env), err
}
