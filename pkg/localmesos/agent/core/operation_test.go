package core

import (
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// TestOperation: the agent has what the operation made of its resources, says so
// until that is acknowledged, and does nothing twice.
func TestOperation(t *testing.T) {
	now := time.Unix(1000, 0)
	c := New(now, Config{
		Info: mesos.AgentInfo{Resources: []mesos.Resource{
			{Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 100}},
		}},
		NewUUID: func() []byte { return []byte("a status's uuid!") },
	})
	c.Registered(now, mesos.AgentID{Value: "S0"}, 0)
	c.Effects()
	role := "r"
	op := mesos.Operation{
		UUID: mesos.UUID{Value: []byte("operation's uuid")},
		Info: mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, ID: &mesos.OperationID{Value: "id"}, Reserve: &mesos.Offer_Operation_Reserve{
			Resources: []mesos.Resource{{
				Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 60},
				Reservations:   []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role}},
				AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
			}},
		}},
	}
	updates := func() (n int) {
		for _, e := range c.Effects() {
			if u, ok := e.(OperationStatus); ok && u.Update.Status.State == mesos.OPERATION_FINISHED {
				n++
			}
		}
		return n
	}
	for range 2 {
		if err := c.ApplyOperation(now, op); err != nil {
			t.Fatal(err)
		}
	}
	if total := c.View().Info.Resources; updates() != 1 || len(total) != 2 || total[1].Scalar.Value != 60 {
		t.Errorf("after RESERVE twice the agent has %v", total)
	}
	for _, wait := range []time.Duration{retryMin, 2 * retryMin, 4 * retryMin} {
		now = now.Add(wait - time.Nanosecond)
		c.Tick(now)
		early := updates()
		now = now.Add(time.Nanosecond)
		c.Tick(now)
		if again := updates(); early != 0 || again != 1 {
			t.Errorf("the update was repeated %d times before %s, and %d after", early, wait, again)
		}
	}
	c.Disconnect(now)
	if !c.nextOperation().IsZero() {
		t.Error("an update is to be repeated though there is no master")
	}
	c.Reregistered(now, mesos.AgentID{Value: "S0"}, 0, nil)
	if n := updates(); n != 1 {
		t.Errorf("another master was told %d times", n)
	}
	c.AcknowledgeOperation(op.UUID.Value, []byte("a status's uuid!"))
	if !c.nextOperation().IsZero() {
		t.Error("an acknowledged update is to be repeated")
	}
	op.UUID.Value = []byte("another one's id")
	if err := c.ApplyOperation(now, op); err == nil {
		t.Error("more was reserved than there is")
	}
}
