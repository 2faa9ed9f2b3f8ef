package master

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/conversion"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// An operation on resources is made at once in the master's accounts; the agent
// follows, and what it says of it is passed on to the framework until that has
// acknowledged it (Master::_accept, _apply and updateOperationStatus).

// validate looks at an operation whose resources are sound.
func validateOperation(rules *validation.Operation, op *mesos.Offer_Operation) error {
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		return rules.Reserve(op.Reserve)
	case mesos.Offer_Operation_UNRESERVE:
		return rules.Unreserve(op.Unreserve)
	case mesos.Offer_Operation_CREATE:
		return rules.Create(op.Create)
	case mesos.Offer_Operation_DESTROY:
		return rules.Destroy(op.Destroy)
	case mesos.Offer_Operation_GROW_VOLUME:
		return validation.GrowVolume(op.GrowVolume)
	case mesos.Offer_Operation_SHRINK_VOLUME:
		return validation.ShrinkVolume(op.ShrinkVolume)
	case mesos.Offer_Operation_CREATE_DISK, mesos.Offer_Operation_DESTROY_DISK:
		// Here, no resource provider manages anything.
		return errors.New("'source' is not managed by a resource provider")
	}
	return fmt.Errorf("%s operations are not supported by this master", op.Type)
}

// soundOperation refuses an operation without what it is about, or whose
// resources are no resources, and else brings those into the refined form.
func soundOperation(op *mesos.Offer_Operation) error {
	missing := map[mesos.Offer_Operation_Type]struct {
		absent  bool
		article string
		field   string
	}{
		mesos.Offer_Operation_RESERVE:   {op.Reserve == nil, "A", "reserve"},
		mesos.Offer_Operation_UNRESERVE: {op.Unreserve == nil, "An", "unreserve"},
		mesos.Offer_Operation_CREATE:    {op.Create == nil, "A", "create"},
		mesos.Offer_Operation_DESTROY:   {op.Destroy == nil, "A", "destroy"},

		mesos.Offer_Operation_CREATE_DISK:  {op.CreateDisk == nil, "A", "create_disk"},
		mesos.Offer_Operation_DESTROY_DISK: {op.DestroyDisk == nil, "A", "destroy_disk"},
	}[op.Type]
	if missing.absent {
		//lint:ignore ST1005 a real master's text
		return fmt.Errorf("%s %s offer operation must have the Offer.Operation.%s field set.", missing.article, op.Type, missing.field)
	}
	switch {
	case op.Type == mesos.Offer_Operation_GROW_VOLUME && op.GrowVolume == nil:
		//lint:ignore ST1005 a real master's text
		return errors.New("A GROW_VOLUME operation must have the Offer.Operation.grow_volume field set")
	case op.Type == mesos.Offer_Operation_SHRINK_VOLUME && op.ShrinkVolume == nil:
		//lint:ignore ST1005 a real master's text
		return errors.New("A SHRINK_VOLUME offer operation must have the Offer.Operation.shrink_volume field set")
	}
	for _, r := range conversion.Resources(op) {
		if _, err := resource.FromMesos([]mesos.Resource{*r}); err != nil {
			return err
		}
		*r = resource.Upgrade(*r)
	}
	return nil
}

// soundConversion is soundOperation for an operation of a framework. It reports
// whether the operation may go on.
func (acc *acceptance) soundConversion(op *mesos.Offer_Operation) bool {
	err := soundOperation(op)
	if err == nil && len(op.GetReserve().GetSource()) > 0 {
		//lint:ignore ST1005 a real master's text
		err = errors.New("Reservation updates are not yet implemented for the scheduler API.")
	}
	if err == nil && op.ID != nil && acc.f.operation(op.ID.Value) != nil {
		// A real master of 1.12 ends itself here.
		err = fmt.Errorf("Operation has duplicate ID: %s", op.ID.Value)
	}
	if err != nil {
		acc.core.drop(acc.f, op, "Operation attempted with invalid resources: "+err.Error())
		return false
	}
	for _, r := range conversion.Resources(op) {
		*r = acc.normalize([]mesos.Resource{*r})[0]
	}
	return true
}

// convert does an operation on what is left of the offers.
func (acc *acceptance) convert(op *mesos.Offer_Operation) {
	c := acc.core
	err := validateOperation(&validation.Operation{
		Framework: &acc.f.info, Principal: acc.f.info.Principal, Total: acc.a.total, Used: acc.a.used().Unallocate(),
	}, op)
	if err != nil {
		c.drop(acc.f, op, fmt.Sprintf("%s; on agent %s", err, acc.a))
		return
	}
	if denied := refused(c.options.ACLs, acc.f.info.GetPrincipal(), op); denied != nil {
		c.drop(acc.f, op, fmt.Sprintf("Principal '%s' no authorized to %s", acc.f.info.GetPrincipal(), denied.text(c.options.Schema)))
		return
	}
	conversions, err := conversion.Of(op)
	if err == nil {
		err = acc.use(op, conversions)
	}
	if err != nil {
		c.drop(acc.f, op, err.Error())
		return
	}
	if op.Type == mesos.Offer_Operation_DESTROY {
		c.rescindVolumes(acc.a, op.Destroy.Volumes)
	}
	for _, each := range conversions {
		c.allocator.Convert(string(acc.f.id), string(acc.a.id), each.Consumed, each.Converted)
	}
	c.apply(acc.a, acc.f, op, conversions)
}

// use converts what is left of the offers. What becomes of a volume that is
// resized is not there for the operations that follow, as with a real master.
func (acc *acceptance) use(op *mesos.Offer_Operation, conversions []conversion.Conversion) error {
	if op.Type != mesos.Offer_Operation_GROW_VOLUME && op.Type != mesos.Offer_Operation_SHRINK_VOLUME {
		rest, err := conversion.Apply(acc.rest, conversions)
		if err == nil {
			acc.rest = rest
		}
		return err
	}
	consumed := conversion.Consumed(conversions)
	if !acc.rest.Contains(consumed) {
		//lint:ignore ST1005 a real master's text
		return fmt.Errorf("Invalid %s operation: %s does not contain %s", op.Type, acc.rest, consumed)
	}
	rest, err := acc.rest.Subtract(consumed)
	if err != nil {
		return err
	}
	acc.rest = rest
	for _, each := range conversions {
		acc.resized = acc.resized.Add(each.Converted)
	}
	return nil
}

// giveBack returns what is left of the offers. What was converted is not
// refused by the call's filters, for the framework has just made it.
func (acc *acceptance) giveBack(refuse time.Duration) {
	acc.rest = acc.rest.Add(acc.resized)
	c, made := acc.core, acc.rest.Beyond(acc.offered)
	c.allocator.Recover(string(acc.f.id), string(acc.a.id), made, 0, c.now())
	c.allocator.Recover(string(acc.f.id), string(acc.a.id), acc.rest.Beyond(made), refuse, c.now())
}

// String is how a real master names an agent.
func (a *agent) String() string { return fmt.Sprintf("%s at %s (%s)", a.id, a.pid, a.info.Hostname) }

// rescindVolumes takes back what is offered of volumes that are destroyed, which
// can only be shared ones.
func (c *core) rescindVolumes(a *agent, volumes []mesos.Resource) {
	destroyed, err := resource.FromMesos(volumes)
	if err != nil {
		return
	}
	for _, o := range sortedOffers(a.offers) {
		if o.resources.Unallocate().Contains(destroyed.Unallocate()) {
			c.rescind(o)
		}
	}
}

// apply makes an operation on an agent whose accounts in the allocator are made
// already; f is nil for one of an operator.
func (c *core) apply(a *agent, f *framework, op *mesos.Offer_Operation, conversions []conversion.Conversion) {
	total, err := conversion.Apply(a.total, conversion.Unallocated(conversions))
	if err != nil {
		c.options.Logger.WithError(err).Error("cannot account for an operation")
		return
	}
	a.total = total
	id := uuid.New()
	c.nextOperation++
	pending := mesos.OperationStatus{OperationID: op.ID, State: mesos.OPERATION_PENDING, AgentID: &mesos.AgentID{Value: string(a.id)}}
	o := &operation{seq: c.nextOperation, info: mesos.Operation{
		AgentID: &mesos.AgentID{Value: string(a.id)}, Info: *op, LatestStatus: pending, UUID: mesos.UUID{Value: id[:]},
	}}
	if f != nil {
		f.count("operations", op.Type.String())
		o.info.FrameworkID = &mesos.FrameworkID{Value: string(f.id)}
		if op.ID != nil {
			f.operations = append(f.operations, o)
		}
	}
	a.operations = append(a.operations, o)
	c.metrics.counters.operation(op.Type, pending.State, 1)
	a.link.ApplyOperation(o.info)
}

// operation is one that the agent or the framework has not heard the last of.
type operation struct {
	seq  int
	info mesos.Operation
}

func (o *operation) is(uuid []byte) bool { return bytes.Equal(o.info.UUID.Value, uuid) }

// latest is the last status that the framework was sent, which is not to be
// acknowledged again.
func (o *operation) latest() mesos.OperationStatus {
	status := o.info.LatestStatus
	if n := len(o.info.Statuses); n > 0 {
		status = o.info.Statuses[n-1]
	}
	status.UUID = nil
	return status
}

// operation returns the framework's operation of an ID, or nil.
func (f *framework) operation(id string) *operation {
	for _, o := range f.operations {
		if o.info.Info.ID.Value == id {
			return o
		}
	}
	return nil
}

func (c *core) removeOperation(a *agent, o *operation) {
	gone := func(other *operation) bool { return other == o }
	a.operations = slices.DeleteFunc(a.operations, gone)
	if f := c.frameworks[frameworkID(o.info.FrameworkID.GetValue())]; f != nil {
		f.operations = slices.DeleteFunc(f.operations, gone)
	}
	c.checkDrained(a)
}

// operationStatus passes an agent's update of an operation on. The master
// acknowledges what no framework will.
func (c *core) operationStatus(u link.OperationUpdate) {
	c.metrics.messages["operation_status_update"]++
	a := c.agents[agentID(u.AgentID.Value)]
	c.metrics.counters.valid(a != nil, "operation_status_updates")
	if a == nil {
		return
	}
	i := slices.IndexFunc(a.operations, func(o *operation) bool { return o.is(u.Operation) })
	if i < 0 {
		// It was acknowledged to this master, and the agent has not heard of it.
		a.link.AcknowledgeOperationStatus(u.Operation, u.Status.UUID.GetValue())
		return
	}
	o := a.operations[i]
	c.metrics.counters.operation(o.info.Info.Type, o.info.LatestStatus.State, -1)
	c.metrics.counters.operation(o.info.Info.Type, u.Status.State, 1)
	o.info.LatestStatus = u.Status
	if n := len(o.info.Statuses); n == 0 || !o.info.Statuses[n-1].Equal(&u.Status) {
		o.info.Statuses = append(slices.Clip(o.info.Statuses), u.Status)
	}
	f := c.frameworks[frameworkID(o.info.FrameworkID.GetValue())]
	if o.info.Info.ID == nil || f == nil {
		c.removeOperation(a, o)
		a.link.AcknowledgeOperationStatus(u.Operation, u.Status.UUID.GetValue())
		return
	}
	f.updateOperation(u.Status)
}

func (f *framework) updateOperation(status mesos.OperationStatus) {
	f.send(&scheduler.Event{
		Type:                  scheduler.Event_UPDATE_OPERATION_STATUS,
		UpdateOperationStatus: &scheduler.Event_UpdateOperationStatus{Status: status},
	})
}

// acknowledgeOperation handles ACKNOWLEDGE_OPERATION_STATUS. What fits nothing is
// ignored.
func (c *core) acknowledgeOperation(f *framework, call *scheduler.Call_AcknowledgeOperationStatus) {
	c.metrics.messages["operation_status_update_acknowledgement"]++
	a, o := c.agents[agentID(call.AgentID.GetValue())], f.operation(call.OperationID.Value)
	if a == nil || !a.connected || o == nil {
		c.metrics.counters.valid(false, "operation_status_update_acknowledgements")
		return
	}
	known := slices.ContainsFunc(o.info.Statuses, func(s mesos.OperationStatus) bool { return bytes.Equal(s.UUID.GetValue(), call.UUID) })
	c.metrics.counters.valid(known, "operation_status_update_acknowledgements")
	if !known {
		return
	}
	// All that an agent reports of these operations is final.
	c.removeOperation(a, o)
	a.link.AcknowledgeOperationStatus(o.info.UUID.Value, call.UUID)
}

// reconcileOperations handles RECONCILE_OPERATIONS: without operations it tells
// the status of all that are known.
func (c *core) reconcileOperations(f *framework, call *scheduler.Call_ReconcileOperations) {
	c.metrics.messages["reconcile_operations"]++
	if len(call.Operations) == 0 {
		for _, o := range f.operations {
			f.updateOperation(o.latest())
		}
	}
	for i := range call.Operations {
		asked := &call.Operations[i]
		if o := f.operation(asked.OperationID.Value); o != nil {
			f.updateOperation(o.latest())
			continue
		}
		state, message := c.unknownOperation(asked.AgentID)
		status := mesos.OperationStatus{
			OperationID: &mesos.OperationID{Value: asked.OperationID.Value}, State: state, Message: &message,
			AgentID: asked.AgentID, ResourceProviderID: asked.ResourceProviderID,
		}
		if asked.AgentID != nil && c.agents[agentID(asked.AgentID.Value)] != nil && asked.ResourceProviderID != nil {
			status.Message = nil // a real master leaves it to the agent, which does not explain itself
		}
		f.updateOperation(status)
	}
}

// unknownOperation says what can be said of an operation that is not known.
func (c *core) unknownOperation(on *mesos.AgentID) (mesos.OperationState, string) {
	if on == nil {
		return mesos.OPERATION_UNKNOWN, "Reconciliation: Operation is unknown and no 'agent_id' was provided"
	}
	id := agentID(on.Value)
	if _, ok := c.recovered[id]; ok {
		return mesos.OPERATION_RECOVERING, "Reconciliation: Agent is recovered but has not re-registered"
	}
	if c.agents[id] != nil {
		return mesos.OPERATION_UNKNOWN, "Reconciliation: Operation is unknown"
	}
	if _, ok := c.unreachable[id]; ok {
		return mesos.OPERATION_UNREACHABLE, "Reconciliation: Agent is unreachable"
	}
	if c.isGone(id) {
		return mesos.OPERATION_GONE_BY_OPERATOR, "Reconciliation: Agent marked gone by operator"
	}
	return mesos.OPERATION_UNKNOWN, "Reconciliation: Both operation and agent are unknown"
}

// dropOperations forgets the operations of an agent that is removed; their
// frameworks hear of the state if it is one.
func (c *core) dropOperations(a *agent, state mesos.OperationState, message string) {
	for _, o := range a.operations {
		if latest := o.info.LatestStatus.State; latest == mesos.OPERATION_PENDING {
			c.metrics.counters.operation(o.info.Info.Type, latest, -1)
		}
		if state != mesos.OPERATION_UNSUPPORTED {
			c.metrics.counters.operation(o.info.Info.Type, state, 1)
		}
		f := c.frameworks[frameworkID(o.info.FrameworkID.GetValue())]
		if f == nil || o.info.Info.ID == nil {
			continue
		}
		f.operations = slices.DeleteFunc(f.operations, func(other *operation) bool { return other == o })
		if state != mesos.OPERATION_UNSUPPORTED {
			f.updateOperation(mesos.OperationStatus{
				OperationID: o.info.Info.ID, State: state, Message: &message, AgentID: &mesos.AgentID{Value: string(a.id)},
			})
		}
	}
	a.operations = nil
}

// takeBackOperations adds what a returning agent has not heard acknowledged.
func (c *core) takeBackOperations(a *agent, list []mesos.Operation) {
	for _, info := range list {
		if slices.ContainsFunc(a.operations, func(o *operation) bool { return o.is(info.UUID.Value) }) {
			continue
		}
		c.nextOperation++
		o := &operation{seq: c.nextOperation, info: info}
		a.operations = append(a.operations, o)
		c.metrics.counters.operation(info.Info.Type, info.LatestStatus.State, 1)
		if f := c.frameworks[frameworkID(info.FrameworkID.GetValue())]; f != nil && info.Info.ID != nil {
			f.operations = append(f.operations, o)
		}
	}
}

// operate makes an operation of an operator: with what is free, for which offers
// are taken back (Master::Http::_operation). The answer to a conflict is the
// allocator's.
func (c *core) operate(on agentID, op *mesos.Offer_Operation, who viewer) error {
	a := c.agents[on]
	if a == nil {
		return wire.BadRequest("No agent found with specified ID")
	}
	if err := soundOperation(op); err != nil {
		return wire.BadRequest("%s", err)
	}
	var principal *string
	if who.principal != "" {
		principal = &who.principal
	}
	if err := validateOperation(&validation.Operation{Principal: principal, Total: a.total, Used: a.used().Unallocate()}, op); err != nil {
		where := ""
		if op.Type != mesos.Offer_Operation_UNRESERVE && op.Type != mesos.Offer_Operation_DESTROY {
			where = " on agent " + a.String()
		}
		return wire.BadRequest("Invalid %s operation%s: %s", op.Type, where, err)
	}
	if refused(who.rules, who.principal, op) != nil {
		return errForbidden
	}
	conversions, err := conversion.Of(op)
	if err != nil {
		return wire.BadRequest("Invalid %s operation: %s", op.Type, err)
	}
	required, recovered := conversion.Consumed(conversions), resource.Resources{}
	for _, o := range sortedOffers(a.offers) {
		offered := o.resources.Unallocate()
		if rest := required.Beyond(offered); rest.Equal(required) {
			continue
		} else {
			required = rest
		}
		recovered = recovered.Add(offered)
		c.rescindFor(o, refusal(nil))
		if _, err := conversion.Apply(recovered, conversions); err == nil {
			break
		}
	}
	if err := c.allocator.ConvertAvailable(string(a.id), conversions); err != nil {
		return &wire.Error{Status: 409, Text: err.Error()}
	}
	c.apply(a, nil, op, conversions)
	return nil
}
