package native_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/native"
)

// running is a default executor with two tasks that run.
func running(t *testing.T) *script {
	s := newScript(t, group)
	s.launchGroup(task("a"), task("b"))
	s.want("update a TASK_STARTING", "update b TASK_STARTING", "run a in a container of its own", "run b in a container of its own")
	s.started("a")
	s.want()
	s.started("b")
	s.want("update a TASK_RUNNING", "update b TASK_RUNNING")
	return s
}

func TestGroupFinishes(t *testing.T) {
	s := running(t)
	s.ended("a", 0)
	s.want("update a TASK_FINISHED 'Command exited with status 0'")
	s.ended("b", 0)
	s.want("update b TASK_FINISHED 'Command exited with status 0'")
	s.ack()
	s.want("exit 0")
}

func TestGroupDiesTogether(t *testing.T) {
	s := running(t)
	s.launchGroup(task("c")) // another group, which lives on
	s.started("c")
	s.lines = nil
	s.ended("b", 2<<8)
	s.want("update b TASK_FAILED 'Command exited with status 2'", "update a TASK_KILLING", "signal process of a: terminated")
	s.kill("a", 0) // it is being killed
	s.advance(3 * time.Second)
	s.want("signal tree of a: killed")
	s.ended("a", int(syscall.SIGKILL))
	s.want("update a TASK_KILLED 'Command terminated with signal Killed'")
	s.ack()
	s.want()
}

func TestGroupIsKilled(t *testing.T) {
	s := running(t)
	s.kill("a", time.Second)
	s.ended("a", 0)
	s.want("update a TASK_KILLING", "signal process of a: terminated",
		"update a TASK_KILLED 'Command exited with status 0'", "update b TASK_KILLING", "signal process of b: terminated")
}

func TestTaskOfGroupIsNotLaunched(t *testing.T) {
	s := newScript(t, group)
	s.launchGroup(task("a"), task("b"))
	s.started("b")
	s.lines = nil
	s.fails("a", errNoUser)
	s.want("update b TASK_RUNNING", "update a TASK_FAILED 'No such user 'x''", "update b TASK_KILLING", "signal process of b: terminated")

	s = newScript(t, group)
	s.launchGroup(task("a"))
	s.lines = nil
	s.fails("a", &native.LaunchError{Text: "Failed to fetch", Made: true})
	s.want()
	s.ended("a", int(syscall.SIGKILL))
	s.want("update a TASK_FAILED 'Command terminated with signal Killed'")
	s.advance(time.Minute) // nobody acknowledges
	s.want("exit 0")
}

func TestGroupIsShutDown(t *testing.T) {
	s := running(t)
	s.event(executor.Event{Type: executor.Event_SHUTDOWN})
	s.want("update a TASK_KILLING", "signal process of a: terminated", "update b TASK_KILLING", "signal process of b: terminated")
	s.kill("a", 0) // too late
	s.want()
	s.ended("a", int(syscall.SIGTERM))
	s.ended("b", int(syscall.SIGTERM))
	s.want("update a TASK_KILLED 'Command terminated with signal Terminated'", "update b TASK_KILLED 'Command terminated with signal Terminated'")
	s.ack()
	s.want("exit 0")
}

// What has happened while the agent was away is told when it is back.
func TestGroupOutlivesItsAgent(t *testing.T) {
	s := running(t)
	s.ack()
	s.executor.Disconnected()
	s.ended("a", 0)
	s.executor.Connected()
	s.want("subscribe with 1 updates, 0 tasks")
	s.executor.Gone()
	s.ended("b", 0)
	s.advance(time.Hour)
	s.want()
}

// TestWhatTheDefaultExecutorSays holds the lines of a real one.
func TestWhatTheDefaultExecutorSays(t *testing.T) {
	s := newScript(t, group)
	s.launchGroup(task("a"))
	s.started("a")
	s.kill("a", time.Second)
	s.ended("a", int(syscall.SIGTERM))
	s.ack()
	child := "c1." + s.processes["a"].Container
	want := []string{
		"Using URL http://agent/slave(1)/api/v1 for the streaming endpoint", "Version: 1.11.0",
		"Using URL http://agent/slave(1)/api/v1/executor for the executor API endpoint",
		"Received SUBSCRIBED event", "Subscribed executor on host-a",
		"Received LAUNCH_GROUP event", "Setting 'MESOS_CONTAINER_IP' to: 127.0.0.1",
		"Finished launching tasks [ a ] in child containers [ " + child + " ]",
		"Waiting on child containers of tasks [ a ]", "Waiting for child container " + child + " of task 'a'",
		"Received KILL event", "Received kill for task 'a'",
		"Killing task a running in child container " + child + " with SIGTERM signal",
		"Scheduling escalation to SIGKILL in 1secs from now",
		"Child container " + child + " of task 'a' completed in state TASK_KILLED: Command terminated with signal Terminated",
		"Killing task group containing tasks [ a ]", "Terminating after 1mins",
		"Received ACKNOWLEDGED event", "Received ACKNOWLEDGED event", "Received ACKNOWLEDGED event",
		"Received ACKNOWLEDGED event", "Stopped the socket accept loop",
	}
	if diff := cmp.Diff(want, s.logged); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
