package loop_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// TestCourse: metrics tell how long instances wait and take to start, and how
// tasks end, each once; and nothing of what was so before the start.
func TestCourse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		at := func(seconds int) *timestamppb.Timestamp {
			return timestamppb.New(begin.Add(time.Duration(seconds) * time.Second))
		}
		in := func(slot int32, phase tandemv1.InstancePhase, since int) *tandemv1.InstanceRecord {
			i := instance("/a", slot, phase)
			i.Since = at(since)
			return i
		}
		task := func(state tandemv1.TaskState, reason string) *tandemv1.TaskRecord {
			return &tandemv1.TaskRecord{State: state, Reason: reason}
		}
		const staged, ran, failed = tandemv1.TaskState_TASK_STAGING, tandemv1.TaskState_TASK_RUNNING, tandemv1.TaskState_TASK_FAILED
		on := func(slot int32, created, running int, tasks ...*tandemv1.TaskRecord) *tandemv1.AttemptRecord {
			a := attempt("/a", slot, 1)
			a.Created, a.Tasks = at(created), tasks
			if running > 0 {
				a.Running = at(running)
			}
			return a
		}
		old := on(0, 1, 2, task(failed, "COMMAND_EXECUTOR_FAILED"))
		l, save := saves(t, state.Snapshot{
			Jobs:      []*tandemv1.JobRecord{job("/a", 1)},
			Instances: []*tandemv1.InstanceRecord{in(0, runs, 1), in(1, waiting, 10)},
			Attempts:  []*tandemv1.AttemptRecord{old},
		})
		save(state.PutAttempt(old), state.PutInstance(in(1, tandemv1.InstancePhase_INSTANCE_PHASE_LAUNCHING, 17)),
			state.PutAttempt(on(1, 17, 0, task(staged, ""), task(staged, ""))))
		save(state.PutAttempt(on(1, 17, 0, task(ran, ""), task(staged, ""))))
		save(state.PutAttempt(on(1, 17, 20, task(ran, ""), task(ran, ""))), state.PutInstance(in(1, runs, 20)))
		save(state.PutAttempt(on(1, 17, 20, task(failed, "CONTAINER_LIMITATION_MEMORY"), task(ran, ""))))
		save(state.PutAttempt(on(1, 17, 20, task(failed, "CONTAINER_LIMITATION_MEMORY"), task(tandemv1.TaskState_TASK_KILLED, ""))))
		for name, want := range map[string]float64{
			"tandem_instance_wait_seconds": 7, "tandem_instance_start_seconds": 3, "tandem_attempts_total": 1,
			"tandem_tasks_ended_total CONTAINER_LIMITATION_MEMORY": 1, "tandem_tasks_ended_total": 1,
		} {
			if got := metric(t, l, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		families, _ := l.metrics.Gather()
		for _, f := range families {
			if f.GetName() == "tandem_tasks_ended_total" && len(f.Metric) != 2 {
				t.Errorf("ends that were known at the start are counted: %s", fmt.Sprint(f.Metric))
			}
		}
	})
}
