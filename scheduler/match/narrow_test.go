package match

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/tandem-mesos/tandem/pkg/mesos/constraint"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestConstraintsHideNothing: an agent that rules admit satisfies what a master
// judges by, whatever the rules and the agent.
func TestConstraintsHideNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "a", "b", "r1", "r12", "a.b", "A", "x|y", "ä"})
		pattern := rapid.SampledFrom([]string{"a", "r.*", "r[12]+", "a|b", "a.b", "(?i)a", "", ".", "[^a]", "(r1|r2){1,900}", "ä", `x\|y`})
		var constraints []*tandemv1.Constraint
		for range rapid.IntRange(1, 3).Draw(t, "rules") {
			c := &tandemv1.Constraint{
				Attribute: rapid.SampledFrom([]string{"rack", "ssd", "@hostname", "@zone"}).Draw(t, "attribute"),
				Operator:  rapid.SampledFrom([]tandemv1.ConstraintOperator{like, unlike, is, cluster, unique, groupBy}).Draw(t, "operator"),
			}
			switch c.Operator {
			case like, unlike:
				c.Value = pattern.Draw(t, "pattern")
			case is, cluster:
				c.Value = text.Draw(t, "value")
			}
			constraints = append(constraints, c)
		}
		rules, err := Compile(constraints, nil)
		if err != nil {
			t.Skip("it is refused when the job is submitted")
		}
		p := Place{Hostname: text.Draw(t, "host"), Zone: text.Draw(t, "zone")}
		if rapid.Bool().Draw(t, "racked") {
			p.Attributes = append(p.Attributes, Attribute{"rack", text.Draw(t, "rack")})
		}
		if !rules.Admits(&p) {
			return
		}
		for _, c := range rules.Constraints() {
			v, has := p.Value(c.Attribute)
			if !holds(c, v, has) {
				t.Fatalf("%+v is admitted by %v, and hidden by %+v", p, constraints, c)
			}
		}
	})
}

// holds judges a text attribute as Mesos does.
func holds(c constraint.Constraint, v string, has bool) bool {
	switch c.Kind {
	case constraint.Equals:
		return has && v == c.Value
	case constraint.NotEquals:
		return !has || v != c.Value
	case constraint.Matches:
		return has && regexp.MustCompile(`\A(?:`+c.Value+`)\z`).MatchString(v)
	default:
		return !has || !regexp.MustCompile(`\A(?:`+c.Value+`)\z`).MatchString(v)
	}
}

func TestConstraints(t *testing.T) {
	for _, tt := range []struct {
		operator tandemv1.ConstraintOperator
		value    string
		want     constraint.Group
	}{
		{is, "r1", constraint.Group{{Attribute: "rack", Kind: constraint.Equals, Value: "r1"}}},
		{cluster, "r1", constraint.Group{{Attribute: "rack", Kind: constraint.Equals, Value: "r1"}}},
		{like, "r1", constraint.Group{{Attribute: "rack", Kind: constraint.Equals, Value: "r1"}}},
		{unlike, "r1", constraint.Group{{Attribute: "rack", Kind: constraint.NotEquals, Value: "r1"}}},
		{like, "r[12]", constraint.Group{{Attribute: "rack", Kind: constraint.Matches, Value: "r[12]"}}},
		{unlike, "r1|r2", constraint.Group{{Attribute: "rack", Kind: constraint.NotMatches, Value: "r1|r2"}}},
		{like, "[a-z]{100}", nil}, // more than a master takes
		{unique, "", nil},
		{cluster, "", nil},
	} {
		rules := mustCompile(t, []*tandemv1.Constraint{{Attribute: "rack", Operator: tt.operator, Value: tt.value}}, nil)
		got := rules.Constraints()
		if len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] {
			t.Errorf("rack %v %s: got %v, want %v", tt.operator, tt.value, got, tt.want)
		}
	}
}
