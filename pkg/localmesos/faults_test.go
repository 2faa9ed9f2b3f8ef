package localmesos_test

import (
	"context"
	"errors"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/native"
	"github.com/tandem-mesos/tandem/pkg/localmesos/fault"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master"
)

// fakeCluster starts a cluster whose agents run nothing.
func fakeCluster(t *testing.T, agents int, plan func(mesos.TaskInfo) native.Plan) *localmesos.Cluster {
	t.Helper()
	cluster, err := localmesos.Start(t.Context(), localmesos.Options{
		Agents: agents,
		Master: master.Options{AllocationInterval: 50 * time.Millisecond},
		Agent:  agent.Options{Fake: &agent.Fake{Plan: plan}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func (f *framework) launchPlain(id string) mesos.Offer {
	f.Helper()
	offer := f.offer()
	task := plain(id, "true")
	task.AgentID = offer.AgentID
	f.accept(offer, calls.OpLaunch(task))
	return offer
}

// once applies an action to the first message with a name.
func once(name string, a fault.Action) fault.Rule {
	happened := false
	return func(m fault.Message) fault.Action {
		if happened || m.Name != name {
			return fault.Action{}
		}
		happened = true
		return a
	}
}

func TestFakesDoAsPlanned(t *testing.T) {
	cluster := fakeCluster(t, 1, func(task mesos.TaskInfo) native.Plan {
		switch task.TaskID.Value {
		case "brief":
			return native.Plan{Run: time.Second}
		case "batch":
			return native.Plan{Start: time.Minute, Run: time.Hour, End: mesos.TASK_FAILED, Message: "as planned"}
		default:
			return native.Plan{Stop: time.Second}
		}
	})
	f := subscribe(t, cluster)
	f.launchPlain("batch")
	cluster.Advance(time.Minute)
	f.update("batch", mesos.TASK_RUNNING)
	cluster.Advance(time.Hour)
	if s := f.update("batch", mesos.TASK_FAILED); s.GetMessage() != "as planned" {
		t.Errorf("the status is %v", s)
	}
	f.launchPlain("brief")
	f.update("brief", mesos.TASK_RUNNING)
	cluster.Advance(time.Second)
	f.update("brief", mesos.TASK_FINISHED)
	offer := f.launchPlain("service")
	f.update("service", mesos.TASK_RUNNING)
	f.call(calls.Kill("service", offer.AgentID.Value))
	cluster.Agents()[0].ID() // the kill has arrived
	cluster.Advance(time.Second)
	f.update("service", mesos.TASK_KILLED)
}

func TestLostUpdateIsRepeated(t *testing.T) {
	cluster := fakeCluster(t, 1, nil)
	f := subscribe(t, cluster)
	lost := make(chan struct{})
	remove := cluster.Network().Add(func(m fault.Message) fault.Action {
		if m.Name != "StatusUpdate" || m.Task.Value != "t" {
			return fault.Action{}
		}
		close(lost)
		return fault.Action{Drop: true}
	})
	f.launchPlain("t")
	<-lost
	remove()
	cluster.Advance(10 * time.Second) // what an agent waits for
	f.update("t", mesos.TASK_RUNNING)
}

func TestUpdateComesTwice(t *testing.T) {
	cluster := fakeCluster(t, 1, nil)
	cluster.Network().Add(once("StatusUpdate", fault.Action{Copies: 1}))
	f := subscribe(t, cluster)
	f.launchPlain("t")
	one, two := f.update("t", mesos.TASK_RUNNING), f.next(scheduler.Event_UPDATE).Update.Status
	if string(one.UUID) != string(two.UUID) {
		t.Errorf("the updates have the UUIDs %x and %x", one.UUID, two.UUID)
	}
}

func TestLaunchIsOvertaken(t *testing.T) {
	cluster := fakeCluster(t, 1, nil)
	cluster.Network().Add(once("RunTask", fault.Action{Delay: time.Minute}))
	f := subscribe(t, cluster)
	f.launchPlain("t1")
	f.launchPlain("t2")
	f.update("t2", mesos.TASK_RUNNING)
	cluster.Advance(time.Minute)
	f.update("t1", mesos.TASK_RUNNING)
}

func TestAgentIsCutOff(t *testing.T) {
	cluster := fakeCluster(t, 1, nil)
	f := subscribe(t, cluster)
	f.launchPlain("t")
	f.update("t", mesos.TASK_RUNNING)
	f.offer()
	heal := cluster.Network().Add(func(fault.Message) fault.Action { return fault.Action{Drop: true} })
	cluster.Advance(2 * time.Minute)
	f.update("t", mesos.TASK_UNREACHABLE)
	f.next(scheduler.Event_RESCIND)
	f.next(scheduler.Event_FAILURE)
	heal()
	cluster.Advance(2 * time.Minute)
	f.update("t", mesos.TASK_RUNNING)
}

func TestConnectionsAreCut(t *testing.T) {
	cluster := fakeCluster(t, 1, nil)
	f := subscribe(t, cluster)
	if n := cluster.MasterConnections().Cut(); n == 0 {
		t.Error("there was no connection to cut")
	}
	<-f.ended
	if _, err := f.caller(calls.Revive()); err == nil {
		t.Error("a framework without a stream was heard")
	}
	subscribe(t, cluster)
}

func TestMasterIsFrozen(t *testing.T) {
	cluster := fakeCluster(t, 1, nil)
	f := subscribe(t, cluster)
	offer := f.offer()
	cluster.FreezeMaster()
	answered := make(chan error, 1)
	go func() {
		_, err := f.caller(calls.Decline(offer.ID).With(calls.RefuseSeconds(time.Nanosecond)))
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("a frozen master has answered: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	cluster.ThawMaster()
	if err := <-answered; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	f.offer()
}

// An executor whose connections break comes back; what was said meanwhile is
// lost.
func TestExecutorConnectionsAreCut(t *testing.T) {
	cluster := startCluster(t)
	f := subscribe(t, cluster)
	offer := f.offer()
	f.launch(offer, "exec-1", "t1:stay")
	f.update("t1", mesos.TASK_RUNNING)
	if n := cluster.AgentConnections(1).Cut(); n == 0 {
		t.Error("there was no connection to cut")
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		f.call(calls.Kill("t1", offer.AgentID.Value))
		select {
		case e := <-f.events:
			if s := e.GetUpdate().GetStatus(); s.GetState() == mesos.TASK_KILLED {
				return
			}
		case <-time.After(100 * time.Millisecond):
			if time.Now().After(deadline) {
				t.Fatal("the executor did not come back")
			}
		}
	}
}
