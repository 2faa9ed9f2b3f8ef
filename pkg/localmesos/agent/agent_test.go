package agent_test

import (
	"testing"
)

func TestAgentRunsATaskGroup(t *testing.T) {
	f := start(t, nil)
	f.agent.RunTaskGroup(framework(), executorInfo("exec-1", "normal"), group(task("t1", "finish"), task("t2", "run")))
	f.expect("update t1 TASK_RUNNING", "update t1 TASK_FINISHED", "update t2 TASK_RUNNING")
}
