package loop

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// fakeUpgrader notes what it is asked for. Its rehearsals end when the test says how,
// one after the other, and its programs cannot be executed.
type fakeUpgrader struct {
	mu         sync.Mutex
	did        []string
	rehearsals []chan error
}

func (f *fakeUpgrader) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, what)
}

func (f *fakeUpgrader) Prepare(_ context.Context, p core.Prepare) (bool, error) {
	f.note("prepare " + p.URI)
	return false, nil
}

func (f *fakeUpgrader) Suspend(map[core.Run]Process) error { f.note("suspend"); return nil }
func (f *fakeUpgrader) Resume()                            { f.note("resume") }
func (f *fakeUpgrader) Dismiss()                           { f.note("dismiss") }

func (f *fakeUpgrader) Rehearse(context.Context, core.State) (func() error, error) {
	f.note("rehearse")
	result := make(chan error)
	f.rehearsals = append(f.rehearsals, result)
	return func() error { return <-result }, nil
}

func (f *fakeUpgrader) Replace(core.State) error {
	f.note("replace")
	return errors.New("exec format error")
}

// want compares what it was asked for since the last want.
func (f *fakeUpgrader) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.did, want) {
		t.Errorf("it was asked for %q, want %q", f.did, want)
	}
	f.did = nil
}

// upgrade asks for a program.
func (r *rig) upgrade(t *testing.T, request uint64, uri string) {
	t.Helper()
	data, err := talk.EncodeToExecutor(&tandemv1.ToExecutor{Request: request, Ask: &tandemv1.ToExecutor_UpgradeExecutor{
		UpgradeExecutor: &tandemv1.UpgradeExecutor{Uri: uri, Sha256: "ab"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.agent.say(&executor.Event{Type: executor.Event_MESSAGE, Message: &executor.Event_Message{Data: data}})
}

// wantAnswer looks at why a request has not been fulfilled.
func (r *rig) wantAnswer(t *testing.T, request uint64, want string) {
	t.Helper()
	synctest.Wait()
	r.agent.mu.Lock()
	defer r.agent.mu.Unlock()
	for _, data := range r.agent.messages {
		if m, err := talk.ParseFromExecutor(data); err == nil && m.GetAnswer().GetRequest() == request {
			if !strings.Contains(m.GetAnswer().GetProblem(), want) {
				t.Errorf("request %d: %v, want %q", request, m, want)
			}
			return
		}
	}
	t.Errorf("request %d has no answer", request)
}

func TestRehearsalHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := newRig(), &fakeUpgrader{}
		r.upgrader = f
		r.run(t)
		r.agent.say(group("web"))
		r.agent.say(group("other"))
		r.wantStates(t, "web", "TASK_STARTING", "TASK_RUNNING")
		r.upgrade(t, 1, "new")
		f.want(t, "prepare new", "suspend", "rehearse", "resume")
		r.agent.say(kill("web"))
		synctest.Wait()
		if got := r.agent.got("web"); got[len(got)-1] != "TASK_KILLED" {
			t.Errorf("while a program is tried a task that is to be killed has %v", got)
		}
		time.Sleep(time.Second)
		f.want(t) // One rehearsal at a time.
		f.rehearsals[0] <- nil
		f.want(t, "suspend", "replace", "resume", "dismiss")
		time.Sleep(time.Second) // It subscribes again.
		r.wantAnswer(t, 1, "exec format error")
		r.stop()
		<-r.result
	})
}

func TestRehearsalOfAnEarlierProgramIsNotTheNextOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := newRig(), &fakeUpgrader{}
		r.upgrader = f
		r.run(t)
		r.agent.say(group("web"))
		r.wantStates(t, "web", "TASK_STARTING", "TASK_RUNNING")
		r.upgrade(t, 1, "hangs")
		time.Sleep(61 * time.Second)
		f.want(t, "prepare hangs", "suspend", "rehearse", "resume", "dismiss")
		r.wantAnswer(t, 1, "within 1m0s")
		r.upgrade(t, 2, "fails")
		f.want(t, "prepare fails", "suspend", "rehearse", "resume")
		f.rehearsals[0] <- nil
		f.want(t)
		f.rehearsals[1] <- errors.New("it cannot read the state")
		f.want(t, "dismiss")
		r.wantAnswer(t, 2, "it cannot read the state")
		r.stop()
		<-r.result
	})
}
