package registry

import (
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
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

// eachNested calls a function with every field of that number in a message.
func eachNested(outer wire.Field, number int, read func(wire.Field) error) error {
	return wire.EachField(outer.Bytes, func(f wire.Field) error {
		if f.Number != number {
			return nil
		}
		return read(f)
	})
}
