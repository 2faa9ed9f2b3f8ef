package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/executor/guard"
)

// asExecutor makes this test's binary be the executor.
const asExecutor = "TANDEM_TEST_AS_EXECUTOR"

func TestMain(m *testing.M) {
	if os.Args[0] == guard.Name {
		os.Exit(run())
	}
	if os.Getenv(asExecutor) != "" {
		os.Args = os.Args[:1]
		os.Exit(run())
	}
	code := m.Run()
	_ = os.RemoveAll(builds.dir)
	os.Exit(code)
}

func TestTwoTasksAndTheEnd(t *testing.T) {
	a := newAgent(t)
	a.launch(
		shell("greeter", "echo hello; echo oops >&2; pwd; cat /proc/self/cgroup", 32),
		shell("counter", "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done; echo $i", 32))
	finished := a.await("greeter", mesos.TASK_FINISHED)
	if got, want := finished.GetMessage(), "Command exited with status 0"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	report := reportOf(t, finished)
	if report.ExitCode == nil || *report.ExitCode != 0 || report.Usage.GetWallTime().AsDuration() <= 0 {
		t.Errorf("report %v", report)
	}
	a.await("counter", mesos.TASK_FINISHED)
	a.awaitExit(0)
	dir := filepath.Join(a.sandbox, "tasks", "greeter")
	if got, want := a.output("greeter", "stdout"), "hello\n"+dir+"\n"; !strings.HasPrefix(got, want) {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got := a.output("greeter", "stderr"); got != "oops\n" {
		t.Errorf("stderr %q", got)
	}
	if report.Usage.Source == "cgroup-v1" && !strings.Contains(a.output("greeter", "stdout"), ":/"+a.container+"/task-greeter") {
		t.Errorf("it did not run in its own cgroup: %s", a.output("greeter", "stdout"))
	}
}

func TestNothingOfTheAgentReachesATask(t *testing.T) {
	a := newAgent(t, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN=eyJ.secret.token")
	task := shell("env", "env; tr '\\0' '\\n' < /proc/$PPID/environ || true", 32)
	task.Command.Environment = &mesos.Environment{Variables: []mesos.Environment_Variable{{Name: "MODE", Value: proto.String("production")}}}
	task.Command.User = proto.String("nobody")
	if os.Geteuid() != 0 {
		task.Command.User = nil
	}
	a.launch(task)
	a.await("env", mesos.TASK_FINISHED)
	out := a.output("env", "stdout")
	for _, secret := range []string{"eyJ", "LIBPROCESS", "MESOS_SLAVE_PID", "MESOS_AGENT_ENDPOINT", "TANDEM"} {
		if strings.Contains(out, secret) {
			t.Errorf("%s in what the task sees:\n%s", secret, out)
		}
	}
	dir := filepath.Join(a.sandbox, "tasks", "env")
	for _, want := range []string{"MODE=production", "MESOS_SANDBOX=" + dir, "MESOS_TASK_ID=env", "MESOS_FRAMEWORK_ID=framework-1", "MESOS_CONTAINER_IP=127.0.0.1", "HOST=agent.example", "HOME=" + dir} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("no %s in what the task sees:\n%s", want, out)
		}
	}
}

func TestOutOfMemoryHitsOneTask(t *testing.T) {
	a := newAgent(t)
	a.needContainer()
	group := []mesos.TaskInfo{
		shell("hog", "head -c 200000000 /dev/zero | tail", 32),
		shell("other", "sleep 60", 32),
	}
	a.launch(group[0])
	a.launch(group[1])
	failed := a.await("hog", mesos.TASK_FAILED)
	if failed.GetReason() != mesos.REASON_CONTAINER_LIMITATION_MEMORY {
		t.Errorf("reason %s", failed.Reason)
	}
	if got, want := failed.GetMessage(), "Memory limit exceeded: used 32 MiB of 32 MiB; killed (1 OOM kill)"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if failed.Limitation == nil || failed.Limitation.Resources[0].GetScalar().GetValue() != 32 {
		t.Errorf("limitation %v", failed.Limitation)
	}
	a.await("other", mesos.TASK_RUNNING)
	a.kill("other", time.Second)
	a.await("other", mesos.TASK_KILLED)
	a.awaitExit(0)
}

func TestWhoMayUseMoreMemoryIsTheFirstToGo(t *testing.T) {
	a := newAgent(t)
	steady, bursty := shell("steady", "cat /proc/self/oom_score_adj", 32), shell("bursty", "cat /proc/self/oom_score_adj", 32)
	bursty.Limits = map[string]mesos.Value_Scalar{"mem": {Value: 64}}
	a.launch(steady, bursty)
	a.await("steady", mesos.TASK_FINISHED)
	a.await("bursty", mesos.TASK_FINISHED)
	a.awaitExit(0)
	if got := a.output("steady", "stdout"); got != "0\n" {
		t.Errorf("the steady one has %q", got)
	}
	// How much depends on the machine's memory.
	if got, err := strconv.Atoi(strings.TrimSpace(a.output("bursty", "stdout"))); err != nil || got <= 0 {
		t.Errorf("the bursty one has %d, %v", got, err)
	}
}

func TestKillEscalates(t *testing.T) {
	a := newAgent(t)
	a.launch(shell("deaf", "trap '' TERM; (setsid sleep 300 &); echo ready; while :; do sleep 1; done", 32))
	a.eventually("its word", func() bool {
		out, err := os.ReadFile(filepath.Join(a.sandbox, "tasks", "deaf", "stdout"))
		return err == nil && string(out) == "ready\n"
	})
	a.kill("deaf", 100*time.Millisecond)
	a.await("deaf", mesos.TASK_KILLING)
	killed := a.await("deaf", mesos.TASK_KILLED)
	if got, want := killed.GetMessage(), "Command terminated with signal SIGKILL: killed at the scheduler's request"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	a.awaitExit(0)
}

func TestFailedStartsSayWhy(t *testing.T) {
	a := newAgent(t)
	missing := shell("missing", "", 32)
	missing.Command.Shell, missing.Command.Value = new(bool), proto.String("no-such-program")
	stranger := shell("stranger", "true", 32)
	stranger.Command.User = proto.String("no-such-user")
	unfetched := shell("unfetched", "true", 32)
	unfetched.Command.URIs = []mesos.CommandInfo_URI{{Value: "/no/such/file"}}
	for _, task := range []mesos.TaskInfo{missing, stranger, unfetched} {
		a.launch(task)
	}
	for id, want := range map[string]string{
		"missing": "no-such-program", "stranger": "no user \"no-such-user\"", "unfetched": "Cannot fetch /no/such/file: ",
	} {
		failed := a.await(id, mesos.TASK_FAILED)
		if !strings.Contains(failed.GetMessage(), want) || failed.GetReason() != mesos.REASON_CONTAINER_LAUNCH_FAILED {
			t.Errorf("%s: %s %q, want %q", id, failed.Reason, failed.GetMessage(), want)
		}
	}
	a.awaitExit(0)
}

func TestAgentRestart(t *testing.T) {
	a := newAgent(t)
	a.launch(shell("brief", "sleep 0.3", 32), shell("long", "sleep 300", 32))
	a.await("long", mesos.TASK_RUNNING)
	a.await("brief", mesos.TASK_RUNNING)
	a.mu.Lock()
	a.stream = nil
	a.mu.Unlock()
	a.server.Close()
	a.awaitGone("brief") // It ends while nobody listens.
	a.listen(a.address)
	a.await("brief", mesos.TASK_FINISHED)
	a.mu.Lock()
	last := a.subscribes[len(a.subscribes)-1]
	a.mu.Unlock()
	if !slices.ContainsFunc(last.UnacknowledgedUpdates, func(u executor.Call_Update) bool {
		return u.Status.TaskID.Value == "brief" && u.Status.GetState() == mesos.TASK_FINISHED
	}) {
		t.Errorf("SUBSCRIBE did not hold what had happened meanwhile: %v", last)
	}
	a.kill("long", time.Second)
	a.await("long", mesos.TASK_KILLED)
	a.awaitExit(0)
}

// Fifty that ignore SIGTERM, each with a daemon that does, are gone within the agent's
// grace: it would kill the executor then, and know nothing of how they ended.
func TestShutdownEndsEverything(t *testing.T) {
	a := newAgent(t)
	const daemon = "4244.4244" // seconds that nobody else sleeps
	tasks := []mesos.TaskInfo{shell("polite", "exec sleep 300", 32)}
	for i := range 50 {
		tasks = append(tasks, shell(fmt.Sprintf("deaf-%d", i), "trap '' TERM; setsid sleep "+daemon+" & touch ready; while :; do sleep 1; done", 32))
	}
	a.launch(tasks...)
	for _, task := range tasks[1:] {
		a.await(task.TaskID.Value, mesos.TASK_RUNNING)
		a.eventually(task.TaskID.Value+" is deaf", func() bool {
			_, err := os.Stat(filepath.Join(a.sandbox, "tasks", task.TaskID.Value, "ready"))
			return err == nil
		})
	}
	a.say(&executor.Event{Type: executor.Event_SHUTDOWN})
	for _, task := range tasks {
		want := "SIGKILL"
		if task.TaskID.Value == "polite" {
			want = "SIGTERM"
		}
		if killed := a.await(task.TaskID.Value, mesos.TASK_KILLED); !strings.Contains(killed.GetMessage(), want) {
			t.Errorf("%s: %s, want %s", task.TaskID.Value, killed.GetMessage(), want)
		}
	}
	a.awaitExit(0)
	left, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		if line, err := os.ReadFile(name); err == nil && strings.Contains(string(line), daemon) {
			t.Errorf("%s: %q is left", name, line)
		}
	}
}

func TestChecksOfATask(t *testing.T) {
	a := newAgent(t)
	task := shell("web", "sleep 300", 32)
	task.HealthCheck = &mesos.HealthCheck{
		Type: mesos.HealthCheck_COMMAND, Command: &mesos.CommandInfo{Value: proto.String("test -f well || (echo is not well >/dev/stderr; sleep 60 & sleep 60)")},
		DelaySeconds: proto.Float64(0), IntervalSeconds: proto.Float64(0.1), TimeoutSeconds: proto.Float64(0.3),
		GracePeriodSeconds: proto.Float64(0), ConsecutiveFailures: proto.Uint32(3),
	}
	a.launch(task)
	a.await("web", mesos.TASK_RUNNING)
	if err := os.WriteFile(filepath.Join(a.sandbox, "tasks", "web", "well"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	healthy := func(want bool) func() bool {
		return func() bool {
			return slices.ContainsFunc(a.updates, func(s mesos.TaskStatus) bool { return s.Healthy != nil && *s.Healthy == want })
		}
	}
	a.eventually("a healthy task", healthy(true))
	if err := os.Remove(filepath.Join(a.sandbox, "tasks", "web", "well")); err != nil {
		t.Fatal(err)
	}
	killed := a.await("web", mesos.TASK_KILLED)
	if want := "killed because its health check failed 3 times in a row, the last time with: no answer within 300ms, its output ends: is not well"; !strings.Contains(killed.GetMessage(), want) {
		t.Errorf("message %q, want %q", killed.GetMessage(), want)
	}
	if killed.Healthy == nil || *killed.Healthy {
		t.Error("it does not say that the task was not healthy")
	}
	a.awaitExit(0)
}
