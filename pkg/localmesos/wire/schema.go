package wire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"slices"

	gogoproto "github.com/gogo/protobuf/proto"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"
	"github.com/mesos/mesos-go/api/v1/lib/allocator"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/quota"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Message is what every type that mesos-go generates offers.
type Message interface {
	gogoproto.Message
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// Schema knows the descriptors of every message of the v1 APIs. It is immutable
// and safe for concurrent use; building one takes a few milliseconds, so that
// many agents of one process had better share one.
type Schema struct {
	plans map[protoreflect.FullName]*messagePlan
}

// messagePlan is a message descriptor as the codecs need it.
type messagePlan struct {
	desc     protoreflect.MessageDescriptor
	fields   []*fieldPlan // in order of declaration, which is the order in JSON
	byNum    map[protowire.Number]*fieldPlan
	byName   map[string]*fieldPlan
	required []*fieldPlan // in order of declaration
	nested   []*fieldPlan // the messages among the fields, in order of number
}

type fieldPlan struct {
	desc     protoreflect.FieldDescriptor
	name     string
	num      protowire.Number
	kind     protoreflect.Kind
	list     bool // repeated, but no map
	isMap    bool
	required bool
	message  *messagePlan // of a message field; of a map field the entry's
	// implied tells that the field is written to JSON with its default when it
	// is not set.
	implied bool
	// always tells that the list is written to JSON when it is empty, too.
	always bool
	// unknownIsAbsent marks an optional enum that mesos-go holds by value: it
	// cannot tell absence from UNKNOWN, and marshals the latter.
	unknownIsAbsent bool
}

// NewSchema builds the schema from mesos-go's descriptors and from what they
// lack of Mesos's own files.
func NewSchema() (*Schema, error) {
	sources := []interface{ Descriptor() ([]byte, []int) }{
		&mesos.FrameworkInfo{},
		&scheduler.Call{},
		&executor.Call{},
		&allocator.InverseOfferStatus{},
		&maintenance.Window{},
		&quota.QuotaInfo{},
		&mesosmaster.Call{},
		&mesosagent.Call{},
	}
	files := new(protoregistry.Files)
	duration := durationpb.File_google_protobuf_duration_proto
	if err := files.RegisterFile(duration); err != nil {
		return nil, fmt.Errorf("cannot register %s: %w", duration.Path(), err)
	}
	s := &Schema{plans: make(map[protoreflect.FullName]*messagePlan)}
	known := []string{duration.Path()}
	for _, source := range sources {
		compressed, _ := source.Descriptor()
		file, err := readFileDescriptor(compressed)
		if err != nil {
			return nil, err
		}
		complete(file)
		// mesos-go registers its files under other names than they import
		// each other by, so each is given all that came before it.
		file.Dependency, file.PublicDependency, file.WeakDependency = known, nil, nil
		built, err := protodesc.NewFile(file, files)
		if err != nil {
			return nil, fmt.Errorf("cannot build the descriptors of %s: %w", file.GetName(), err)
		}
		if err := files.RegisterFile(built); err != nil {
			return nil, fmt.Errorf("cannot register %s: %w", file.GetName(), err)
		}
		known = append(known[:len(known):len(known)], built.Path())
		for messages, i := built.Messages(), 0; i < messages.Len(); i++ {
			s.plan(messages.Get(i))
		}
	}
	return s, nil
}

func readFileDescriptor(compressed []byte) (*descriptorpb.FileDescriptorProto, error) {
	unzip, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, fmt.Errorf("cannot read a file descriptor: %w", err)
	}
	raw, err := io.ReadAll(unzip)
	if err != nil {
		return nil, fmt.Errorf("cannot read a file descriptor: %w", err)
	}
	file := new(descriptorpb.FileDescriptorProto)
	if err := proto.Unmarshal(raw, file); err != nil {
		return nil, fmt.Errorf("cannot parse a file descriptor: %w", err)
	}
	return file, nil
}

// plan prepares a message, its nested ones, and those that its fields refer to.
func (s *Schema) plan(desc protoreflect.MessageDescriptor) *messagePlan {
	if p := s.plans[desc.FullName()]; p != nil {
		return p
	}
	p := &messagePlan{
		desc:   desc,
		byNum:  make(map[protowire.Number]*fieldPlan),
		byName: make(map[string]*fieldPlan),
	}
	s.plans[desc.FullName()] = p
	for fields, i := desc.Fields(), 0; i < fields.Len(); i++ {
		fd := fields.Get(i)
		options, _ := fd.Options().(*descriptorpb.FieldOptions)
		f := &fieldPlan{
			desc:     fd,
			name:     string(fd.Name()),
			num:      fd.Number(),
			kind:     fd.Kind(),
			list:     fd.IsList(),
			isMap:    fd.IsMap(),
			required: fd.Cardinality() == protoreflect.Required,
			implied:  fd.HasDefault() && !options.GetDeprecated(),
			always:   fd.IsList() && alwaysListed(fd),
			unknownIsAbsent: fd.Kind() == protoreflect.EnumKind &&
				fd.Cardinality() == protoreflect.Optional && heldByValue(options),
		}
		if fd.Message() != nil {
			f.message = s.plan(fd.Message())
			p.nested = append(p.nested, f)
		}
		if f.required {
			p.required = append(p.required, f)
		}
		p.fields = append(p.fields, f)
		p.byNum[f.num] = f
		p.byName[f.name] = f
	}
	p.orderAsDeclared()
	slices.SortFunc(p.nested, func(a, b *fieldPlan) int { return int(a.num) - int(b.num) })
	for nested, i := desc.Messages(), 0; i < nested.Len(); i++ {
		s.plan(nested.Get(i))
	}
	return p
}

// orderAsDeclared puts the fields in the order of Mesos's files. mesos-go's
// descriptors list them by number; its structs keep the order of declaration.
func (p *messagePlan) orderAsDeclared() {
	goType := gogoproto.MessageType(string(p.desc.FullName()))
	if goType == nil {
		return // a map entry, or one of our additions
	}
	position := make(map[string]int)
	for i, property := range gogoproto.GetProperties(goType.Elem()).Prop {
		position[property.OrigName] = i + 1
	}
	byDeclaration := func(a, b *fieldPlan) int {
		i, j := position[a.name], position[b.name]
		if i == 0 || j == 0 { // additions come last
			return j - i
		}
		return i - j
	}
	slices.SortStableFunc(p.fields, byDeclaration)
	slices.SortStableFunc(p.required, byDeclaration)
}

// heldByValue tells whether gogoproto's option nullable (field 65001 of the
// field's options) is false.
func heldByValue(options *descriptorpb.FieldOptions) bool {
	const nullable = 65001
	for raw := options.ProtoReflect().GetUnknown(); len(raw) > 0; {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return false
		}
		raw = raw[n:]
		if num == nullable && typ == protowire.VarintType {
			value, n := protowire.ConsumeVarint(raw)
			return n > 0 && value == 0
		}
		n = protowire.ConsumeFieldValue(num, typ, raw)
		if n < 0 {
			return false
		}
		raw = raw[n:]
	}
	return false
}

func (s *Schema) planOf(m Message) (*messagePlan, error) {
	name := gogoproto.MessageName(m)
	p := s.plans[protoreflect.FullName(name)]
	if p == nil {
		return nil, fmt.Errorf("cannot find the descriptor of %T (%q)", m, name)
	}
	return p, nil
}
