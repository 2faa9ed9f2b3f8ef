package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// busyboxIn makes a root file system of busybox alone.
func busyboxIn(t *testing.T, root string) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs a static busybox (Debian's package busybox-static)")
	}
	if _, err := exec.LookPath("crun"); err != nil {
		if _, err := exec.LookPath("runc"); err != nil {
			t.Skip("needs an OCI runtime (Debian's packages crun and runc)")
		}
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, applet := range []string{"sh", "sleep", "test", "cat"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil {
			t.Fatal(err)
		}
	}
}

// A workload in a root file system of its own goes on over an upgrade: it needs
// nothing of the runtime that has started it.
func TestExecutorReplacesItselfBesideARoot(t *testing.T) {
	a := &agent{binary: build(t, "1.0")}
	startAgent(t, a)
	a.needContainer()
	busyboxIn(t, filepath.Join(a.sandbox, "tasks", "rooted", "rootfs"))
	rooted := shell("rooted", "echo $$ > pid; echo here > /own; while [ ! -f go ]; do sleep 0.05; done; exit 5", 64)
	data, err := proto.Marshal(&tandemv1.TaskSettings{
		Magic: 0x746e646d, OciConfinement: []byte(`{"root": {"path": "rootfs"}, "namespaces": [{"type": "mount"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	rooted.Data = data
	rooted.HealthCheck = &mesos.HealthCheck{
		Type: mesos.HealthCheck_COMMAND, Command: &mesos.CommandInfo{Value: proto.String("while [ ! -f /own ]; do sleep 0.01; done; cat /own >> checks")},
		DelaySeconds: proto.Float64(0), IntervalSeconds: proto.Float64(0.1), TimeoutSeconds: proto.Float64(5),
		GracePeriodSeconds: proto.Float64(0), ConsecutiveFailures: proto.Uint32(1),
	}
	a.launch(rooted)
	a.await("rooted", mesos.TASK_RUNNING)
	pid := a.pidOf("rooted")
	a.upgradeTo("2.0")
	a.runs("2.0")
	stat, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil || !strings.Contains(string(stat), fmt.Sprintf("PPid:\t%d\n", a.process.Process.Pid)) {
		t.Errorf("the workload is not the executor's child any more: %v", err)
	}
	checks := filepath.Join(a.sandbox, "tasks", "rooted", "checks")
	before, _ := os.Stat(checks) // by the old program, if at all
	a.eventually("the new program checks", func() bool {
		now, err := os.Stat(checks)
		return err == nil && (before == nil || now.Size() > before.Size())
	})
	if err := os.WriteFile(filepath.Join(a.sandbox, "tasks", "rooted", "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if report := reportOf(t, a.await("rooted", mesos.TASK_FAILED)); report.GetExitCode() != 5 {
		t.Errorf("report %v", report)
	}
	a.awaitExit(0)
	a.onceEach("rooted")
	if left, err := os.ReadDir(filepath.Join(a.sandbox, "runtime")); err != nil || len(left) > 0 {
		t.Errorf("left of the runtime: %v, %v", left, err)
	}
}

// An executor that has a token hides what it holds from its own user, and a
// runtime finds its bundle there all the same.
func TestRootBesideAToken(t *testing.T) {
	a := newAgent(t, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN=eyJ.secret.token")
	a.needContainer()
	busyboxIn(t, filepath.Join(a.sandbox, "tasks", "rooted", "rootfs"))
	rooted := shell("rooted", "exit 5", 64)
	data, err := proto.Marshal(&tandemv1.TaskSettings{
		Magic: 0x746e646d, OciConfinement: []byte(`{"root": {"path": "rootfs"}, "namespaces": [{"type": "mount"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	rooted.Data = data
	a.launch(rooted)
	if failed := a.await("rooted", mesos.TASK_FAILED); reportOf(t, failed).GetExitCode() != 5 {
		t.Errorf("it ended with %v", failed)
	}
	a.awaitExit(0)
}
