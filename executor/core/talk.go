package core

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// maxSessions bounds the commands that are run beside tasks at one time.
const maxSessions = 16

// Deliver asks for a signal that a person wants sent. Done answers it.
type Deliver struct {
	Request uint64
	Run     Run
	Signal  unix.Signal
	// All sends it to every process of the task, and not only to the main one.
	All bool
}

// Open asks for the scheduler to be called back at an address, and for the
// command that it then names to be run beside a task. Done answers it once the
// scheduler has been reached, or cannot be, and Closed when nothing of it is left.
type Open struct {
	Request        uint64
	Run            Run
	Task           string
	Address, Token string
}

type (
	// Measured answers a Measure.
	Measured struct{ Samples []*tandemv1.UsageSample }
	// Done answers a Deliver or an Open. Err is empty when all went well.
	Done struct {
		Request uint64
		// Task is whose it was, for the log.
		Task string
		// What was asked for, in a few words.
		What string
		Err  string
	}
	// Closed says that nothing is left of an Open.
	Closed struct {
		Task string
		// How it ended, in a few words; empty where it never began.
		How string
	}
)

func (Measured) isInput() {}
func (Done) isInput()     {}
func (Closed) isInput()   {}

// talking is what the scheduler has asked for beside Mesos's own calls. None of
// it outlives its purpose, and none is reported to Mesos.
type talking struct {
	// Samples are sent every interval until a time, and the next is due at next.
	// All are zero when nobody asks.
	interval    time.Duration
	until, next time.Time
	// measuring says that a Measure is under way.
	measuring bool
	// asked counts the deliveries, and the sessions that are being opened, of
	// which there is no news yet.
	asked int
	// sessions counts those that are open, or being opened.
	sessions int
}

// heard takes in event MESSAGE. What is not for this program, or not to be
// understood, is ignored but for a line in the log.
func (c *Core) heard(data []byte) {
	m, err := talk.ParseToExecutor(data)
	if err != nil {
		level := Info
		if errors.Is(err, talk.ErrStranger) {
			level = Debug // Another scheduler may have its own.
		}
		c.note(level, nil, "ignored %d bytes of a MESSAGE: %v", len(data), err)
		return
	}
	switch {
	case m.GetSampleUsage() != nil:
		c.sample(m.GetSampleUsage())
	case m.GetSendSignal() != nil:
		c.sendSignal(m.Request, m.GetSendSignal())
	case m.GetOpenSession() != nil:
		c.openSession(m.Request, m.GetOpenSession())
	case m.GetUpgradeExecutor() != nil:
		c.upgradeAsked(m.Request, m.GetUpgradeExecutor())
	}
}

// sample begins to send samples, or changes how.
func (c *Core) sample(ask *tandemv1.SampleUsage) {
	s := &c.talking
	interval, lease := talk.Bounds(ask)
	if next := c.now.Add(interval); s.next.IsZero() {
		s.next = c.now
	} else if next.Before(s.next) {
		s.next = next
	}
	s.interval, s.until = interval, c.now.Add(lease)
	c.sampleIfDue()
}

// samplesAt returns when the next samples are due, or zero.
func (c *Core) samplesAt() time.Time {
	if c.talking.measuring {
		return time.Time{}
	}
	return c.talking.next
}

// sampleIfDue measures what runs, as long as somebody wants to know.
func (c *Core) sampleIfDue() {
	s := &c.talking
	if !due(c.samplesAt(), c.now) {
		return
	}
	if !c.connected || s.until.Before(c.now) {
		s.next = time.Time{}
		return
	}
	if c.holding() {
		s.next = c.now.Add(s.interval)
		return
	}
	s.next = c.now.Add(s.interval)
	for _, t := range c.inOrder() {
		if t.phase == running {
			c.out.Measure = append(c.out.Measure, t.run)
		}
	}
	s.measuring = len(c.out.Measure) > 0
}

func (c *Core) measured(in Measured) {
	c.talking.measuring = false
	for _, m := range talk.Pack(in.Samples) {
		c.say(m)
	}
}

// say tells the scheduler something, once.
func (c *Core) say(m *tandemv1.FromExecutor) {
	if !c.connected {
		return
	}
	data, err := talk.EncodeFromExecutor(m)
	if err != nil {
		c.note(Warn, nil, "cannot say something to the scheduler: %v", err)
		return
	}
	call := c.call(executor.Call_MESSAGE)
	call.Message = &executor.Call_Message{Data: data}
	c.out.Says = append(c.out.Says, call)
}

// answer says what became of a request.
func (c *Core) answer(request uint64, problem string) {
	c.answerWith(answer{request: request, problem: problem})
}

func (c *Core) answerWith(a answer) {
	if a.request == 0 {
		return
	}
	c.say(&tandemv1.FromExecutor{Word: &tandemv1.FromExecutor_Answer{Answer: &tandemv1.Answer{
		Request: a.request, Problem: strings.ToValidUTF8(a.problem, "\uFFFD"), Version: a.version,
	}}})
}

// runningTask returns a task that runs, or answers why there is none.
func (c *Core) runningTask(request uint64, id string) *task {
	t := c.tasks[id]
	switch {
	case t == nil:
		c.answer(request, "there is no task "+id+" in this executor")
	case t.ended():
		c.answer(request, "task "+id+" has ended")
	case t.phase == resting:
		c.answer(request, "task "+id+" is to be started again, and does not run at this moment")
	case t.phase != running:
		c.answer(request, "task "+id+" does not run yet")
	default:
		return t
	}
	return nil
}

func (c *Core) sendSignal(request uint64, ask *tandemv1.SendSignal) {
	signal := unix.SignalNum(ask.Signal)
	if signal == 0 {
		c.answer(request, fmt.Sprintf("unknown signal %q: give a name such as SIGUSR1", ask.Signal))
		return
	}
	if t := c.runningTask(request, ask.TaskId); t != nil {
		c.talking.asked++
		c.out.Deliveries = append(c.out.Deliveries, Deliver{Request: request, Run: t.run, Signal: signal, All: ask.All})
	}
}

func (c *Core) openSession(request uint64, ask *tandemv1.OpenSession) {
	t := c.runningTask(request, ask.TaskId)
	switch {
	case t == nil:
		return
	case c.closing != nil:
		c.answer(request, "the executor ends")
		return
	case c.holding():
		c.answer(request, "the executor is being replaced; try again in a moment")
		return
	case t.kill != nil:
		c.answer(request, "task "+t.id+" is being ended")
		return
	case c.talking.sessions >= maxSessions:
		c.answer(request, fmt.Sprintf("%d sessions are open in this executor, which is as many as there may be", maxSessions))
		return
	}
	c.talking.sessions++
	c.talking.asked++
	c.out.Opens = append(c.out.Opens, Open{Request: request, Run: t.run, Task: t.id, Address: ask.Address, Token: ask.Token})
}

// done passes on what became of a Deliver or an Open.
func (c *Core) done(in Done) {
	c.talking.asked--
	t := c.tasks[in.Task]
	if in.Err != "" {
		c.note(Warn, t, "%s, as the scheduler asked: %s", in.What, in.Err)
	} else {
		c.note(Info, t, "%s, as the scheduler asked", in.What)
	}
	c.answer(in.Request, in.Err)
}

func (c *Core) closed(in Closed) {
	c.talking.sessions--
	if in.How != "" {
		c.note(Info, c.tasks[in.Task], "a session is over: %s", in.How)
	}
}
