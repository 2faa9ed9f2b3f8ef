package checkpoint

import (
	"encoding/binary"
	"errors"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// errTorn says that bytes end before the message that they begin.
var errTorn = errors.New("it ends within a message")

// frame puts a message's length before it.
func frame(encoded []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(encoded))), encoded...)
}

// unframe takes the first message off; none is left of nothing.
func unframe(framed []byte) (encoded, rest []byte, err error) {
	const prefix = 4
	if len(framed) < prefix {
		return nil, nil, errTorn
	}
	size := binary.LittleEndian.Uint32(framed)
	framed = framed[prefix:]
	if uint64(len(framed)) < uint64(size) {
		return nil, nil, errTorn
	}
	return framed[:size], framed[size:], nil
}

// The fields that mesos-go's messages lack: SlaveInfo.checkpoint and Task.limits.
const (
	agentCheckpoint = 7
	taskLimits      = 17
)

func encodeAgent(info mesos.AgentInfo) ([]byte, error) {
	info.Resources = downgraded(info.Resources)
	encoded, err := info.Marshal()
	if err != nil {
		return nil, err
	}
	w := wire.FieldsAfter(encoded)
	w.Varint(agentCheckpoint, 1)
	return w.Encoded()
}

func decodeAgent(encoded []byte) (info mesos.AgentInfo, err error) {
	err = info.Unmarshal(encoded)
	upgrade(info.Resources)
	return info, err
}

func encodeExecutor(info mesos.ExecutorInfo) ([]byte, error) {
	info.Resources = downgraded(info.Resources)
	return info.Marshal()
}

func decodeExecutor(encoded []byte) (info mesos.ExecutorInfo, err error) {
	err = info.Unmarshal(encoded)
	upgrade(info.Resources)
	return info, err
}

func encodeTask(t mesos.Task, limits map[string]mesos.Value_Scalar) ([]byte, error) {
	t.Resources = downgraded(t.Resources)
	encoded, err := t.Marshal()
	if err != nil {
		return nil, err
	}
	w := wire.FieldsAfter(encoded)
	for name, limit := range limits {
		w.Nested(taskLimits, func() {
			w.Text(1, name)
			w.Message(2, &limit)
		})
	}
	return w.Encoded()
}

func decodeTask(encoded []byte) (t mesos.Task, limits map[string]mesos.Value_Scalar, err error) {
	if err := t.Unmarshal(encoded); err != nil {
		return t, nil, err
	}
	upgrade(t.Resources)
	err = wire.EachField(encoded, func(f wire.Field) error {
		if f.Number != taskLimits {
			return nil
		}
		name, limit := "", mesos.Value_Scalar{}
		err := wire.EachField(f.Bytes, func(f wire.Field) error {
			switch f.Number {
			case 1:
				name = string(f.Bytes)
			case 2:
				return f.Message(&limit)
			}
			return nil
		})
		if limits == nil {
			limits = map[string]mesos.Value_Scalar{}
		}
		limits[name] = limit
		return err
	})
	return t, limits, err
}

// The fields of ResourceState (src/slave/state.proto).
const stateOperations, stateResources = 1, 2

func encodeState(r core.KeepResources) ([]byte, error) {
	w := new(wire.Fields)
	for i := range r.Operations {
		w.Message(stateOperations, &r.Operations[i])
	}
	for i := range r.Resources {
		w.Message(stateResources, &r.Resources[i])
	}
	return w.Encoded()
}

func decodeState(encoded []byte, into *core.Saved) error {
	return wire.EachField(encoded, func(f wire.Field) error {
		switch f.Number {
		case stateOperations:
			var o mesos.Operation
			err := f.Message(&o)
			into.Operations = append(into.Operations, o)
			return err
		case stateResources:
			var r mesos.Resource
			err := f.Message(&r)
			resources := append(into.Resources, r)
			upgrade(resources[len(resources)-1:])
			into.Resources = resources
			return err
		}
		return nil
	})
}

// The fields of StatusUpdateRecord and StatusUpdate (src/messages/messages.proto).
const (
	recordType, recordUpdate, recordUUID = 1, 2, 3

	updateFramework, updateExecutor, updateAgent, updateStatus = 1, 2, 3, 4
	updateTimestamp, updateUUID                                = 5, 6

	typeUpdate, typeAcknowledged = 0, 1
)

func encodeUpdate(u *link.StatusUpdate) ([]byte, error) {
	w := new(wire.Fields)
	w.Varint(recordType, typeUpdate)
	w.Nested(recordUpdate, func() {
		w.Message(updateFramework, &u.FrameworkID)
		if u.ExecutorID != nil {
			w.Message(updateExecutor, u.ExecutorID)
		}
		w.Message(updateAgent, &u.AgentID)
		w.Message(updateStatus, &u.Status)
		w.Double(updateTimestamp, u.Status.GetTimestamp())
		w.Bytes(updateUUID, u.Status.UUID)
	})
	return w.Encoded()
}

func encodeAcknowledged(uuid []byte) []byte {
	w := new(wire.Fields)
	w.Varint(recordType, typeAcknowledged)
	w.Bytes(recordUUID, uuid)
	encoded, _ := w.Encoded() // Only messages can fail.
	return encoded
}

// decodeUpdates reads records one after the other, and says how many bytes of
// whole ones there are. What is torn off at the end was never written; records
// that make no sense are an error.
func decodeUpdates(stored []byte, into *core.SavedTask) (whole int, err error) {
	for whole < len(stored) {
		encoded, rest, err := unframe(stored[whole:])
		if err != nil {
			return whole, nil
		}
		if err := decodeRecord(encoded, into); err != nil {
			return whole, err
		}
		whole = len(stored) - len(rest)
	}
	return whole, nil
}

func decodeRecord(encoded []byte, into *core.SavedTask) error {
	kind, update, uuid := uint64(typeUpdate), []byte(nil), []byte(nil)
	err := wire.EachField(encoded, func(f wire.Field) error {
		switch f.Number {
		case recordType:
			kind = f.Varint
		case recordUpdate:
			update = f.Bytes
		case recordUUID:
			uuid = f.Bytes
		}
		return nil
	})
	if err != nil {
		return err
	}
	if kind == typeAcknowledged {
		if into.Acknowledged == nil {
			into.Acknowledged = map[string]bool{}
		}
		into.Acknowledged[string(uuid)] = true
		return nil
	}
	var u link.StatusUpdate
	err = wire.EachField(update, func(f wire.Field) error {
		switch f.Number {
		case updateFramework:
			return f.Message(&u.FrameworkID)
		case updateExecutor:
			u.ExecutorID = new(mesos.ExecutorID)
			return f.Message(u.ExecutorID)
		case updateAgent:
			return f.Message(&u.AgentID)
		case updateStatus:
			return f.Message(&u.Status)
		}
		return nil
	})
	if err == nil && (u.Status.State == nil || len(u.Status.UUID) == 0) {
		err = errors.New("an update lacks its state or its UUID")
	}
	u.LatestState = u.Status.GetState()
	into.Updates = append(into.Updates, u)
	return err
}
