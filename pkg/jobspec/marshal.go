package jobspec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Marshal writes a job as a job file in JSON, with its keys in the order of the
// messages' fields. Parse reads it back as the same job. It differs from
// protojson in the short forms: durations, sizes, enums' words and tuples.
func Marshal(job *tandemv1.Job) ([]byte, error) {
	var b bytes.Buffer
	if err := writeMessage(&b, job.ProtoReflect()); err != nil {
		return nil, fmt.Errorf("cannot write job %s: %w", job.GetId(), err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, b.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("cannot write job %s: %w", job.GetId(), err)
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

func writeMessage(b *bytes.Buffer, m protoreflect.Message) error {
	switch message := m.Interface().(type) {
	case *durationpb.Duration:
		return writeText(b, message.AsDuration().String())
	case *tandemv1.EnvValue:
		if plain, ok := message.GetSource().(*tandemv1.EnvValue_Value); ok {
			return writeText(b, plain.Value)
		}
	case *tandemv1.Constraint:
		tuple := []string{message.GetAttribute(), operatorWord(message.GetOperator()), message.GetValue()}
		if message.GetValue() == "" {
			tuple = tuple[:2]
		}
		return writeAny(b, tuple)
	}
	if m.Descriptor().FullName() == "google.protobuf.Struct" {
		text, err := protojson.Marshal(m.Interface())
		b.Write(text)
		return err
	}
	b.WriteByte('{')
	first := true
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		if err := writeText(b, fd.JSONName()); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := writeField(b, fd, m.Get(fd)); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func writeField(b *bytes.Buffer, fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch {
	case fd.IsList():
		b.WriteByte('[')
		for i := range v.List().Len() {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeSingle(b, fd, v.List().Get(i)); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case fd.IsMap():
		entries := map[string]protoreflect.Value{}
		for k, e := range v.Map().Range {
			entries[k.String()] = e
		}
		b.WriteByte('{')
		first := true
		for k, e := range ordered(entries) {
			if !first {
				b.WriteByte(',')
			}
			first = false
			if err := writeText(b, k); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := writeSingle(b, fd.MapValue(), e); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	}
	return writeSingle(b, fd, v)
}

func writeSingle(b *bytes.Buffer, fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	if unit, ok := sizeFields[fd.FullName()]; ok && unit.whole {
		// A bare number would be MiB. Any number of bytes is a finite decimal
		// fraction of a KiB.
		return writeText(b, strconv.FormatFloat(float64(v.Int())/1024, 'f', -1, 64)+"Ki")
	}
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return writeMessage(b, v.Message())
	case protoreflect.EnumKind:
		words := wordsOf(fd.Enum())
		i := fd.Enum().Values().ByNumber(v.Enum())
		if i == nil || i.Index() == 0 {
			return fmt.Errorf("%s has the unknown value %d", fd.FullName(), v.Enum())
		}
		return writeText(b, words[i.Index()-1])
	}
	return writeAny(b, v.Interface())
}

func writeText(b *bytes.Buffer, s string) error { return writeAny(b, s) }

func writeAny(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the newline that Encode ends with
	return nil
}
