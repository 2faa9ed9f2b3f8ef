package integration

import (
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestRestartInPlace runs a sidecar that fails twice, and is started again within
// its task while the main goes on, and a main that uses up its restarts, so that
// the whole instance is started anew.
func TestRestartInPlace(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(`
id: /again
workloads:
- name: web
  cmd: exec sleep 1000
- name: proxy
  lifecycle: sidecar
  cmd: echo x >> runs; [ $(wc -l < runs) -ge 3 ] && exec sleep 1000; exit 7
  restart: {delay: 200ms}
`)
	task := s.awaitTask("again.0.1.proxy", func(r *tandemv1.TaskRecord) bool {
		return r.State == tandemv1.TaskState_TASK_RUNNING && r.GetHealthy() && r.Report.GetRestarts() == 2
	})
	if task.Message != "Started again: restart 2" {
		t.Errorf("its message is %q", task.Message)
	}
	s.awaitTask("again.0.1.web", inState(tandemv1.TaskState_TASK_RUNNING))
	eventually(t, func() string {
		if i := s.job("/again").Instances[0].Instance; i.Phase != tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING {
			return "the instance is " + i.Phase.String() + ": " + i.PhaseReason
		}
		return ""
	})
	if n := len(s.job("/again").Instances[0].Attempts); n != 1 {
		t.Errorf("there were %d attempts, want the first only", n)
	}

	s.run(`
id: /spent
restart: {delay: 100ms}
workloads:
- name: main
  cmd: exit 3
  restart: {attempts: 1, delay: 100ms}
`)
	ended := s.awaitTask("spent.0.1.main", inState(tandemv1.TaskState_TASK_FAILED))
	if r := ended.Report; r.GetRestarts() != 1 || r.GetExitCode() != 3 {
		t.Errorf("it reports %d restarts and exit status %d, want 1 and 3", r.GetRestarts(), r.GetExitCode())
	}
	s.awaitTask("spent.0.2.main", func(*tandemv1.TaskRecord) bool { return true })
}
