package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Where an operator has delegated a subtree its tasks have cgroups in it, over an upgrade
// too, and when it is killed nothing is left of them or of it.
func TestExecutorInADelegatedSubtree(t *testing.T) {
	a := &agent{binary: build(t, "1.0"), delegated: true}
	startAgent(t, a)
	a.needContainer()
	in := func(task string) string {
		return "/subtree-" + a.container + "/" + a.container + "/task-" + task + "\n"
	}
	groups := func(task string) string {
		return readFile(t, filepath.Join("/proc", a.pidOf(task), "cgroup"))
	}
	a.launch(shell("kept", "echo $$ > pid; while [ ! -f go ]; do sleep 0.05; done; exit 5", 32))
	a.await("kept", mesos.TASK_RUNNING)
	if got := groups("kept"); !strings.Contains(got, ":memory:"+in("kept")) {
		t.Errorf("it is in %s", got)
	}
	a.upgradeTo("2.0")
	a.runs("2.0")
	if err := os.WriteFile(filepath.Join(a.sandbox, "tasks", "kept", "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if report := reportOf(t, a.await("kept", mesos.TASK_FAILED)); report.GetExitCode() != 5 || report.GetUsage().GetMemoryPeakBytes() == 0 {
		t.Errorf("report %v", report)
	}

	a.launch(shell("killed", "setsid sleep 1000 & echo $$ > pid; exec sleep 1000", 32))
	a.await("killed", mesos.TASK_RUNNING)
	if got := groups("killed"); !strings.Contains(got, ":memory:"+in("killed")) {
		t.Errorf("it is in %s", got)
	}
	if err := a.process.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	a.eventually("the end of all that it has left", func() bool {
		left, err := filepath.Glob("/sys/fs/cgroup/*/subtree-" + a.container + "/" + a.container)
		return err == nil && len(left) == 0
	})
	if _, err := os.Stat(filepath.Join("/proc", a.pidOf("killed"), "root")); err == nil {
		t.Error("its task lives on")
	}
}
