package native_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/native"
)

func TestCommand(t *testing.T) {
	for status, want := range map[int]string{
		0:                       "update t TASK_FINISHED 'Command exited with status 0'",
		3 << 8:                  "update t TASK_FAILED 'Command exited with status 3'",
		int(syscall.SIGTERM):    "update t TASK_FAILED 'Command terminated with signal Terminated'",
		11 | 0x80:               "update t TASK_FAILED 'Command terminated with signal Segmentation fault (core dumped)'",
		int(syscall.Signal(35)): "update t TASK_FAILED 'Command terminated with signal Real-time signal 1'",
	} {
		s := newScript(t, command)
		s.launch(task("t"))
		s.want("update t TASK_STARTING", "run t")
		s.started("t")
		s.want("update t TASK_RUNNING")
		s.ended("t", status)
		s.want(want)
		s.advance(999 * time.Millisecond)
		s.want()
		s.advance(time.Millisecond)
		s.want("exit 0")
	}
}

func TestCommandIsKilled(t *testing.T) {
	s := newScript(t, command)
	s.launch(task("t"))
	s.kill("t", 20*time.Second) // it waits for the process
	s.want("update t TASK_STARTING", "run t")
	s.started("t")
	s.want("update t TASK_RUNNING", "update t TASK_KILLING", "signal tree of t: terminated")
	s.advance(6 * time.Second)
	s.kill("t", 30*time.Second) // no kill lengthens the time
	s.advance(time.Second)
	s.want()
	s.kill("t", 5*time.Second) // and one may shorten it
	s.advance(0)
	s.want("signal tree of t: killed")
	s.ended("t", int(syscall.SIGKILL))
	s.want("update t TASK_KILLED 'Command terminated with signal Killed'")
}

func TestCommandIsShutDown(t *testing.T) {
	s := newScript(t, command)
	s.launch(task("t"))
	s.started("t")
	s.event(executor.Event{Type: executor.Event_SHUTDOWN})
	s.advance(3 * time.Second)
	s.want("update t TASK_STARTING", "run t", "update t TASK_RUNNING", "update t TASK_KILLING",
		"signal tree of t: terminated", "signal tree of t: killed")
	s = newScript(t, command)
	s.event(executor.Event{Type: executor.Event_SHUTDOWN})
	s.want("exit 0")
}

func TestCommandTakesTooLong(t *testing.T) {
	s := newScript(t, command)
	task := task("t")
	task.MaxCompletionTime = &mesos.DurationInfo{Nanoseconds: int64(time.Minute)}
	s.launch(task)
	s.started("t")
	s.advance(time.Minute)
	s.ended("t", int(syscall.SIGTERM))
	s.want("update t TASK_STARTING", "run t", "update t TASK_RUNNING", "signal tree of t: terminated",
		"signal tree of t: killed",
		"update t TASK_FAILED REASON_MAX_COMPLETION_TIME_REACHED 'Command terminated with signal Terminated'")
}

func TestCommandRunsOneTask(t *testing.T) {
	s := newScript(t, command)
	s.launch(task("t"))
	s.launch(task("u"))
	s.want("update t TASK_STARTING", "run t",
		`update u TASK_FAILED 'Attempted to run multiple tasks using a "command" executor'`)
	s.launchGroup(task("v"))
	if !s.told("LAUNCH_GROUP event is not supported") {
		t.Errorf("the executor says %q", s.logged)
	}
}

func TestCommandOutlivesItsAgent(t *testing.T) {
	s := newScript(t, command)
	s.launch(task("t"))
	s.started("t")
	s.executor.Disconnected()
	s.ended("t", 0)
	s.want("update t TASK_STARTING", "run t", "update t TASK_RUNNING")
	s.executor.Connected()
	s.want("subscribe with 3 updates, 1 tasks")
	s.subscribed()
	s.ack()
	s.advance(time.Second)
	s.want("exit 0")

	s = newScript(t, command)
	s.launch(task("t"))
	s.started("t")
	s.executor.Disconnected()
	s.lines = nil
	s.advance(15 * time.Minute) // the recovery timeout
	s.want("signal tree of t: terminated")
}

func TestHealth(t *testing.T) {
	s := newScript(t, command)
	task := task("t")
	task.HealthCheck = &mesos.HealthCheck{
		Type: mesos.HealthCheck_COMMAND, Command: &mesos.CommandInfo{Value: new("x")},
		DelaySeconds: new(1.0), IntervalSeconds: new(2.0), GracePeriodSeconds: new(3.0), ConsecutiveFailures: new(uint32(2)),
	}
	s.launch(task)
	s.started("t")
	s.want("update t TASK_STARTING", "run t", "update t TASK_RUNNING")
	turn := func(wait time.Duration, result int, want ...string) {
		t.Helper()
		s.advance(wait)
		s.checks[len(s.checks)-1].Done(result, nil)
		s.want(append([]string{"check"}, want...)...)
	}
	const running = "update t TASK_RUNNING REASON_TASK_HEALTH_CHECK_STATUS_UPDATED healthy="
	turn(time.Second, 1) // within the grace period
	turn(2*time.Second, 0, running+"true")
	turn(2*time.Second, 0)
	turn(2*time.Second, 1, running+"false")
	turn(2*time.Second, 0, running+"true")
	turn(2*time.Second, 1, running+"false")
	turn(2*time.Second, 1, running+"false", "update t TASK_KILLING", "signal tree of t: terminated")
	s.ended("t", int(syscall.SIGTERM))
	s.want("update t TASK_KILLED healthy=false 'Command terminated with signal Terminated'")
}

func TestCheck(t *testing.T) {
	s := newScript(t, command)
	task := task("t")
	task.Check = &mesos.CheckInfo{
		Type:    mesos.CheckInfo_COMMAND,
		Command: &mesos.CheckInfo_Command{Command: mesos.CommandInfo{Value: new("x")}},
	}
	s.launch(task)
	s.started("t")
	s.advance(15 * time.Second)
	s.checks[0].Done(7, nil)
	s.advance(10 * time.Second)
	s.checks[1].Done(7, nil) // nothing new
	s.want("update t TASK_STARTING", "run t", "update t TASK_RUNNING", "check",
		"update t TASK_RUNNING REASON_TASK_CHECK_STATUS_UPDATED check=7", "check")
	s.ended("t", 0)
	s.checks[1].Done(1, nil) // too late
	s.want("update t TASK_FINISHED 'Command exited with status 0'")
}

func TestExplain(t *testing.T) {
	if got := native.Explain(syscall.WaitStatus(64)); got != "terminated with signal Real-time signal 30" {
		t.Errorf("signal 64 is %q", got)
	}
}

// TestWhatTheCommandExecutorSays holds the lines of a real one.
func TestWhatTheCommandExecutorSays(t *testing.T) {
	s := newScript(t, command)
	s.launch(task("t"))
	s.started("t")
	s.executor.Disconnected()
	s.executor.Connected()
	s.subscribed()
	s.ended("t", 3<<8)
	want := []string{
		"Version: 1.11.0",
		"Executor registered on agent a1", "Received SUBSCRIBED event", "Subscribed executor on host-a",
		"Received LAUNCH event", "Starting task t", "Forked command at 100",
		"Executor reregistered on agent a1", "Received SUBSCRIBED event", "Subscribed executor on host-a",
		"Command exited with status 3 (pid: 100)",
	}
	if diff := cmp.Diff(want, s.logged); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
