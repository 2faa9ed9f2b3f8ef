package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// talk plays the inputs that have to do with MESSAGE:
//
//	message TEXT
//	ask-samples [interval=2s] [lease=30s]
//	ask-signal TASK SIGNAL [all]
//	ask-session TASK
//	measured TASK...
//	done TASK [err=E]       of the request 7
//	closed TASK
func (s *script) talk(line, verb string, word func(int) string, options map[string]string) []string {
	ask := func(m *tandemv1.ToExecutor) []string {
		m.Request = 7
		data, err := talk.EncodeToExecutor(m)
		s.must(line, err)
		return s.step(Message{Data: data})
	}
	switch verb {
	case "message":
		return s.step(Message{Data: []byte(word(0))})
	case "ask-samples":
		u := &tandemv1.SampleUsage{}
		for key, to := range map[string]**durationpb.Duration{"interval": &u.Interval, "lease": &u.Lease} {
			if text, ok := options[key]; ok {
				d, err := time.ParseDuration(text)
				s.must(line, err)
				*to = durationpb.New(d)
			}
		}
		return ask(&tandemv1.ToExecutor{Ask: &tandemv1.ToExecutor_SampleUsage{SampleUsage: u}})
	case "ask-signal":
		return ask(&tandemv1.ToExecutor{Ask: &tandemv1.ToExecutor_SendSignal{
			SendSignal: &tandemv1.SendSignal{TaskId: word(0), Signal: word(1), All: word(2) == "all"},
		}})
	case "ask-session":
		return ask(&tandemv1.ToExecutor{Ask: &tandemv1.ToExecutor_OpenSession{
			OpenSession: &tandemv1.OpenSession{TaskId: word(0), Address: "http://scheduler/sessions/1", Token: "secret"},
		}})
	case "measured":
		in := Measured{}
		for i := 0; word(i) != ""; i++ {
			in.Samples = append(in.Samples, &tandemv1.UsageSample{TaskId: word(i)})
		}
		return s.step(in)
	case "done":
		return s.step(Done{Request: 7, Task: word(0), What: "something was done", Err: options["err"]})
	case "closed":
		return s.step(Closed{Task: word(0), How: "exit status 0"})
	default:
		s.t.Fatalf("unknown input %q", line)
		return nil
	}
}

// printTalk prints the effects that have to do with MESSAGE.
func (s *script) printTalk(e Effects) []string {
	var out []string
	printf := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if len(e.Measure) > 0 {
		var names []string
		for _, run := range e.Measure {
			names = append(names, s.names[run])
		}
		printf("measure %s", strings.Join(names, " "))
	}
	for _, d := range e.Deliveries {
		printf("deliver %s %s all=%v", s.names[d.Run], signalName(int(d.Signal)), d.All)
	}
	for _, o := range e.Opens {
		printf("open %s beside %s", o.Address, s.names[o.Run])
	}
	for _, call := range e.Says {
		m, err := talk.ParseFromExecutor(call.Message.Data)
		s.must("say", err)
		if a := m.GetAnswer(); a != nil {
			printf("MESSAGE answer %d %q", a.Request, a.Problem)
			continue
		}
		var names []string
		for _, sample := range m.GetSamples().GetSamples() {
			names = append(names, sample.TaskId)
		}
		printf("MESSAGE samples %s", strings.Join(names, " "))
	}
	return out
}

// FuzzMessage gives the core any bytes as a scheduler's MESSAGE while a task
// runs: they must neither bring it down nor touch what Mesos is told of the task.
func FuzzMessage(f *testing.F) {
	for _, m := range []*tandemv1.ToExecutor{
		{Request: 1, Ask: &tandemv1.ToExecutor_SampleUsage{SampleUsage: &tandemv1.SampleUsage{}}},
		{Request: 2, Ask: &tandemv1.ToExecutor_SendSignal{SendSignal: &tandemv1.SendSignal{TaskId: "web", Signal: "SIGHUP"}}},
		{Request: 3, Ask: &tandemv1.ToExecutor_OpenSession{OpenSession: &tandemv1.OpenSession{TaskId: "web", Address: "http://h/x"}}},
	} {
		data, err := talk.EncodeToExecutor(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		c, err := New(now, Config{
			ExecutorID: mesos.ExecutorID{Value: "e"}, FrameworkID: mesos.FrameworkID{Value: "f"},
			NewUUID: func() [16]byte { return [16]byte{6: 0x40, 8: 0x80} },
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Step(now, Subscribing{})
		c.Step(now, subscribedWith(nil))
		e := c.Step(now, Launched{Tasks: []mesos.TaskInfo{{
			TaskID: mesos.TaskID{Value: "web"}, Command: &mesos.CommandInfo{Value: proto.String("exec ./web")},
		}}})
		c.Step(now, Started{Run: e.Starts[0].Run})
		e = c.Step(now, Message{Data: data})
		if len(e.Sends) > 0 || len(e.Kills) > 0 || len(e.Signals) > 0 || e.End != nil {
			t.Errorf("a message has done more than it may: %+v", e)
		}
		for _, call := range e.Says {
			if _, err := talk.ParseFromExecutor(call.Message.Data); err != nil {
				t.Errorf("it is answered by what nobody understands: %v", err)
			}
		}
		for range 5 {
			next, ok := c.Next()
			if !ok {
				break
			}
			if next.After(now) {
				now = next
			}
			if c.Step(now, Ticked{}); c.talking.measuring {
				c.Step(now, Measured{})
			}
		}
	})
}
