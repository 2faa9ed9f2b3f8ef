package schedulerapi

import (
	"bytes"
	"math"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/encoding/protowire"
)

// update is an event of UPDATE with all that its status points to, in one piece of
// memory: mesos-go takes twenty.
type update struct {
	event  scheduler.Event
	update scheduler.Event_Update

	state     mesos.TaskState
	source    mesos.TaskStatus_Source
	reason    mesos.TaskStatus_Reason
	healthy   bool
	timestamp float64
	message   string
	agent     mesos.AgentID
	executor  mesos.ExecutorID
	container mesos.ContainerStatus
	inside    mesos.ContainerID
	uuid      [16]byte
}

// ids are the IDs of a status, as they stand in the record.
type ids struct{ task, agent, executor, container []byte }

// The numbers of Event.update (mesos/v1/scheduler/scheduler.proto), of
// ContainerStatus.container_id, of the field that only reads, and of the fields of a
// TaskStatus (mesos/v1/mesos.proto).
const (
	eventUpdateField = 5
	containerIDField = 4
	onlyField        = 1

	statusTask      = 1
	statusState     = 2
	statusData      = 3
	statusMessage   = 4
	statusAgent     = 5
	statusTimestamp = 6
	statusExecutor  = 7
	statusHealthy   = 8
	statusSource    = 9
	statusReason    = 10
	statusUUID      = 11
	statusContainer = 13
)

// updateHead is what an event of UPDATE begins with, up to the length of the update.
var updateHead = head(scheduler.Event_UPDATE, eventUpdateField)

// decodeUpdate returns nil for anything but an event of UPDATE as masters write most
// of them. Of a container's status it reads nothing but the ID.
func decodeUpdate(record []byte) *scheduler.Event {
	given, is := bytes.CutPrefix(record, updateHead)
	if !is {
		return nil
	}
	body, n := protowire.ConsumeBytes(given)
	if n != len(given) {
		return nil
	}
	status, is := only(body)
	if !is {
		return nil
	}
	u := &update{}
	if !u.read(status) {
		return nil
	}
	u.event.Type, u.event.Update = scheduler.Event_UPDATE, &u.update
	return &u.event
}

// only returns the value of a message that has one field, such as the status in an
// Event.Update that has no more, and the value in a TaskID, AgentID, ExecutorID or
// ContainerID.
func only(message []byte) ([]byte, bool) {
	got, kind, tag := protowire.ConsumeTag(message)
	if tag < 0 || got != onlyField || kind != protowire.BytesType {
		return nil, false
	}
	value, n := protowire.ConsumeBytes(message[tag:])
	return value, n == len(message)-tag
}

// read takes in a status. It reports false where the status has a field that is not read here, or one
// twice, or lacks one that it must have.
func (u *update) read(status []byte) bool {
	s := &u.update.Status
	var of ids
	seen := uint32(0)
	for len(status) > 0 {
		number, kind, n := protowire.ConsumeTag(status)
		if n < 0 || number > statusContainer || seen&(1<<number) != 0 {
			return false
		}
		seen |= 1 << number
		status = status[n:]
		good := true
		switch kind {
		case protowire.VarintType:
			var value uint64
			value, n = protowire.ConsumeVarint(status)
			good = n > 0 && value <= math.MaxInt32 && u.number(number, value)
		case protowire.Fixed64Type:
			var value uint64
			value, n = protowire.ConsumeFixed64(status)
			good = n > 0 && number == statusTimestamp
			u.timestamp = math.Float64frombits(value)
			s.Timestamp = &u.timestamp
		case protowire.BytesType:
			var value []byte
			value, n = protowire.ConsumeBytes(status)
			if n < 0 {
				return false
			}
			switch number {
			case statusTask:
				of.task, good = only(value)
			case statusAgent:
				of.agent, good = only(value)
				s.AgentID = &u.agent
			case statusExecutor:
				of.executor, good = only(value)
				s.ExecutorID = &u.executor
			case statusContainer:
				of.container, good = u.containerStatus(value)
			default:
				good = u.bytes(number, value)
			}
		default:
			return false
		}
		if !good {
			return false
		}
		status = status[n:]
	}
	u.name(of)
	return seen&(1<<statusTask) != 0 && seen&(1<<statusState) != 0
}

// name gives the status its IDs, which share one string.
func (u *update) name(of ids) {
	var room [256]byte
	rest := string(append(append(append(append(room[:0], of.task...), of.agent...), of.executor...), of.container...))
	cut := func(n int) (id string) {
		id, rest = rest[:n], rest[n:]
		return id
	}
	u.update.Status.TaskID.Value = cut(len(of.task))
	u.agent.Value, u.executor.Value = cut(len(of.agent)), cut(len(of.executor))
	if len(of.container) > 0 {
		u.inside.Value = rest
	}
}

// number takes in a field that is a number.
func (u *update) number(field protowire.Number, value uint64) bool {
	s := &u.update.Status
	switch field {
	case statusState:
		u.state = mesos.TaskState(value)
		s.State = &u.state
	case statusSource:
		u.source = mesos.TaskStatus_Source(value)
		s.Source = &u.source
	case statusReason:
		u.reason = mesos.TaskStatus_Reason(value)
		s.Reason = &u.reason
	case statusHealthy:
		u.healthy = value != 0
		s.Healthy = &u.healthy
	default:
		return false
	}
	return true
}

// bytes takes in a field that is bytes, beside the IDs.
func (u *update) bytes(field protowire.Number, value []byte) bool {
	s := &u.update.Status
	switch field {
	case statusMessage:
		u.message = string(value)
		s.Message = &u.message
	case statusData:
		s.Data = append([]byte{}, value...)
	case statusUUID:
		s.UUID = append(u.uuid[:0], value...)
	default:
		return false
	}
	return true
}

// containerStatus takes in the ID of a container, and returns it where it is to stand
// with the others.
func (u *update) containerStatus(status []byte) (id []byte, good bool) {
	u.update.Status.ContainerStatus = &u.container
	for len(status) > 0 {
		number, kind, n := protowire.ConsumeField(status)
		if n < 0 {
			return nil, false
		}
		if number == containerIDField {
			if kind != protowire.BytesType || u.container.ContainerID != nil {
				return nil, false
			}
			_, _, tag := protowire.ConsumeTag(status)
			given, _ := protowire.ConsumeBytes(status[tag:])
			u.container.ContainerID = &u.inside
			// Of a container in another one there is more than the value.
			if value, is := only(given); is {
				id = value
			} else if u.inside.Unmarshal(given) != nil {
				return nil, false
			}
		}
		status = status[n:]
	}
	return id, true
}
