package master

import (
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// constraints are a framework's offer constraints: an agent is offered for a
// role if it meets all constraints of one of the role's groups. The zero value,
// and nil, hold none.
type constraints struct {
	roles map[string][]group
	shown []byte // as they are shown to operators, in JSON
	raw   []byte // and in protobuf
}

type group []func(*allocator.Agent) bool

// accepts tells whether offers of the agent are wanted for a role.
func (c *constraints) accepts(role string, a *allocator.Agent) bool {
	if c == nil {
		return true
	}
	groups, constrained := c.roles[role]
	if !constrained {
		return true
	}
	return slices.ContainsFunc(groups, func(g group) bool {
		return !slices.ContainsFunc(g, func(meets func(*allocator.Agent) bool) bool { return !meets(a) })
	})
}

// readConstraints compiles the constraints of a call of a framework with these
// roles, which stand in the field offer_constraints of its message; nil if there
// are none.
func readConstraints(call wire.Presence, message string, roles []string) (*constraints, error) {
	given, err := call.OfferConstraints(message, "offer_constraints")
	if err != nil || given == nil {
		return nil, err
	}
	for _, role := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(roles, role) {
			return nil, fmt.Errorf("Offer constraints specify `role_constraints` for a role '%s'not contained in the set of roles", role)
		}
	}
	shown := new(wire.Writer)
	if err := call.WriteJSON(shown, message, "offer_constraints"); err != nil {
		return nil, err
	}
	c := &constraints{roles: make(map[string][]group), shown: shown.Bytes(), raw: call.Raw(message, "offer_constraints")}
	for role, groups := range given {
		if len(groups) == 0 {
			return nil, fmt.Errorf("Offer constraints are not valid: 'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role %s", role)
		}
		for _, all := range groups {
			if len(all) == 0 {
				return nil, fmt.Errorf("Offer constraints are not valid: 'OfferConstraints::RoleConstraints::groups' for role %scontains an empty RoleConstraints::Group", role)
			}
			g := make(group, 0, len(all))
			for _, one := range all {
				meets, err := compile(one)
				if err != nil {
					return nil, fmt.Errorf("Offer constraints are not valid: A role %s has an invalid 'AttributeConstraint': %w", role, err)
				}
				g = append(g, meets)
			}
			c.roles[role] = append(c.roles[role], g)
		}
	}
	return c, nil
}

// compile turns one constraint into a function.
func compile(c wire.AttributeConstraint) (func(*allocator.Agent) bool, error) {
	if c.Selector() == "" {
		return nil, fmt.Errorf("Exactly one of 'AttributeConstraint::Selector::name' or 'AttributeConstraint::Selector::pseudoattribute_type' must be set")
	}
	exists := func(a *allocator.Agent) bool { return len(valuesOf(c, a)) > 0 }
	// A text predicate holds of a value that is no text.
	text := func(meets func(string) bool) func(*allocator.Agent) bool {
		return func(a *allocator.Agent) bool {
			return slices.ContainsFunc(valuesOf(c, a), func(v attributeValue) bool { return !v.isText || meets(v.text) })
		}
	}
	// A negated one holds of an agent without the attribute.
	none := func(meets func(string) bool) func(*allocator.Agent) bool {
		return func(a *allocator.Agent) bool {
			return !slices.ContainsFunc(valuesOf(c, a), func(v attributeValue) bool { return v.isText && meets(v.text) })
		}
	}
	equals := func(s string) bool { return s == c.Operand }
	switch c.Predicate {
	case "exists":
		return exists, nil
	case "not_exists":
		return func(a *allocator.Agent) bool { return !exists(a) }, nil
	case "text_equals":
		return text(equals), nil
	case "text_not_equals":
		return none(equals), nil
	case "text_matches", "text_not_matches":
		pattern, err := regexp.Compile(`^(?:` + c.Operand + `)$`)
		if err != nil {
			return nil, fmt.Errorf("Failed to construct regex from pattern '%s': %s", c.Operand, re2Error(c.Operand))
		}
		if c.Predicate == "text_matches" {
			return text(pattern.MatchString), nil
		}
		return none(pattern.MatchString), nil
	}
	return nil, fmt.Errorf("Unknown predicate type")
}

// re2Error says of a pattern what RE2 says.
func re2Error(pattern string) string {
	_, err := syntax.Parse(pattern, syntax.Perl)
	parse, ok := err.(*syntax.Error)
	if !ok {
		return "invalid pattern"
	}
	if parse.Code == syntax.ErrMissingParen {
		return "missing ): " + parse.Expr
	}
	return parse.Code.String() + ": " + parse.Expr
}

type attributeValue struct {
	isText bool
	text   string
}

// valuesOf returns the values that a constraint's selector selects.
func valuesOf(c wire.AttributeConstraint, a *allocator.Agent) []attributeValue {
	if c.AttributeName == "" {
		switch c.PseudoAttribute {
		case "HOSTNAME":
			return []attributeValue{{true, a.Hostname}}
		case "REGION":
			if fault := a.Domain.GetFaultDomain(); fault != nil {
				return []attributeValue{{true, fault.Region.Name}}
			}
		case "ZONE":
			if fault := a.Domain.GetFaultDomain(); fault != nil {
				return []attributeValue{{true, fault.Zone.Name}}
			}
		}
		return nil
	}
	var values []attributeValue
	for i := range a.Attributes {
		if attr := &a.Attributes[i]; attr.Name == c.AttributeName {
			values = append(values, attributeValue{attr.GetType() == mesos.TEXT, attr.GetText().GetValue()})
		}
	}
	return values
}
