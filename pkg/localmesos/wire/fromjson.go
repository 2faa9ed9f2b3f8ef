package wire

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var errNoObject = errors.New("Expecting a JSON object")

// jsonToProto turns a JSON value into the bytes of a message, by stout's rules:
// unknown fields are ignored, null is absence, strings are taken for numbers
// and bools but numbers for nothing else, an unknown value of an enum is
// absence unless the field is required. Whether required fields are there is
// not looked at.
func jsonToProto(p *messagePlan, v value) ([]byte, error) {
	if v.kind != kindObject {
		return nil, errNoObject
	}
	return appendObject(nil, p, v)
}

func appendObject(dst []byte, p *messagePlan, v value) ([]byte, error) {
	var err error
	for _, m := range v.fields {
		f := p.byName[m.name]
		if f == nil {
			continue
		}
		if dst, err = appendField(dst, f, m.value); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendField(dst []byte, f *fieldPlan, v value) ([]byte, error) {
	switch v.kind {
	case kindNull:
		return dst, nil
	case kindArray:
		if !f.list && !f.isMap {
			return nil, f.unexpected("array")
		}
		var err error
		for _, item := range v.list {
			if dst, err = appendField(dst, f, item); err != nil {
				return nil, err
			}
		}
		return dst, nil
	case kindObject:
		return appendObjectField(dst, f, v)
	case kindString:
		return appendString(dst, f, v.text)
	case kindBool:
		if f.kind != protoreflect.BoolKind {
			return nil, f.unexpected("boolean")
		}
		dst = protowire.AppendTag(dst, f.num, protowire.VarintType)
		return protowire.AppendVarint(dst, uint64(v.whole)), nil
	default:
		return appendNumber(dst, f, v)
	}
}

func (f *fieldPlan) unexpected(what string) error {
	return fmt.Errorf("Not expecting a JSON %s for field '%s'", what, f.name)
}

func appendObjectField(dst []byte, f *fieldPlan, v value) ([]byte, error) {
	if f.message == nil {
		return nil, f.unexpected("object")
	}
	if !f.isMap {
		body, err := appendObject(nil, f.message, v)
		if err != nil {
			return nil, err
		}
		dst = protowire.AppendTag(dst, f.num, protowire.BytesType)
		return protowire.AppendBytes(dst, body), nil
	}
	key, item := f.message.byNum[1], f.message.byNum[2]
	for _, m := range v.fields {
		entry, err := appendString(nil, key, m.name)
		if err != nil {
			return nil, err
		}
		if entry, err = appendField(entry, item, m.value); err != nil {
			return nil, err
		}
		dst = protowire.AppendTag(dst, f.num, protowire.BytesType)
		dst = protowire.AppendBytes(dst, entry)
	}
	return dst, nil
}

func appendString(dst []byte, f *fieldPlan, text string) ([]byte, error) {
	switch f.kind {
	case protoreflect.StringKind:
		dst = protowire.AppendTag(dst, f.num, protowire.BytesType)
		return protowire.AppendString(dst, text), nil
	case protoreflect.BytesKind:
		raw, err := decodeBase64(text)
		if err != nil {
			return nil, fmt.Errorf("Failed to base64 decode bytes field '%s': %w", f.name, err)
		}
		dst = protowire.AppendTag(dst, f.num, protowire.BytesType)
		return protowire.AppendBytes(dst, raw), nil
	case protoreflect.EnumKind:
		named := f.desc.Enum().Values().ByName(protoreflect.Name(text))
		if named == nil {
			if f.required {
				return nil, fmt.Errorf("Failed to find enum for '%s'", text)
			}
			return dst, nil
		}
		dst = protowire.AppendTag(dst, f.num, protowire.VarintType)
		return protowire.AppendVarint(dst, uint64(int64(named.Number()))), nil
	case protoreflect.BoolKind:
		v, err := parseJSON([]byte(text))
		if err == nil && v.kind != kindBool {
			err = errUnexpectedType
		}
		if err != nil {
			return nil, f.unparsable(text, "boolean", err)
		}
		return appendField(dst, f, v)
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return nil, f.unexpected("string")
	}
	if f.kind == protoreflect.DoubleKind || f.kind == protoreflect.FloatKind {
		switch text {
		case "Infinity":
			return appendNumber(dst, f, value{kind: kindFloat, float: math.Inf(1)})
		case "-Infinity":
			return appendNumber(dst, f, value{kind: kindFloat, float: math.Inf(-1)})
		}
	}
	v, err := parseJSON([]byte(text))
	if err == nil && v.kind != kindWhole && v.kind != kindFloat {
		err = errUnexpectedType
	}
	if err != nil {
		return nil, f.unparsable(text, "number", err)
	}
	return appendNumber(dst, f, v)
}

var errUnexpectedType = errors.New("Unexpected JSON type parsed")

func (f *fieldPlan) unparsable(text, what string, err error) error {
	return fmt.Errorf("Failed to parse '%s' as a JSON %s for field '%s': %w", text, what, f.name, err)
}

// decodeBase64 is as lenient as stout's decoder: blanks are skipped, and what
// follows the first '=' is not looked at.
func decodeBase64(text string) ([]byte, error) {
	out := make([]byte, 0, len(text)/4*3+3)
	var bits, have uint
	for i := 0; i < len(text); i++ {
		ch := text[i]
		var six byte
		switch {
		case ch == '=':
			return out, nil
		case ch == ' ' || '\t' <= ch && ch <= '\r':
			continue
		case 'A' <= ch && ch <= 'Z':
			six = ch - 'A'
		case 'a' <= ch && ch <= 'z':
			six = ch - 'a' + 26
		case '0' <= ch && ch <= '9':
			six = ch - '0' + 52
		case ch == '+':
			six = 62
		case ch == '/':
			six = 63
		default:
			return nil, fmt.Errorf("Invalid character '%s'", text[i:i+1])
		}
		bits = bits<<6 | uint(six)
		if have += 6; have >= 8 {
			have -= 8
			out = append(out, byte(bits>>have))
		}
	}
	return out, nil
}

func appendNumber(dst []byte, f *fieldPlan, v value) ([]byte, error) {
	float, whole := v.float, v.whole
	if v.kind == kindWhole {
		float = float64(v.whole)
	} else {
		whole = int64(v.float)
	}
	switch f.kind {
	case protoreflect.DoubleKind:
		dst = protowire.AppendTag(dst, f.num, protowire.Fixed64Type)
		return protowire.AppendFixed64(dst, math.Float64bits(float)), nil
	case protoreflect.FloatKind:
		dst = protowire.AppendTag(dst, f.num, protowire.Fixed32Type)
		return protowire.AppendFixed32(dst, math.Float32bits(float32(float))), nil
	case protoreflect.Int64Kind:
		return appendVarint(dst, f, uint64(whole)), nil
	case protoreflect.Uint64Kind:
		if v.kind == kindFloat && v.float >= 1<<63 && v.float < 1<<64 {
			return appendVarint(dst, f, uint64(v.float)), nil
		}
		return appendVarint(dst, f, uint64(whole)), nil
	case protoreflect.Int32Kind:
		return appendVarint(dst, f, uint64(int64(int32(whole)))), nil
	case protoreflect.Uint32Kind:
		return appendVarint(dst, f, uint64(uint32(whole))), nil
	case protoreflect.Sint64Kind:
		return appendVarint(dst, f, protowire.EncodeZigZag(whole)), nil
	case protoreflect.Sint32Kind:
		return appendVarint(dst, f, protowire.EncodeZigZag(int64(int32(whole)))), nil
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		dst = protowire.AppendTag(dst, f.num, protowire.Fixed64Type)
		return protowire.AppendFixed64(dst, uint64(whole)), nil
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		dst = protowire.AppendTag(dst, f.num, protowire.Fixed32Type)
		return protowire.AppendFixed32(dst, uint32(whole)), nil
	default:
		return nil, f.unexpected("number")
	}
}

func appendVarint(dst []byte, f *fieldPlan, v uint64) []byte {
	dst = protowire.AppendTag(dst, f.num, protowire.VarintType)
	return protowire.AppendVarint(dst, v)
}
