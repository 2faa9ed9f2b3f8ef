package loop_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// TestAWatchOfCounts has each job's once for a batch in which they have changed, and
// the present ones where it goes on.
func TestAWatchOfCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, save := saves(t, state.Snapshot{
			Jobs:      []*tandemv1.JobRecord{job("/a", 1), job("/b", 1)},
			Instances: []*tandemv1.InstanceRecord{instance("/a", 0, runs), instance("/a", 1, waiting), instance("/a", 2, runs)},
			Attempts:  []*tandemv1.AttemptRecord{attempt("/a", 0, 1)},
		})
		all := watchAs(l, &tandemv1.WatchRequest{CountInstances: true})
		one := watchAs(l, &tandemv1.WatchRequest{CountInstances: true, JobId: "/b"})
		none := watchAs(l, &tandemv1.WatchRequest{CountInstances: true, JobId: "/none"})
		equal(t, "what is", all.take(), "2 framework subscribed=true\n2 /a v1\n2 /a: 1 in 1 2 in 4\n2 /b v1\n2 /b:\n2 end")
		equal(t, "what is of one job", one.take(), "2 /b v1\n2 /b:\n2 end")
		equal(t, "what is of no job", none.take(), "2 end")
		save(state.PutInstance(instance("/a", 1, runs)), state.PutInstance(instance("/a", 2, runs)).Removal(), state.PutAttempt(attempt("/a", 1, 1)))
		equal(t, "instances that come and go", all.take(), "5 /a: 2 in 4")
		save(state.PutJob(job("/b", 2)), state.PutAttempt(attempt("/a", 1, 1)))
		equal(t, "what has nothing to do with them", all.take(), "7 /b v2")
		save(state.PutInstance(instance("/b", 0, waiting)))
		equal(t, "the first", all.take(), "8 /b: 1 in 1")
		equal(t, "that of one job", one.take(), "7 /b v2\n8 /b: 1 in 1")
		save(state.PutInstance(instance("/b", 0, waiting)).Removal(), state.PutJob(job("/b", 2)).Removal())
		equal(t, "a job that is removed", all.take(), "10 -/b")
		equal(t, "another job", none.take(), "")
		if got := l.View().Phases("/a"); len(got.Phases) != 1 || got.Phases[0].Count != 2 || len(l.View().Phases("/b").Phases) != 0 {
			t.Errorf("the instances are in %v, and of the job that is removed in %v", got, l.View().Phases("/b"))
		}
		again := watchAs(l, &tandemv1.WatchRequest{CountInstances: true, Since: proto.Uint64(6)})
		equal(t, "one that goes on", again.take(), "7 /b v2\n10 -/b\n10 /a: 2 in 4\n10 end")
	})
}

// TestCounts: what was saved before the start is counted, and what comes, changes
// and goes after it.
func TestCounts(t *testing.T) {
	on := func(slot int32, number uint64, agent string, over bool) *tandemv1.AttemptRecord {
		a := attempt("/a", slot, number)
		if a.AgentId = agent; over {
			a.Ended = timestamppb.Now()
		}
		return a
	}
	in := func(phase tandemv1.JobPhase) *tandemv1.JobRecord {
		j := job("/a", 1)
		j.Phase = phase
		return j
	}
	const pending, deployed = tandemv1.JobPhase_JOB_PHASE_PENDING, tandemv1.JobPhase_JOB_PHASE_RUNNING
	synctest.Test(t, func(t *testing.T) {
		l, save := saves(t, state.Snapshot{
			Jobs:      []*tandemv1.JobRecord{in(pending)},
			Instances: []*tandemv1.InstanceRecord{instance("/a", 0, runs), instance("/a", 1, waiting)},
			Attempts:  []*tandemv1.AttemptRecord{on(0, 1, "S0", true), on(0, 2, "S1", false)},
		})
		expect := func(what string, jobs map[tandemv1.JobPhase]int, instances map[tandemv1.InstancePhase]int, agents int) {
			t.Helper()
			got := l.View().Counts()
			for phase, n := range got.Jobs {
				if n == 0 {
					delete(got.Jobs, phase)
				}
			}
			for phase, n := range got.Instances {
				if n == 0 {
					delete(got.Instances, phase)
				}
			}
			if d := cmp.Diff(loop.Counts{Jobs: jobs, Instances: instances, Agents: agents}, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", what, d)
			}
		}
		expect("after the start", map[tandemv1.JobPhase]int{pending: 1}, map[tandemv1.InstancePhase]int{runs: 1, waiting: 1}, 1)
		save(state.PutAttempt(on(1, 1, "S2", false)), state.PutInstance(instance("/a", 1, runs)), state.PutJob(in(deployed)))
		expect("a launch", map[tandemv1.JobPhase]int{deployed: 1}, map[tandemv1.InstancePhase]int{runs: 2}, 2)
		save(state.PutAttempt(on(1, 1, "S2", true)), state.PutAttempt(on(1, 2, "S1", false)))
		expect("a move", map[tandemv1.JobPhase]int{deployed: 1}, map[tandemv1.InstancePhase]int{runs: 2}, 1)
		save(state.PutAttempt(on(0, 1, "S0", true)).Removal(), state.PutAttempt(on(0, 2, "S1", false)).Removal(), state.PutInstance(instance("/a", 0, runs)).Removal())
		expect("one less", map[tandemv1.JobPhase]int{deployed: 1}, map[tandemv1.InstancePhase]int{runs: 1}, 1)
		save(state.PutAttempt(on(1, 1, "S2", true)).Removal(), state.PutAttempt(on(1, 2, "S1", false)).Removal(),
			state.PutInstance(instance("/a", 1, runs)).Removal(), state.PutJob(in(deployed)).Removal())
		expect("purged", map[tandemv1.JobPhase]int{}, map[tandemv1.InstancePhase]int{}, 0)
	})
}
