package validation

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Call looks at the form of a scheduler's call, whoever sends it. has tells
// which of the call's own fields are set, for the Go type cannot always tell.
// principal is the authenticated one, or empty.
func Call(call *scheduler.Call, has func(field string) bool, principal string) error {
	if !has("type") {
		return errors.New("Expecting 'type' to be present")
	}
	if call.Type == scheduler.Call_SUBSCRIBE {
		if call.Subscribe == nil {
			return errors.New("Expecting 'subscribe' to be present")
		}
		info := call.Subscribe.FrameworkInfo
		if frameworkID(info.ID) != frameworkID(call.FrameworkID) {
			return errors.New("'framework_id' differs from 'subscribe.framework_info.id'")
		}
		if principal != "" && info.Principal != nil && *info.Principal != principal {
			return fmt.Errorf("Authenticated principal '%s' does not match principal '%s' set in `FrameworkInfo`", principal, *info.Principal)
		}
		return nil
	}
	if call.FrameworkID == nil {
		return errors.New("Expecting 'framework_id' to be present")
	}
	if field := messageOf(call.Type); field != "" && !has(field) {
		return fmt.Errorf("Expecting '%s' to be present", field)
	}
	switch call.Type {
	case scheduler.Call_ACKNOWLEDGE:
		return UUID(call.Acknowledge.UUID)
	case scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS:
		if err := UUID(call.AcknowledgeOperationStatus.UUID); err != nil {
			return err
		}
		if call.AcknowledgeOperationStatus.AgentID == nil {
			return errors.New("Expecting 'agent_id' to be present")
		}
	case scheduler.Call_UPDATE_FRAMEWORK:
		if frameworkID(call.UpdateFramework.FrameworkInfo.ID) != frameworkID(call.FrameworkID) {
			return errors.New("'framework_id' differs from 'update_framework.framework_info.id'")
		}
	}
	return nil
}

// messageOf names the field that a call of the type needs; empty for none.
func messageOf(t scheduler.Call_Type) string {
	switch t {
	case scheduler.Call_ACCEPT:
		return "accept"
	case scheduler.Call_DECLINE:
		return "decline"
	case scheduler.Call_ACCEPT_INVERSE_OFFERS:
		return "accept_inverse_offers"
	case scheduler.Call_DECLINE_INVERSE_OFFERS:
		return "decline_inverse_offers"
	case scheduler.Call_KILL:
		return "kill"
	case scheduler.Call_SHUTDOWN:
		return "shutdown"
	case scheduler.Call_ACKNOWLEDGE:
		return "acknowledge"
	case scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS:
		return "acknowledge_operation_status"
	case scheduler.Call_RECONCILE:
		return "reconcile"
	case scheduler.Call_RECONCILE_OPERATIONS:
		return "reconcile_operations"
	case scheduler.Call_MESSAGE:
		return "message"
	case scheduler.Call_REQUEST:
		return "request"
	case scheduler.Call_UPDATE_FRAMEWORK:
		return "update_framework"
	}
	return ""
}

func frameworkID(id *mesos.FrameworkID) string {
	if id == nil {
		return ""
	}
	return id.Value
}

// UUID refuses bytes that are no RFC 4122 UUID.
func UUID(raw []byte) error {
	id, err := uuid.FromBytes(raw)
	if err != nil || id.Variant() != uuid.RFC4122 || id.Version() < 1 || id.Version() > 5 {
		return errors.New("Not a valid UUID")
	}
	return nil
}
