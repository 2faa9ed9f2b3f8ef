package container

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// killSession kills every process of a session, as
// a real agent's posix launcher does. It repeats itself until none is left,
// because a process may fork meanwhile. What has left the session escapes: that
// is what cgroups are for.
func killSession(leader int) {
	for deadline := time.Now().Add(DestroyTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		pids := session(leader)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			// A process that is gone by now is what was wanted.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// session lists the living processes of a session.
func session(leader int) []int {
	var pids []int
	for _, p := range processes() {
		if p.session == leader {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// process is one line of what runs on the machine.
type process struct{ pid, parent, session int }

// processes lists the living processes of the machine.
func processes() []process {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var all []process
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if p, state := parseStat(string(data)); p.pid != 0 && state != "Z" && state != "X" {
			all = append(all, p)
		}
	}
	return all
}

// parseStat reads /proc/<pid>/stat: "pid (comm) state ppid pgrp session ...",
// where comm may hold anything.
func parseStat(s string) (p process, state string) {
	open, shut := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 0 || shut < open {
		return p, ""
	}
	fields := strings.Fields(s[shut+1:])
	if len(fields) < 4 {
		return p, ""
	}
	p.pid, _ = strconv.Atoi(strings.TrimSpace(s[:open]))
	p.parent, _ = strconv.Atoi(fields[1])
	p.session, _ = strconv.Atoi(fields[3])
	return p, fields[0]
}
