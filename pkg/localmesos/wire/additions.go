package wire

import (
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// complete adds to a file descriptor what mesos-go v0.0.11 lacks of the
// messages of Mesos 1.11: include/mesos/v1/scheduler/scheduler.proto and
// include/mesos/v1/mesos.proto.
func complete(file *descriptorpb.FileDescriptorProto) {
	switch file.GetPackage() {
	case "mesos":
		if capability := enumNamed(messageNamed(file.MessageType, "MasterInfo", "Capability"), "Type"); capability != nil {
			capability.Value = append(capability.Value, &descriptorpb.EnumValueDescriptorProto{
				Name: proto.String("QUOTA_V2"), Number: proto.Int32(3),
			})
		}
		if statistics := messageNamed(file.MessageType, "ResourceStatistics"); statistics != nil {
			// They are shown where they are declared, behind the total.
			at := 1 + slices.IndexFunc(statistics.Field, func(f *descriptorpb.FieldDescriptorProto) bool { return f.GetName() == "mem_total_bytes" })
			statistics.Field = slices.Insert(statistics.Field, at,
				scalarField("mem_kmem_usage_bytes", 52, descriptorpb.FieldDescriptorProto_TYPE_UINT64),
				scalarField("mem_kmem_tcp_usage_bytes", 53, descriptorpb.FieldDescriptorProto_TYPE_UINT64))
		}
		if agent := messageNamed(file.MessageType, "AgentInfo"); agent != nil {
			// Of the older SlaveInfo, and shown by the master's operator API.
			agent.Field = append(agent.Field, scalarField("checkpoint", 7, descriptorpb.FieldDescriptorProto_TYPE_BOOL))
		}
	case "mesos.master":
		if framework := messageNamed(file.MessageType, "Response", "GetFrameworks", "Framework"); framework != nil {
			framework.Field = append(framework.Field, messageField("offer_constraints", 12, ".mesos.scheduler.OfferConstraints"))
		}
	case "mesos.scheduler":
		file.MessageType = append(file.MessageType, attributeConstraint(), offerConstraints())
		constraints := func() *descriptorpb.FieldDescriptorProto {
			return messageField("offer_constraints", 3, ".mesos.scheduler.OfferConstraints")
		}
		for _, call := range []string{"Subscribe", "UpdateFramework"} {
			if m := messageNamed(file.MessageType, "Call", call); m != nil {
				m.Field = append(m.Field, constraints())
			}
		}
	}
}

// alwaysListed tells whether a list is in JSON without elements, too: those that a
// real master and agent write by hand (src/master/readonly_handler.cpp,
// src/slave/http.cpp).
func alwaysListed(field protoreflect.FieldDescriptor) bool {
	switch field.Parent().FullName() {
	case "mesos.master.Response.GetAgents":
		return field.Name() != "resource_providers"
	case "mesos.master.Response.GetFrameworks":
		return field.Name() != "recovered_frameworks"
	case "mesos.master.Response.GetExecutors":
		return field.Name() == "executors"
	case "mesos.master.Response.GetTasks":
		return field.Name() == "tasks" || field.Name() == "unreachable_tasks" || field.Name() == "completed_tasks"
	case "mesos.agent.Response.GetFrameworks", "mesos.agent.Response.GetExecutors", "mesos.agent.Response.GetTasks":
		return true
	}
	return false
}

func attributeConstraint() *descriptorpb.DescriptorProto {
	inGroup := func(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
		f.OneofIndex = proto.Int32(0)
		return f
	}
	required := func(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum()
		return f
	}
	const scope = ".mesos.scheduler.AttributeConstraint"

	selector := &descriptorpb.DescriptorProto{
		Name: proto.String("Selector"),
		EnumType: []*descriptorpb.EnumDescriptorProto{{
			Name: proto.String("PseudoattributeType"),
			Value: []*descriptorpb.EnumValueDescriptorProto{
				{Name: proto.String("UNKNOWN"), Number: proto.Int32(0)},
				{Name: proto.String("HOSTNAME"), Number: proto.Int32(1)},
				{Name: proto.String("REGION"), Number: proto.Int32(2)},
				{Name: proto.String("ZONE"), Number: proto.Int32(3)},
			},
		}},
		OneofDecl: []*descriptorpb.OneofDescriptorProto{{Name: proto.String("selector")}},
	}
	pseudo := scalarField("pseudoattribute_type", 1, descriptorpb.FieldDescriptorProto_TYPE_ENUM)
	pseudo.TypeName = proto.String(scope + ".Selector.PseudoattributeType")
	selector.Field = append(selector.Field,
		inGroup(pseudo),
		inGroup(scalarField("attribute_name", 2, descriptorpb.FieldDescriptorProto_TYPE_STRING)))

	predicate := &descriptorpb.DescriptorProto{
		Name:      proto.String("Predicate"),
		OneofDecl: []*descriptorpb.OneofDescriptorProto{{Name: proto.String("predicate")}},
	}
	for i, p := range []struct{ message, field, operand string }{
		{"Exists", "exists", ""},
		{"NotExists", "not_exists", ""},
		{"TextEquals", "text_equals", "value"},
		{"TextNotEquals", "text_not_equals", "value"},
		{"TextMatches", "text_matches", "regex"},
		{"TextNotMatches", "text_not_matches", "regex"},
	} {
		m := &descriptorpb.DescriptorProto{Name: proto.String(p.message)}
		if p.operand != "" {
			m.Field = append(m.Field, required(scalarField(p.operand, 1, descriptorpb.FieldDescriptorProto_TYPE_STRING)))
		}
		predicate.NestedType = append(predicate.NestedType, m)
		predicate.Field = append(predicate.Field, inGroup(messageField(p.field, int32(i+1), scope+".Predicate."+p.message)))
	}
	return &descriptorpb.DescriptorProto{
		Name:       proto.String("AttributeConstraint"),
		NestedType: []*descriptorpb.DescriptorProto{selector, predicate},
		Field: []*descriptorpb.FieldDescriptorProto{
			required(messageField("selector", 1, scope+".Selector")),
			required(messageField("predicate", 2, scope+".Predicate")),
		},
	}
}

func offerConstraints() *descriptorpb.DescriptorProto {
	repeated := func(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		return f
	}
	const scope = ".mesos.scheduler.OfferConstraints"
	return &descriptorpb.DescriptorProto{
		Name: proto.String("OfferConstraints"),
		NestedType: []*descriptorpb.DescriptorProto{
			{
				Name: proto.String("RoleConstraints"),
				NestedType: []*descriptorpb.DescriptorProto{{
					Name: proto.String("Group"),
					Field: []*descriptorpb.FieldDescriptorProto{
						repeated(messageField("attribute_constraints", 1, ".mesos.scheduler.AttributeConstraint")),
					},
				}},
				Field: []*descriptorpb.FieldDescriptorProto{
					repeated(messageField("groups", 1, scope+".RoleConstraints.Group")),
				},
			},
			{
				Name:    proto.String("RoleConstraintsEntry"),
				Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)},
				Field: []*descriptorpb.FieldDescriptorProto{
					scalarField("key", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING),
					messageField("value", 2, scope+".RoleConstraints"),
				},
			},
		},
		Field: []*descriptorpb.FieldDescriptorProto{
			repeated(messageField("role_constraints", 1, scope+".RoleConstraintsEntry")),
		},
	}
}

func scalarField(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
	return &descriptorpb.FieldDescriptorProto{
		Name:   proto.String(name),
		Number: proto.Int32(number),
		Label:  descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		Type:   kind.Enum(),
	}
}

func messageField(name string, number int32, typeName string) *descriptorpb.FieldDescriptorProto {
	f := scalarField(name, number, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE)
	f.TypeName = proto.String(typeName)
	return f
}

func messageNamed(messages []*descriptorpb.DescriptorProto, path ...string) *descriptorpb.DescriptorProto {
	for _, m := range messages {
		if m.GetName() == path[0] {
			if len(path) == 1 {
				return m
			}
			return messageNamed(m.NestedType, path[1:]...)
		}
	}
	return nil
}

func enumNamed(m *descriptorpb.DescriptorProto, name string) *descriptorpb.EnumDescriptorProto {
	for _, e := range m.GetEnumType() {
		if e.GetName() == name {
			return e
		}
	}
	return nil
}
