package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// withSettings gives a task what only Tandem's scheduler gives.
func withSettings(t *testing.T, task mesos.TaskInfo, s *tandemv1.TaskSettings) mesos.TaskInfo {
	t.Helper()
	s.Magic, s.Essential = 0x746e646d, true
	data, err := proto.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	task.Data = data
	return task
}

// pidIn waits for a file of a task that holds a process id.
func (a *agent) pidIn(task, file string) int {
	a.t.Helper()
	pid := 0
	a.eventually(file+" of "+task, func() bool {
		text, err := os.ReadFile(a.sandbox + "/tasks/" + task + "/" + file)
		if err != nil || !strings.HasSuffix(string(text), "\n") {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	return pid
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestPreStopCommandRunsBeforeTheSignal(t *testing.T) {
	a := newAgent(t)
	a.launch(withSettings(t,
		shell("web", "trap 'echo signalled >> order; exit 0' TERM; echo $$ > up; while :; do sleep 0.01; done", 32),
		&tandemv1.TaskSettings{PreStopCommand: &tandemv1.CommandCheck{Cmd: "echo hook of $MESOS_TASK_ID >> order"}}))
	a.pidIn("web", "up")
	a.kill("web", 20*time.Second)
	killed := a.await("web", mesos.TASK_KILLED)
	if got := killed.GetMessage(); !strings.HasPrefix(got, "Command exited with status 0") {
		t.Errorf("message %q", got)
	}
	if got := a.output("web", "order"); got != "hook of web\nsignalled\n" {
		t.Errorf("the order was %q", got)
	}
	a.awaitExit(0)
}

// TestPreStopCommandEndsWithItsTask has a task end by itself while its hook is
// still at work.
func TestPreStopCommandEndsWithItsTask(t *testing.T) {
	a := newAgent(t)
	a.launch(withSettings(t, shell("web", "echo $$ > up; while [ ! -s hook ]; do sleep 0.01; done", 32),
		&tandemv1.TaskSettings{PreStopCommand: &tandemv1.CommandCheck{Cmd: "echo $$ > hook; exec sleep 1000"}}))
	a.pidIn("web", "up")
	a.kill("web", time.Hour)
	hook := a.pidIn("web", "hook")
	a.await("web", mesos.TASK_KILLED)
	a.awaitExit(0)
	if alive(hook) {
		t.Error("the hook's process lives")
	}
}

// TestCommandCheckThatIsTooSlowLeavesNothing has a check detach a process that
// keeps its descriptors open.
func TestCommandCheckThatIsTooSlowLeavesNothing(t *testing.T) {
	a := newAgent(t)
	a.needContainer()
	task := shell("web", "echo $$ > up; exec sleep 1000", 32)
	task.HealthCheck = &mesos.HealthCheck{
		Type:           mesos.HealthCheck_COMMAND,
		Command:        &mesos.CommandInfo{Value: proto.String("[ -s stuck ] && exit 0; setsid sh -c 'echo $$ > stuck; exec sleep 1000'")},
		DelaySeconds:   proto.Float64(0),
		TimeoutSeconds: proto.Float64(0.5), IntervalSeconds: proto.Float64(0.01),
		GracePeriodSeconds: proto.Float64(0), ConsecutiveFailures: proto.Uint32(1000),
	}
	a.launch(task)
	stuck := a.pidIn("web", "stuck")
	var healthy, unhealthy bool
	a.eventually("a failure and then a success", func() bool {
		for _, s := range a.updates {
			if s.Healthy != nil {
				unhealthy = unhealthy || !*s.Healthy && strings.Contains(s.GetMessage(), "no answer within 500ms")
				healthy = unhealthy && *s.Healthy
			}
		}
		return healthy
	})
	if alive(stuck) {
		t.Error("a process of the check lives")
	}
	a.kill("web", 0)
	a.awaitExit(0)
}

func TestCheckRunsAsWhomItsCommandNames(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	a := newAgent(t)
	if err := os.Chmod(a.sandbox, 0o751); err != nil { // It is none of its task's user.
		t.Fatal(err)
	}
	task := shell("web", "chmod 755 . && exec sleep 1000", 32)
	task.HealthCheck = &mesos.HealthCheck{
		Type:         mesos.HealthCheck_COMMAND,
		Command:      &mesos.CommandInfo{Value: proto.String(`[ "$(id -un)" = nobody ]`), User: proto.String("nobody")},
		DelaySeconds: proto.Float64(0), IntervalSeconds: proto.Float64(0.1), ConsecutiveFailures: proto.Uint32(1000),
	}
	a.launch(task)
	a.eventually("a check that passes", func() bool {
		return slices.ContainsFunc(a.updates, func(s mesos.TaskStatus) bool { return s.Healthy != nil && *s.Healthy })
	})
	a.kill("web", 0)
	a.awaitExit(0)
}

func TestFullDirectoryEndsItsTaskAlone(t *testing.T) {
	a := newAgent(t)
	a.launch(
		withSettings(t, shell("hog", "head -c 3000000 /dev/zero; exec sleep 1000", 32), &tandemv1.TaskSettings{
			Limits: &tandemv1.Limits{Disk: proto.Float64(2)}, Restart: &tandemv1.WorkloadRestart{Attempts: proto.Int32(5)},
		}))
	a.launch(shell("other", "exec sleep 1000", 32))
	failed := a.await("hog", mesos.TASK_FAILED)
	if got := failed.GetMessage(); failed.GetReason() != mesos.REASON_CONTAINER_LIMITATION_DISK || got != "Disk limit exceeded: its directory takes 3 MiB of 2 MiB" {
		t.Errorf("%s %q", failed.GetReason(), got)
	}
	if r := failed.GetLimitation().GetResources(); len(r) != 1 || r[0].Name != "disk" || r[0].GetScalar().GetValue() != 2 {
		t.Errorf("limitation %v", r)
	}
	a.kill("other", 0)
	a.await("other", mesos.TASK_KILLED)
	a.awaitExit(0)
}

func TestLogsAreRotated(t *testing.T) {
	a := newAgent(t)
	a.launch(withSettings(t, shell("chatty", "seq 1 3000", 32), &tandemv1.TaskSettings{Logs: &tandemv1.LogSettings{MaxFiles: 2, MaxFileSize: 4096}}))
	a.await("chatty", mesos.TASK_FINISHED)
	a.awaitExit(0)
	kept := a.output("chatty", "stdout.1") + a.output("chatty", "stdout")
	if !strings.HasSuffix(kept, "2999\n3000\n") || len(kept) > 8192 || len(kept) < 4096 {
		t.Errorf("%d bytes are kept: %q", len(kept), kept)
	}
}

// TestTaskIgnoresNoSignal is about SIGPIPE, which the executor ignores.
func TestTaskIgnoresNoSignal(t *testing.T) {
	a := newAgent(t)
	a.launch(shell("signals", "exec grep SigIgn /proc/self/status", 32))
	a.await("signals", mesos.TASK_FINISHED)
	a.awaitExit(0)
	if got := a.output("signals", "stdout"); got != "SigIgn:\t0000000000000000\n" {
		t.Errorf("got %q", got)
	}
}
