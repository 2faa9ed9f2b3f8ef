package wire

import (
	"fmt"
	"slices"

	gogoproto "github.com/gogo/protobuf/proto"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Addition is a field that mesos-go's type of a message lacks.
type Addition struct {
	// Path names the fields that lead from the outermost message to those that
	// get the field.
	Path []string
	// Field is its name there.
	Field string
	// Value is what the n-th of these messages gets, counted from 0, in its
	// encoded form: of a message its bytes, of a bool []byte{1}, of a
	// number its varint. Nil is nothing.
	Value func(n int) []byte
}

// Extend returns a message with more fields than its type can hold. It can only be
// marshaled.
func (s *Schema) Extend(m Message, additions ...Addition) (Message, error) {
	plan, err := s.planOf(m)
	if err != nil {
		return nil, err
	}
	raw, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("cannot marshal a %T: %w", m, err)
	}
	for _, a := range additions {
		n := 0
		if raw, err = a.apply(plan, raw, a.Path, &n); err != nil {
			return nil, err
		}
	}
	return extended{m, raw}, nil
}

// apply adds the field to all messages at the path within one; n counts them.
func (a Addition) apply(p *messagePlan, raw []byte, path []string, n *int) ([]byte, error) {
	if len(path) == 0 {
		field := p.byName[a.Field]
		if field == nil {
			return nil, fmt.Errorf("cannot extend %s: it has no %s", p.desc.FullName(), a.Field)
		}
		value := a.Value(*n)
		*n++
		if value == nil {
			return raw, nil
		}
		raw = slices.Clip(raw)
		if field.kind == protoreflect.MessageKind {
			return protowire.AppendBytes(protowire.AppendTag(raw, field.num, protowire.BytesType), value), nil
		}
		return append(protowire.AppendTag(raw, field.num, protowire.VarintType), value...), nil
	}
	way := p.byName[path[0]]
	if way == nil || way.message == nil {
		return nil, fmt.Errorf("cannot extend %s: it has no message %s", p.desc.FullName(), path[0])
	}
	var out []byte
	for len(raw) > 0 {
		num, typ, size := protowire.ConsumeTag(raw)
		if size < 0 {
			return nil, fmt.Errorf("cannot extend %s: %w", p.desc.FullName(), protowire.ParseError(size))
		}
		length := protowire.ConsumeFieldValue(num, typ, raw[size:])
		if length < 0 {
			return nil, fmt.Errorf("cannot extend %s: %w", p.desc.FullName(), protowire.ParseError(length))
		}
		if num != way.num || typ != protowire.BytesType {
			out = append(out, raw[:size+length]...)
		} else {
			body, _ := protowire.ConsumeBytes(raw[size:])
			inner, err := a.apply(way.message, body, path[1:], n)
			if err != nil {
				return nil, err
			}
			out = protowire.AppendBytes(protowire.AppendTag(out, num, typ), inner)
		}
		raw = raw[size+length:]
	}
	return out, nil
}

// extended is a message whose bytes say more than it.
type extended struct {
	Message
	raw []byte
}

// Marshal returns all fields.
func (e extended) Marshal() ([]byte, error) { return e.raw, nil }

// XXX_MessageName lets the schema find the message's description.
func (e extended) XXX_MessageName() string { return gogoproto.MessageName(e.Message) }

// Raw returns the bytes of the message at the end of the path; nil if it is not
// there.
func (p Presence) Raw(path ...string) []byte {
	f, ok := p.find(path)
	if !ok {
		return nil
	}
	return slices.Concat([]byte{}, f.bytes)
}
