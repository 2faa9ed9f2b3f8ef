// Package constraint is Mesos's OfferConstraints (mesos/scheduler/scheduler.proto,
// since Mesos 1.11), which mesos-go lacks: what agents a framework wants offers
// of, judged by the master before it makes any.
//
// The package says how they are written down and no more. It must never decide
// what is worth asking for.
package constraint

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Kind is what a constraint asks of an attribute. The numbers are those of the
// fields of AttributeConstraint.Predicate. An attribute that is no text
// satisfies every one of them: the master leaves it to the framework.
type Kind protowire.Number

// The kinds. Of an agent without the attribute Equals and Matches are false,
// the others true.
const (
	Equals     Kind = 3
	NotEquals  Kind = 4
	Matches    Kind = 5 // of the whole value, by an RE2 expression
	NotMatches Kind = 6
)

// Constraint is one condition on the first attribute of its name, or on
// @hostname, @region or @zone.
type Constraint struct {
	Attribute string
	Kind      Kind
	Value     string
}

// Group is conditions that must all hold. It has one at least.
type Group []Constraint

// Offers are the groups of which one must hold, by role. A role that is not
// there is not constrained; one that is there has one group at least.
type Offers map[string][]Group

// pseudo are the numbers of AttributeConstraint.Selector.PseudoattributeType.
var pseudo = map[string]uint64{"@hostname": 1, "@region": 2, "@zone": 3}

// Marshal returns the OfferConstraints in protobuf, always the same for the
// same; nothing for no constraints.
func (o Offers) Marshal() []byte {
	var b []byte
	for _, role := range slices.Sorted(maps.Keys(o)) {
		var groups []byte
		for _, g := range o[role] {
			var group []byte
			for _, c := range g {
				group = field(group, 1, c.marshal())
			}
			groups = field(groups, 1, group)
		}
		entry := field(nil, 1, []byte(role))
		entry = field(entry, 2, groups)
		b = field(b, 1, entry)
	}
	return b
}

func (c Constraint) marshal() []byte {
	var selector []byte
	if n, ok := pseudo[c.Attribute]; ok {
		selector = protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), n)
	} else {
		selector = field(nil, 2, []byte(c.Attribute))
	}
	predicate := field(nil, protowire.Number(c.Kind), field(nil, 1, []byte(c.Value)))
	return field(field(nil, 1, selector), 2, predicate)
}

func field(b []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), value)
}
