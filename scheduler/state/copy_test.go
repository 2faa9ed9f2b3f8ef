package state

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// filled returns a message with every field set.
func filled[M proto.Message](m M) M {
	fill(m.ProtoReflect(), 0)
	return m
}

func fill(m protoreflect.Message, depth int) {
	if depth > 6 {
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap():
			v := m.NewField(f)
			value := v.Map().NewValue()
			if f.MapValue().Message() != nil {
				fill(value.Message(), depth+1)
			} else {
				value = scalar(f.MapValue())
			}
			v.Map().Set(scalar(f.MapKey()).MapKey(), value)
			m.Set(f, v)
		case f.IsList():
			v := m.NewField(f)
			if f.Message() != nil {
				fill(v.List().AppendMutable().Message(), depth+1)
			} else {
				v.List().Append(scalar(f))
			}
			m.Set(f, v)
		case f.Message() != nil:
			v := m.NewField(f)
			fill(v.Message(), depth+1)
			m.Set(f, v)
		default:
			m.Set(f, scalar(f))
		}
	}
}

func scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(7)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(7)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(7)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(7)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(7)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(7)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("x"))
	default:
		return protoreflect.ValueOfString("x")
	}
}

// TestCopiesAreWhole finds a field that was added to a record and forgotten in
// its copy.
func TestCopiesAreWhole(t *testing.T) {
	framework := filled(&tandemv1.FrameworkRecord{})
	job := filled(&tandemv1.JobRecord{})
	instance := filled(&tandemv1.InstanceRecord{})
	attempt := filled(&tandemv1.AttemptRecord{})
	task := filled(&tandemv1.TaskRecord{})
	update := filled(&tandemv1.UpdateRecord{})
	agent := filled(&tandemv1.AgentRecord{})
	volume := filled(&tandemv1.VolumeRecord{})
	for _, c := range []struct{ record, copied proto.Message }{
		{framework, CopyFramework(framework)},
		{job, CopyJob(job)},
		{instance, CopyInstance(instance)},
		{attempt, CopyAttempt(attempt)},
		{attempt, CopyAttemptOfOne(attempt)},
		{task, CopyTask(task)},
		{update, CopyUpdate(update)},
		{agent, CopyAgent(agent)},
		{volume, CopyVolume(volume)},
	} {
		if !proto.Equal(c.record, c.copied) {
			t.Errorf("the copy of a %T lacks a field:\n%v\n%v", c.record, c.record, c.copied)
		}
	}
}
