package core_test

import (
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

func TestRestartOfTheAgent(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1", "t2")
	s.update("t1", "u1", mesos.TASK_RUNNING)
	s.skip()
	s.Restart(s.now)
	s.want()
	if r := s.Call(s.now, s.call(executor.Call_MESSAGE)); r == nil || r.Status != 503 {
		t.Errorf("a MESSAGE during recovery was answered with %v", r)
	}
	call := s.call(executor.Call_SUBSCRIBE)
	state, source := mesos.TASK_FINISHED, mesos.SOURCE_EXECUTOR
	call.Subscribe = &executor.Call_Subscribe{
		UnacknowledgedTasks: []mesos.TaskInfo{task("t2")},
		UnacknowledgedUpdates: []executor.Call_Update{{Status: mesos.TaskStatus{
			TaskID: mesos.TaskID{Value: "t1"}, State: &state, UUID: []byte("u2"), Source: &source,
		}}},
	}
	if r := s.Subscribe(s.now, call, 2); r != nil {
		t.Fatal(r)
	}
	s.want("stream 2: SUBSCRIBED", "limit c1 to 0.3 cpus, 96 MB", "limit c1 to 0.3 cpus, 96 MB")
	s.Limited(s.now, "c1", nil)
	s.Limited(s.now, "c1", nil)
	s.want("stream 2: ACKNOWLEDGED t1 u2")
	s.advance(2 * time.Second)
	s.want("reregister with 1 executors, 2 tasks")
	s.Reregistered(s.now, agentID, 0, []mesos.Task{{FrameworkID: frameworkID, TaskID: mesos.TaskID{Value: "lost"}}})
	s.want("update t1 TASK_RUNNING (latest TASK_FINISHED)",
		"update lost TASK_DROPPED REASON_RECONCILIATION: Reconciliation: task unknown to the agent")
}

func TestExecutorsThatDoNotComeBack(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1")
	s.Restart(s.now)
	s.advance(2 * time.Second)
	s.want("destroy c1", "reregister with 1 executors, 1 tasks")
	s.Reregistered(s.now, agentID, 0, nil)
	s.Exited(s.now, "c1", core.Ending{Status: 9})
	s.want("exited exec-1 9", "update t1 TASK_GONE REASON_EXECUTOR_REREGISTRATION_TIMEOUT: "+
		"Executor did not reregister within 2secs")
}

// TestExecutorsThatEndedMeanwhile: an agent that recovers knows of no master yet
// that it could tell.
func TestExecutorsThatEndedMeanwhile(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1")
	s.Restart(s.now)
	s.Exited(s.now, "c1", core.Ending{Status: 9})
	s.want()
	s.advance(2 * time.Second)
	s.want("reregister with 0 executors, 1 tasks")
	s.Reregistered(s.now, agentID, 0, nil)
	s.want("update t1 TASK_FAILED REASON_EXECUTOR_TERMINATED: Executor terminated")
}
