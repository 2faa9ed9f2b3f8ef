package core_test

import (
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// What the master thinks of an executor, and what the agent does, may differ for
// a moment; then tasks are dropped and the master is set right.
func TestTheMasterAndTheAgentDisagreeAboutAnExecutor(t *testing.T) {
	s := newScript(t, nil)
	s.RunTaskGroup(framework(), executorInfo(), group("t0"), false)
	s.want("update t0 TASK_DROPPED REASON_EXECUTOR_TERMINATED: No executor is expected to launch and there is none running")

	s.runGroup("t1")
	s.Launched("c1", 1)
	s.subscribe(1)
	s.skip()
	s.RunTaskGroup(framework(), executorInfo(), group("t2"), true)
	s.want(
		"update t2 TASK_DROPPED REASON_EXECUTOR_TERMINATED: Master wants to launch executor, but one already exists",
		"stream 1: SHUTDOWN")
	s.Exited(s.now, "c1", core.Ending{Status: 9})
	s.skip()
	// Its task waits for an acknowledgement, and so it is still there.
	s.RunTaskGroup(framework(), executorInfo(), group("t3"), true)
	s.want(
		"update t3 TASK_DROPPED REASON_EXECUTOR_TERMINATED: Master wants to launch executor, but one already exists",
		"exited exec-1 -1")
}
