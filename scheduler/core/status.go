package core

import (
	"encoding/binary"
	"math"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// The reasons of statuses that a master made up of what it knows of a task, as a
// record holds them: in answer to a question, and when an agent is back that it had
// given up.
const reconciled, reregistered = "RECONCILIATION", "AGENT_REREGISTERED"

// reportMagic marks TaskStatus.data as a TaskReport.
const reportMagic = 0x746e6472

// onUpdate takes in a status. It is acknowledged whatever it says, once what
// came of it is saved: an agent sends the next of a task's statuses only then.
// Statuses that the master made up have no uuid, and take no acknowledgement.
func (c *Core) onUpdate(s *mesos.TaskStatus) {
	if len(s.UUID) > 0 && s.AgentID != nil && c.subscribed {
		c.calls.acknowledge = append(c.calls.acknowledge, acknowledgement(s))
	}
	ref, known := c.findTask(s.TaskID.Value)
	if known && len(ref.attempt.rec.Volumes) > 0 {
		c.volumesStarted(ref.attempt, s) // also when the attempt was given up
	}
	switch {
	case !known:
		c.onStray(s, "no job asks for it")
		return
	case c.told(ref, s):
		return
	case ref.attempt.over():
		c.onStray(s, "its attempt is over")
		return
	}
	a, i := ref.attempt, ref.index
	c.answered(a, i)
	a.doubtful = false
	old, st := a.rec.Tasks[i], tandemv1.TaskState(s.GetState())
	switch {
	case state.Terminal(old.State):
		// A second terminal status changes nothing. A task that was given up and
		// runs after all does not get its place back, for its group has broken.
		if !state.Terminal(st) {
			c.onStray(s, "it was given up")
		}
		return
	case !outOfReach(st) && !outOfReach(old.State) && rank(st) < rank(old.State):
		return // older than what is known
	case st == old.State && s.GetReason() == mesos.REASON_RECONCILIATION:
		return
	}
	c.record(a, i, s)
	if s.GetReason() == reasonAgentDraining {
		c.operatorDrains(a.rec.AgentId)
	}
	if st == tandemv1.TaskState_TASK_ERROR {
		if why := c.refusedVolume(a); why != "" {
			c.editTask(a, i).Message = why // it is the cause of what the status says
		}
	}
	c.changed(a)
}

// acknowledgement makes a call and what it holds in one piece, for there is one
// with every update.
func acknowledgement(s *mesos.TaskStatus) *scheduler.Call {
	both := &struct {
		call scheduler.Call
		ack  scheduler.Call_Acknowledge
	}{
		scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE},
		scheduler.Call_Acknowledge{AgentID: *s.AgentID, TaskID: s.TaskID, UUID: s.UUID},
	}
	both.call.Acknowledge = &both.ack
	return &both.call
}

// told takes in the status that a task's end was reported by, when the end
// itself is known from the master already, which says that a task has ended, and
// neither how nor what it has used.
func (c *Core) told(ref taskRef, s *mesos.TaskStatus) bool {
	old := ref.attempt.rec.Tasks[ref.index]
	if len(s.UUID) == 0 || old.Reason != reconciled && old.Reason != reregistered || !state.Terminal(old.State) || old.State != tandemv1.TaskState(s.GetState()) {
		return false
	}
	a, in := ref.attempt, ref.attempt.instance
	_, before := a.outcome()
	c.record(a, ref.index, s)
	_, after := a.outcome()
	if in.rec.Attempt == a.rec.Attempt && in.rec.PhaseReason == before {
		c.setPhase(in, in.rec.Phase, after)
		c.touch(in.job)
	}
	c.noticeAttempt(Info, a, "%s", after).Task = old.TaskId
	return true
}

// rank orders the states that a task passes through.
func rank(s tandemv1.TaskState) int {
	switch s {
	case tandemv1.TaskState_TASK_STAGING:
		return 0
	case tandemv1.TaskState_TASK_STARTING:
		return 1
	case tandemv1.TaskState_TASK_RUNNING:
		return 2
	case tandemv1.TaskState_TASK_KILLING:
		return 3
	}
	return 4
}

// record writes a status into a task's record.
func (c *Core) record(a *attempt, i int, s *mesos.TaskStatus) {
	t := c.editTask(a, i)
	was := t.State
	t.State = tandemv1.TaskState(s.GetState())
	t.Message = strings.ToValidUTF8(s.GetMessage(), "\uFFFD")
	t.Reason, t.Source = "", ""
	if s.Reason != nil {
		t.Reason = reasonName(*s.Reason)
	}
	if s.Source != nil {
		t.Source = strings.TrimPrefix(s.Source.String(), "SOURCE_")
	}
	if s.Healthy != nil {
		t.Healthy = pointer(*s.Healthy)
	}
	if s.CheckStatus != nil {
		t.Ready = pointer(passed(s.CheckStatus))
	}
	t.Updated = c.stamp
	if s.Timestamp != nil {
		whole, part := math.Modf(*s.Timestamp)
		t.Updated = &timestamppb.Timestamp{Seconds: int64(whole), Nanos: int32(part*1e6) * 1000}
	}
	if t.Started == nil && t.State == tandemv1.TaskState_TASK_RUNNING {
		t.Started = t.Updated
	}
	if id := s.ContainerStatus.GetContainerID(); id != nil && id.Value != t.ContainerId {
		t.ContainerId = strings.Clone(id.Value) // or all that was read with it would be kept
	}
	restarts := t.Report.GetRestarts()
	if r := readReport(s.Data); r != nil {
		t.Report = r
	}
	if t.State == was && t.Report.GetRestarts() == restarts {
		return
	}
	level := Debug
	if t.State == was {
		level = Warn // The workload has failed, and not its task.
	}
	switch t.State {
	case tandemv1.TaskState_TASK_FAILED, tandemv1.TaskState_TASK_ERROR, tandemv1.TaskState_TASK_LOST,
		tandemv1.TaskState_TASK_DROPPED, tandemv1.TaskState_TASK_GONE, tandemv1.TaskState_TASK_GONE_BY_OPERATOR,
		tandemv1.TaskState_TASK_UNREACHABLE, tandemv1.TaskState_TASK_UNKNOWN:
		level = Warn
	}
	text := strings.TrimPrefix(t.State.String(), "TASK_")
	if t.Message != "" {
		text += ": " + headline(t.Message)
	}
	c.noticeAttempt(level, a, "%s is %s", t.Workload, text).Task = t.TaskId
}

var yes, no = true, false

// pointer is to a value that all records share: nobody changes what a record
// holds.
func pointer(b bool) *bool {
	if b {
		return &yes
	}
	return &no
}

// reasonName is a reason as a person reads it.
func reasonName(r mesos.TaskStatus_Reason) string {
	if r == reasonAgentDraining {
		return drainingReason
	}
	return strings.TrimPrefix(r.String(), "REASON_")
}

// readReport returns nil for data that is not a report.
func readReport(data []byte) *tandemv1.TaskReport {
	// Field 1 is a fixed32, so that a report starts with its tag and the magic.
	if len(data) < 5 || data[0] != 1<<3|5 || binary.LittleEndian.Uint32(data[1:]) != reportMagic {
		return nil
	}
	r := &tandemv1.TaskReport{}
	if err := proto.Unmarshal(data, r); err != nil {
		return nil
	}
	return r
}

// onFailed takes in the end of an executor or an agent. It only informs: what
// has become of the tasks comes by statuses of their own.
func (c *Core) onFailed(f Failed) {
	if f.ExecutorID != nil {
		text := "executor " + f.ExecutorID.Value + " has ended"
		c.notice(Debug, nil, "%s", text).Agent = f.AgentID.GetValue()
		c.executorEnded(f.AgentID.GetValue(), f.ExecutorID.Value)
		return
	}
	if f.AgentID != nil {
		c.notice(Warn, nil, "the master has removed agent %s: it is out of reach, or gone", c.hostname(f.AgentID.Value)).Agent = f.AgentID.Value
		c.agents.forget(f.AgentID.Value)
		delete(c.withheld.agents, f.AgentID.Value)
		c.hostFailed(f.AgentID.Value)
		c.agentFailed(f.AgentID.Value)
	}
}

func (c *Core) hostname(agent string) string {
	if a := c.agents.byID[agent]; a != nil {
		return a.place.Hostname
	}
	return agent
}
