package jobspec

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tandem-mesos/tandem/pkg/confine"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// linux checks the keys and types of what is the OCI runtime specification's by
// the Go types of it. encoding/json could refuse them too, but stops at the first,
// does not say where it is, and takes keys in any case.
func (c *checker) linux(field string, l *tandemv1.Linux) {
	before := len(c.problems)
	if l.GetResources() != nil {
		c.shape(join(field, "resources"), structpb.NewStructValue(l.GetResources()), reflect.TypeFor[specs.LinuxResources]())
	}
	if l.GetProcess() != nil {
		c.shape(join(field, "process"), structpb.NewStructValue(l.GetProcess()), reflect.TypeFor[confine.Process]())
	}
	for i, n := range l.GetNamespaces() {
		c.shape(fmt.Sprintf("%s.namespaces[%d]", field, i), structpb.NewStructValue(n), reflect.TypeFor[confine.Namespace]())
	}
	if l.GetRoot() != nil {
		c.shape(join(field, "root"), structpb.NewStructValue(l.GetRoot()), reflect.TypeFor[confine.Root]())
	}
	for i, m := range l.GetMounts() {
		c.shape(fmt.Sprintf("%s.mounts[%d]", field, i), structpb.NewStructValue(m), reflect.TypeFor[confine.Mount]())
	}
	if l.GetSeccomp() != nil {
		c.shape(join(field, "seccomp"), structpb.NewStructValue(l.GetSeccomp()), reflect.TypeFor[specs.LinuxSeccomp]())
	}
	if len(c.problems) > before {
		return // What follows takes the right types.
	}
	var s confine.Spec
	if data := Confinement(l); data != nil {
		if err := json.Unmarshal(data, &s); err != nil {
			c.refuse(field, "is not what the OCI runtime specification has: %v", err)
			return
		}
	}
	for _, p := range s.Check() {
		c.refuse(join(field, p.Field), "%s", p.Text)
	}
}

// Confinement returns the part of a workload's linux settings that concerns its
// process, as the JSON of a [confine.Spec]; nil where there is none.
func Confinement(l *tandemv1.Linux) []byte {
	all := map[string]any{}
	if l.GetProcess() != nil {
		all["process"] = l.GetProcess().AsMap()
	}
	for name, list := range map[string][]*structpb.Struct{"namespaces": l.GetNamespaces(), "mounts": l.GetMounts()} {
		var elements []any
		for _, e := range list {
			elements = append(elements, e.AsMap())
		}
		if len(elements) > 0 {
			all[name] = elements
		}
	}
	if l.GetRoot() != nil {
		all["root"] = l.GetRoot().AsMap()
	}
	if l.GetBundle() != "" {
		all["bundle"] = l.GetBundle()
	}
	if l.GetSeccomp() != nil {
		all["seccomp"] = l.GetSeccomp().AsMap()
	}
	if len(all) == 0 {
		return nil
	}
	data, _ := json.Marshal(all) // A Struct holds nothing that JSON cannot.
	return data
}

// shape checks that a value fits a Go type.
func (c *checker) shape(field string, v *structpb.Value, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		c.shape(field, v, t.Elem())
	case reflect.Struct:
		if v.GetStructValue() == nil {
			c.refuse(field, "must be a mapping of keys to values")
			return
		}
		types := jsonFields(t)
		for key, value := range ordered(v.GetStructValue().GetFields()) {
			at := join(field, key)
			if ft, ok := types[key]; ok {
				c.shape(at, value, ft)
				continue
			}
			var names []string
			for name := range ordered(types) {
				names = append(names, name)
			}
			c.suggest(at, nearest(key, names), "unknown key of OCI's %s", t.Name())
		}
	case reflect.Map:
		if v.GetStructValue() == nil {
			c.refuse(field, "must be a mapping of keys to values")
			return
		}
		for key, value := range ordered(v.GetStructValue().GetFields()) {
			c.shape(join(field, key), value, t.Elem())
		}
	case reflect.Slice:
		if _, ok := v.GetKind().(*structpb.Value_ListValue); !ok {
			c.refuse(field, "must be a list")
			return
		}
		for i, value := range v.GetListValue().GetValues() {
			c.shape(fmt.Sprintf("%s[%d]", field, i), value, t.Elem())
		}
	case reflect.String:
		if _, ok := v.GetKind().(*structpb.Value_StringValue); !ok {
			c.refuse(field, "must be text; put it in quotes")
		}
	case reflect.Bool:
		if _, ok := v.GetKind().(*structpb.Value_BoolValue); !ok {
			c.refuse(field, "must be true or false")
		}
	default:
		c.integer(field, v, t)
	}
}

func (c *checker) integer(field string, v *structpb.Value, t reflect.Type) {
	n := v.GetNumberValue()
	if _, ok := v.GetKind().(*structpb.Value_NumberValue); !ok || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		c.refuse(field, "must be a whole number")
		return
	}
	into := reflect.New(t).Elem()
	switch {
	case into.CanInt() && into.OverflowInt(int64(n)), into.CanUint() && n >= 0 && into.OverflowUint(uint64(n)):
		c.refuse(field, "is out of range")
	case into.CanUint() && n < 0:
		c.refuse(field, "must not be negative")
	}
}

// jsonFields returns the types of a struct's fields by their JSON names, those
// of embedded structs included.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}
