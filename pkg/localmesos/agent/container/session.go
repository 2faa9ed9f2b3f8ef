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
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var pids []int
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if pid, id, state := parseStat(string(data)); id == leader && state != "Z" && state != "X" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parseStat reads /proc/<pid>/stat: "pid (comm) state ppid pgrp session ...",
// where comm may hold anything.
func parseStat(s string) (pid, session int, state string) {
	open, shut := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 0 || shut < open {
		return 0, 0, ""
	}
	pid, _ = strconv.Atoi(strings.TrimSpace(s[:open]))
	fields := strings.Fields(s[shut+1:])
	if len(fields) < 4 {
		return 0, 0, ""
	}
	session, _ = strconv.Atoi(fields[3])
	return pid, session, fields[0]
}
