package integration

import (
	"strings"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestTeardown ends a framework by its own scheduler, which is then another one
// with the same jobs, all stopped.
func TestTeardown(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.tornDown = true
	s.run("id: /web\nworkloads:\n- name: web\n  cmd: exec sleep 1000\n")
	s.awaitPhase("/web", tandemv1.JobPhase_JOB_PHASE_RUNNING)
	if r := s.tandem("reconcile"); r.status != 0 || !strings.Contains(r.stdout, "asking about 1 tasks") {
		t.Errorf("tandem reconcile: %s", r)
	}
	before := s.framework().FrameworkId
	if r := s.tandem("framework", "teardown", "--yes-delete", "another"); r.status != 2 {
		t.Errorf("tandem framework teardown of another framework: %s", r)
	}
	if r := s.tandem("framework", "teardown", "--yes-delete", s.name); r.status != 0 || !strings.Contains(r.stdout, "torn down with 1 tasks") {
		t.Fatalf("tandem framework teardown: %s", r)
	}
	if err := s.process.Wait(); err == nil {
		t.Error("the scheduler ends as if nothing had happened")
	}
	s.process = nil
	eventually(t, func() string {
		if _, active := c.framework(t, before); active {
			return "the master still shows the framework"
		}
		if left := processesOf(t, "web.0.1.web"); len(left) > 0 {
			return "processes of the task live"
		}
		return ""
	})
	s.start()
	if now := s.framework().FrameworkId; now == before {
		t.Error("it is the same framework")
	}
	if j := s.job("/web"); j.Job.Phase != tandemv1.JobPhase_JOB_PHASE_STOPPED || j.Instances[0].Attempts[0].Tasks[0].State != tandemv1.TaskState_TASK_KILLED {
		t.Errorf("the job is %v", j)
	}
	s.run("id: /web\nworkloads:\n- name: web\n  cmd: exec sleep 1000\n")
	s.awaitPhase("/web", tandemv1.JobPhase_JOB_PHASE_RUNNING)
	if err := c.teardown(s.framework().FrameworkId); err != nil {
		t.Error(err)
	}
	if err := s.process.Wait(); err == nil {
		t.Error("the scheduler goes on without its framework")
	}
	s.process = nil
}
