package core

import (
	"errors"
	"fmt"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Told is event MESSAGE.
type Told struct {
	AgentID    mesos.AgentID
	ExecutorID mesos.ExecutorID
	Data       []byte
}

func (Told) isInput() {}

// KillTask ends one task by its kill policy. What follows is for the restart
// policy, as if somebody else had killed it.
type KillTask struct{ TaskID string }

// SignalTask sends a signal to a running task. Its Reply comes with the
// executor's answer, or when none came in time.
type SignalTask struct {
	TaskID, Signal string
	All            bool
}

// OpenSession has the executor of a running task call the scheduler back. Its
// Reply comes like that of SignalTask.
type OpenSession struct{ TaskID, Address, Token string }

// Measure has running tasks measured for a while: one, those of a job, or with
// neither all. What they use comes as Effects.Samples.
type Measure struct{ TaskID, JobID string }

const (
	// answerTimeout is how long an executor may take over an Answer, and
	// upgradeTimeout how long when it replaces itself before: the program is fetched
	// and tried, and a moment waited for, a minute each at the most.
	answerTimeout  = 10 * time.Second
	upgradeTimeout = 150 * time.Second
	// maxMeasured bounds how many executors one Measure asks: each costs the
	// master a call and a message every few seconds.
	maxMeasured = 500
	// A lease is renewed when half of it is over.
	measureInterval, measureLease = talk.DefaultInterval, talk.DefaultLease
)

// asking is a question to an executor.
type asking struct {
	request uint64
	command uint64
	// agent and executor are who may answer.
	agent, executor string
	task            string
	patience        time.Duration
	timer           timer
	// done is called with the answer when the executor has done it; nil for nothing
	// to do.
	done func(*tandemv1.Answer, *Reply)
}

// fired gives up waiting.
func (a *asking) fired(c *Core) {
	c.reply(a, Reply{Refused: &Refused{Unanswered, fmt.Sprintf("the executor of task %s has not answered within %s: either its agent cannot be reached, "+
		"or the executor is older than this scheduler", a.task, a.patience)}}, false)
}

func (c *Core) refuse(a *asking, reason string) {
	c.reply(a, Reply{Refused: &Refused{Conflict, reason}}, true)
}

// reply answers the command. What has become of it may not be certain.
func (c *Core) reply(a *asking, r Reply, certain bool) {
	c.timers.unset(&a.timer)
	delete(c.askings, a.request)
	r.ID = a.command
	c.replies = append(c.replies, r)
	if q := c.taken.open[a.command]; q != nil {
		c.answerRequest(q, r, certain)
	}
}

// askExecutor sends an executor a question, whose answer is the command's reply.
func (c *Core) askExecutor(command uint64, ref taskRef, m *tandemv1.ToExecutor) *Refused {
	return c.askPatiently(&asking{command: command, patience: answerTimeout}, ref, m)
}

// askPatiently is askExecutor for a question that says itself who has asked, and
// how long the answer may take.
func (c *Core) askPatiently(a *asking, ref taskRef, m *tandemv1.ToExecutor) *Refused {
	a.request = c.random.Uint64() | 1
	a.agent, a.executor = ref.attempt.rec.AgentId, ref.attempt.rec.ExecutorId
	a.task = ref.attempt.rec.Tasks[ref.index].TaskId
	m.Request = a.request
	if refused := c.tell(ref.attempt, m); refused != nil {
		return refused
	}
	a.timer.owner = a
	c.askings[a.request] = a
	c.timers.set(&a.timer, c.now.Add(a.patience))
	return nil
}

// tell sends an executor a message.
func (c *Core) tell(a *attempt, m *tandemv1.ToExecutor) *Refused {
	if !c.subscribed {
		return &Refused{Conflict, "the scheduler is not subscribed with a master, so that no executor can be told anything"}
	}
	data, err := talk.EncodeToExecutor(m)
	if err != nil {
		return &Refused{Conflict, err.Error()}
	}
	c.calls.talk = append(c.calls.talk, &scheduler.Call{Type: scheduler.Call_MESSAGE, Message: &scheduler.Call_Message{
		AgentID: mesos.AgentID{Value: a.rec.AgentId}, ExecutorID: mesos.ExecutorID{Value: a.rec.ExecutorId}, Data: data,
	}})
	return nil
}

// liveTask returns a task that has not ended, and whose agent can be reached.
func (c *Core) liveTask(id string) (taskRef, *Refused) {
	ref, known := c.findTask(id)
	if !known {
		return ref, &Refused{NotFound, fmt.Sprintf("there is no task %s, or not any more", id)}
	}
	switch st := ref.attempt.rec.Tasks[ref.index].State; {
	case state.Terminal(st) || ref.attempt.over():
		return ref, &Refused{Conflict, fmt.Sprintf("task %s has ended", id)}
	case outOfReach(st):
		return ref, &Refused{Conflict, fmt.Sprintf("the agent of task %s cannot be reached", id)}
	}
	return ref, nil
}

// runningTask returns a task that can be talked about with its executor.
func (c *Core) runningTask(id string) (taskRef, *Refused) {
	ref, refused := c.liveTask(id)
	if refused != nil {
		return ref, refused
	}
	switch ref.attempt.rec.Tasks[ref.index].State {
	case tandemv1.TaskState_TASK_RUNNING, tandemv1.TaskState_TASK_KILLING:
		return ref, nil
	}
	return ref, &Refused{Conflict, fmt.Sprintf("task %s does not run yet", id)}
}

// converse carries out the commands about single tasks. It reports false where
// the reply comes later.
func (c *Core) converse(cmd Command, r *Reply) bool {
	switch {
	case cmd.KillTask != nil:
		r.Refused = c.killTask(cmd.KillTask)
	case cmd.Measure != nil:
		c.measure(cmd.Measure, r)
	case cmd.Upgrade != nil:
		return c.upgradeExecutor(cmd.ID, cmd.Upgrade, r)
	case cmd.SignalTask != nil:
		s := cmd.SignalTask
		ref, refused := c.runningTask(s.TaskID)
		if refused == nil {
			refused = c.askExecutor(cmd.ID, ref, &tandemv1.ToExecutor{Ask: &tandemv1.ToExecutor_SendSignal{
				SendSignal: &tandemv1.SendSignal{TaskId: s.TaskID, Signal: s.Signal, All: s.All},
			}})
		}
		if refused == nil {
			c.noticeTask(ref, "to be sent %s, as somebody asked", s.Signal)
			return false
		}
		r.Refused = refused
	case cmd.OpenSession != nil:
		s := cmd.OpenSession
		ref, refused := c.runningTask(s.TaskID)
		if refused == nil {
			refused = c.askExecutor(cmd.ID, ref, &tandemv1.ToExecutor{Ask: &tandemv1.ToExecutor_OpenSession{
				OpenSession: &tandemv1.OpenSession{TaskId: s.TaskID, Address: s.Address, Token: s.Token},
			}})
		}
		if refused == nil {
			return false
		}
		r.Refused = refused
	}
	return true
}

func (c *Core) noticeTask(ref taskRef, format string, args ...any) {
	c.noticeAttempt(Info, ref.attempt, format, args...).Task = ref.attempt.rec.Tasks[ref.index].TaskId
}

// killTask sends KILL until the task has ended, as for a stray one. That is
// forgotten with the process: whoever asked can ask again.
func (c *Core) killTask(k *KillTask) *Refused {
	ref, refused := c.liveTask(k.TaskID)
	switch {
	case refused != nil:
		return refused
	case !c.subscribed:
		return &Refused{Conflict, "the scheduler is not subscribed with a master, so that no task can be killed"}
	}
	c.noticeTask(ref, "to be killed, as somebody asked")
	s := c.strays[k.TaskID]
	if s == nil {
		s = &stray{task: k.TaskID, agent: ref.attempt.rec.AgentId, asked: true}
		s.timer.owner = s
		c.strays[k.TaskID] = s
	}
	c.callKill(s.task, s.agent)
	s.kills = 1
	c.timers.set(&s.timer, c.now.Add(ref.attempt.grace()+c.retryDelay(0)))
	return nil
}

// hasEnded reports whether a task that was to be killed is known to have ended.
func (c *Core) hasEnded(task string) bool {
	ref, known := c.findTask(task)
	return known && (ref.attempt.over() || state.Terminal(ref.attempt.rec.Tasks[ref.index].State))
}

// measure asks for samples where nobody has for a while.
func (c *Core) measure(m *Measure, r *Reply) {
	var attempts []*attempt
	of := func(j *job) {
		for _, in := range j.instances {
			if in != nil && in.live != nil && !in.live.over() {
				attempts = append(attempts, in.live)
			}
		}
	}
	switch j := c.jobs[m.JobID]; {
	case m.TaskID != "":
		ref, refused := c.liveTask(m.TaskID)
		if refused != nil {
			r.Refused = refused
			return
		}
		attempts = []*attempt{ref.attempt}
	case m.JobID == "":
		for _, id := range sortedKeys(c.jobs) {
			of(c.jobs[id])
		}
	case j == nil:
		r.Refused = &Refused{NotFound, "there is no job " + m.JobID}
		return
	default:
		of(j)
	}
	if len(attempts) > maxMeasured {
		for _, a := range attempts[maxMeasured:] {
			r.LeftOut += int32(a.open)
		}
		attempts = attempts[:maxMeasured]
	}
	now := c.now.UnixNano()
	for _, a := range attempts {
		if !a.runs() || a.measuredUntil-now > int64(measureLease/2) {
			continue
		}
		refused := c.tell(a, &tandemv1.ToExecutor{Ask: &tandemv1.ToExecutor_SampleUsage{SampleUsage: &tandemv1.SampleUsage{
			Interval: durationpb.New(measureInterval), Lease: durationpb.New(measureLease),
		}}})
		if refused == nil {
			a.measuredUntil = now + int64(measureLease)
		}
	}
}

// runs reports whether a task of the attempt runs, so that its executor listens.
func (a *attempt) runs() bool {
	for _, t := range a.rec.Tasks {
		if t.State == tandemv1.TaskState_TASK_RUNNING || t.State == tandemv1.TaskState_TASK_KILLING {
			return true
		}
	}
	return false
}

// onTold takes in what an executor says. It is believed of its own tasks only.
func (c *Core) onTold(in Told) {
	m, err := talk.ParseFromExecutor(in.Data)
	if err != nil {
		level := Info
		if errors.Is(err, talk.ErrStranger) {
			level = Debug
		}
		n := c.notice(level, nil, "ignored %d bytes of a MESSAGE of executor %s: %v", len(in.Data), in.ExecutorID.Value, err)
		n.Agent = in.AgentID.Value
		return
	}
	if a := m.GetAnswer(); a != nil {
		c.onAnswer(in, a)
		return
	}
	strange := 0
	for _, s := range m.GetSamples().GetSamples() {
		ref, known := c.findTask(s.TaskId)
		if !known || ref.attempt.over() || ref.attempt.rec.ExecutorId != in.ExecutorID.Value || ref.attempt.rec.AgentId != in.AgentID.Value {
			strange++
			continue
		}
		if !plausible(s) {
			strange++
			continue
		}
		c.samples = append(c.samples, s)
	}
	if strange > 0 {
		n := c.notice(Debug, nil, "ignored %d samples of executor %s: they are not of tasks that it runs, or make no sense", strange, in.ExecutorID.Value)
		n.Agent = in.AgentID.Value
	}
}

// plausible reports whether readers can do something with a sample.
func plausible(s *tandemv1.UsageSample) bool {
	sane := func(d *durationpb.Duration) bool { return d == nil || d.IsValid() && d.AsDuration() >= 0 }
	u := s.GetUsage()
	return s.Time.IsValid() && s.Time.AsTime().After(time.Unix(0, 0)) && u != nil &&
		sane(u.CpuTime) && sane(u.WallTime) && sane(u.ThrottledTime) && len(u.Source) < 32
}

func (c *Core) onAnswer(in Told, answer *tandemv1.Answer) {
	a := c.askings[answer.Request]
	if a == nil || a.agent != in.AgentID.Value || a.executor != in.ExecutorID.Value {
		c.notice(Debug, nil, "ignored an answer of executor %s that nobody waits for", in.ExecutorID.Value).Agent = in.AgentID.Value
		return
	}
	if answer.Problem == "" {
		var r Reply
		if a.done != nil {
			a.done(answer, &r)
		}
		c.reply(a, r, true)
		return
	}
	const most = 1000
	problem := []rune(answer.Problem)
	c.refuse(a, strings.TrimSpace(string(problem[:min(len(problem), most)])))
}

// messageFailed is told of a MESSAGE that did not reach the master.
func (c *Core) messageFailed(f CallFailed) {
	m, err := talk.ParseToExecutor(f.Call.Message.Data)
	if err != nil {
		return
	}
	if a := c.askings[m.Request]; a != nil && !f.Uncertain {
		c.refuse(a, "the master did not take the question to the executor: "+f.Reason)
	}
}
