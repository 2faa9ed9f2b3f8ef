package localmesos_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/resources"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
)

func TestMoreDiskThanAskedFor(t *testing.T) {
	cluster := clusterWith(t, t.TempDir(), agent.Options{EnforceDiskQuota: true, DiskQuotaInterval: 20 * time.Millisecond})
	f := subscribe(t, cluster)
	offer := f.offer()
	greedy := plain("greedy", "head -c 2m /dev/zero >big; exec sleep 1000")
	greedy.AgentID, greedy.Resources = offer.AgentID, append(greedy.Resources, resources.NewDisk(1).Resource)
	f.accept(offer, calls.OpLaunch(greedy))
	f.ends("greedy", mesos.TASK_STARTING, mesos.TASK_RUNNING)
	s := f.update("greedy", mesos.TASK_FAILED)
	if s.GetReason() != mesos.REASON_CONTAINER_LIMITATION_DISK || s.GetSource() != mesos.SOURCE_AGENT {
		t.Errorf("the task failed for %v, which %v tells", s.GetReason(), s.GetSource())
	}
	if text := s.GetMessage(); !strings.HasPrefix(text, "Disk usage (") || !strings.HasSuffix(text, ") exceeds quota (1MB)") {
		t.Errorf("the message is %q", text)
	}
	got := s.GetLimitation().GetResources()
	if len(got) != 1 || got[0].GetName() != "disk" || got[0].GetScalar().GetValue() != 1 {
		t.Errorf("the limitation names %v", got)
	}
}

// What all of a group asks for, its executor included, is one quota.
func TestDiskOfAGroup(t *testing.T) {
	cluster := clusterWith(t, t.TempDir(), agent.Options{EnforceDiskQuota: true, DiskQuotaInterval: 20 * time.Millisecond})
	f := subscribe(t, cluster)
	offer := f.offer()
	greedy := plain("greedy", "head -c 12m /dev/zero >big; exec sleep 1000")
	greedy.AgentID, greedy.Resources = offer.AgentID, append(greedy.Resources, resources.NewDisk(1).Resource)
	f.accept(offer, calls.OpLaunchGroup(defaultExecutor(f), greedy)) // which has 8 MB
	f.ends("greedy", mesos.TASK_STARTING, mesos.TASK_RUNNING)
	if failure := f.next(scheduler.Event_FAILURE).Failure; failure.GetStatus() != int32(syscall.SIGKILL) {
		t.Errorf("failure %v", failure)
	}
	s := f.update("greedy", mesos.TASK_FAILED)
	if text := s.GetMessage(); !strings.HasSuffix(text, ") exceeds quota (9MB)") {
		t.Errorf("the message is %q", text)
	}
}
