package checkpoint

import (
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// FuzzUpdates reads anything as a task's updates: what was taken for whole is read
// again in the same way, and nothing else.
func FuzzUpdates(f *testing.F) {
	state := mesos.TASK_RUNNING
	encoded, err := encodeUpdate(&link.StatusUpdate{Status: mesos.TaskStatus{State: &state, UUID: []byte("u1")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(frame(encoded), frame(encodeAcknowledged([]byte("u1")))...))
	f.Fuzz(func(t *testing.T, stored []byte) {
		var first, again core.SavedTask
		whole, err := decodeUpdates(stored, &first)
		if whole < 0 || whole > len(stored) {
			t.Fatalf("%d of %d bytes are whole", whole, len(stored))
		}
		if err != nil {
			return
		}
		if n, err := decodeUpdates(stored[:whole], &again); n != whole || err != nil {
			t.Errorf("of %d bytes %d are whole: %v", whole, n, err)
		}
		if len(first.Updates) != len(again.Updates) || len(first.Acknowledged) != len(again.Acknowledged) {
			t.Errorf("%d updates and %d acknowledged are %d and %d the next time",
				len(first.Updates), len(first.Acknowledged), len(again.Updates), len(again.Acknowledged))
		}
	})
}

// FuzzMessages reads anything as each of the messages.
func FuzzMessages(f *testing.F) {
	id := mesos.AgentID{Value: "S0"}
	agent, err := encodeAgent(mesos.AgentInfo{ID: &id, Hostname: "h"})
	if err != nil {
		f.Fatal(err)
	}
	task, err := encodeTask(mesos.Task{Name: "t", AgentID: id, State: mesos.TASK_STAGING.Enum()}, map[string]mesos.Value_Scalar{"mem": {Value: 1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(agent)
	f.Add(task)
	f.Fuzz(func(t *testing.T, encoded []byte) {
		_, _ = decodeAgent(encoded)
		_, _ = decodeExecutor(encoded)
		if task, limits, err := decodeTask(encoded); err == nil {
			if _, err := encodeTask(task, limits); err != nil {
				t.Errorf("a task that was read cannot be written: %v", err)
			}
		}
	})
}
