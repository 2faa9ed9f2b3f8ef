package integration

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestLogsAreFollowedToAnotherAgent drains the agent that a task writes on while its
// job's log is followed: its last words and its successor's first both come.
func TestLogsAreFollowedToAnotherAgent(t *testing.T) {
	c := startMesos(t, func(o *localmesos.Options) { o.Agents = 2 })
	var agents struct {
		Slaves []struct{ Active bool }
	}
	getJSON(t, "http://"+c.master+"/slaves", &agents)
	if len(agents.Slaves) < 2 {
		t.Skip("needs two agents")
	}
	s := startScheduler(t, c)
	s.run(`
id: /moving
update: {minHealthyTime: 0s}
workloads:
- name: main
  cmd: 'trap "echo attempt $TANDEM_ATTEMPT leaves; exit 0" TERM; echo attempt $TANDEM_ATTEMPT begins; while :; do sleep 0.05; done'
  resources: {cpus: 0.1, mem: 32}
`)
	view := s.awaitPhase("/moving", tandemv1.JobPhase_JOB_PHASE_RUNNING)
	from := view.Instances[0].Attempts[0].AgentId

	follow := s.command("logs", "-f", "/moving")
	shown := &output{}
	follow.Stdout = shown
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	shows := func(want string) {
		t.Helper()
		eventually(t, func() string {
			if !strings.Contains(shown.sinceMark(), want+"\n") {
				return "the log shows " + shown.sinceMark() + ", and not " + want
			}
			return ""
		})
	}
	shows("moving.0.1.main  attempt 1 begins")
	if r := s.tandem("drain", "--wait", from); r.status != 0 || !strings.HasSuffix(r.stdout, " is drained\n") {
		t.Fatalf("tandem drain: %s", r)
	}
	shows("moving.0.1.main  attempt 1 leaves")
	shows("moving.0.2.main  attempt 2 begins")
	if to := s.job("/moving").Instances[0].Attempts[0].AgentId; to == from {
		t.Errorf("it is still on agent %s", to)
	}
	if err := follow.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = follow.Wait()
	if status := follow.ProcessState.ExitCode(); status != 130 {
		t.Errorf("interrupted it ended with %d", status)
	}
	if got := strings.Count(shown.sinceMark(), "\n"); got != 3 {
		t.Errorf("%d lines came, and 3 were written:\n%s", got, shown.sinceMark())
	}
}

// TestWaitsGoOnThroughARestart kills the scheduler while a job is waited for.
func TestWaitsGoOnThroughARestart(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c, "--listen", freeAddress(t))
	s.run(prefer(`
id: /awaited
type: batch
workloads:
- {name: main, cmd: 'while [ ! -e go ]; do sleep 0.05; done', resources: {cpus: 0.1, mem: 32}}
`))
	s.awaitTask("awaited.0.1.main", inState(tandemv1.TaskState_TASK_RUNNING))
	wait := s.command("wait", "/awaited")
	shown := &output{}
	wait.Stdout, wait.Stderr = shown, shown
	if err := wait.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if !strings.Contains(shown.sinceMark(), "TASK_RUNNING") {
			return "the wait shows " + shown.sinceMark()
		}
		return ""
	})
	s.stop(syscall.SIGKILL)
	s.start()
	if r := s.exec("", "awaited.0.1.main", "--", "touch", "go"); r.status != 0 {
		t.Fatalf("tandem exec: %s", r)
	}
	if err := wait.Wait(); err != nil || !strings.HasSuffix(shown.sinceMark(), "job /awaited has finished\n") {
		t.Errorf("the wait ended with %v, and showed\n%s", err, shown.sinceMark())
	}
}
