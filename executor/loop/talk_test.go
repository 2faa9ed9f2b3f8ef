package loop

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func (p *fakeProcess) Task() string { return p.id }

func (p *fakeProcess) Disk(context.Context) (uint64, error) { return 0, nil }

func (p *fakeProcess) Sample() (*tandemv1.UsageSample, error) {
	if p.id == "gone" {
		return nil, errors.New("it has ended")
	}
	return &tandemv1.UsageSample{TaskId: p.id}, nil
}

func (p *fakeProcess) Deliver(signal unix.Signal, all bool) error {
	if signal != unix.SIGUSR1 || !all {
		return errors.New("it does not want that")
	}
	return nil
}

// Attach is joined at once, and over when the context ends.
func (p *fakeProcess) Attach(ctx context.Context, o core.Open, joined func(error)) string {
	if o.Token == "" {
		joined(errors.New("nobody answers"))
		return ""
	}
	joined(nil)
	<-ctx.Done()
	return "the executor has ended"
}

// hear gives the executor a message, and returns what it says.
func (r *rig) hear(t *testing.T, m *tandemv1.ToExecutor) []*tandemv1.FromExecutor {
	t.Helper()
	data, err := talk.EncodeToExecutor(m)
	if err != nil {
		t.Fatal(err)
	}
	r.agent.say(&executor.Event{Type: executor.Event_MESSAGE, Message: &executor.Event_Message{Data: data}})
	synctest.Wait()
	return r.said(t)
}

// said returns what the executor has said since it was asked last.
func (r *rig) said(t *testing.T) []*tandemv1.FromExecutor {
	t.Helper()
	r.agent.mu.Lock()
	defer r.agent.mu.Unlock()
	var all []*tandemv1.FromExecutor
	for _, data := range r.agent.messages {
		m, err := talk.ParseFromExecutor(data)
		if err != nil {
			t.Error(err)
		}
		all = append(all, m)
	}
	r.agent.messages = nil
	return all
}

func TestTalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.run(t)
		r.agent.say(group("web", "gone"))
		synctest.Wait()
		ask := &tandemv1.ToExecutor{Ask: &tandemv1.ToExecutor_SampleUsage{SampleUsage: &tandemv1.SampleUsage{
			Interval: durationpb.New(time.Second), Lease: durationpb.New(2500 * time.Millisecond),
		}}}
		said := r.hear(t, ask)
		time.Sleep(10 * time.Second)
		said = append(said, r.said(t)...)
		if len(said) != 3 {
			t.Fatalf("%d messages came, want 3 of them within the lease: %v", len(said), said)
		}
		for _, m := range said {
			if s := m.GetSamples().GetSamples(); len(s) != 1 || s[0].TaskId != "web" {
				t.Errorf("got samples %v", s)
			}
		}

		signal := func(name string) string {
			said := r.hear(t, &tandemv1.ToExecutor{Request: 9, Ask: &tandemv1.ToExecutor_SendSignal{
				SendSignal: &tandemv1.SendSignal{TaskId: "web", Signal: name, All: true},
			}})
			if len(said) != 1 || said[0].GetAnswer().GetRequest() != 9 {
				t.Fatalf("%s is answered by %v", name, said)
			}
			return said[0].GetAnswer().GetProblem()
		}
		if problem := signal("SIGUSR1"); problem != "" {
			t.Errorf("SIGUSR1: %s", problem)
		}
		if problem := signal("SIGHUP"); problem != "it does not want that" {
			t.Errorf("SIGHUP: %q", problem)
		}

		session := func(task, token string) string {
			said := r.hear(t, &tandemv1.ToExecutor{Request: 10, Ask: &tandemv1.ToExecutor_OpenSession{
				OpenSession: &tandemv1.OpenSession{TaskId: task, Token: token},
			}})
			if len(said) != 1 || said[0].GetAnswer().GetRequest() != 10 {
				t.Fatalf("a session is answered by %v", said)
			}
			return said[0].GetAnswer().GetProblem()
		}
		if problem := session("web", "secret"); problem != "" {
			t.Errorf("a session: %s", problem)
		}
		if problem := session("web", ""); problem != "nobody answers" {
			t.Errorf("a session that cannot be joined: %q", problem)
		}

		// A message that the agent does not take is not sent again, and holds up
		// nothing.
		r.agent.SendFn = func(n int) error { return errors.New("not now") }
		if said := r.hear(t, ask); len(said) != 0 {
			t.Errorf("got %v", said)
		}
		r.agent.SendFn = nil
		r.tasks.process("web").end(core.Exit{})
		r.tasks.process("gone").end(core.Exit{})
		r.wantStates(t, "web", "TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED")
		r.wantEnd(t, "")
	})
}
