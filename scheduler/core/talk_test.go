package core

import (
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// talk carries out the lines about single tasks and MESSAGE:
//
//	kill-task TASK | signal-task TASK SIGNAL [all] | open-session TASK
//	measure TASK|/JOB | upgrade-executor TASK
//	answer AGENT EXECUTOR [problem=P] [version=V] [request=N]   to the last question
//	samples AGENT EXECUTOR TASK...
//	said AGENT EXECUTOR TEXT
func (s *script) talk(words []string, options func(int) map[string]string) {
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	command := func(c Command) {
		s.id++
		c.ID = s.id
		s.step(c)
	}
	said := func(m *tandemv1.FromExecutor) {
		data, err := talk.EncodeFromExecutor(m)
		if err != nil {
			s.t.Fatal(err)
		}
		s.step(Told{AgentID: mesos.AgentID{Value: word(1)}, ExecutorID: mesos.ExecutorID{Value: word(2)}, Data: data})
	}
	switch words[0] {
	case "kill-task":
		command(Command{KillTask: &KillTask{TaskID: word(1)}})
	case "signal-task":
		command(Command{SignalTask: &SignalTask{TaskID: word(1), Signal: word(2), All: word(3) == "all"}})
	case "upgrade-executor":
		command(Command{Upgrade: &UpgradeExecutor{TaskID: word(1)}})
	case "open-session":
		command(Command{OpenSession: &OpenSession{TaskID: word(1), Address: "http://here/sessions/1", Token: "secret"}})
	case "measure":
		m := &Measure{TaskID: word(1)}
		if strings.HasPrefix(word(1), "/") {
			m = &Measure{JobID: word(1)}
		}
		command(Command{Measure: m})
	case "answer":
		last := s.last[scheduler.Call_MESSAGE]
		if last == nil {
			s.t.Fatal("nothing was asked")
		}
		asked, err := talk.ParseToExecutor(last.Message.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		a := &tandemv1.Answer{Request: asked.Request, Problem: strings.ReplaceAll(options(3)["problem"], "_", " "), Version: options(3)["version"]}
		if options(3)["request"] != "" {
			a.Request++
		}
		said(&tandemv1.FromExecutor{Word: &tandemv1.FromExecutor_Answer{Answer: a}})
	case "samples":
		u := &tandemv1.UsageSamples{}
		for _, task := range words[3:] {
			u.Samples = append(u.Samples, &tandemv1.UsageSample{TaskId: task, Time: timestamppb.New(s.now), Usage: &tandemv1.Usage{}})
		}
		said(&tandemv1.FromExecutor{Word: &tandemv1.FromExecutor_Samples{Samples: u}})
	case "said":
		s.step(Told{AgentID: mesos.AgentID{Value: word(1)}, ExecutorID: mesos.ExecutorID{Value: word(2)}, Data: []byte(word(3))})
	default:
		s.t.Fatalf("unknown input %q", words[0])
	}
}

func describeMessage(add func(string, ...any), m *scheduler.Call_Message) {
	to, err := talk.ParseToExecutor(m.Data)
	if err != nil {
		add("MESSAGE that nobody understands: %v", err)
		return
	}
	where := m.ExecutorID.Value + " on " + m.AgentID.Value
	switch {
	case to.GetSampleUsage() != nil:
		add("MESSAGE to %s: samples every %s for %s", where, to.GetSampleUsage().Interval.AsDuration(), to.GetSampleUsage().Lease.AsDuration())
	case to.GetSendSignal() != nil:
		add("MESSAGE to %s: signal %s to %s all=%t", where, to.GetSendSignal().Signal, to.GetSendSignal().TaskId, to.GetSendSignal().All)
	case to.GetUpgradeExecutor() != nil:
		add("MESSAGE to %s: be %.12s from %s", where, to.GetUpgradeExecutor().Sha256, to.GetUpgradeExecutor().Uri)
	case to.GetOpenSession() != nil:
		add("MESSAGE to %s: open %s beside %s", where, to.GetOpenSession().Address, to.GetOpenSession().TaskId)
	}
}

// FuzzTold gives the core any bytes as an executor's MESSAGE while its task
// runs and a question is open: whatever they say, nothing is saved or called.
func FuzzTold(f *testing.F) {
	for _, m := range []*tandemv1.FromExecutor{
		{Word: &tandemv1.FromExecutor_Answer{Answer: &tandemv1.Answer{Request: 1, Problem: "no"}}},
		{Word: &tandemv1.FromExecutor_Samples{Samples: &tandemv1.UsageSamples{Samples: []*tandemv1.UsageSample{
			{TaskId: "web.0.1.web", Time: timestamppb.New(epoch), Usage: &tandemv1.Usage{}},
		}}}},
	} {
		data, err := talk.EncodeFromExecutor(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := New(testConfig(), state.Snapshot{})
		now := epoch
		step := func(in Input) Effects {
			now = now.Add(time.Second)
			return c.Step(now, in)
		}
		step(Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}})
		step(Command{ID: 1, Submit: &Submit{Job: parseJob(t, []string{"/web", "service", "1"})}})
		step(Offers{[]mesos.Offer{parseOffer(t, epoch, "o1", "S1:cpus=4,mem=1024,disk=1000")}})
		running := mesos.TASK_RUNNING
		step(Updated{&mesos.TaskStatus{TaskID: mesos.TaskID{Value: "web.0.1.web"}, AgentID: &mesos.AgentID{Value: "S1"}, State: &running, UUID: []byte{1}}})
		if e := step(Command{ID: 2, SignalTask: &SignalTask{TaskID: "web.0.1.web", Signal: "SIGHUP"}}); len(e.Calls) != 1 {
			t.Fatalf("the task does not run: %v", describe(e, now))
		}
		e := step(Told{AgentID: mesos.AgentID{Value: "S1"}, ExecutorID: mesos.ExecutorID{Value: "web.0.1"}, Data: data})
		if len(e.Save)+len(e.Calls) > 0 {
			t.Errorf("a message does more than it may: %v", describe(e, now))
		}
		for _, s := range e.Samples {
			if s.TaskId != "web.0.1.web" || !plausible(s) {
				t.Errorf("a sample was let through: %v", s)
			}
		}
	})
}
