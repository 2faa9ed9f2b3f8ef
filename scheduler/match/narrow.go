package match

import (
	"regexp/syntax"

	"github.com/tandem-mesos/tandem/pkg/mesos/constraint"
)

// maxProgram is how large the program of an expression may be that a master is
// asked to judge by. A master's own bound is counted otherwise, and is 100 steps
// of RE2 by default; an expression that is refused all the same does no harm.
const maxProgram = 40

// Constraints are what of the rules a master can judge before it makes an offer:
// every agent that the rules admit satisfies them, and perhaps others do. It is
// empty where the rules exclude no agent, or in no way that a master can tell.
func (rs *Rules) Constraints() constraint.Group {
	if rs == nil {
		return nil
	}
	var group constraint.Group
	for i := range rs.fixed {
		r := &rs.fixed[i]
		c := constraint.Constraint{Attribute: r.attribute, Value: r.value}
		switch r.operator {
		case is, cluster:
			c.Kind = constraint.Equals
		case like, unlike:
			plain, small := weigh(r.value)
			switch {
			case !small:
				continue
			case plain && r.operator == like:
				c.Kind = constraint.Equals
			case plain:
				c.Kind = constraint.NotEquals
			case r.operator == like:
				c.Kind = constraint.Matches
			default:
				c.Kind = constraint.NotMatches
			}
		default:
			continue
		}
		group = append(group, c)
	}
	return group
}

// weigh reports whether an expression is plain text, and whether it is small
// enough for a master.
func weigh(expression string) (plain, small bool) {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return false, false
	}
	if re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0 && string(re.Rune) == expression {
		return true, true
	}
	program, err := syntax.Compile(re.Simplify())
	return false, err == nil && len(program.Inst) <= maxProgram
}
