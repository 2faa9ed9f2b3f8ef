package jobspec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxNodes bounds how much one file may say. It is only met by aliases that
// multiply each other.
const maxNodes = 100_000

// place is where something stands in the file, counted from 1.
type place struct{ line, column int }

func placeAt(n *yaml.Node) place { return place{n.Line, n.Column} }

// decoder turns nodes into messages. Whatever is wrong becomes a problem, and
// the rest is decoded all the same.
type decoder struct {
	problems Problems
	// places holds where each field stands that was given, by its path.
	places map[string]place
	nodes  int
	// listed are the messages whose keys a problem has named already.
	listed map[protoreflect.FullName]bool
}

func (d *decoder) refuse(at place, field, reason string) {
	d.problems = append(d.problems, Problem{Line: at.line, Column: at.column, Field: field, Reason: reason})
}

func (d *decoder) suggest(at place, field, reason, suggestion string) {
	d.problems = append(d.problems, Problem{
		Line: at.line, Column: at.column, Field: field, Reason: reason, Suggestion: suggestion,
	})
}

// resolve follows an alias, and counts. It returns nil, after one problem, when
// the file says too much.
func (d *decoder) resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	d.nodes++
	if d.nodes == maxNodes {
		d.refuse(placeAt(n), "", fmt.Sprintf("the file's aliases unfold to more than %d values", maxNodes))
	}
	if d.nodes >= maxNodes {
		return nil
	}
	return n
}

// pairs returns the keys and values of a mapping, or false after saying what is
// wrong. A repeated key is reported and its later value left out.
func (d *decoder) pairs(n *yaml.Node, path, what string) ([][2]*yaml.Node, bool) {
	if n.Kind != yaml.MappingNode {
		d.refuse(placeAt(n), path, fmt.Sprintf("is %s; %s is a mapping of keys to values", kindOf(n), what))
		return nil, false
	}
	seen := map[string]int{}
	var list [][2]*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := d.resolve(n.Content[i])
		if key == nil {
			return nil, false
		}
		at := placeAt(key)
		switch {
		case key.Kind != yaml.ScalarNode:
			d.refuse(at, path, fmt.Sprintf("a key is text, and here is %s", kindOf(key)))
			continue
		case key.Tag == "!!merge":
			d.refuse(at, join(path, key.Value), "merge keys are not supported; write the keys out, or use an alias for the whole value")
			continue
		}
		if line, again := seen[key.Value]; again {
			d.refuse(at, join(path, key.Value), fmt.Sprintf("the key is repeated; it stands in line %d already", line))
			continue
		}
		seen[key.Value] = key.Line
		list = append(list, [2]*yaml.Node{key, n.Content[i+1]})
	}
	return list, true
}

// message decodes a mapping into a message by the JSON names of its fields.
func (d *decoder) message(n *yaml.Node, m protoreflect.Message, path string) {
	if n = d.resolve(n); n == nil {
		return
	}
	if _, known := d.places[path]; !known {
		d.places[path] = placeAt(n)
	}
	if d.shortForm(n, m, path) {
		return
	}
	fields := m.Descriptor().Fields()
	pairs, ok := d.pairs(n, path, nameOf(m.Descriptor()))
	if !ok {
		return
	}
	given := map[protoreflect.Name]string{}
	for _, pair := range pairs {
		key, value := pair[0], pair[1]
		at, field := placeAt(key), join(path, key.Value)
		fd := fields.ByJSONName(key.Value)
		if fd == nil {
			d.unknownKey(at, field, key.Value, m.Descriptor())
			continue
		}
		if one := fd.ContainingOneof(); one != nil && !one.IsSynthetic() {
			if other, both := given[one.Name()]; both {
				d.refuse(at, field, fmt.Sprintf("cannot stand beside %s; give one of them", other))
				continue
			}
			given[one.Name()] = key.Value
		}
		d.places[field] = at
		d.field(value, m, fd, field)
	}
}

// unknownKey says which key may have been meant. Those that there are it names once
// for each kind of message.
func (d *decoder) unknownKey(at place, field, key string, of protoreflect.MessageDescriptor) {
	names := keysOf(of)
	near := nearest(key, names)
	if near == "" {
		near = nestedKey(key, of)
	}
	reason := "unknown key"
	if near == "" && !d.listed[of.FullName()] {
		d.listed[of.FullName()] = true
		reason += "; here are known: " + strings.Join(names, ", ")
	}
	d.suggest(at, field, reason, near)
}

// nestedKey finds a key one level down whose name is run together with that above
// it, as killGracePeriod is with kill.gracePeriod; or nothing.
func nestedKey(key string, of protoreflect.MessageDescriptor) string {
	for i := range of.Fields().Len() {
		fd := of.Fields().Get(i)
		if fd.Message() == nil || fd.IsList() || fd.IsMap() {
			continue
		}
		for _, name := range keysOf(fd.Message()) {
			if strings.EqualFold(key, fd.JSONName()+name) {
				return fd.JSONName() + "." + name
			}
		}
	}
	return ""
}

// field decodes the value of one field.
func (d *decoder) field(n *yaml.Node, m protoreflect.Message, fd protoreflect.FieldDescriptor, path string) {
	if n = d.resolve(n); n == nil {
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		d.refuse(d.places[path], path, "has no value; give it one, or remove the key")
		return
	}
	switch {
	case fd.IsMap():
		pairs, ok := d.pairs(n, path, "it")
		if !ok {
			return
		}
		entries := m.Mutable(fd).Map()
		for _, pair := range pairs {
			name, at := pair[0].Value, join(path, pair[0].Value)
			d.places[at] = placeAt(pair[0])
			if v, ok := d.single(pair[1], fd.MapValue(), at, entries.NewValue); ok {
				entries.Set(protoreflect.ValueOfString(name).MapKey(), v)
			}
		}
	case fd.IsList():
		if n.Kind != yaml.SequenceNode {
			d.refuse(placeAt(n), path, fmt.Sprintf("is %s; a list is asked for", kindOf(n)))
			return
		}
		list := m.Mutable(fd).List()
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			d.places[at] = placeAt(item)
			v, ok := d.single(item, fd, at, list.NewElement)
			if !ok {
				// The place is kept, or the paths of what follows would be
				// wrong.
				v = list.NewElement()
			}
			list.Append(v)
		}
	default:
		newValue := func() protoreflect.Value { return m.NewField(fd) }
		if v, ok := d.single(n, fd, path, newValue); ok {
			m.Set(fd, v)
			if !fd.HasPresence() && !m.Has(fd) && noZero[fd.FullName()] {
				d.refuse(placeAt(n), path, "must be more than 0")
			}
		}
	}
}

// noZero are fields whose default is written in place of 0, so that a 0 in a
// file must not be taken for something left out.
var noZero = map[protoreflect.FullName]bool{
	"tandem.v1.Resources.cpus":                       true,
	"tandem.v1.Resources.mem":                        true,
	"tandem.v1.Preference.weight":                    true,
	"tandem.v1.UpdatePolicy.max_parallel":            true,
	"tandem.v1.RestartPolicy.factor":                 true,
	"tandem.v1.WorkloadRestart.factor":               true,
	"tandem.v1.IoLimits.weight":                      true,
	"tandem.v1.HealthCheck.max_consecutive_failures": true,
	"tandem.v1.LogSettings.max_file_size":            true,
}

// single decodes one value of the field's kind. For messages, newValue makes
// the value that is filled in.
func (d *decoder) single(n *yaml.Node, fd protoreflect.FieldDescriptor, path string, newValue func() protoreflect.Value) (protoreflect.Value, bool) {
	if n = d.resolve(n); n == nil {
		return protoreflect.Value{}, false
	}
	if fd.Kind() == protoreflect.MessageKind {
		v := newValue()
		d.message(n, v.Message(), path)
		return v, true
	}
	v, wrong := scalar(n, fd)
	if wrong.Reason != "" {
		d.suggest(placeAt(n), path, wrong.Reason, wrong.Suggestion)
		return v, false
	}
	return v, true
}

// scalar decodes text, a number, a boolean or an enum's word.
func scalar(n *yaml.Node, fd protoreflect.FieldDescriptor) (v protoreflect.Value, wrong Problem) {
	if n.Kind != yaml.ScalarNode {
		return v, Problem{Reason: fmt.Sprintf("is %s; %s is asked for", kindOf(n), wanted(fd))}
	}
	if n.Tag == "!!null" {
		return v, Problem{Reason: fmt.Sprintf("has no value; %s is asked for", wanted(fd))}
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		return v, Problem{Reason: fmt.Sprintf("the tag %s is not known", quoted(n.Tag))}
	}
	if unit, ok := sizeFields[fd.FullName()]; ok {
		return size(n, unit)
	}
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(n.Value), wrong
	case protoreflect.BoolKind:
		switch n.Value {
		case "true", "false":
			if n.Tag == "!!bool" {
				return protoreflect.ValueOfBool(n.Value == "true"), wrong
			}
		case "yes", "on", "y", "Yes", "True", "TRUE":
			wrong.Suggestion = "true"
		case "no", "off", "n", "No", "False", "FALSE":
			wrong.Suggestion = "false"
		}
		wrong.Reason = fmt.Sprintf("%s is not true or false", quoted(n.Value))
		return v, wrong
	case protoreflect.EnumKind:
		words := wordsOf(fd.Enum())
		if i := slices.Index(words, n.Value); i >= 0 {
			// The value 0 means that nothing is given, and has no word.
			return protoreflect.ValueOfEnum(fd.Enum().Values().Get(i + 1).Number()), wrong
		}
		wrong.Reason = fmt.Sprintf("%s is not one of %s", quoted(n.Value), strings.Join(words, ", "))
		wrong.Suggestion = nearest(n.Value, words)
		return v, wrong
	case protoreflect.DoubleKind:
		f, ok := number(n)
		if !ok {
			return v, Problem{Reason: notNumber(n, "a number")}
		}
		return protoreflect.ValueOfFloat64(f), wrong
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind:
		return whole(n, fd.Kind())
	}
	return v, Problem{Reason: fmt.Sprintf("a %s cannot be read from a file", fd.Kind())}
}

// whole decodes a whole number that fits the kind.
func whole(n *yaml.Node, kind protoreflect.Kind) (v protoreflect.Value, wrong Problem) {
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Tag != "!!int" || err != nil {
		return v, Problem{Reason: notNumber(n, "a whole number")}
	}
	switch {
	case kind == protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(i), wrong
	case kind == protoreflect.Int32Kind && i == int64(int32(i)):
		return protoreflect.ValueOfInt32(int32(i)), wrong
	case kind == protoreflect.Uint32Kind && i == int64(uint32(i)):
		return protoreflect.ValueOfUint32(uint32(i)), wrong
	case i < 0:
		return v, Problem{Reason: "must not be negative"}
	}
	return v, Problem{Reason: fmt.Sprintf("%d is too large", i)}
}

// number returns what a plain decimal number stands for. YAML's other notations
// (0x10, 0o7, 1_000, .inf) are refused, as they are in JSON.
func number(n *yaml.Node) (float64, bool) {
	if n.Tag != "!!int" && n.Tag != "!!float" || strings.ContainsAny(n.Value, "_xXoObBiInN") {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.Value, 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

func notNumber(n *yaml.Node, what string) string {
	if _, err := strconv.ParseFloat(n.Value, 64); err == nil && n.Tag == "!!str" {
		return fmt.Sprintf("%s is text; write %s without quotes", quoted(n.Value), what)
	}
	return fmt.Sprintf("%s is not %s", quoted(n.Value), what)
}

// wanted says what a scalar field takes.
func wanted(fd protoreflect.FieldDescriptor) string {
	if _, ok := sizeFields[fd.FullName()]; ok {
		return "a size such as 256Mi"
	}
	switch fd.Kind() {
	case protoreflect.StringKind:
		return "text"
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.EnumKind:
		return "one of " + strings.Join(wordsOf(fd.Enum()), ", ")
	case protoreflect.DoubleKind:
		return "a number"
	}
	return "a whole number"
}

// kindOf says what a node is, for a person.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		switch n.Tag {
		case "!!null":
			return "nothing"
		case "!!int", "!!float":
			return "the number " + n.Value
		case "!!bool":
			return n.Value
		}
		return "the text " + quoted(n.Value)
	}
	return "something else"
}

// keysOf returns the keys that a message has in a file.
func keysOf(md protoreflect.MessageDescriptor) []string {
	names := make([]string, md.Fields().Len())
	for i := range names {
		names[i] = md.Fields().Get(i).JSONName()
	}
	return names
}

// wordsOf returns the words that an enum's values have in a file, in the order
// of the enum and without the first, which stands for nothing given. They are
// the names without their prefix: operators of constraints in capitals, as in
// Marathon, all others in small letters.
func wordsOf(ed protoreflect.EnumDescriptor) []string {
	prefix := strings.TrimSuffix(string(ed.Values().Get(0).Name()), "UNSPECIFIED")
	words := make([]string, 0, ed.Values().Len()-1)
	for i := 1; i < ed.Values().Len(); i++ {
		word := strings.TrimPrefix(string(ed.Values().Get(i).Name()), prefix)
		if ed.FullName() != "tandem.v1.ConstraintOperator" {
			word = strings.ToLower(word)
		}
		words = append(words, word)
	}
	return words
}

// nameOf returns a message's name in words: "a health check".
func nameOf(md protoreflect.MessageDescriptor) string {
	var b strings.Builder
	for i, r := range string(md.Name()) {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte(' ')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	name := b.String()
	switch {
	case strings.HasSuffix(name, "settings"), strings.HasSuffix(name, "resources"), strings.HasSuffix(name, "limits"):
		return "this"
	case strings.ContainsRune("aeio", rune(name[0])):
		return "an " + name
	}
	return "a " + name
}

// join appends a key to a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
