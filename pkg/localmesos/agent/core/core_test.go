package core_test

import (
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

func TestGroupOnItsWay(t *testing.T) {
	s := newScript(t, nil)
	s.runGroup("t1", "t2")
	s.want("launch exec-1 in c1 with 0.4 cpus, 128 MB")
	s.Launched("c1", 1951)
	s.subscribe(1)
	s.want("stream 1: SUBSCRIBED", "limit c1 to 0.4 cpus, 128 MB")
	s.Limited(s.now, "c1", nil)
	s.want("stream 1: LAUNCH_GROUP t1,t2")

	s.update("t1", "u1", mesos.TASK_STARTING)
	s.want("update t1 TASK_STARTING", "stream 1: ACKNOWLEDGED t1 u1")
	s.update("t1", "u2", mesos.TASK_RUNNING)
	s.want("stream 1: ACKNOWLEDGED t1 u2")
	s.update("t1", "u3", mesos.TASK_FINISHED)
	s.want("limit c1 to 0.3 cpus, 96 MB")
	s.Limited(s.now, "c1", nil)
	s.want("stream 1: ACKNOWLEDGED t1 u3")
	s.ack("t1")
	s.want("update t1 TASK_RUNNING (latest TASK_FINISHED)")
	s.ack("t1")
	s.want("update t1 TASK_FINISHED")
	s.ack("t1")
	s.want()

	s.Exited(s.now, "c1", core.Ending{Status: 0})
	s.want("stream 1 ends", "exited exec-1 0",
		"update t2 TASK_FAILED REASON_EXECUTOR_TERMINATED: Executor terminated")
	s.ack("t2")
	s.want("discard c1", "forget fw")
}

func TestGroupsQueueUntilTheExecutorSubscribes(t *testing.T) {
	s := newScript(t, nil)
	s.runGroup("t1")
	s.runGroup("t2", "t3")
	single := task("t4")
	info := executorInfo()
	single.Executor = &info
	s.RunTask(framework(), single, !s.has(execID))
	s.want("launch exec-1 in c1 with 0.3 cpus, 96 MB")
	s.Launched("c1", 1951)
	s.subscribe(1)
	s.want("stream 1: SUBSCRIBED", "limit c1 to 0.6 cpus, 192 MB")
	s.Limited(s.now, "c1", nil)
	s.want("stream 1: LAUNCH t4", "stream 1: LAUNCH_GROUP t1", "stream 1: LAUNCH_GROUP t2,t3")
}

func TestExecutorIsFilledIntoEachTask(t *testing.T) {
	s := newScript(t, nil)
	s.runGroup("t1")
	s.Launched("c1", 1951)
	s.subscribe(1)
	s.Limited(s.now, "c1", nil)
	for _, e := range s.Effects() {
		if send, ok := e.(core.Send); ok && send.Event.Type == executor.Event_LAUNCH_GROUP {
			got := send.Event.LaunchGroup.TaskGroup.Tasks[0].Executor
			if got == nil || got.ExecutorID != execID {
				t.Errorf("the task's executor is %v", got)
			}
			return
		}
	}
	t.Error("no LAUNCH_GROUP was sent")
}

func TestExecutorsThatDoNotComeUp(t *testing.T) {
	t.Run("no subscription in time", func(t *testing.T) {
		s := newScript(t, nil)
		s.runGroup("t1", "t2")
		s.Launched("c1", 1951)
		s.skip()
		s.advance(time.Minute)
		s.want("destroy c1")
		s.Exited(s.now, "c1", core.Ending{Status: 9})
		text := " TASK_FAILED REASON_EXECUTOR_REGISTRATION_TIMEOUT: Executor did not register within 1mins"
		s.want("exited exec-1 9", "update t1"+text, "update t2"+text)
	})
	t.Run("no launch", func(t *testing.T) {
		s := newScript(t, nil)
		s.runGroup("t1")
		s.skip()
		s.LaunchFailed("c1", "Failed to fetch all URIs for container 'c1': exited with status 1")
		s.Exited(s.now, "c1", core.Ending{Status: 256})
		s.want("exited exec-1 256", "update t1 TASK_FAILED REASON_CONTAINER_LAUNCH_FAILED: "+
			"Failed to launch container: Failed to fetch all URIs for container 'c1': exited with status 1")
	})
	t.Run("no sandbox", func(t *testing.T) {
		s := newScript(t, nil)
		s.runGroup("t1")
		s.skip()
		s.NoSandbox(s.now, "c1", "Failed to create executor directory")
		s.want("exited exec-1 -1",
			"update t1 TASK_DROPPED REASON_EXECUTOR_TERMINATED: Failed to create executor directory")
	})
	t.Run("told to end before", func(t *testing.T) {
		s := newScript(t, nil)
		s.runGroup("t1")
		s.ShutdownExecutor(s.now, frameworkID, execID)
		s.skip()
		s.Launched("c1", 1951)
		s.want("destroy c1")
	})
}

func TestLimitation(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1")
	s.Exited(s.now, "c1", core.Ending{Status: 9, Limitation: &core.Limitation{
		Reason: mesos.REASON_CONTAINER_LIMITATION_MEMORY, Message: "Memory limit exceeded", Resources: amounts(0, 128)[1:],
	}})
	s.want("stream 1 ends", "exited exec-1 9",
		"update t1 TASK_FAILED REASON_CONTAINER_LIMITATION_MEMORY: Memory limit exceeded")
}

func TestLimitsThatCannotBeSet(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1", "t2")
	s.update("t1", "u1", mesos.TASK_FINISHED)
	s.skip()
	s.Limited(s.now, "c1", errBusy)
	s.want("destroy c1", "update t1 TASK_FINISHED", "stream 1: ACKNOWLEDGED t1 u1")
	s.Exited(s.now, "c1", core.Ending{Status: 9})
	s.want("stream 1 ends", "exited exec-1 9", "update t2 TASK_GONE REASON_CONTAINER_UPDATE_FAILED: "+
		"Failed to update resources for container: Failed to update 'cpu.cfs_quota_us': Invalid argument")
}

func TestSecondSubscription(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1", "t2")
	s.subscribe(2, "t1")
	s.want("stream 1 ends", "stream 2: SUBSCRIBED",
		"limit c1 to 0.3 cpus, 96 MB", "limit c1 to 0.3 cpus, 96 MB")
	s.Limited(s.now, "c1", nil)
	s.want("update t2 TASK_DROPPED REASON_AGENT_RESTARTED: Task launched during agent restart")
}

func TestCallsOfThoseWhoMayNot(t *testing.T) {
	s := newScript(t, nil)
	refused := func(kind executor.Call_Type, want string) {
		t.Helper()
		call := s.call(kind)
		call.Subscribe, call.Message = &executor.Call_Subscribe{}, &executor.Call_Message{}
		r := s.Call(s.now, call)
		if kind == executor.Call_SUBSCRIBE {
			r = s.Subscribe(s.now, call, 1)
		}
		if r == nil || r.Text != want {
			t.Errorf("%v: refused with %v, want %q", kind, r, want)
		}
	}
	refused(executor.Call_SUBSCRIBE, "Framework cannot be found")
	s.runGroup("t1")
	refused(executor.Call_MESSAGE, "Executor is not subscribed")
	execBefore := execID
	execID = mesos.ExecutorID{Value: "nobody"}
	refused(executor.Call_SUBSCRIBE, "Executor cannot be found")
	execID = execBefore
}

func TestMessages(t *testing.T) {
	s := newScript(t, nil)
	s.runGroup("t1")
	s.FrameworkMessage(frameworkID, execID, []byte("too early"))
	s.skip()
	s.Launched("c1", 1951)
	s.subscribe(1)
	s.Limited(s.now, "c1", nil)
	s.skip()
	s.FrameworkMessage(frameworkID, execID, []byte("hello"))
	s.want("stream 1: MESSAGE hello")
	call := s.call(executor.Call_MESSAGE)
	call.Message = &executor.Call_Message{Data: []byte("hello scheduler")}
	if r := s.Call(s.now, call); r != nil {
		t.Fatal(r)
	}
	s.want("message from exec-1: hello scheduler")
	if m := s.View().Metrics; m.InvalidFrameworkMsgs != 1 || m.ValidFrameworkMsgs != 1 {
		t.Errorf("messages counted: %d valid, %d invalid", m.ValidFrameworkMsgs, m.InvalidFrameworkMsgs)
	}
}

func TestHeartbeat(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1")
	s.advance(30*time.Minute - 1)
	s.want()
	s.advance(1)
	s.want("stream 1: HEARTBEAT")
}

func TestFrameworksWithoutPartitionAwareness(t *testing.T) {
	s := newScript(t, nil)
	f := framework()
	f.Capabilities = nil
	s.RunTaskGroup(f, executorInfo(), mesos.TaskGroupInfo{Tasks: []mesos.TaskInfo{task("t1")}}, true)
	s.skip()
	s.kill("unknown")
	s.want("update unknown TASK_LOST REASON_EXECUTOR_TERMINATED: Cannot find executor")
}

// The master does not know of a command executor, and hears nothing of its end.
func TestTaskWithoutExecutor(t *testing.T) {
	s := newScript(t, nil)
	s.RunTask(framework(), task("t1"), true)
	s.want("launch t1 in c1 with 0.2 cpus, 64 MB")
	e := s.View().Frameworks[0].Executors[0]
	if e.Kind != core.CommandExecutor || e.Info.GetSource() != "t1" {
		t.Errorf("the executor is %+v", e)
	}
	if q := e.Info.GetName(); q != "Command Executor (Task: t1) (Command: NO COMMAND)" {
		t.Errorf("the executor is called %q", q)
	}
	s.Exited(s.now, "c1", core.Ending{Status: 256})
	s.want("update t1 TASK_FAILED REASON_EXECUTOR_TERMINATED: Executor terminated")
	s.ack("t1")
	s.want("discard c1", "forget fw")
}
