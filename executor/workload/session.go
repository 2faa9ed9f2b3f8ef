package workload

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// strayMark is the variable by which the processes of a workload without a cgroup
// are known when they have left its session and lost their parents.
const strayMark = "TANDEM_WORKLOAD"

// killSession ends what can be found of a workload without a cgroup: the
// processes of its session, those that this executor has adopted and that have
// the workload's mark in their environment, and the descendants of all of them.
// It says how many there were beside the main process. A program that detaches
// itself and takes the mark off gets away, which is why there are cgroups.
func (p *Process) killSession() int {
	const rounds = 50
	seen := make(map[int]bool)
	for range rounds {
		p.mu.Lock()
		if p.reaped { // the session's number may be another's
			p.mu.Unlock()
			break
		}
		table := processTable()
		strays, unsure := p.strays(table)
		members := sessionMembers(table, append(strays, p.pid)...)
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

// process is a line of the process table.
type process struct {
	pid, parent, session int
	zombie               bool
}

// strays are those of a workload without a cgroup that this process has adopted. They
// are not known for sure while one has no environment yet.
func (p *Process) strays(table []process) (pids []int, unsure bool) {
	if p.group != nil || p.mark == "" {
		return nil, false
	}
	own := os.Getpid()
	for _, q := range table {
		if q.parent != own || q.pid == p.pid || q.zombie {
			continue
		}
		if marked(q.pid, p.mark) {
			pids = append(pids, q.pid)
		} else {
			unsure = unsure || executing(q.pid)
		}
	}
	return pids, unsure
}

// marked says whether a process was started with the mark in its environment.
func marked(pid int, mark string) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && has(env, mark)
}

func has(env []byte, mark string) bool {
	return slices.ContainsFunc(bytes.Split(env, []byte{0}), func(e []byte) bool { return string(e) == mark })
}

// sessionMembers lists those that live and belong to one of the sessions, or lead
// or descend from one that does.
func sessionMembers(table []process, sessions ...int) []int {
	members := make(map[int]bool)
	for grown := true; grown; {
		grown = false
		for _, p := range table {
			if !members[p.pid] && (slices.Contains(sessions, p.session) || slices.Contains(sessions, p.pid) || members[p.parent]) {
				members[p.pid], grown = true, true
			}
		}
	}
	var alive []int
	for _, p := range table {
		if members[p.pid] && !p.zombie {
			alive = append(alive, p.pid)
		}
	}
	return alive
}

func processTable() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var table []process
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		data, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has gone
		}
		if p, ok := parseStat(string(data)); ok {
			table = append(table, p)
		}
	}
	return table
}

// parseStat reads /proc/<pid>/stat; see proc(5). The name of the program is
// in parentheses and may hold anything, parentheses included.
func parseStat(line string) (process, bool) {
	before, _, ok := strings.Cut(line, " (")
	end := strings.LastIndex(line, ") ")
	if !ok || end < 0 {
		return process{}, false
	}
	fields := strings.Fields(line[end+2:])
	if len(fields) < 4 {
		return process{}, false
	}
	var (
		p    process
		errs [3]error
	)
	p.zombie = fields[0] == "Z" || fields[0] == "X"
	p.pid, errs[0] = strconv.Atoi(before)
	p.parent, errs[1] = strconv.Atoi(fields[1])
	p.session, errs[2] = strconv.Atoi(fields[3])
	return p, errs == [3]error{}
}
