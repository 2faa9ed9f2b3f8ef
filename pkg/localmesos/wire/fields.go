package wire

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field is one of an encoded message, for messages that mesos-go lacks, in whole or
// in part: bytes or a number.
type Field struct {
	Number int
	Bytes  []byte
	Varint uint64
}

// Message reads the field's bytes as a message.
func (f Field) Message(m interface{ Unmarshal([]byte) error }) error {
	if err := m.Unmarshal(f.Bytes); err != nil {
		return fmt.Errorf("cannot read a %T: %w", m, err)
	}
	return nil
}

// EachField calls a function with every field of a message, until that fails.
// Fields of other kinds than bytes and numbers have neither.
func EachField(encoded []byte, read func(Field) error) error {
	for len(encoded) > 0 {
		number, kind, size := protowire.ConsumeTag(encoded)
		if size < 0 {
			return protowire.ParseError(size)
		}
		encoded = encoded[size:]
		f := Field{Number: int(number)}
		switch kind {
		case protowire.BytesType:
			f.Bytes, size = protowire.ConsumeBytes(encoded)
		case protowire.VarintType:
			f.Varint, size = protowire.ConsumeVarint(encoded)
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

// Fields writes a message that mesos-go lacks, in whole or in part, field by field. Its
// zero value is an empty message.
type Fields struct {
	encoded []byte
	err     error // the first
}

// FieldsAfter writes on where an encoded message ends.
func FieldsAfter(encoded []byte) *Fields { return &Fields{encoded: encoded} }

// Encoded returns the message, or the first error in writing it.
func (w *Fields) Encoded() ([]byte, error) { return w.encoded, w.err }

// Bytes writes bytes.
func (w *Fields) Bytes(number int, value []byte) {
	w.encoded = protowire.AppendTag(w.encoded, protowire.Number(number), protowire.BytesType)
	w.encoded = protowire.AppendBytes(w.encoded, value)
}

// Text writes a string.
func (w *Fields) Text(number int, value string) {
	w.encoded = protowire.AppendTag(w.encoded, protowire.Number(number), protowire.BytesType)
	w.encoded = protowire.AppendString(w.encoded, value)
}

// Varint writes a number, a value of an enumeration, or 1 for true.
func (w *Fields) Varint(number int, value uint64) {
	w.encoded = protowire.AppendTag(w.encoded, protowire.Number(number), protowire.VarintType)
	w.encoded = protowire.AppendVarint(w.encoded, value)
}

// Double writes a number with a fraction.
func (w *Fields) Double(number int, value float64) {
	w.encoded = protowire.AppendTag(w.encoded, protowire.Number(number), protowire.Fixed64Type)
	w.encoded = protowire.AppendFixed64(w.encoded, math.Float64bits(value))
}

// Message writes a message of mesos-go's.
func (w *Fields) Message(number int, m interface{ Marshal() ([]byte, error) }) {
	value, err := m.Marshal()
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("cannot encode a %T: %w", m, err)
	}
	w.Bytes(number, value)
}

// Nested writes a message whose fields are written meanwhile.
func (w *Fields) Nested(number int, fields func()) {
	outer := w.encoded
	w.encoded = nil
	fields()
	inner := w.encoded
	w.encoded = outer
	w.Bytes(number, inner)
}
