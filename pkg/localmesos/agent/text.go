package agent

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// parseResources reads the text form of resources: name(role):value, parted by
// semicolons; a value is a number, [a-b,c-d] or {x,y}
// (docs/attributes-resources.md in the Mesos sources).
func parseResources(text string) ([]mesos.Resource, error) {
	var rs []mesos.Resource
	for _, item := range split(text, ";\n") {
		name, value, ok := strings.Cut(item, ":")
		if !ok {
			return nil, fmt.Errorf("%q has no value: write name:value", item)
		}
		name, role, err := parseRole(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		v, err := parseValue(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if v.text != "" {
			return nil, fmt.Errorf("%s: %q is neither a number, a [range] nor a {set}", name, v.text)
		}
		r := mesos.Resource{Name: name, Type: v.kind.Enum(), Scalar: v.scalar, Ranges: v.ranges, Set: v.set}
		if role != "" && role != "*" {
			static := mesos.Resource_ReservationInfo_STATIC
			r.Reservations = []mesos.Resource_ReservationInfo{{Type: &static, Role: &role}}
		}
		rs = append(rs, r)
	}
	return rs, nil
}

func parseRole(name string) (string, string, error) {
	base, role, ok := strings.Cut(name, "(")
	if !ok {
		if name == "" {
			return "", "", fmt.Errorf("a resource has no name")
		}
		return name, "", nil
	}
	role, ok = strings.CutSuffix(role, ")")
	if !ok || base == "" {
		return "", "", fmt.Errorf("%q is not of the form name(role)", name)
	}
	return base, role, nil
}

// parseAttributes reads the text form of attributes: name:value, parted by
// semicolons; besides the forms of resources a value may be any text.
func parseAttributes(text string) ([]mesos.Attribute, error) {
	var as []mesos.Attribute
	for _, item := range split(text, ";\n") {
		name, value, ok := strings.Cut(item, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not of the form name:value", item)
		}
		v, err := parseValue(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		a := mesos.Attribute{Name: strings.TrimSpace(name), Type: v.kind, Scalar: v.scalar, Ranges: v.ranges, Set: v.set}
		if v.kind == mesos.TEXT {
			a.Text = &mesos.Value_Text{Value: v.text}
		}
		as = append(as, a)
	}
	return as, nil
}

type textValue struct {
	kind   mesos.Value_Type
	scalar *mesos.Value_Scalar
	ranges *mesos.Value_Ranges
	set    *mesos.Value_Set
	text   string
}

func parseValue(s string) (textValue, error) {
	switch {
	case s == "":
		return textValue{}, fmt.Errorf("the value is empty")
	case strings.HasPrefix(s, "["):
		inner, ok := strings.CutSuffix(s[1:], "]")
		if !ok {
			return textValue{}, fmt.Errorf("%q has no closing bracket", s)
		}
		ranges, err := parseRanges(inner)
		return textValue{kind: mesos.RANGES, ranges: ranges}, err
	case strings.HasPrefix(s, "{"):
		inner, ok := strings.CutSuffix(s[1:], "}")
		if !ok {
			return textValue{}, fmt.Errorf("%q has no closing brace", s)
		}
		return textValue{kind: mesos.SET, set: &mesos.Value_Set{Item: split(inner, ",")}}, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return textValue{kind: mesos.TEXT, text: s}, nil
	}
	if n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
		return textValue{}, fmt.Errorf("%s is not an amount", s)
	}
	return textValue{kind: mesos.SCALAR, scalar: &mesos.Value_Scalar{Value: n}}, nil
}

func parseRanges(s string) (*mesos.Value_Ranges, error) {
	ranges := &mesos.Value_Ranges{}
	for _, item := range split(s, ",") {
		first, last, ok := strings.Cut(item, "-")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form a-b", item)
		}
		begin, err := strconv.ParseUint(strings.TrimSpace(first), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", first)
		}
		end, err := strconv.ParseUint(strings.TrimSpace(last), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", last)
		}
		if end < begin {
			return nil, fmt.Errorf("range %s ends before it begins", item)
		}
		ranges.Range = append(ranges.Range, mesos.Value_Range{Begin: begin, End: end})
	}
	return ranges, nil
}

// split parts text at any of the separators and leaves out what is empty.
func split(text, separators string) []string {
	var parts []string
	for _, p := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if p = strings.TrimSpace(p); p != "" {
			parts = append(parts, p)
		}
	}
	return parts
}
