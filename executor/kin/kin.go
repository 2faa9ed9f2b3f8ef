// Package kin finds the processes that belong together where no cgroup says so: by
// session, by descent, and by a mark in the environment that they were started with. A
// program that leaves its session, loses its parents and takes the mark off gets away,
// which is why there are cgroups.
//
// It looks, and touches nobody.
package kin

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Process is a line of the process table.
type Process struct {
	Pid, Parent, Session int
	Zombie               bool
}

// Table lists all processes. One that ends meanwhile may be missing.
func Table() []Process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var table []Process
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		data, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has gone
		}
		if p, ok := parse(string(data)); ok {
			table = append(table, p)
		}
	}
	return table
}

// parse reads /proc/<pid>/stat; see proc(5). The name of the program is
// in parentheses and may hold anything, parentheses included.
func parse(line string) (Process, bool) {
	before, _, ok := strings.Cut(line, " (")
	end := strings.LastIndex(line, ") ")
	if !ok || end < 0 {
		return Process{}, false
	}
	fields := strings.Fields(line[end+2:])
	if len(fields) < 4 {
		return Process{}, false
	}
	var (
		p    Process
		errs [3]error
	)
	p.Zombie = fields[0] == "Z" || fields[0] == "X"
	p.Pid, errs[0] = strconv.Atoi(before)
	p.Parent, errs[1] = strconv.Atoi(fields[1])
	p.Session, errs[2] = strconv.Atoi(fields[3])
	return p, errs == [3]error{}
}

// Members lists those that live and belong to one of the sessions, or lead or descend
// from one that does.
func Members(table []Process, sessions ...int) []int {
	members := make(map[int]bool)
	for grown := true; grown; {
		grown = false
		for _, p := range table {
			if !members[p.Pid] && (slices.Contains(sessions, p.Session) || slices.Contains(sessions, p.Pid) || members[p.Parent]) {
				members[p.Pid], grown = true, true
			}
		}
	}
	var alive []int
	for _, p := range table {
		if members[p.Pid] && !p.Zombie {
			alive = append(alive, p.Pid)
		}
	}
	return alive
}

// Marked says whether a process was started with a mark, or one below it, in its
// environment: NAME=a is the mark, and so is what is below it, NAME=a/b. It is unsure of
// one that is on its way from one program to another, and for that moment has neither
// environment nor arguments.
func Marked(pid int, mark string) (marked, unsure bool) {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err == nil && len(env) == 0 {
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || len(args) == 0 {
			return false, err == nil
		}
		// It has arrived meanwhile, or was given no environment.
		env, _ = os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	}
	return slices.ContainsFunc(bytes.Split(env, []byte{0}), func(e []byte) bool {
		below, ok := bytes.CutPrefix(e, []byte(mark))
		return ok && (len(below) == 0 || below[0] == '/')
	}), false
}
