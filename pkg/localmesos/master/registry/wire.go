package registry

import (
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/encoding/protowire"
)

// message is one of mesos-go's.
type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// writer writes the messages that mesos-go lacks.
type writer struct {
	bytes []byte
	err   error // the first
}

func (w *writer) raw(number int, value []byte) {
	w.bytes = protowire.AppendTag(w.bytes, protowire.Number(number), protowire.BytesType)
	w.bytes = protowire.AppendBytes(w.bytes, value)
}

func (w *writer) text(number int, s string) { w.raw(number, []byte(s)) }

func (w *writer) truth(number int) {
	w.bytes = protowire.AppendTag(w.bytes, protowire.Number(number), protowire.VarintType)
	w.bytes = protowire.AppendVarint(w.bytes, 1)
}

func (w *writer) message(number int, m message) {
	value, err := m.Marshal()
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("cannot encode a %T: %w", m, err)
	}
	w.raw(number, value)
}

// nested writes a message whose fields are written meanwhile.
func (w *writer) nested(number int, fields func()) {
	outer := w.bytes
	w.bytes = nil
	fields()
	inner := w.bytes
	w.bytes = outer
	w.raw(number, inner)
}

// since writes an agent's ID and the time of what became of it.
func (w *writer) since(id string, at time.Time) {
	w.message(fieldInfo, &mesos.AgentID{Value: id})
	w.message(fieldTime, &mesos.TimeInfo{Nanoseconds: at.UnixNano()})
}

// field is one of a message: bytes or a number.
type field struct {
	number int
	bytes  []byte
	varint uint64
}

func (f field) message(m message) error {
	if err := m.Unmarshal(f.bytes); err != nil {
		return fmt.Errorf("cannot read a %T: %w", m, err)
	}
	return nil
}

// eachField calls a function with every field of a message.
func eachField(encoded []byte, read func(field) error) error {
	for len(encoded) > 0 {
		number, kind, size := protowire.ConsumeTag(encoded)
		if size < 0 {
			return protowire.ParseError(size)
		}
		encoded = encoded[size:]
		f := field{number: int(number)}
		switch kind {
		case protowire.BytesType:
			f.bytes, size = protowire.ConsumeBytes(encoded)
		case protowire.VarintType:
			f.varint, size = protowire.ConsumeVarint(encoded)
		default:
			size = protowire.ConsumeFieldValue(number, kind, encoded)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		encoded = encoded[size:]
		if err := read(f); err != nil {
			return err
		}
	}
	return nil
}

// eachNested calls a function with every field of that number in a message.
func eachNested(outer field, number int, read func(field) error) error {
	return eachField(outer.bytes, func(f field) error {
		if f.number != number {
			return nil
		}
		return read(f)
	})
}
