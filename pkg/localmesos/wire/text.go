package wire

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Text returns a message as protobuf's C++ DebugString prints it, which some
// messages of a master contain: fields in order of their numbers, two blanks of
// indentation a level.
func (s *Schema) Text(m Message) string {
	raw, err := m.Marshal()
	if err != nil {
		return err.Error()
	}
	plan, err := s.planOf(m)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	if err := plan.text(&b, raw, ""); err != nil {
		return err.Error()
	}
	return b.String()
}

func (p *messagePlan) text(b *strings.Builder, raw []byte, indent string) error {
	fields, err := scan(p, raw, true)
	if err != nil {
		return err
	}
	slices.SortStableFunc(fields, func(x, y rawField) int { return int(x.plan.num) - int(y.plan.num) })
	for _, f := range fields {
		b.WriteString(indent + f.plan.name)
		if f.plan.message == nil {
			b.WriteString(": " + f.scalarText() + "\n")
			continue
		}
		b.WriteString(" {\n")
		if err := f.plan.message.text(b, f.bytes, indent+"  "); err != nil {
			return err
		}
		b.WriteString(indent + "}\n")
	}
	return nil
}

func (f rawField) scalarText() string {
	switch f.plan.kind {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return escapeText(f.bytes)
	case protoreflect.BoolKind:
		return strconv.FormatBool(f.bits != 0)
	case protoreflect.EnumKind:
		if named := f.plan.desc.Enum().Values().ByNumber(protoreflect.EnumNumber(int32(f.bits))); named != nil {
			return string(named.Name())
		}
		return strconv.Itoa(int(int32(f.bits)))
	case protoreflect.DoubleKind:
		return strconv.FormatFloat(math.Float64frombits(f.bits), 'g', -1, 64)
	case protoreflect.FloatKind:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(f.bits))), 'g', -1, 32)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind, protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return strconv.FormatUint(f.bits, 10)
	default:
		return strconv.FormatInt(int64(f.bits), 10)
	}
}

// escapeText quotes as protobuf's CEscape does: what is not printable ASCII
// becomes octal.
func escapeText(raw []byte) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, ch := range raw {
		switch {
		case ch == '\n':
			b.WriteString(`\n`)
		case ch == '\r':
			b.WriteString(`\r`)
		case ch == '\t':
			b.WriteString(`\t`)
		case ch == '"' || ch == '\'' || ch == '\\':
			b.WriteByte('\\')
			b.WriteByte(ch)
		case ch < ' ' || ch >= 0x7f:
			fmt.Fprintf(&b, `\%03o`, ch)
		default:
			b.WriteByte(ch)
		}
	}
	b.WriteByte('"')
	return b.String()
}
