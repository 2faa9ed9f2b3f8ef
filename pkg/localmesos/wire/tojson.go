package wire

import (
	"encoding/base64"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rawField is one field as it stands in a message's bytes.
type rawField struct {
	plan  *fieldPlan
	typ   protowire.Type
	bits  uint64 // of a varint or a fixed number
	bytes []byte // of a string, bytes, message or packed list
}

// scan lists the known fields of a message's bytes. fromGo tells that mesos-go
// has marshaled them, so that an UNKNOWN may stand for absence.
func scan(p *messagePlan, raw []byte, fromGo bool) ([]rawField, error) {
	var fields []rawField
	for len(raw) > 0 {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return nil, fmt.Errorf("cannot read %s: %w", p.desc.FullName(), protowire.ParseError(n))
		}
		raw = raw[n:]
		f := rawField{plan: p.byNum[num], typ: typ}
		switch typ {
		case protowire.VarintType:
			f.bits, n = protowire.ConsumeVarint(raw)
		case protowire.Fixed64Type:
			f.bits, n = protowire.ConsumeFixed64(raw)
		case protowire.Fixed32Type:
			var bits uint32
			bits, n = protowire.ConsumeFixed32(raw)
			f.bits = uint64(bits)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(raw)
		default:
			n = protowire.ConsumeFieldValue(num, typ, raw)
			f.plan = nil
		}
		if n < 0 {
			return nil, fmt.Errorf("cannot read %s: %w", p.desc.FullName(), protowire.ParseError(n))
		}
		raw = raw[n:]
		if f.plan != nil && f.plan.fits(typ) && (typ != protowire.VarintType || !f.plan.absent(f.bits, fromGo)) {
			fields = append(fields, f)
		}
	}
	return fields, nil
}

// fits tells whether the field can be of the wire type.
func (f *fieldPlan) fits(typ protowire.Type) bool {
	want := protowire.VarintType
	switch f.kind {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return typ == protowire.BytesType
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		want = protowire.Fixed64Type
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		want = protowire.Fixed32Type
	}
	return typ == want || f.list && typ == protowire.BytesType
}

// absent tells whether an enum's number counts as none: it has no name, or it
// stands for absence in mesos-go's types.
func (f *fieldPlan) absent(bits uint64, fromGo bool) bool {
	if f.kind != protoreflect.EnumKind {
		return false
	}
	return fromGo && f.unknownIsAbsent && bits == 0 ||
		f.desc.Enum().Values().ByNumber(protoreflect.EnumNumber(int32(bits))) == nil
}

// write writes a message as stout does: fields in order of declaration,
// defaults where a field with one is not set, empty lists and maps left out.
func (p *messagePlan) write(w *Writer, raw []byte) error {
	fields, err := scan(p, raw, true)
	if err != nil {
		return err
	}
	w.BeginObject()
	for _, f := range p.fields {
		if err := f.write(w, fields); err != nil {
			return err
		}
	}
	w.EndObject()
	return nil
}

func (f *fieldPlan) write(w *Writer, fields []rawField) error {
	switch {
	case f.isMap:
		return f.writeMap(w, fields)
	case f.list:
		return f.writeList(w, fields)
	}
	last := -1
	for i := range fields {
		if fields[i].plan == f {
			last = i
		}
	}
	if last < 0 {
		if f.implied {
			w.Key(f.name)
			f.writeDefault(w)
		}
		return nil
	}
	w.Key(f.name)
	if f.message == nil {
		return f.writeScalar(w, fields[last])
	}
	// A message that comes in pieces is the pieces merged.
	body := fields[last].bytes
	for i := range fields[:last] {
		if fields[i].plan == f {
			body = nil
			break
		}
	}
	if body == nil {
		for i := range fields {
			if fields[i].plan == f {
				body = append(body, fields[i].bytes...)
			}
		}
	}
	return f.message.write(w, body)
}

func (f *fieldPlan) writeList(w *Writer, fields []rawField) error {
	started := f.always
	if started {
		w.Key(f.name)
		w.BeginArray()
	}
	for i := range fields {
		if fields[i].plan != f {
			continue
		}
		if !started {
			w.Key(f.name)
			w.BeginArray()
			started = true
		}
		if err := f.writeItem(w, fields[i]); err != nil {
			return err
		}
	}
	if started {
		w.EndArray()
	}
	return nil
}

func (f *fieldPlan) writeItem(w *Writer, r rawField) error {
	if f.message != nil {
		return f.message.write(w, r.bytes)
	}
	if r.typ != protowire.BytesType || f.kind == protoreflect.StringKind || f.kind == protoreflect.BytesKind {
		return f.writeScalar(w, r)
	}
	for packed := r.bytes; len(packed) > 0; {
		item := rawField{plan: f}
		var n int
		switch {
		case f.fits(protowire.VarintType):
			item.bits, n = protowire.ConsumeVarint(packed)
		case f.fits(protowire.Fixed64Type):
			item.bits, n = protowire.ConsumeFixed64(packed)
		default:
			var bits uint32
			bits, n = protowire.ConsumeFixed32(packed)
			item.bits = uint64(bits)
		}
		if n < 0 {
			return fmt.Errorf("cannot read the packed field %s: %w", f.desc.FullName(), protowire.ParseError(n))
		}
		packed = packed[n:]
		if f.absent(item.bits, true) {
			continue
		}
		if err := f.writeScalar(w, item); err != nil {
			return err
		}
	}
	return nil
}

func (f *fieldPlan) writeMap(w *Writer, fields []rawField) error {
	started := false
	key, item := f.message.byNum[1], f.message.byNum[2]
	for i := range fields {
		if fields[i].plan != f {
			continue
		}
		entry, err := scan(f.message, fields[i].bytes, true)
		if err != nil {
			return err
		}
		if !started {
			w.Key(f.name)
			w.BeginObject()
			started = true
		}
		name := ""
		for _, e := range entry {
			if e.plan == key {
				name = string(e.bytes)
			}
		}
		w.Key(name)
		found := false
		for _, e := range entry {
			if e.plan == item && !found {
				found = true
				if err := item.writeItem(w, e); err != nil {
					return err
				}
			}
		}
		if !found {
			if item.message != nil {
				err = item.message.write(w, nil)
			} else {
				err = item.writeScalar(w, rawField{plan: item})
			}
			if err != nil {
				return err
			}
		}
	}
	if started {
		w.EndObject()
	}
	return nil
}

func (f *fieldPlan) writeScalar(w *Writer, r rawField) error {
	switch f.kind {
	case protoreflect.BoolKind:
		w.Bool(r.bits != 0)
	case protoreflect.EnumKind:
		named := f.desc.Enum().Values().ByNumber(protoreflect.EnumNumber(int32(r.bits)))
		if named == nil {
			return fmt.Errorf("cannot name the value %d of %s", int32(r.bits), f.desc.FullName())
		}
		w.String(string(named.Name()))
	case protoreflect.StringKind:
		w.String(string(r.bytes))
	case protoreflect.BytesKind:
		w.String(base64.StdEncoding.EncodeToString(r.bytes))
	case protoreflect.DoubleKind:
		w.Double(math.Float64frombits(r.bits))
	case protoreflect.FloatKind:
		w.Double(float64(math.Float32frombits(uint32(r.bits))))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		w.Uint(r.bits)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		w.Uint(uint64(uint32(r.bits)))
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		w.Int(int64(r.bits))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		w.Int(int64(int32(r.bits)))
	case protoreflect.Sint64Kind, protoreflect.Sint32Kind:
		w.Int(protowire.DecodeZigZag(r.bits))
	default:
		return fmt.Errorf("cannot write %s, a %s", f.desc.FullName(), f.kind)
	}
	return nil
}

func (f *fieldPlan) writeDefault(w *Writer) {
	switch v := f.desc.Default(); f.kind {
	case protoreflect.BoolKind:
		w.Bool(v.Bool())
	case protoreflect.EnumKind:
		w.String(string(f.desc.DefaultEnumValue().Name()))
	case protoreflect.StringKind:
		w.String(v.String())
	case protoreflect.BytesKind:
		w.String(base64.StdEncoding.EncodeToString(v.Bytes()))
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		w.Double(v.Float())
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind, protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		w.Uint(v.Uint())
	default:
		w.Int(v.Int())
	}
}
