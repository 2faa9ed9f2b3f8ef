package core_test

import (
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// arrive has groups arrive, each with the executor, that are admitted later.
func (s *script) arrive(groups ...mesos.TaskGroupInfo) {
	for i, g := range groups {
		s.Core.RunTaskGroup(framework(), executorInfo(), g, i == 0)
	}
}

// TestKillBeforeAdmission: a group that is killed right after it arrived is never
// launched, and the master hears that the executor has ended.
func TestKillBeforeAdmission(t *testing.T) {
	s := newScript(t, nil)
	s.arrive(group("t1", "t2"))
	s.kill("t2")
	const text = ": A task within the task group was killed before delivery to the executor"
	s.want("update t1 TASK_KILLED REASON_TASK_KILLED_DURING_LAUNCH"+text,
		"forget fw",
		"update t2 TASK_KILLED REASON_TASK_KILLED_DURING_LAUNCH"+text)
	s.Admitted(s.now)
	s.want("exited exec-1 -1")
	s.advance(10 * time.Second)
	s.want("update t2 TASK_KILLED REASON_TASK_KILLED_DURING_LAUNCH" + text)
}

// TestKillBeforeAdmissionWithOthersBehind: what was to run on the executor of a
// group that was killed has none.
func TestKillBeforeAdmissionWithOthersBehind(t *testing.T) {
	s := newScript(t, nil)
	s.arrive(group("t1"), group("t2"))
	s.kill("t1")
	s.skip()
	s.Admitted(s.now)
	s.want("exited exec-1 -1")
	s.Admitted(s.now)
	s.want("update t2 TASK_DROPPED REASON_EXECUTOR_TERMINATED: No executor is expected to launch and there is none running")
}

// TestFrameworkEndsBeforeAdmission: nothing is launched or reported for it.
func TestFrameworkEndsBeforeAdmission(t *testing.T) {
	s := newScript(t, nil)
	s.arrive(group("t1"))
	s.ShutdownFramework(s.now, frameworkID)
	s.want()
	s.Admitted(s.now)
	s.want("forget fw", "exited exec-1 -1")
}

// TestRestartBeforeAdmission: an agent that dies knows nothing of what arrived.
func TestRestartBeforeAdmission(t *testing.T) {
	s := newScript(t, nil)
	s.arrive(group("t1"))
	s.Restart(s.now)
	s.Admitted(s.now)
	s.advance(2 * time.Second)
	s.want("reregister with 0 executors, 0 tasks")
}

// TestPendingTasksAreReported: an agent whose master has gone tells the next one
// of what it has not admitted yet.
func TestPendingTasksAreReported(t *testing.T) {
	s := newScript(t, nil)
	s.arrive(group("t1", "t2"))
	s.Disconnect(s.now)
	s.Tick(s.now)
	s.want("reregister with 0 executors, 2 tasks")
}
