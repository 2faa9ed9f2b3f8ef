package wire

import (
	"fmt"

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
