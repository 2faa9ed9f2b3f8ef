package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

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
	file := filepath.Join(t.TempDir(), "tandem-executor")
	build := exec.Command("go", "build", "-ldflags", "-X github.com/tandem-mesos/tandem/pkg/version.Version=2.0", "-o", file, "../executor")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
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
