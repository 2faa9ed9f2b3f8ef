package wire

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// AttributeConstraint is one of a framework's offer constraints
// (scheduler.proto), which mesos-go has no type for.
type AttributeConstraint struct {
	// One of these is set: the name of an attribute, or HOSTNAME, REGION or
	// ZONE.
	AttributeName, PseudoAttribute string
	// Predicate is the name of the field that is set, such as text_equals;
	// empty for none that is known.
	Predicate string
	// Operand is the predicate's text, if it has one.
	Operand string
}

// Selector returns what the constraint selects by, whichever it is.
func (c AttributeConstraint) Selector() string {
	if c.AttributeName != "" {
		return c.AttributeName
	}
	return c.PseudoAttribute
}

// OfferConstraints reads the OfferConstraints at the end of the path: by role,
// the groups of constraints. It returns nil if they are not there.
func (p Presence) OfferConstraints(path ...string) (map[string][][]AttributeConstraint, error) {
	found, ok := p.find(path)
	if !ok {
		return nil, nil
	}
	out := make(map[string][][]AttributeConstraint)
	for entry, err := range found.within("role_constraints") {
		if err != nil {
			return nil, err
		}
		role := entry.child("key").text()
		groups := [][]AttributeConstraint{}
		for group, err := range entry.child("value").within("groups") {
			if err != nil {
				return nil, err
			}
			var all []AttributeConstraint
			for one, err := range group.within("attribute_constraints") {
				if err != nil {
					return nil, err
				}
				all = append(all, one.attributeConstraint())
			}
			groups = append(groups, all)
		}
		out[role] = groups
	}
	return out, nil
}

func (f rawField) attributeConstraint() AttributeConstraint {
	selector, predicate := f.child("selector"), f.child("predicate")
	c := AttributeConstraint{AttributeName: selector.child("attribute_name").text()}
	if pseudo := selector.child("pseudoattribute_type"); pseudo.plan != nil && pseudo.bits != 0 {
		c.PseudoAttribute = string(pseudo.plan.desc.Enum().Values().ByNumber(protoreflect.EnumNumber(int32(pseudo.bits))).Name())
	}
	for which, err := range predicate.within("") {
		if err != nil {
			break
		}
		c.Predicate = which.plan.name
		for operand, err := range which.within("") {
			if err == nil {
				c.Operand = operand.text()
			}
		}
	}
	return c
}

func (f rawField) text() string { return string(f.bytes) }

// child returns the last field of a name within a message, or none.
func (f rawField) child(name string) rawField {
	var last rawField
	for c, err := range f.within(name) {
		if err == nil {
			last = c
		}
	}
	return last
}

// within lists the fields of a name within a message, or all if it is empty.
func (f rawField) within(name string) func(yield func(rawField, error) bool) {
	return func(yield func(rawField, error) bool) {
		if f.plan == nil || f.plan.message == nil {
			return
		}
		fields, err := scan(f.plan.message, f.bytes, false)
		if err != nil {
			yield(rawField{}, fmt.Errorf("cannot read %s: %w", f.plan.name, err))
			return
		}
		for _, c := range fields {
			if (name == "" || c.plan.name == name) && !yield(c, nil) {
				return
			}
		}
	}
}
