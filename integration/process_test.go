package integration

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// processesOf returns the processes of a task, found by their environment, so
// that those which have left its process group and session are found too.
func processesOf(t *testing.T, taskID string) []int {
	t.Helper()
	marks, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range marks {
		environ, err := os.ReadFile(file)
		if err != nil {
			continue // It has ended, or is another user's.
		}
		for variable := range bytes.SplitSeq(environ, []byte{0}) {
			if string(variable) == "MESOS_TASK_ID="+taskID {
				if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// cgroupsOf returns the directories of a process's cgroups, by controller; the
// empty controller is cgroup v2. Those at a root are left out.
func cgroupsOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	membership, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	dirs := make(map[string]string)
	for line := range strings.Lines(string(membership)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || parts[2] == "/" || strings.HasPrefix(parts[1], "name=") {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			if mount := cgroupMount(t, controller); mount != "" {
				dirs[controller] = filepath.Join(mount, parts[2])
			}
		}
	}
	return dirs
}

// cgroupMount returns where a v1 controller or, for the empty name, cgroup v2 is
// mounted.
func cgroupMount(t *testing.T, controller string) string {
	t.Helper()
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 {
			continue
		}
		switch {
		case controller == "" && fields[2] == "cgroup2":
			return fields[1]
		case controller != "" && fields[2] == "cgroup":
			for option := range strings.SplitSeq(fields[3], ",") {
				if option == controller {
					return fields[1]
				}
			}
		}
	}
	return ""
}

// needCgroups skips a test where there are no cgroups to be made.
func needCgroups(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("cgroups are root's to make")
	}
	if cgroupMount(t, "memory") == "" {
		controllers, err := os.ReadFile(filepath.Join(cgroupMount(t, ""), "cgroup.controllers"))
		if err != nil || !strings.Contains(string(controllers), "memory") {
			t.Skip("no memory controller is mounted here")
		}
	}
}
