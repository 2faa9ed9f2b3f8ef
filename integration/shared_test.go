package integration

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/zookeeper/zktest"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// sessionTimeout is for how long the leader of a team in these tests may be
// silent.
const sessionTimeout = 2 * time.Second

// startTeam starts schedulers that share a state in a ZooKeeper of their own.
func startTeam(t *testing.T, c *cluster, n int) []*tandemScheduler {
	t.Helper()
	return startTeamAt(t, c, zktest.Start(t, true).Address, n)
}

// startTeamAt starts schedulers that share a state in ZooKeeper. The first leads. At
// the end of the test they are killed, and their framework is torn down.
func startTeamAt(t *testing.T, c *cluster, addresses string, n int) []*tandemScheduler {
	t.Helper()
	var team []*tandemScheduler
	t.Cleanup(func() {
		for _, s := range team {
			if s.process != nil {
				s.stop(syscall.SIGKILL)
			}
			if t.Failed() {
				t.Logf("the log of the scheduler at %s:\n%s", s.address, s.log)
			}
		}
	})
	for range n {
		s := &tandemScheduler{t: t, cluster: c, name: "tandem " + t.Name(), dir: t.TempDir()}
		s.flags = []string{"--state", "zk://" + addresses + "/tandem/team", "--artifacts", s.dir, "--session-timeout", sessionTimeout.String()}
		team = append(team, s)
		s.start()
	}
	id := team[0].framework().FrameworkId
	t.Cleanup(func() {
		if err := c.teardown(id); err != nil {
			t.Errorf("cannot tear the framework down: %v", err)
		}
	})
	return team
}

// leaderOf waits until one of the schedulers leads and is subscribed.
func leaderOf(t *testing.T, team []*tandemScheduler) *tandemScheduler {
	t.Helper()
	var found *tandemScheduler
	eventually(t, func() string {
		for _, s := range team {
			answer := try(s.address + "/readyz")
			if answer == "ok; leader\n" {
				found = s
				return ""
			}
		}
		return "no scheduler leads"
	})
	return found
}

// running returns the processes of each task of the job, all of which must run.
func running(t *testing.T, s *tandemScheduler, job string, instances int) map[string][]int {
	t.Helper()
	processes := map[string][]int{}
	eventually(t, func() string {
		clear(processes)
		view := s.job(job)
		for _, i := range view.Instances {
			if len(i.Attempts) == 0 {
				return fmt.Sprintf("instance %d of %s has not been launched", i.Instance.Slot, job)
			}
			for _, task := range i.Attempts[0].Tasks {
				if task.State != tandemv1.TaskState_TASK_RUNNING {
					return fmt.Sprintf("task %s is %s", task.TaskId, task.State)
				}
				pids := processesOf(t, task.TaskId)
				if len(pids) == 0 {
					return fmt.Sprintf("task %s has no process yet", task.TaskId)
				}
				slices.Sort(pids)
				processes[task.TaskId] = pids
			}
		}
		if len(processes) != instances {
			return fmt.Sprintf("%d tasks run, not %d", len(processes), instances)
		}
		return ""
	})
	return processes
}

// launched returns the IDs of all tasks that the master has of the framework.
func launched(t *testing.T, c *cluster, id string) []string {
	t.Helper()
	f, ok := c.framework(t, id)
	if !ok {
		t.Fatalf("the master does not know framework %s", id)
	}
	var ids []string
	for _, task := range f.Tasks {
		ids = append(ids, task.ID)
	}
	slices.Sort(ids)
	return ids
}

// TestALeaderThatIsKilled: another takes over as the same framework, and tasks do
// not notice.
func TestALeaderThatIsKilled(t *testing.T) {
	c := startMesos(t)
	team := startTeam(t, c, 2)
	old := leaderOf(t, team)
	id := old.framework().FrameworkId
	if r := old.tandem("run", "--wait", "../examples/web.yaml"); r.status != 0 {
		t.Fatalf("tandem run: %s", r)
	}
	const task = "web.0.1.search"
	before := running(t, old, "/web", 1)

	killed := time.Now()
	old.stop(syscall.SIGKILL)
	left := slices.DeleteFunc(slices.Clone(team), func(s *tandemScheduler) bool { return s == old })
	young := leaderOf(t, left)
	eventually(t, func() string {
		if f := young.framework(); !f.Subscribed || f.FrameworkId != id {
			return fmt.Sprintf("the new leader's framework is %v", f)
		}
		return ""
	})
	t.Logf("another was subscribed after %.2f sessions", time.Since(killed).Seconds()/sessionTimeout.Seconds())
	if f, ok := c.framework(t, id); !ok || !f.Active || f.WebuiURL != young.address+"/" {
		t.Errorf("the master shows %+v, want an active framework with the page at %s", f, young.address)
	}
	after := running(t, young, "/web", 1)
	if !slices.Equal(before[task], after[task]) {
		t.Errorf("the processes were %v, and are %v", before, after)
	}
	if got := launched(t, c, id); !slices.Equal(got, []string{task}) {
		t.Errorf("the master has the tasks %v", got)
	}

	// It comes back, and stands by.
	old.start()
	if answer := get(t, old.address+"/readyz"); !strings.HasPrefix(answer, "ok; standby of the leader at "+young.address) {
		t.Errorf("who was killed says %q", answer)
	}
	if r := old.tandem("stop", "--wait", "/web"); r.status != 0 {
		t.Errorf("tandem stop through the standby: %s", r)
	}
}

// TestALeaderThatIsFrozen longer than its session lasts, in the midst of its work,
// launches nothing when it goes on, and ends.
func TestALeaderThatIsFrozen(t *testing.T) {
	c := startMesos(t)
	team := startTeam(t, c, 3)
	for round := range 2 {
		old := leaderOf(t, team)
		id := old.framework().FrameworkId
		job := fmt.Sprintf("/frozen/%d", round)
		old.run(fmt.Sprintf(`
id: %s
instances: 4
workloads:
  - name: main
    cmd: exec sleep 1000
    resources: {cpus: 0.01, mem: 16}
`, job))
		if round == 0 {
			running(t, old, job, 4)
		}
		signal(t, old, syscall.SIGSTOP)
		left := slices.DeleteFunc(slices.Clone(team), func(s *tandemScheduler) bool { return s == old })
		young := leaderOf(t, left)
		// There is work for both: offers and updates wait for the old one, too.
		if r := young.tandem("scale", job, "6"); r.status != 0 {
			t.Fatalf("tandem scale: %s", r)
		}
		running(t, young, job, 6)
		signal(t, old, syscall.SIGCONT)
		err := old.process.Wait()
		old.process = nil
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("who was frozen ended with %v, not with status 1", err)
		}
		if said := old.log.sinceMark(); !strings.Contains(said, "this scheduler has lost its leadership") && !strings.Contains(said, "another scheduler has subscribed") {
			t.Errorf("who was frozen does not say why it has ended:\n%s", said)
		}
		running(t, young, job, 6)
		var want []string
		for _, j := range young.jobs() {
			for _, i := range j.Instances {
				for _, a := range i.Attempts {
					if a.Ended != nil {
						continue // its launch was lost with the frozen leader
					}
					for _, task := range a.Tasks {
						want = append(want, task.TaskId)
					}
				}
			}
		}
		slices.Sort(want)
		if got := launched(t, c, id); !slices.Equal(got, want) {
			t.Errorf("the master has the tasks\n%v\nand the new leader knows\n%v", got, want)
		}
		old.start()
	}
}

// jobs returns all jobs.
func (s *tandemScheduler) jobs() []*tandemv1.JobView {
	s.t.Helper()
	r, err := s.client.ListJobs(s.t.Context(), &tandemv1.ListJobsRequest{})
	if err != nil {
		s.t.Fatalf("cannot list jobs: %v", err)
	}
	var all []*tandemv1.JobView
	for _, j := range r.Jobs {
		all = append(all, s.job(j.Spec.Id))
	}
	return all
}

func signal(t *testing.T, s *tandemScheduler, sig syscall.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}
