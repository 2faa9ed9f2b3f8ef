package core_test

import (
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

func TestKillBeforeDelivery(t *testing.T) {
	killed := func(id, text string) string {
		return "update " + id + " TASK_KILLED REASON_TASK_KILLED_DURING_LAUNCH: " + text
	}
	group := "A task within the task group was killed before delivery to the executor"

	t.Run("while the executor starts", func(t *testing.T) {
		s := newScript(t, nil)
		s.runGroup("t1", "t2")
		s.runGroup("t3")
		s.skip()
		s.kill("t2")
		s.want(killed("t1", group), killed("t2", group))
		s.Launched("c1", 1951)
		s.subscribe(1)
		s.want("stream 1: SUBSCRIBED", "limit c1 to 0.3 cpus, 96 MB")
		s.Limited(s.now, "c1", nil)
		s.want("stream 1: LAUNCH_GROUP t3")
	})
	t.Run("with nothing left for the executor", func(t *testing.T) {
		s := newScript(t, nil)
		s.runGroup("t1")
		s.Launched("c1", 1951)
		s.kill("t1")
		s.skip()
		s.subscribe(1)
		s.want("stream 1: SHUTDOWN")
		s.advance(5 * time.Second)
		s.want("destroy c1")
	})
	t.Run("while the limits are raised", func(t *testing.T) {
		s := newScript(t, nil)
		s.started("t1")
		s.runGroup("t2", "t3")
		s.want("limit c1 to 0.5 cpus, 160 MB")
		s.kill("t2")
		s.want("limit c1 to 0.4 cpus, 128 MB", "limit c1 to 0.3 cpus, 96 MB")
		s.Limited(s.now, "c1", nil)
		s.want()
		s.Limited(s.now, "c1", nil)
		s.Limited(s.now, "c1", nil)
		s.want(killed("t2", "Killed before delivery to the executor"), killed("t3", "Killed before delivery to the executor"))
	})
	t.Run("a single task", func(t *testing.T) {
		s := newScript(t, nil)
		info, single := executorInfo(), task("t1")
		single.Executor = &info
		s.RunTask(framework(), single, !s.has(execID))
		s.skip()
		s.kill("t1")
		s.want(killed("t1", "Killed before delivery to the executor"))
	})
}

func TestKillAfterDelivery(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1", "t2")
	s.kill("t1")
	s.kill("t1")
	s.want("stream 1: KILL t1", "stream 1: KILL t1")
	s.kill("unknown")
	s.want("update unknown TASK_DROPPED REASON_EXECUTOR_TERMINATED: Cannot find executor")
}

func TestShutdownAndItsGracePeriod(t *testing.T) {
	t.Run("obeyed", func(t *testing.T) {
		s := newScript(t, nil)
		s.started("t1")
		s.ShutdownExecutor(s.now, frameworkID, execID)
		s.want("stream 1: SHUTDOWN")
		s.update("t1", "u1", mesos.TASK_KILLED)
		s.Limited(s.now, "c1", nil)
		s.skip()
		s.Exited(s.now, "c1", core.Ending{Status: 0})
		s.want("stream 1 ends", "exited exec-1 0")
		s.ack("t1")
		s.want("discard c1", "forget fw")
	})
	t.Run("ignored", func(t *testing.T) {
		s := newScript(t, nil)
		s.started("t1")
		s.ShutdownExecutor(s.now, frameworkID, execID)
		s.skip()
		s.advance(5*time.Second - 1)
		s.want()
		s.subscribe(2) // as if it had forgotten
		s.want("stream 2: SHUTDOWN", "stream 2 ends")
		s.advance(1)
		s.want("destroy c1")
		s.Exited(s.now, "c1", core.Ending{Status: 9})
		s.want("stream 1 ends", "exited exec-1 9",
			"update t1 TASK_FAILED REASON_EXECUTOR_TERMINATED: Executor terminated")
	})
	t.Run("of a framework", func(t *testing.T) {
		s := newScript(t, nil)
		s.started("t1")
		s.ShutdownFramework(s.now, frameworkID)
		s.want("stream 1: SHUTDOWN")
		s.update("t1", "u1", mesos.TASK_KILLED)
		s.want() // nobody is there to be told
		s.Exited(s.now, "c1", core.Ending{Status: 0})
		s.want("stream 1 ends", "exited exec-1 0", "discard c1", "forget fw")
	})
}
