package integration

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/zookeeper/zktest"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

const updating = `
id: /updating
instances: 4
update: {maxParallel: 1, minHealthyTime: 1s}
workloads:
  - name: main
    cmd: exec sleep %d
    resources: {cpus: 0.01, mem: 16}
`

// TestATakeoverInTheMidstOfAnUpdate, while the ensemble loses its own leader: the
// next scheduler goes on with the update where it stood, and of each instance one
// attempt runs.
func TestATakeoverInTheMidstOfAnUpdate(t *testing.T) {
	c := startMesos(t)
	ensemble := zktest.StartEnsemble(t, 3)
	team := startTeamAt(t, c, ensemble.Addresses(), 3)
	old := leaderOf(t, team)
	id := old.framework().FrameworkId
	old.run(fmt.Sprintf(updating, 1000))
	running(t, old, "/updating", 4)
	old.run(fmt.Sprintf(updating, 2000))
	replaced := func(s *tandemScheduler) (n int) {
		for _, i := range s.job("/updating").Instances {
			if i.Instance.JobVersion == 2 && i.Instance.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING {
				n++
			}
		}
		return n
	}
	eventually(t, func() string {
		if replaced(old) == 0 {
			return "no instance is replaced"
		}
		return ""
	})
	if n := replaced(old); n == 4 {
		t.Fatal("the update is over already")
	}

	ensemble.Leader(t).Stop()
	old.stop(syscall.SIGKILL)
	left := slices.DeleteFunc(slices.Clone(team), func(s *tandemScheduler) bool { return s == old })
	// Whoever asks for something meanwhile gets it when another leads.
	if r := left[0].tandem("scale", "/updating", "5"); r.status != 0 {
		t.Errorf("tandem scale while nobody leads: %s", r)
	}
	young := leaderOf(t, left)
	eventually(t, func() string {
		job := young.job("/updating")
		if u := job.Job.GetUpdate(); u.GetPhase() != tandemv1.UpdatePhase_UPDATE_PHASE_DONE || u.GetVersion() != 3 {
			return fmt.Sprintf("the update is %v", u)
		}
		return ""
	})
	if f := young.framework(); f.FrameworkId != id {
		t.Errorf("the framework was %s, and is %s", id, f.FrameworkId)
	}
	processes := running(t, young, "/updating", 5)
	var want []string
	for task, pids := range processes {
		want = append(want, task)
		if len(pids) != 1 {
			t.Errorf("task %s has the processes %v", task, pids)
		}
	}
	slices.Sort(want)
	eventually(t, func() string {
		if got := launched(t, c, id); !slices.Equal(got, want) {
			return fmt.Sprintf("the master has the tasks %v, and those that are to run are %v", got, want)
		}
		return ""
	})
}

// TestASchedulerThatIsKilledWhileItDrains goes on with that: nothing is placed on
// the agent, and what is there at the deadline is ended.
func TestASchedulerThatIsKilledWhileItDrains(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(sleeps)
	before := running(t, s, "/sleeps", 2)
	agent := s.job("/sleeps").Instances[0].Attempts[0].AgentId
	drained := func(flags ...string) {
		t.Helper()
		if r := s.tandem(append([]string{"drain", agent}, flags...)...); r.status != 0 {
			t.Fatalf("tandem drain: %s", r)
		}
		s.stop(syscall.SIGKILL)
		s.start()
	}
	drained()
	after := running(t, s, "/sleeps", 2)
	for task, pids := range before {
		if !slices.Equal(pids, after[task]) {
			t.Errorf("%s had the processes %v, and has %v", task, pids, after[task])
		}
	}
	drained("--deadline", "1s")
	eventually(t, func() string {
		for task := range before {
			if left := processesOf(t, task); len(left) > 0 {
				return fmt.Sprintf("%s runs on as %v", task, left)
			}
		}
		return ""
	})
	for _, i := range s.job("/sleeps").Instances {
		if i.Instance.Attempt != 1 {
			t.Errorf("instance %d was launched again, on the only agent there is, which is drained: %v", i.Instance.Slot, i.Instance)
		}
	}
	if r := s.tandem("drain", agent, "--cancel"); r.status != 0 {
		t.Fatalf("tandem drain --cancel: %s", r)
	}
	running(t, s, "/sleeps", 2)
}
