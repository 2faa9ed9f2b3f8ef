package integration

import (
	"os"
	"path/filepath"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestReadinessDecides runs a service that becomes ready, and is no longer, when
// a file appears and goes: the instance serves exactly in between.
func TestReadinessDecides(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	switchFile := filepath.Join(dir, "ready")
	s.run(`
id: /ready
workloads:
- name: web
  cmd: exec sleep 1000
  readinessCheck: {command: {cmd: test -e ` + switchFile + `}, interval: 100ms}
`)
	phase := func(p tandemv1.InstancePhase, why string) {
		t.Helper()
		eventually(t, func() string {
			i := s.job("/ready").Instances[0].Instance
			if i.Phase == p && i.PhaseReason == why {
				return ""
			}
			return "the instance is " + i.Phase.String() + ": " + i.PhaseReason
		})
	}
	s.awaitTask("ready.0.1.web", inState(tandemv1.TaskState_TASK_RUNNING))
	phase(tandemv1.InstancePhase_INSTANCE_PHASE_LAUNCHING, "web is not ready")
	if err := os.WriteFile(switchFile, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	phase(tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING, "")
	if err := os.Remove(switchFile); err != nil {
		t.Fatal(err)
	}
	phase(tandemv1.InstancePhase_INSTANCE_PHASE_LAUNCHING, "web is not ready")
	if len(s.job("/ready").Instances[0].Attempts) != 1 {
		t.Error("the readiness check has ended a task")
	}
}
