package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// otherExecutor builds an executor of version 2.0, and returns its path.
func otherExecutor(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tandem-executor")
	build := exec.Command("go", "build", "-ldflags", "-X github.com/tandem-mesos/tandem/pkg/version.Version=2.0", "-o", file, "../executor")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// TestExecutorIsReplacedBesideItsAgent has an executor with two groups replace
// itself: the agent takes no notice, and what ends afterwards ends as ever.
func TestExecutorIsReplacedBesideItsAgent(t *testing.T) {
	needCgroups(t)
	c := startMesos(t)
	o := startOtherScheduler(t, c)
	offer := o.offer()
	o.accept(offer,
		calls.OpLaunchGroup(*o.executor("talker"), o.task(offer, "t1", "exec sleep 1000")),
		calls.OpLaunchGroup(*o.executor("talker"), o.task(offer, "t2", "trap 'exit 7' TERM; while :; do sleep 0.1; done")))
	runs := func() bool {
		a, b := o.last["t1"], o.last["t2"]
		return a.GetState() == mesos.TASK_RUNNING && b.GetState() == mesos.TASK_RUNNING
	}
	o.until("the tasks run", runs)
	file := otherExecutor(t)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	ask := func(m *tandemv1.ToExecutor) {
		data, err := talk.EncodeToExecutor(m)
		if err != nil {
			t.Fatal(err)
		}
		o.send(calls.Message(offer.AgentID.Value, "talker", data))
	}
	var answer *tandemv1.Answer
	answered := func(request uint64) func() bool {
		return func() bool {
			for _, data := range o.messages {
				if m, err := talk.ParseFromExecutor(data); err == nil && m.GetAnswer().GetRequest() == request {
					answer = m.GetAnswer()
					return true
				}
			}
			return false
		}
	}
	ask(&tandemv1.ToExecutor{Request: 1, Ask: &tandemv1.ToExecutor_UpgradeExecutor{
		UpgradeExecutor: &tandemv1.UpgradeExecutor{Uri: file, Sha256: hex.EncodeToString(sum[:])},
	}})
	o.until("the new program answers", answered(1))
	if answer.Problem != "" || answer.Version != "2.0" {
		t.Fatalf("answer %v", answer)
	}
	if !runs() {
		t.Fatalf("after the upgrade: %v", o.last)
	}
	ask(&tandemv1.ToExecutor{Request: 2, Ask: &tandemv1.ToExecutor_SendSignal{SendSignal: &tandemv1.SendSignal{TaskId: "t2", Signal: "SIGTERM"}}})
	o.until("the task has ended", o.ended("t2"))
	ended := o.last["t2"]
	if got, want := ended.GetMessage(), "Command exited with status 7"; got != want {
		t.Errorf("t2 ended with %q, want %q", got, want)
	}
	if s := o.last["t1"]; s.GetState() != mesos.TASK_RUNNING {
		t.Errorf("t1 is %s", s.GetState())
	}
}

// TestExecutorsAreUpgraded as a team does it: the scheduler comes back with a new
// executor, and then the executors that run replace themselves by it. No task is
// started anew, and each ends as it would have.
func TestExecutorsAreUpgraded(t *testing.T) {
	needCgroups(t)
	s := startScheduler(t, startMesos(t))
	s.run(`
id: /serving
instances: 2
workloads:
- {name: web, cmd: "exec sleep 1000", resources: {cpus: 0.1, mem: 32}}
`)
	s.run(`
id: /counting
type: batch
executor: {share: job}
instances: 2
workloads:
- {name: main, cmd: "while [ ! -e stop ]; do sleep 0.1; done; exit 3", resources: {cpus: 0.1, mem: 32}}
restart: {attempts: 0}
`)
	// mains are the main processes of the tasks.
	mains := func() map[string]int {
		all := map[string]int{}
		for _, job := range []string{"/serving", "/counting"} {
			for task, pids := range running(t, s, job, 2) {
				all[task] = pids[0]
			}
		}
		return all
	}
	before := mains()

	s.stop(syscall.SIGTERM)
	s.flags = append(s.flags, "--executor", otherExecutor(t))
	s.start()
	if r := s.tandem("executor", "list"); r.status != 0 || strings.Count(r.stdout, " another ") < 3 || strings.Contains(r.stdout, "current") {
		t.Fatalf("tandem executor list: %s", r)
	}
	executors := strings.Count(s.tandem("executor", "list").stdout, "\n") - 1
	r := s.tandem("executor", "upgrade")
	if want := fmt.Sprintf("%d upgraded, 0 not, 0 not asked, 0 current before\n", executors); r.status != 0 || !strings.HasSuffix(r.stdout, want) {
		t.Fatalf("tandem executor upgrade: %swant %q", r, want)
	}
	if got := strings.Count(r.stdout, ": version 2.0, program "); got != executors {
		t.Errorf("%d of %d executors are version 2.0 now:\n%s", got, executors, r.stdout)
	}
	if r := s.tandem("executor", "list"); strings.Count(r.stdout, " current ") != executors {
		t.Errorf("tandem executor list: %s", r)
	}
	if r, want := s.tandem("executor", "upgrade"), fmt.Sprintf("0 upgraded, 0 not, 0 not asked, %d current before\n", executors); r.stdout != want {
		t.Errorf("tandem executor upgrade once more: %swant %q", r, want)
	}

	if diff := cmp.Diff(before, mains()); diff != "" {
		t.Errorf("the tasks' processes (-before +after):\n%s", diff)
	}
	// What is asked of the new program, and how tasks end under it.
	for _, slot := range []string{"0", "1"} {
		// The command may end with the task that it ends.
		if r := s.exec("", "counting."+slot+".1.main", "touch", "stop"); r.status != 0 && r.status != 128+9 {
			t.Errorf("tandem exec: %s", r)
		}
		ended := s.awaitTask("counting."+slot+".1.main", terminal)
		if ended.State != tandemv1.TaskState_TASK_FAILED || ended.Message != "Command exited with status 3" || ended.GetReport().GetExitCode() != 3 {
			t.Errorf("counting.%s ended with %v", slot, ended)
		}
	}
	if r := s.tandem("stop", "--wait", "/serving"); r.status != 0 {
		t.Errorf("tandem stop: %s", r)
	}
	for _, slot := range []string{"0", "1"} {
		ended := s.awaitTask("serving."+slot+".1.web", terminal)
		if ended.State != tandemv1.TaskState_TASK_KILLED || ended.GetReport().GetSignal() != int32(syscall.SIGTERM) {
			t.Errorf("serving.%s ended with %v", slot, ended)
		}
	}
}
