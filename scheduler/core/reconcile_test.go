package core

import (
	"slices"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/scheduler/state"
)

// TestReconciliationWaitsForAnswers: the next questions go out when half of the
// ones before are answered, or when the pace has passed without that; and the
// question that names no task follows the last of them.
func TestReconciliationWaitsForAnswers(t *testing.T) {
	cfg := testConfig()
	cfg.ReconcileBatch = 4
	c := New(cfg, state.Snapshot{})
	c.Step(epoch, Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}})
	c.Step(epoch, Command{ID: 1, Submit: &Submit{Job: benchJob("/web", 12)}})
	var tasks []string
	running, executor, master := mesos.TASK_RUNNING, mesos.SOURCE_EXECUTOR, mesos.SOURCE_MASTER
	for _, call := range c.Step(epoch, Offers{benchOffers(1, 0)}).Calls {
		for _, op := range call.GetAccept().GetOperations() {
			id := op.LaunchGroup.TaskGroup.Tasks[0].TaskID
			tasks = append(tasks, id.Value)
			c.Step(epoch, Updated{&mesos.TaskStatus{TaskID: id, AgentID: &mesos.AgentID{Value: "S0"}, State: &running, Source: &executor, UUID: []byte("u")}})
		}
	}
	if len(tasks) != 12 {
		t.Fatalf("%d tasks were launched", len(tasks))
	}
	answer := func(task string) Input {
		reason := mesos.REASON_RECONCILIATION
		return Updated{&mesos.TaskStatus{TaskID: mesos.TaskID{Value: task}, AgentID: &mesos.AgentID{Value: "S0"}, State: &running, Source: &master, Reason: &reason}}
	}
	now := epoch.Add(time.Minute)
	c.Step(now, Disconnected{})
	// asked steps and returns the number of tasks in each question.
	asked := func(in Input) (lengths []int) {
		for _, call := range c.Step(now, in).Calls {
			if call.Type == scheduler.Call_RECONCILE {
				lengths = append(lengths, len(call.Reconcile.Tasks))
			}
		}
		return lengths
	}
	for _, step := range []struct {
		what  string
		after time.Duration
		in    Input
		want  []int
	}{
		{"subscribed", 0, Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}}, []int{4}},
		{"one answer", 0, answer(tasks[0]), nil},
		{"the same again", 0, answer(tasks[0]), nil},
		{"time passes", time.Millisecond, Ticked{}, nil},
		{"half of the answers", 0, answer(tasks[1]), nil},
		{"the step after", 0, Ticked{}, []int{4}},
		{"no more answers", 99 * time.Millisecond, Ticked{}, nil},
		{"for the whole pace", time.Millisecond, Ticked{}, []int{4, 0}},
		{"late answers", time.Millisecond, answer(tasks[2]), nil},
		{"a long time", time.Second, Ticked{}, nil},
	} {
		now = now.Add(step.after)
		if got := asked(step.in); !slices.Equal(got, step.want) {
			t.Errorf("%s: asked about %v tasks, want %v", step.what, got, step.want)
		}
	}
}
