package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/resources"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// disk is what an agent's next process finds of one executor.
type disk struct {
	core.Saved
	pid int
}

// keep plays what is written and read again, and returns a line for each record.
func (d *disk) keep(r core.Record) string {
	executor := func() *core.SavedExecutor { return &d.Frameworks[0].Executors[0] }
	find := func(id mesos.TaskID) *core.SavedTask {
		for i := range executor().Tasks {
			if executor().Tasks[i].Task.TaskID == id {
				return &executor().Tasks[i]
			}
		}
		return nil
	}
	switch r := r.(type) {
	case core.KeepAgent:
		d.Agent = r.Info
		return "agent"
	case core.KeepDrain:
		if d.Drain = r.Config; d.Drain == nil {
			return "no drain"
		}
		return "drain"
	case core.KeepFramework:
		d.Frameworks = []core.SavedFramework{{Info: r.Info}}
		return "framework"
	case core.KeepExecutor:
		d.Frameworks[0].Executors = []core.SavedExecutor{{Info: r.Info, Container: r.Run.Container, Kind: r.Kind, PID: d.pid}}
		return "executor in " + r.Run.Container
	case core.KeepTask:
		executor().Tasks = append(executor().Tasks, core.SavedTask{Task: r.Task, Limits: r.Limits, Acknowledged: map[string]bool{}})
		return "task " + r.Task.TaskID.Value
	case core.KeepUpdate:
		t := find(r.Update.Status.TaskID)
		t.Updates = append(t.Updates, r.Update)
		return fmt.Sprintf("update %s %s", r.Update.Status.TaskID.Value, r.Update.Status.GetState())
	case core.KeepAcknowledged:
		find(r.Task).Acknowledged[string(r.UUID)] = true
		return "acknowledged " + r.Task.Value
	case core.KeepResources:
		d.Resources, d.Operations = r.Resources, r.Operations
		return fmt.Sprintf("%d resources, %d operations", len(r.Resources), len(r.Operations))
	case core.KeepSubscribed:
		return "subscribed"
	case core.KeepEnd:
		d.Frameworks[0].Executors = nil
		return "end of " + r.Run.Container
	}
	return fmt.Sprintf("%T", r)
}

// keeping is a script whose agent keeps what it needs on a disk.
func keeping(t *testing.T) (*script, *disk) {
	s := newScript(t, func(c *core.Config) { c.Checkpoint = true })
	return s, s.disk
}

// next is the agent's next process.
func (s *script) next(cleanup bool) {
	recovered, err := core.Recover(s.now, s.config, s.disk.Saved, cleanup)
	if err != nil {
		s.Fatal(err)
	}
	s.Core = recovered
}

func TestWhatTheNextProcessNeedsIsKeptBeforeItIsTold(t *testing.T) {
	s, _ := keeping(t)
	s.runGroup("t1")
	s.want("keep framework", "keep executor in c1", "keep task t1", "launch exec-1 in c1 with 0.3 cpus, 96 MB")
	s.Launched("c1", 1951)
	s.subscribe(1)
	s.Limited(s.now, "c1", nil)
	s.want("keep subscribed", "stream 1: SUBSCRIBED", "limit c1 to 0.3 cpus, 96 MB", "stream 1: LAUNCH_GROUP t1")
	s.update("t1", "u1", mesos.TASK_RUNNING)
	s.want("keep update t1 TASK_RUNNING", "update t1 TASK_RUNNING", "stream 1: ACKNOWLEDGED t1 u1")
	s.update("t1", "u1", mesos.TASK_RUNNING)
	s.want("stream 1: ACKNOWLEDGED t1 u1")
	s.ack("t1")
	s.want("keep acknowledged t1")
	s.Exited(s.now, "c1", core.Ending{Status: 9})
	s.want("stream 1 ends", "exited exec-1 9", "keep update t1 TASK_FAILED",
		"update t1 TASK_FAILED REASON_EXECUTOR_TERMINATED: Executor terminated")
	s.ack("t1")
	s.want("keep acknowledged t1", "keep end of c1", "discard c1", "forget fw")
}

func TestNothingIsKeptForFrameworksThatDoNotCheckpoint(t *testing.T) {
	s, _ := keeping(t)
	f := framework()
	f.Checkpoint = nil
	s.RunTaskGroup(f, executorInfo(), mesos.TaskGroupInfo{Tasks: []mesos.TaskInfo{task("t1")}}, true)
	s.want("launch exec-1 in c1 with 0.3 cpus, 96 MB")
}

func TestTheNextProcessTakesExecutorsBack(t *testing.T) {
	s, _ := keeping(t)
	s.started("t1", "t2", "t3")
	s.update("t1", "u1", mesos.TASK_RUNNING)
	s.ack("t1")
	s.update("t2", "u2", mesos.TASK_RUNNING)
	s.update("t3", "u3", mesos.TASK_FINISHED)
	s.Limited(s.now, "c1", nil)
	s.ack("t3")
	s.runGroup("t4")
	s.skip()

	s.next(false)
	s.want("adopt c1 with process 1951 and 0.5 cpus, 160 MB")
	s.Tick(s.now)
	s.subscribe(1)
	s.want("keep subscribed", "stream 1: SUBSCRIBED",
		// What was kept of t4 may have reached the executor, which says that it has not.
		"limit c1 to 0.4 cpus, 128 MB", "limit c1 to 0.4 cpus, 128 MB")
	s.Limited(s.now, "c1", nil)
	s.Limited(s.now, "c1", nil)
	s.want("keep update t4 TASK_DROPPED")
	s.advance(2 * time.Second)
	s.want("reregister with 1 executors, 3 tasks")
	s.update("t2", "u2", mesos.TASK_RUNNING) // sent again, for its acknowledgement was lost
	s.want("stream 1: ACKNOWLEDGED t2 u2")
	s.Reregistered(s.now, agentID, 0, nil)
	s.want("keep agent", "update t2 TASK_RUNNING",
		"update t4 TASK_DROPPED REASON_AGENT_RESTARTED: Task launched during agent restart")
	if done := s.View().Frameworks[0].Executors[0].Completed; len(done) != 1 || done[0].TaskID.Value != "t3" {
		t.Errorf("completed are %v", done)
	}
}

func TestTheNextProcessGivesExecutorsUp(t *testing.T) {
	for _, c := range []struct {
		name    string
		pid     int
		cleanup bool
		want    []string
	}{
		{"that do not come back", 1951, false, []string{
			"adopt c1 with process 1951 and 0.3 cpus, 96 MB", "destroy c1", "reregister with 1 executors, 1 tasks", "keep agent",
			"exited exec-1 -1", "keep update t1 TASK_GONE",
			"update t1 TASK_GONE REASON_EXECUTOR_REREGISTRATION_TIMEOUT: Executor did not reregister within 2secs",
		}},
		{"that it is to clean away", 1951, true, []string{
			"adopt c1 with process 1951 and 0.3 cpus, 96 MB", "destroy c1", "exited exec-1 -1", "keep update t1 TASK_FAILED",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, d := keeping(t)
			d.pid = c.pid
			s.started("t1")
			s.next(c.cleanup)
			for range 5 {
				s.advance(time.Second)
			}
			s.Reregistered(s.now, agentID, 0, nil)
			s.Exited(s.now, "c1", core.Ending{Status: -1})
			s.drain()
			got := s.lines
			s.lines = nil
			if c.cleanup {
				if s.Phase() != core.Terminating {
					t.Errorf("the agent is in phase %v", s.Phase())
				}
			} else {
				got = without(got, "reregister with 1 executors, 1 tasks")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
		})
	}
}

// without drops repetitions of a line.
func without(lines []string, repeated string) (kept []string) {
	seen := false
	for _, l := range lines {
		if l != repeated || !seen {
			kept = append(kept, l)
		}
		seen = seen || l == repeated
	}
	return kept
}

func TestTheNextProcessHasWhatOperationsMade(t *testing.T) {
	s := newScript(t, func(c *core.Config) {
		c.Checkpoint = true
		c.Info.Resources = []mesos.Resource{resources.NewDisk(100).Resource}
	})
	disk := resources.NewDisk(60).Resource
	disk.Reservations = []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: new("r")}}
	volume := disk
	volume.Disk = &mesos.Resource_DiskInfo{
		Persistence: &mesos.Resource_DiskInfo_Persistence{ID: "v1"},
		Volume:      &mesos.Volume{ContainerPath: "data", Mode: mesos.RW.Enum()},
	}
	err := s.ApplyOperation(s.now, mesos.Operation{UUID: mesos.UUID{Value: []byte("1")}, Info: mesos.Offer_Operation{
		Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: []mesos.Resource{disk}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.want("keep 1 resources, 1 operations", "core.OperationStatus")
	err = s.ApplyOperation(s.now, mesos.Operation{UUID: mesos.UUID{Value: []byte("2")}, Info: mesos.Offer_Operation{
		Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: []mesos.Resource{volume}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.want("keep 1 resources, 2 operations", "core.Volumes", "core.OperationStatus")
	s.AcknowledgeOperation([]byte("1"), []byte("agent-uuid-1"))
	s.want("keep 1 resources, 1 operations")
	before := s.View().Info.Resources

	s.next(false)
	s.want("core.Volumes")
	s.Tick(s.now)
	s.want("reregister with 0 executors, 0 tasks")
	if diff := cmp.Diff(before, s.View().Info.Resources); diff != "" || len(before) != 2 {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	s.Reregistered(s.now, agentID, 0, nil)
	s.want("keep agent", "core.OperationStatus")

	s.config.Info.Resources = []mesos.Resource{resources.NewDisk(50).Resource}
	if _, err := core.Recover(s.now, s.config, s.disk.Saved, false); err == nil {
		t.Error("an agent with less than was reserved goes on")
	}
}

func TestTheNextProcessDrainsOn(t *testing.T) {
	s, _ := keeping(t)
	s.started("t1")
	s.update("t1", "u1", mesos.TASK_RUNNING)
	s.ack("t1")
	s.Drain(s.now, mesos.DrainConfig{MaxGracePeriod: &mesos.DurationInfo{Nanoseconds: 3e9}})
	s.skip()

	s.next(false)
	s.skip()
	s.subscribe(1)
	s.want("keep subscribed", "stream 1: SUBSCRIBED", "limit c1 to 0.3 cpus, 96 MB")
	s.Limited(s.now, "c1", nil)
	s.advance(2 * time.Second)
	s.want("keep drain", "stream 1: KILL t1", "reregister with 1 executors, 1 tasks")
	s.Reregistered(s.now, agentID, 0, nil)
	s.want("keep agent")
	s.update("t1", "u2", mesos.TASK_KILLED)
	s.want("limit c1 to 0.2 cpus, 64 MB")
	s.Limited(s.now, "c1", nil)
	s.want("keep update t1 TASK_KILLED", "update t1 TASK_KILLED REASON_AGENT_DRAINING", "stream 1: ACKNOWLEDGED t1 u2")
	s.ack("t1")
	s.Exited(s.now, "c1", core.Ending{})
	s.want("keep acknowledged t1", "stream 1 ends", "exited exec-1 0", "keep end of c1", "discard c1", "forget fw", "keep no drain")
}
