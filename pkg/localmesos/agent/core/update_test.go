package core_test

import (
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

func TestRepetitionOfUpdates(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1")
	s.update("t1", "u1", mesos.TASK_RUNNING)
	s.update("t1", "u2", mesos.TASK_FINISHED)
	s.Limited(s.now, "c1", nil)
	s.skip()
	at := s.now
	for _, wait := range []time.Duration{10, 20, 40, 80, 160, 320, 600} {
		at = at.Add(wait * time.Second)
		s.now = at.Add(-time.Nanosecond)
		s.Tick(s.now)
		s.want()
		if got := s.Next(); !got.Equal(at) {
			t.Fatalf("the next repetition is %v after the start, want %v", got.Sub(epoch), at.Sub(epoch))
		}
		s.now = at
		s.Tick(s.now)
		s.want("update t1 TASK_RUNNING (latest TASK_FINISHED)")
	}
	s.ack("t1")
	s.want("update t1 TASK_FINISHED")
	s.advance(10 * time.Second) // the schedule starts anew
	s.want("update t1 TASK_FINISHED")
}

func TestAcknowledgementsThatDoNotFit(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1", "t2")
	s.update("t1", "u1", mesos.TASK_STARTING)
	s.update("t1", "u2", mesos.TASK_RUNNING)
	s.skip()
	t1, t2 := mesos.TaskID{Value: "t1"}, mesos.TaskID{Value: "t2"}
	s.Acknowledge(s.now, frameworkID, t1, []byte("u2"))
	s.Acknowledge(s.now, frameworkID, t2, []byte("u1"))
	s.Acknowledge(s.now, mesos.FrameworkID{Value: "other"}, t1, []byte("u1"))
	s.want()
	s.Acknowledge(s.now, frameworkID, t1, []byte("u1"))
	s.want("update t1 TASK_RUNNING")
	s.Acknowledge(s.now, frameworkID, t1, []byte("u1"))
	s.want()
}

func TestUpdatesThatComeTwiceLateOrFromElsewhere(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1", "t2")
	s.update("t1", "u1", mesos.TASK_RUNNING)
	s.skip()
	s.update("t1", "u1", mesos.TASK_RUNNING)
	s.want("stream 1: ACKNOWLEDGED t1 u1") // and not forwarded again
	s.ack("t1")

	s.update("t1", "u2", mesos.TASK_FINISHED)
	s.Limited(s.now, "c1", nil)
	s.skip()
	s.update("t1", "u3", mesos.TASK_FAILED)
	s.want("stream 1: ACKNOWLEDGED t1 u3") // one end is enough
	s.ack("t1")
	s.update("t1", "u4", mesos.TASK_RUNNING)
	s.want("update t1 TASK_RUNNING") // forwarded, but never acknowledged to the executor

	s.update("unknown", "u5", mesos.TASK_FINISHED)
	s.want("update unknown TASK_FINISHED")

	state, source := mesos.TASK_RUNNING, mesos.SOURCE_EXECUTOR
	call := s.call(executor.Call_UPDATE)
	call.Update = &executor.Call_Update{Status: mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: "t2"}, State: &state, UUID: []byte("u6"), Source: &source,
		AgentID: &mesos.AgentID{Value: "another"},
	}}
	if r := s.Call(s.now, call); r != nil {
		t.Errorf("an update that names another agent was refused: %v", r)
	}
	s.want()
}

func TestWhatTheAgentAddsToAnUpdate(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1")
	s.update("t1", "u1", mesos.TASK_RUNNING)
	for _, e := range s.Effects() {
		f, ok := e.(core.Forward)
		if !ok {
			continue
		}
		got := f.Update.Status
		if *got.AgentID != agentID || got.GetTimestamp() != 1_795_412_844 {
			t.Errorf("agent %v, timestamp %v", got.AgentID, got.GetTimestamp())
		}
		c := got.ContainerStatus
		if c.GetContainerID().Value != "c1" || c.GetExecutorPID() != 1951 ||
			c.NetworkInfos[0].IPAddresses[0].GetIPAddress() != "127.0.0.1" {
			t.Errorf("container status %v", c)
		}
		return
	}
	t.Error("the update was not forwarded")
}

func TestUpdatesWaitForTheMaster(t *testing.T) {
	s := newScript(t, nil)
	s.started("t1")
	s.Disconnect(s.now)
	s.update("t1", "u1", mesos.TASK_RUNNING)
	s.want("stream 1: ACKNOWLEDGED t1 u1")
	s.Tick(s.now)
	s.want("reregister with 1 executors, 1 tasks")
	s.advance(time.Second)
	s.want("reregister with 1 executors, 1 tasks")
	s.advance(time.Second)
	s.want() // two seconds after the second attempt comes the third
	s.Reregistered(s.now, agentID, 0, nil)
	s.want("update t1 TASK_RUNNING")
}
