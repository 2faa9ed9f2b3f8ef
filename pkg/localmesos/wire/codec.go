package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// MediaType is one of the two codings of the v1 APIs.
type MediaType string

// The codings, as they stand in Content-Type and Accept.
const (
	JSON     MediaType = "application/json"
	Protobuf MediaType = "application/x-protobuf"
)

// Presence tells which fields of a decoded message were there. mesos-go's types
// cannot always tell: a Call holds its type by value, and a message may have
// fields that they do not know.
type Presence struct {
	plan *messagePlan
	raw  []byte
}

// Has tells whether the field at the end of the path of field names is set; an
// enum whose value is unknown is not.
func (p Presence) Has(path ...string) bool {
	_, ok := p.find(path)
	return ok
}

// List returns the messages of the repeated field at the end of the path.
func (p Presence) List(path ...string) []Presence {
	last := len(path) - 1
	if last > 0 {
		f, ok := p.find(path[:last])
		if !ok {
			return nil
		}
		p = Presence{f.plan.message, f.bytes}
	}
	var list []Presence
	for _, f := range p.fields(path[last]) {
		list = append(list, Presence{f.plan.message, f.bytes})
	}
	return list
}

// WriteJSON writes the message at the end of the path, or an empty object when
// it is not there.
func (p Presence) WriteJSON(w *Writer, path ...string) error {
	f, ok := p.find(path)
	if !ok {
		w.BeginObject()
		w.EndObject()
		return nil
	}
	return f.plan.message.write(w, f.bytes)
}

func (p Presence) find(path []string) (found rawField, ok bool) {
	for _, name := range path {
		fields := p.fields(name)
		if len(fields) == 0 {
			return rawField{}, false
		}
		found = fields[len(fields)-1]
		p = Presence{found.plan.message, found.bytes}
	}
	return found, len(path) > 0
}

// fields returns the fields of that name. Of a message that cannot be read, or
// of a field that is none, there are none.
func (p Presence) fields(name string) []rawField {
	if p.plan == nil {
		return nil
	}
	fields, err := scan(p.plan, p.raw, false)
	if err != nil {
		return nil
	}
	want := p.plan.byName[name]
	return slices.DeleteFunc(fields, func(f rawField) bool { return f.plan != want })
}

// Decode fills in a message from a body. Its errors are the texts of a 400
// answer; name is how they call the message, such as Call, and empty where
// they do not name it.
func (s *Schema) Decode(media MediaType, body []byte, into Message, name string) (Presence, error) {
	plan, err := s.planOf(into)
	if err != nil {
		return Presence{}, err
	}
	if media == Protobuf {
		if missing, err := plan.missing(nil, "", body); err != nil || len(missing) > 0 || unmarshal(plan, body, into) != nil {
			if name == "" {
				return Presence{}, errors.New("Failed to parse body into a protobuf object")
			}
			return Presence{}, fmt.Errorf("Failed to parse body into %s protobuf", name)
		}
		return Presence{plan, body}, nil
	}
	v, err := parseJSON(body)
	if err != nil {
		return Presence{}, fmt.Errorf("Failed to parse body into JSON: %w", err)
	}
	raw, err := jsonToProto(plan, v)
	var missing []string
	if err == nil {
		missing, err = plan.missing(nil, "", raw)
	}
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("Missing required fields: %s", strings.Join(missing, ", "))
	}
	if err == nil {
		err = into.Unmarshal(raw)
	}
	switch {
	case err != nil && name != "":
		return Presence{}, fmt.Errorf("Failed to convert JSON into %s protobuf: %w", name, err)
	case err != nil:
		return Presence{}, err
	}
	return Presence{plan, raw}, nil
}

// unmarshal fills in a message. Fields of a wire type that is not theirs are
// unknown ones to protobuf's C++, and errors to mesos-go.
func unmarshal(p *messagePlan, raw []byte, into Message) error {
	if into.Unmarshal(raw) == nil {
		return nil
	}
	fitting, err := p.fitting(nil, raw)
	if err != nil {
		return err
	}
	return into.Unmarshal(fitting)
}

// fitting appends the known fields of a message's bytes that are of their wire
// types.
func (p *messagePlan) fitting(dst, raw []byte) ([]byte, error) {
	for len(raw) > 0 {
		num, typ, tag := protowire.ConsumeTag(raw)
		if tag < 0 {
			return nil, protowire.ParseError(tag)
		}
		n := protowire.ConsumeFieldValue(num, typ, raw[tag:])
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		f := p.byNum[num]
		switch {
		case f == nil || !f.fits(typ):
		case f.message == nil:
			dst = append(dst, raw[:tag+n]...)
		default:
			inner, _ := protowire.ConsumeBytes(raw[tag:])
			kept, err := f.message.fitting(nil, inner)
			if err != nil {
				return nil, err
			}
			dst = protowire.AppendBytes(protowire.AppendTag(dst, num, typ), kept)
		}
		raw = raw[tag+n:]
	}
	return dst, nil
}

// Encode returns a message in one of the codings.
func (s *Schema) Encode(media MediaType, m Message) ([]byte, error) {
	raw, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("cannot marshal a %T: %w", m, err)
	}
	if media == Protobuf {
		return raw, nil
	}
	plan, err := s.planOf(m)
	if err != nil {
		return nil, err
	}
	w := new(Writer)
	if err := plan.write(w, raw); err != nil {
		return nil, fmt.Errorf("cannot write a %T as JSON: %w", m, err)
	}
	return w.Bytes(), nil
}

// WriteJSON writes a message into a larger JSON text.
func (s *Schema) WriteJSON(w *Writer, m Message) error {
	raw, err := m.Marshal()
	if err != nil {
		return fmt.Errorf("cannot marshal a %T: %w", m, err)
	}
	plan, err := s.planOf(m)
	if err != nil {
		return err
	}
	return plan.write(w, raw)
}

// missing appends the paths of all required fields that are not set: those of
// the message itself in order of declaration, then those of its messages in
// order of their numbers, as protobuf's own check lists them.
func (p *messagePlan) missing(found []string, prefix string, raw []byte) ([]string, error) {
	if len(p.required) == 0 && len(p.nested) == 0 {
		return found, nil
	}
	fields, err := scan(p, raw, false)
	if err != nil {
		return nil, err
	}
required:
	for _, want := range p.required {
		for i := range fields {
			if fields[i].plan == want {
				continue required
			}
		}
		found = append(found, prefix+want.name)
	}
	for _, f := range p.nested {
		index := 0
		for i := range fields {
			if fields[i].plan != f {
				continue
			}
			path := prefix + f.name
			if f.list || f.isMap {
				path = fmt.Sprintf("%s[%d]", path, index)
				index++
			}
			if found, err = f.message.missing(found, path+".", fields[i].bytes); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}
