package jobspec

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/structpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// linux checks the keys and types of LinuxResources by the Go types of the
// specification. encoding/json could refuse them too, but stops at the first,
// does not say where it is, and takes keys in any case.
func (c *checker) linux(field string, l *tandemv1.Linux) {
	if l.GetResources() != nil {
		c.shape(field, structpb.NewStructValue(l.GetResources()), reflect.TypeFor[specs.LinuxResources]())
	}
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
			c.suggest(at, nearest(key, names), "unknown key of OCI's LinuxResources")
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
