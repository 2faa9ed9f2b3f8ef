package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestSharedExecutor runs a job whose instances share their executor: it grows,
// also under another scheduler process, loses one task alone, and all when the
// executor is killed.
func TestSharedExecutor(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	scale := func(n string) { // with the same executor and another number
		t.Helper()
		s.run(`
id: /shared
instances: ` + n + `
executor: {share: job, resources: {cpus: 0.1, mem: 64, disk: 16}}
restart: {delay: 10ms}
workloads:
- name: web
  cmd: exec sleep 1000
  resources: {cpus: 0.1, mem: 32}
`)
		s.awaitPhase("/shared", tandemv1.JobPhase_JOB_PHASE_RUNNING)
	}
	executors := func() map[string]int {
		t.Helper()
		f, _ := c.framework(t, s.framework().FrameworkId)
		ids := map[string]int{}
		for _, task := range f.Tasks {
			if task.State == "TASK_RUNNING" {
				ids[task.ExecutorID]++
			}
		}
		return ids
	}
	scale("2")
	if ids := executors(); ids["shared.0.1"] != 2 {
		t.Fatalf("the tasks' executors are %v", ids)
	}
	s.stop(syscall.SIGKILL)
	s.start()
	scale("4")
	if ids := executors(); ids["shared.0.1"] != 4 {
		t.Fatalf("the tasks' executors are %v after they have become more", ids)
	}

	for _, pid := range processesOf(t, "shared.2.1.web") {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitTask("shared.2.2.web", inState(tandemv1.TaskState_TASK_RUNNING))
	eventually(t, func() string {
		if ids := executors(); ids["shared.0.1"] != 4 {
			return "the others were taken along by one that ended"
		}
		return ""
	})

	pid := executorOf(t, processesOf(t, "shared.1.1.web")[0])
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"shared.0.2.web", "shared.1.2.web", "shared.2.3.web", "shared.3.2.web"} {
		s.awaitTask(id, inState(tandemv1.TaskState_TASK_RUNNING))
	}
	if ids := executors(); ids["shared.0.1"] != 0 {
		t.Errorf("the tasks' executors are %v after theirs was killed", ids)
	}
	if r := s.tandem("stop", "--wait", "/shared"); r.status != 0 {
		t.Errorf("tandem stop: %s", r)
	}
}

// executorOf returns the executor that carries a process: the nearest process
// above it that runs the executor's program.
func executorOf(t *testing.T, pid int) int {
	t.Helper()
	for pid > 1 {
		stat, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if pid, err = strconv.Atoi(fields[1]); err != nil {
			t.Fatal(err)
		}
		if exe, err := os.Readlink("/proc/" + itoa(pid) + "/exe"); err == nil && filepath.Base(exe) == "tandem-executor" {
			return pid
		}
	}
	t.Fatal("no executor is above the process")
	return 0
}
