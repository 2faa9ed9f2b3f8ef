package core

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/conversion"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// OperationStatus sends an update of an operation to the master.
type OperationStatus struct{ Update link.OperationUpdate }

// Volumes makes the directories of new persistent volumes, and removes those of
// destroyed ones.
type Volumes struct{ Created, Destroyed []mesos.Resource }

func (OperationStatus) effect() {}
func (Volumes) effect()         {}

// operation is one whose update the master has not acknowledged.
type operation struct {
	info    mesos.Operation
	update  link.OperationUpdate
	retryAt time.Time // zero while there is no master
	backoff time.Duration
}

// ApplyOperation converts resources of the agent. A real agent ends itself when
// it cannot, for the master has made the conversion already; this one says so to
// its caller, and does nothing. A repeated operation is done once.
func (c *Core) ApplyOperation(now time.Time, op mesos.Operation) error {
	if slices.ContainsFunc(c.operations, func(o *operation) bool { return bytes.Equal(o.info.UUID.Value, op.UUID.Value) }) {
		return nil
	}
	conversions, err := conversion.Of(&op.Info)
	if err != nil {
		return fmt.Errorf("cannot apply an operation: %w", err)
	}
	total, err := resource.FromMesos(c.total())
	if err == nil {
		total, err = conversion.Apply(total, conversion.Unallocated(conversions))
	}
	if err != nil {
		return fmt.Errorf("cannot apply an operation: %w", err)
	}
	c.converted = total.ToMesos()
	agent := c.AgentID()
	status := mesos.OperationStatus{
		OperationID: op.Info.ID,
		State:       mesos.OPERATION_FINISHED,
		UUID:        &mesos.UUID{Value: c.config.NewUUID()},
		AgentID:     &agent,
	}
	op.AgentID, op.LatestStatus, op.Statuses = &agent, status, []mesos.OperationStatus{status}
	o := &operation{info: op, update: link.OperationUpdate{
		AgentID: agent, FrameworkID: op.FrameworkID, Operation: op.UUID.Value, Status: status,
	}}
	c.operations = append(c.operations, o)
	c.keepResources()
	if created, destroyed := op.Info.GetCreate().GetVolumes(), op.Info.GetDestroy().GetVolumes(); len(created)+len(destroyed) > 0 {
		c.emit(Volumes{Created: created, Destroyed: destroyed})
	}
	if c.phase == Registered {
		c.tellOperation(now, o, retryMin)
	}
	return nil
}

// tellOperation sends the update of an operation, now and after the backoff
// again.
func (c *Core) tellOperation(now time.Time, o *operation, backoff time.Duration) {
	o.backoff, o.retryAt = backoff, now.Add(backoff)
	c.emit(OperationStatus{Update: o.update})
}

// AcknowledgeOperation ends the updates of an operation. It is ignored unless
// the status is the operation's.
func (c *Core) AcknowledgeOperation(operationUUID, status []byte) {
	before := len(c.operations)
	c.operations = slices.DeleteFunc(c.operations, func(o *operation) bool {
		return bytes.Equal(o.info.UUID.Value, operationUUID) && bytes.Equal(o.update.Status.UUID.Value, status)
	})
	if len(c.operations) < before {
		c.keepResources()
	}
	c.drained()
}

// total is what the agent has, after the operations on it.
func (c *Core) total() []mesos.Resource {
	if c.converted != nil {
		return c.converted
	}
	return c.config.Info.Resources
}

func (c *Core) nextOperation() time.Time {
	var next time.Time
	for _, o := range c.operations {
		next = earliest(next, o.retryAt)
	}
	return next
}

func (c *Core) tickOperations(now time.Time) {
	for _, o := range c.operations {
		if due(o.retryAt, now) {
			c.tellOperation(now, o, min(2*o.backoff, retryMax))
		}
	}
}

func (c *Core) pauseOperations() {
	for _, o := range c.operations {
		o.retryAt = time.Time{}
	}
}

func (c *Core) resumeOperations(now time.Time) {
	for _, o := range c.operations {
		c.tellOperation(now, o, retryMin)
	}
}

// volumes returns the persistent volumes that an executor and its tasks use.
func (e *executorState) volumes() []mesos.Resource {
	return e.uses(func(r *mesos.Resource) bool {
		return r.GetDisk().GetPersistence() != nil && r.GetDisk().GetVolume() != nil
	})
}

// disk returns all that an executor and its tasks use of disks.
func (e *executorState) disk() []mesos.Resource {
	return e.uses(func(r *mesos.Resource) bool { return r.Name == "disk" })
}

// uses returns those of the resources of an executor and its tasks that are wanted.
func (e *executorState) uses(wanted func(*mesos.Resource) bool) []mesos.Resource {
	var all []mesos.Resource
	add := func(list []mesos.Resource) {
		for i := range list {
			if wanted(&list[i]) {
				all = append(all, list[i])
			}
		}
	}
	add(e.info.Resources)
	for _, t := range e.queued.all() {
		add(t.Resources)
	}
	for _, t := range e.launched.all() {
		add(t.info.Resources)
	}
	return all
}
