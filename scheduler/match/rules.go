package match

import (
	"fmt"
	"regexp"
	"strconv"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Rules are a job's constraints and preferences, ready to be judged. Nil is a
// job without any.
type Rules struct {
	fixed  []rule // depend on the agent alone
	counts []rule // depend on where the job's other instances are
	prefer []rule
}

type rule struct {
	attribute string
	operator  tandemv1.ConstraintOperator
	value     string
	pattern   *regexp.Regexp
	number    int
	weight    int
}

// The operators, shorter.
const (
	unique  = tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_UNIQUE
	cluster = tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_CLUSTER
	groupBy = tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_GROUP_BY
	like    = tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_LIKE
	unlike  = tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_UNLIKE
	maxPer  = tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_MAX_PER
	is      = tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_IS
)

// Compile returns the rules of a job. It is an error if an argument is not of
// the form that its operator wants, which a validated job's always are.
func Compile(constraints []*tandemv1.Constraint, prefer []*tandemv1.Preference) (*Rules, error) {
	if len(constraints) == 0 && len(prefer) == 0 {
		return nil, nil
	}
	rs := &Rules{}
	for _, c := range constraints {
		r, err := compile(c.Attribute, c.Operator, c.Value)
		if err != nil {
			return nil, err
		}
		switch {
		case c.Operator == unique, c.Operator == groupBy, c.Operator == maxPer, c.Operator == cluster && c.Value == "":
			rs.counts = append(rs.counts, r)
		default:
			rs.fixed = append(rs.fixed, r)
		}
	}
	for _, p := range prefer {
		r, err := compile(p.Attribute, p.Operator, p.Value)
		if err != nil {
			return nil, err
		}
		r.weight = int(p.Weight)
		rs.prefer = append(rs.prefer, r)
	}
	return rs, nil
}

func compile(attribute string, operator tandemv1.ConstraintOperator, value string) (rule, error) {
	r := rule{attribute: attribute, operator: operator, value: value}
	var err error
	switch operator {
	case like, unlike:
		r.pattern, err = regexp.Compile(`\A(?:` + value + `)\z`)
	case maxPer:
		r.number, err = strconv.Atoi(value)
	case groupBy:
		if value != "" {
			r.number, err = strconv.Atoi(value)
		}
	case unique, cluster, is:
	default:
		err = fmt.Errorf("unknown operator %v", operator)
	}
	if err != nil {
		return r, fmt.Errorf("cannot read the constraint on %s: %w", attribute, err)
	}
	return r, nil
}

// Counting reports whether a rule depends on where the job's other instances
// are, so that each placement may make other agents eligible or not.
func (rs *Rules) Counting() bool { return rs != nil && len(rs.counts) > 0 }

// Attributes returns the names that the rules judge an agent by, each once.
func (rs *Rules) Attributes() []string {
	if rs == nil {
		return nil
	}
	var names []string
	seen := map[string]bool{}
	for _, list := range [][]rule{rs.fixed, rs.counts, rs.prefer} {
		for i := range list {
			if n := list[i].attribute; !seen[n] {
				seen[n] = true
				names = append(names, n)
			}
		}
	}
	return names
}

// String prints a rule as it stands in a job file.
func (r *rule) String() string {
	if r.value == "" {
		return r.attribute + " " + operatorName(r.operator)
	}
	return r.attribute + " " + operatorName(r.operator) + " " + r.value
}

func operatorName(o tandemv1.ConstraintOperator) string {
	return o.String()[len("CONSTRAINT_OPERATOR_"):]
}

// admits judges an agent by what it is.
func (r *rule) admits(p *Place) bool {
	v, ok := p.Value(r.attribute)
	switch r.operator {
	case like:
		return ok && r.pattern.MatchString(v)
	case unlike:
		return !ok || !r.pattern.MatchString(v)
	default: // IS, and CLUSTER with an argument
		return ok && v == r.value
	}
}

// Admits reports whether every rule that depends on the agent alone holds, as
// those that count instances may come to do at any time.
func (rs *Rules) Admits(p *Place) bool {
	if rs != nil {
		for i := range rs.fixed {
			if !rs.fixed[i].admits(p) {
				return false
			}
		}
	}
	return true
}
