package jobspec

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// shortForm decodes what has a form of its own in a file, and says whether it
// did.
func (d *decoder) shortForm(n *yaml.Node, m protoreflect.Message, path string) bool {
	switch m.Descriptor().FullName() {
	case "google.protobuf.Duration":
		dur, wrong := duration(n)
		if wrong.Reason != "" {
			d.suggest(placeAt(n), path, wrong.Reason, wrong.Suggestion)
			return true
		}
		set(m, "seconds", protoreflect.ValueOfInt64(dur.GetSeconds()))
		set(m, "nanos", protoreflect.ValueOfInt32(dur.GetNanos()))
		return true
	case "google.protobuf.Struct":
		if pairs, ok := d.pairs(n, path, "it"); ok {
			d.free(pairs, m.Interface().(*structpb.Struct), path)
		}
		return true
	case "tandem.v1.EnvValue":
		switch n.Kind {
		case yaml.MappingNode:
			return false
		case yaml.SequenceNode:
			d.refuse(placeAt(n), path, "is a list; text or {secret: NAME} is asked for")
			return true
		}
		fd := m.Descriptor().Fields().ByName("value")
		v, wrong := scalar(n, fd)
		if wrong.Reason != "" {
			d.suggest(placeAt(n), path, wrong.Reason, wrong.Suggestion)
		} else {
			m.Set(fd, v)
		}
		return true
	case "tandem.v1.Constraint":
		if n.Kind == yaml.MappingNode {
			return false
		}
		d.tuple(n, m, path)
		return true
	}
	return false
}

func set(m protoreflect.Message, field protoreflect.Name, v protoreflect.Value) {
	m.Set(m.Descriptor().Fields().ByName(field), v)
}

// tuple decodes ["rack", "GROUP_BY", "3"] into a constraint.
func (d *decoder) tuple(n *yaml.Node, m protoreflect.Message, path string) {
	const form = `a constraint is ["attribute", "OPERATOR"] or ["attribute", "OPERATOR", "value"]`
	switch parts := len(n.Content); {
	case n.Kind != yaml.SequenceNode:
		d.refuse(placeAt(n), path, fmt.Sprintf("is %s; %s", kindOf(n), form))
		return
	case parts == 1:
		d.refuse(placeAt(n), path, "has one part; "+form)
		return
	case parts == 0 || parts > 3:
		d.refuse(placeAt(n), path, fmt.Sprintf("has %d parts; %s", parts, form))
		return
	}
	fields := m.Descriptor().Fields()
	for i, item := range n.Content {
		fd := fields.Get(i)
		field := join(path, fd.JSONName())
		d.places[field] = placeAt(item)
		if v, ok := d.single(item, fd, field, nil); ok {
			m.Set(fd, v)
		}
	}
}

// free decodes a mapping whose keys are another specification's.
func (d *decoder) free(pairs [][2]*yaml.Node, into *structpb.Struct, path string) {
	into.Fields = map[string]*structpb.Value{}
	for _, pair := range pairs {
		name, field := pair[0].Value, join(path, pair[0].Value)
		d.places[field] = placeAt(pair[0])
		if v := d.freeValue(pair[1], field); v != nil {
			into.Fields[name] = v
		}
	}
}

func (d *decoder) freeValue(n *yaml.Node, path string) *structpb.Value {
	if n = d.resolve(n); n == nil {
		return nil
	}
	// An alias may stand inside of what it names. No specification that we
	// take nests this deep.
	if strings.Count(path, ".")+strings.Count(path, "[") > 50 {
		d.refuse(placeAt(n), path, "is nested too deeply")
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		pairs, ok := d.pairs(n, path, "it")
		if !ok {
			return nil
		}
		inner := &structpb.Struct{}
		d.free(pairs, inner, path)
		return structpb.NewStructValue(inner)
	case yaml.SequenceNode:
		list := &structpb.ListValue{}
		for i, item := range n.Content {
			field := fmt.Sprintf("%s[%d]", path, i)
			d.places[field] = placeAt(item)
			v := d.freeValue(item, field)
			if v == nil {
				v = structpb.NewNullValue()
			}
			list.Values = append(list.Values, v)
		}
		return structpb.NewListValue(list)
	}
	switch n.Tag {
	case "!!null":
		d.refuse(placeAt(n), path, "has no value; give it one, or remove the key")
	case "!!bool":
		return structpb.NewBoolValue(n.Value == "true")
	case "!!int", "!!float":
		f, ok := number(n)
		switch {
		case !ok:
			d.refuse(placeAt(n), path, notNumber(n, "a number"))
		case math.Abs(f) > 1<<53:
			d.refuse(placeAt(n), path, n.Value+" is too large to be kept exactly")
		default:
			return structpb.NewNumberValue(f)
		}
	default:
		return structpb.NewStringValue(n.Value)
	}
	return nil
}

// duration decodes 10s, 1m30s or 2h.
func duration(n *yaml.Node) (*durationpb.Duration, Problem) {
	const form = "a duration such as 10s, 1m30s or 2h"
	if n.Kind != yaml.ScalarNode {
		return nil, Problem{Reason: fmt.Sprintf("is %s; %s is asked for", kindOf(n), form)}
	}
	text := n.Value
	if bare, err := strconv.ParseFloat(text, 64); err == nil && bare != 0 {
		return nil, Problem{Reason: quoted(text) + " has no unit", Suggestion: text + "s"}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if count, err := strconv.ParseUint(days, 10, 16); err == nil {
			return nil, Problem{
				Reason:     "a day is no unit, since days differ in length where clocks change",
				Suggestion: strconv.FormatUint(24*count, 10) + "h",
			}
		}
	}
	span, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return nil, Problem{Reason: fmt.Sprintf("%s is not %s", quoted(text), form)}
	case span < 0:
		return nil, Problem{Reason: "must not be negative"}
	}
	return durationpb.New(span), Problem{}
}

// sizeUnit is what a field counts in: how many bytes one of it is, and whether
// it holds whole numbers only.
type sizeUnit struct {
	bytes float64
	whole bool
}

// sizeFields are the fields that take sizes. A bare number is MiB in all of
// them.
var sizeFields = map[protoreflect.FullName]sizeUnit{
	"tandem.v1.Resources.mem":             {bytes: 1 << 20},
	"tandem.v1.Resources.disk":            {bytes: 1 << 20},
	"tandem.v1.Limits.mem":                {bytes: 1 << 20},
	"tandem.v1.Volume.size":               {bytes: 1 << 20},
	"tandem.v1.Limits.mem_high":           {bytes: 1 << 20},
	"tandem.v1.Limits.swap":               {bytes: 1 << 20},
	"tandem.v1.Limits.disk":               {bytes: 1 << 20},
	"tandem.v1.LogSettings.max_file_size": {bytes: 1, whole: true},
}

var sizeSuffixes = []struct {
	name  string
	bytes float64
}{{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40}}

// size decodes 256Mi, 1Gi or 256.
func size(n *yaml.Node, unit sizeUnit) (v protoreflect.Value, wrong Problem) {
	amount, ok := number(n)
	amount *= 1 << 20
	for _, s := range sizeSuffixes {
		if digits, cut := strings.CutSuffix(n.Value, s.name); cut {
			f, err := strconv.ParseFloat(digits, 64)
			amount, ok = f*s.bytes, err == nil && !strings.ContainsAny(digits, "_xXpPiInN ")
		}
	}
	switch {
	case !ok && n.Value == "unlimited":
		return v, Problem{Reason: "cannot be lifted; give a size such as 256Mi"}
	case !ok:
		wrong.Reason = quoted(n.Value) + " is not a size such as 256Mi, 1Gi or 512Ki; a bare number is MiB"
		// 256M, 256MB, 256mb and 256 MiB all mean to say 256Mi.
		digits := strings.TrimRight(n.Value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
		unit := strings.TrimSpace(n.Value[len(digits):])
		if _, err := strconv.ParseFloat(digits, 64); err == nil && unit != "" && strings.ContainsRune("kKmMgGtT", rune(unit[0])) {
			wrong.Suggestion = digits + strings.ToUpper(unit[:1]) + "i"
		}
		return v, wrong
	case amount < 0:
		return v, Problem{Reason: "must not be negative"}
	case amount > 1<<60:
		return v, Problem{Reason: n.Value + " is too large"}
	}
	count := amount / unit.bytes
	if !unit.whole {
		return protoreflect.ValueOfFloat64(count), wrong
	}
	if count != math.Trunc(count) {
		return v, Problem{Reason: n.Value + " is no whole number of bytes"}
	}
	return protoreflect.ValueOfInt64(int64(count)), wrong
}
