package localmesos_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/resources"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master"
)

// plain is a task that brings no executor.
func plain(id, command string) mesos.TaskInfo {
	return mesos.TaskInfo{
		Name: id, TaskID: mesos.TaskID{Value: id}, Command: &mesos.CommandInfo{Value: &command},
		Resources: []mesos.Resource{resources.NewCPUs(0.1).Resource, resources.NewMemory(32).Resource},
	}
}

// clusterIn starts a cluster whose sandboxes are below the directory.
func clusterIn(t *testing.T, dir string) *localmesos.Cluster {
	t.Helper()
	return clusterWith(t, dir, agent.Options{ExecutorReregistrationTimeout: 300 * time.Millisecond})
}

func clusterWith(t *testing.T, dir string, o agent.Options) *localmesos.Cluster {
	t.Helper()
	return clusterOf(t, localmesos.Options{
		Dir: dir, Master: master.Options{AllocationInterval: 50 * time.Millisecond}, Agent: o,
	})
}

func (f *framework) accept(offer mesos.Offer, operation mesos.Offer_Operation) {
	f.Helper()
	f.call(calls.Accept(calls.OfferOperations{operation}.WithOffers(offer.ID)).With(calls.RefuseSeconds(0)))
}

func (f *framework) ends(task string, states ...mesos.TaskState) mesos.TaskStatus {
	f.Helper()
	var s mesos.TaskStatus
	for _, state := range states {
		s = f.update(task, state)
	}
	return s
}

func wrote(t *testing.T, pattern, want string) {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s is %v (%v)", pattern, found, err)
	}
	if got, err := os.ReadFile(found[0]); err != nil || string(got) != want {
		t.Errorf("%s holds %q (%v), want %q", found[0], got, err, want)
	}
}

func TestPlainCommands(t *testing.T) {
	dir := t.TempDir()
	cluster := clusterIn(t, dir)
	f := subscribe(t, cluster)
	offer := f.offer()
	launch := func(id, command string) {
		t.Helper()
		task := plain(id, command)
		task.AgentID = offer.AgentID
		f.accept(offer, calls.OpLaunch(task))
	}
	launch("t1", "echo hello; exit 3")
	s := f.ends("t1", mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_FAILED)
	if s.GetMessage() != "Command exited with status 3" || s.ExecutorID.GetValue() != "t1" {
		t.Errorf("the last update is %v", s)
	}
	wrote(t, filepath.Join(dir, "agent-1/slaves/*/frameworks/*/executors/t1/runs/latest/stdout"), "hello\n")

	// The task outlives its agent.
	offer = f.offer()
	launch("t2", "exec sleep 1000")
	f.ends("t2", mesos.TASK_STARTING, mesos.TASK_RUNNING)
	f.offer()
	crashing := cluster.Agents()[0]
	crashing.Crash()
	f.next(scheduler.Event_RESCIND)
	f.offers = nil // whatever was offered before the crash is void
	if err := crashing.Recover(); err != nil {
		t.Fatal(err)
	}
	offer = f.offer()
	f.call(calls.Kill("t2", offer.AgentID.Value))
	if s := f.update("t2", mesos.TASK_KILLED); s.GetMessage() != "Command terminated with signal Terminated" {
		t.Errorf("the last update is %v", s)
	}
}

func TestDefaultExecutor(t *testing.T) {
	dir := t.TempDir()
	cluster := clusterIn(t, dir)
	f := subscribe(t, cluster)
	offer := f.offer()
	info := mesos.ExecutorInfo{
		Type: mesos.ExecutorInfo_DEFAULT, ExecutorID: mesos.ExecutorID{Value: "default"}, FrameworkID: &f.id,
		Resources: []mesos.Resource{resources.NewCPUs(0.1).Resource, resources.NewMemory(32).Resource, resources.NewDisk(8).Resource},
	}
	task := plain("t1", "echo one; exit 0")
	task.AgentID = offer.AgentID
	f.accept(offer, calls.OpLaunchGroup(info, task))
	s := f.ends("t1", mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_FINISHED)
	container := s.GetContainerStatus().GetContainerID()
	if container.GetParent().GetValue() == "" {
		t.Errorf("the container is %v", container)
	}
	failure := f.next(scheduler.Event_FAILURE).Failure
	if failure.ExecutorID.Value != "default" || failure.GetStatus() != 0 {
		t.Errorf("failure %v", failure)
	}
	wrote(t, filepath.Join(dir, "agent-1/slaves/*/frameworks/*/executors/default/runs/latest/tasks/t1/stdout"), "one\n")
}
