package loop_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
)

// fakeSecrets holds values by name; a name without one cannot be read.
type fakeSecrets struct {
	mu     sync.Mutex
	names  []string
	values map[string]string
	err    error
}

func (s *fakeSecrets) set(err error, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names, s.err = names, err
}

func (s *fakeSecrets) Names() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names, s.err
}

func (s *fakeSecrets) Value(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.values[name]
	if !ok {
		return nil, errors.New("cannot read secret " + name)
	}
	return []byte(value), nil
}

// TestSecrets: the core knows names and is told of others; a call has values
// when it leaves, and none when it comes back.
func TestSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// What is sent and what the core is told happen side by side.
		s, sent := &script{}, &script{}
		m := newMaster(nil)
		secrets := &fakeSecrets{values: map[string]string{"db": "s3cret"}}
		secrets.set(nil, "db")
		launch := func(name string) *scheduler.Call {
			return &scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{Operations: []mesos.Offer_Operation{{
				LaunchGroup: &mesos.Offer_Operation_LaunchGroup{TaskGroup: mesos.TaskGroupInfo{Tasks: []mesos.TaskInfo{{
					Command: &mesos.CommandInfo{Environment: &mesos.Environment{Variables: []mesos.Environment_Variable{{
						Name: "PASSWORD", Type: mesos.Environment_Variable_SECRET.Enum(),
						Secret: &mesos.Secret{Type: mesos.Secret_REFERENCE, Reference: &mesos.Secret_Reference{Name: name}},
					}}}},
				}}}},
			}}}}
		}
		shown := func(c *scheduler.Call) string {
			v := c.Accept.Operations[0].LaunchGroup.TaskGroup.Tasks[0].Command.Environment.Variables[0]
			return v.Secret.GetReference().GetName() + "=" + string(v.Secret.GetValue().GetData())
		}
		l := start(t, loop.Options{Secrets: secrets, Core: &fakeCore{StepFn: func(_ time.Time, in core.Input) core.Effects {
			switch in := in.(type) {
			case core.SecretsHeld:
				s.say("held %v", in.Names)
			case core.Subscribed:
				s.say("subscribed")
				return core.Effects{Calls: []*scheduler.Call{launch("gone"), launch("db"), call(scheduler.Call_REVIVE)}}
			case core.CallFailed:
				s.say("failed %s: %s, uncertain=%t", shown(in.Call), in.Reason, in.Uncertain)
			}
			return core.Effects{}
		}}}, m)
		m.SendFn = func(c *scheduler.Call) error {
			if c.Accept == nil {
				return nil
			}
			sent.say("%s", shown(c))
			return errors.New("connection reset")
		}
		m.next().subscribed("77a7fa47-0002")
		settle()
		secrets.set(nil, "db", "key")
		time.Sleep(2 * time.Second)
		settle()
		secrets.set(errors.New("cannot list the secrets: permission denied"))
		time.Sleep(10 * time.Second)
		settle()
		secrets.set(nil, "db")
		time.Sleep(2 * time.Second)
		settle()
		equal(t, "what happened", s.take(), `held [db]
subscribed
failed gone=: variable PASSWORD: cannot read secret gone, uncertain=false
failed db=: connection reset, uncertain=true
held [db key]
held [db]`)
		equal(t, "what was sent", sent.take(), "=s3cret")
		if text := l.logged(); strings.Count(text, "cannot list the secrets: permission denied") != 1 || strings.Contains(text, "s3cret") {
			t.Errorf("the log is\n%s", text)
		}
	})
}
