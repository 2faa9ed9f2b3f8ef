package master

import (
	"errors"
	"net/http"
	"slices"

	"github.com/google/uuid"
	allocatorpb "github.com/mesos/mesos-go/api/v1/lib/allocator"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

var (
	errRootSubmission      = errors.New("User 'root' is not allowed to run frameworks without --root_submissions set")
	errRemoved             = errors.New("Framework has been removed")
	errUnknown             = wire.BadRequest("Framework cannot be found")
	errNotSubscribed       = wire.Forbidden("Framework is not subscribed")
	errStreamIDOnSubscribe = wire.BadRequest("Subscribe calls should not include the '%s' header", wire.StreamIDHeader)
	errNoStreamID          = wire.BadRequest("All non-subscribe calls should include the '%s' header", wire.StreamIDHeader)
)

// serveScheduler serves /api/v1/scheduler.
func (m *Master) serveScheduler(w http.ResponseWriter, r *http.Request) error {
	principal := wire.Principal(r)
	var call scheduler.Call
	sent, err := m.options.Schema.ReadCall(r, &call)
	if err != nil {
		return err
	}
	if err := validation.Call(&call, func(field string) bool { return sent.Has(field) }, principal); err != nil {
		return wire.BadRequest("Failed to validate scheduler::Call: %s", err)
	}
	streamID, hasStreamID := wire.StreamID(r)
	if call.Type == scheduler.Call_SUBSCRIBE {
		media, err := wire.Accept(r)
		if err != nil {
			return err
		}
		if hasStreamID {
			return errStreamIDOnSubscribe
		}
		return m.serveSubscription(w, r, media, &call, sent, principal)
	}
	status := http.StatusAccepted
	err = m.do(func() error {
		f, err := m.core.caller(call.FrameworkID.Value, principal, streamID, hasStreamID)
		if err != nil {
			return err
		}
		if call.Type == scheduler.Call_UPDATE_FRAMEWORK {
			status = http.StatusOK
		}
		return m.core.handle(f, &call, sent)
	})
	if errors.Is(err, errStopped) {
		return wire.Unavailable(err.Error())
	}
	if err != nil {
		return err
	}
	wire.WriteEmpty(w, status)
	return nil
}

func (m *Master) serveSubscription(w http.ResponseWriter, r *http.Request, media wire.MediaType, call *scheduler.Call, sent wire.Presence, principal string) error {
	s := &subscription{
		info:       *call.Subscribe.FrameworkInfo,
		suppressed: call.Subscribe.SuppressedRoles,
		streamID:   uuid.NewString(),
		events:     new(wire.Events),
	}
	if s.info.Principal == nil && principal != "" {
		s.info.Principal = &principal
	}
	s.constraints, s.invalid = readConstraints(sent, "subscribe", validation.Roles(&s.info))
	var id frameworkID
	if err := m.do(func() error { id = m.core.subscribe(s); return nil }); err != nil {
		return wire.Unavailable(err.Error())
	}
	err := m.options.Schema.ServeEvents(w, r, media, s.streamID, s.events)
	if err != nil {
		m.options.Logger.WithError(err).Debug("a scheduler's stream broke")
	}
	m.post(func() { m.core.disconnectFramework(id, s.streamID) })
	return nil
}

// caller finds the framework that makes a call, and refuses the call unless it
// comes from the framework's present subscription.
func (c *core) caller(id, principal, streamID string, hasStreamID bool) (*framework, error) {
	f := c.frameworks[frameworkID(id)]
	if f == nil {
		return nil, errUnknown
	}
	if principal != "" && f.info.GetPrincipal() != principal {
		return nil, wire.BadRequest("Authenticated principal '%s' does not match principal '%s' set in `FrameworkInfo`", principal, f.info.GetPrincipal())
	}
	switch {
	case !f.connected:
		return nil, errNotSubscribed
	case !hasStreamID:
		return nil, errNoStreamID
	case streamID != f.streamID:
		return nil, wire.BadRequest("The stream ID '%s' included in this request didn't match the stream ID currently associated with framework ID %s", streamID, f.id)
	}
	return f, nil
}

// handle does what a call other than SUBSCRIBE asks for.
func (c *core) handle(f *framework, call *scheduler.Call, sent wire.Presence) error {
	f.count("calls", call.Type.String())
	switch call.Type {
	case scheduler.Call_TEARDOWN:
		c.removeFramework(f)
	case scheduler.Call_ACCEPT:
		c.accept(f, call.Accept, sent)
	case scheduler.Call_DECLINE:
		c.decline(f, call.Decline)
	case scheduler.Call_REVIVE:
		c.metrics.messages["revive_offers"]++
		if f.subscribes(call.Revive.GetRoles()) {
			c.forgetInverseFilters(f)
			c.allocator.Revive(string(f.id), call.Revive.GetRoles())
			c.allocateSoon()
		}
	case scheduler.Call_SUPPRESS:
		c.metrics.messages["suppress_offers"]++
		if f.subscribes(call.Suppress.GetRoles()) {
			c.allocator.Suppress(string(f.id), call.Suppress.GetRoles())
		}
	case scheduler.Call_KILL:
		c.kill(f, call.Kill)
	case scheduler.Call_SHUTDOWN:
		c.shutdownExecutor(f, call.Shutdown)
	case scheduler.Call_ACKNOWLEDGE:
		c.acknowledge(f, call.Acknowledge)
	case scheduler.Call_RECONCILE:
		c.reconcile(f, call.Reconcile)
	case scheduler.Call_MESSAGE:
		c.message(f, call.Message)
	case scheduler.Call_UPDATE_FRAMEWORK:
		return c.changeFramework(f, call.UpdateFramework, sent)
	case scheduler.Call_REQUEST:
		// A real master's allocator ignores these, too.
		c.metrics.messages["resource_request"]++
	case scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS:
		c.acknowledgeOperation(f, call.AcknowledgeOperationStatus)
	case scheduler.Call_RECONCILE_OPERATIONS:
		c.reconcileOperations(f, call.ReconcileOperations)
	case scheduler.Call_ACCEPT_INVERSE_OFFERS:
		c.answerInverse(f, call.AcceptInverseOffers.InverseOfferIDs, call.AcceptInverseOffers.Filters, allocatorpb.InverseOfferStatus_ACCEPT)
	case scheduler.Call_DECLINE_INVERSE_OFFERS:
		c.answerInverse(f, call.DeclineInverseOffers.InverseOfferIDs, call.DeclineInverseOffers.Filters, allocatorpb.InverseOfferStatus_DECLINE)
	default:
		return &wire.Error{Status: http.StatusNotImplemented, Text: "501 Not Implemented."}
	}
	return nil
}

// subscribes tells whether the roles are all the framework's. Calls about others
// are ignored, also for the roles that are.
func (f *framework) subscribes(roles []string) bool {
	own := validation.Roles(&f.info)
	return !slices.ContainsFunc(roles, func(role string) bool { return !slices.Contains(own, role) })
}

// changeFramework handles UPDATE_FRAMEWORK, which refuses what a new
// subscription would silently ignore.
func (c *core) changeFramework(f *framework, call *scheduler.Call_UpdateFramework, sent wire.Presence) error {
	info := call.FrameworkInfo
	if err := c.validFramework(&info); err != nil {
		return wire.BadRequest("Supplied FrameworkInfo is not valid: %s", err)
	}
	if err := validation.Update(&f.info, &info); err != nil {
		return wire.BadRequest("FrameworkInfo update is not valid: %s", err)
	}
	roles := validation.Roles(&info)
	if err := validation.SuppressedRoles(roles, call.SuppressedRoles); err != nil {
		return wire.BadRequest("'UpdateFramework' call is not valid: %s", err)
	}
	constraints, err := readConstraints(sent, "update_framework", roles)
	if err != nil {
		return wire.BadRequest("'UpdateFramework' call is not valid: %s", err)
	}
	if err := c.registrable(&info); err != nil {
		return wire.Forbidden(err.Error())
	}
	f.constraints = constraints
	info.ID = f.info.ID
	changed := !info.Equal(&f.info)
	c.updateFramework(f, info)
	c.allocator.SetFramework(c.allocatable(f, call.SuppressedRoles))
	if changed {
		c.announce(f)
	}
	return nil
}
