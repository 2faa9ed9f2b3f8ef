package match

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func mustCompile(t interface{ Fatal(...any) }, constraints []*tandemv1.Constraint, prefer []*tandemv1.Preference) *Rules {
	rs, err := Compile(constraints, prefer)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func agentAt(host, rack string, cpus, mem int64) Agent {
	a := Agent{
		Place: Place{Hostname: host}, Free: Amount{CPUs: resource.Whole(cpus), Mem: resource.Whole(mem)},
		Ports: resource.Ranges{{Begin: 31000, End: 31003}},
	}
	if rack != "" {
		a.Place.Attributes = []Attribute{{"rack", rack}}
	}
	return a
}

// TestMatch tells what each rule does, by the hosts that the copies of one
// request go to, in their order.
func TestMatch(t *testing.T) {
	need := Need{Amount: Amount{CPUs: 1000, Mem: 100000}}
	four := func() []Agent {
		return []Agent{agentAt("a", "r1", 4, 4000), agentAt("b", "r1", 3, 4000), agentAt("c", "r2", 8, 4000), agentAt("d", "", 8, 8000)}
	}
	rule := func(attribute string, o tandemv1.ConstraintOperator, value string) []*tandemv1.Constraint {
		return []*tandemv1.Constraint{{Attribute: attribute, Operator: o, Value: value}}
	}
	for _, c := range []struct {
		name   string
		rules  []*tandemv1.Constraint
		prefer []*tandemv1.Preference
		need   Need
		count  int
		placed []string // hosts of instances that are there
		want   string
	}{
		{name: "the fullest agent that fits comes first", need: need, count: 8, want: "b b b a a a a c"},
		{name: "UNIQUE", rules: rule("@hostname", unique, ""), need: need, count: 5, want: "b a c d"},
		{name: "UNIQUE minds what is there, and needs the attribute", rules: rule("rack", unique, ""), need: need, count: 5, placed: []string{"a"}, want: "c"},
		{name: "CLUSTER with a value", rules: rule("rack", cluster, "r2"), need: need, count: 2, want: "c c"},
		{name: "CLUSTER without a value follows the first", rules: rule("rack", cluster, ""), need: need, count: 20, placed: []string{"c"}, want: "c c c c c c c c"},
		{name: "GROUP_BY fills evenly from the first one on", rules: rule("rack", groupBy, ""), need: need, count: 4, want: "b c b c"},
		{name: "GROUP_BY makes up for what is uneven", rules: rule("rack", groupBy, ""), need: need, count: 3, placed: []string{"a", "b"}, want: "c c b"},
		{name: "GROUP_BY waits for as many values as it was told", rules: rule("rack", groupBy, "3"), need: need, count: 4, want: "b c"},
		{name: "LIKE is anchored at both ends", rules: rule("rack", like, "r"), need: need, count: 1, want: ""},
		{name: "LIKE", rules: rule("rack", like, "r[2-9]"), need: need, count: 1, want: "c"},
		{name: "UNLIKE passes an agent without the attribute", rules: rule("rack", unlike, "r.*"), need: need, count: 1, want: "d"},
		{name: "MAX_PER", rules: rule("rack", maxPer, "2"), need: need, count: 9, placed: []string{"a"}, want: "b c c"},
		{name: "IS", rules: rule("@hostname", is, "c"), need: need, count: 1, want: "c"},
		{name: "a preference goes before the fit", prefer: []*tandemv1.Preference{{Attribute: "rack", Operator: is, Value: "r2", Weight: 10}},
			need: need, count: 9, want: "c c c c c c c c b"},
		{name: "a negative one repels", prefer: []*tandemv1.Preference{{Attribute: "rack", Operator: like, Value: "r.*", Weight: -10}},
			need: need, count: 1, want: "d"},
		{name: "a fixed port is once on each agent", need: Need{Amount: need.Amount, Ports: PortNeed{Fixed: []uint64{31002}}}, count: 9, want: "b a c d"},
		{name: "ports run out", need: Need{Amount: Amount{CPUs: 100}, Ports: PortNeed{Any: 3}}, count: 9, want: "b a c d"},
		{name: "too large for all", need: Need{Amount: Amount{CPUs: 9000}}, count: 1, want: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			agents := four()
			rules := mustCompile(t, c.rules, c.prefer)
			spread := NewSpread(rules)
			for i := range agents {
				if slices.Contains(c.placed, agents[i].Place.Hostname) {
					spread.Add(agents[i].Place.Value)
				}
			}
			var hosts []string
			for _, p := range Match(agents, []Request{{Need: c.need, Rules: rules, Spread: spread, Count: c.count}}) {
				hosts = append(hosts, agents[p.Agent].Place.Hostname)
			}
			if got := strings.Join(hosts, " "); got != c.want {
				t.Errorf("placed on %q, want %q", got, c.want)
			}
		})
	}
}

func TestPorts(t *testing.T) {
	agents := []Agent{agentAt("a", "", 4, 4000)}
	got := Match(agents, []Request{
		{Need: Need{Amount: Amount{CPUs: 1}, Ports: PortNeed{Fixed: []uint64{31001}, Any: 1}}, Count: 1},
		{Need: Need{Amount: Amount{CPUs: 1}, Ports: PortNeed{Any: 2}}, Count: 2},
	})
	if len(got) != 2 || !slices.Equal(got[0].Ports, []uint64{31001, 31000}) || !slices.Equal(got[1].Ports, []uint64{31002, 31003}) {
		t.Errorf("placements are %v", got)
	}
}

func TestSummary(t *testing.T) {
	agents := []Agent{agentAt("a", "r1", 4, 4000), agentAt("b", "r2", 3, 9000), agentAt("c", "r2", 8, 9000)}
	rules := mustCompile(t, []*tandemv1.Constraint{{Attribute: "rack", Operator: like, Value: "r1"}}, nil)
	for _, c := range []struct {
		name   string
		agents []Agent
		need   Need
		rules  *Rules
		want   string
	}{
		{"nothing seen", nil, Need{}, nil, "no agent has been offered yet"},
		{"the nearest miss", agents, Need{Amount: Amount{CPUs: 9000}}, nil, "3 agents seen, 3 lack cpus (need 9, at most 8 on c)"},
		{"every reason", agents, Need{Amount: Amount{CPUs: 5000, Mem: 8000000}}, rules,
			"3 agents seen, 2 lack cpus (need 5, at most 4 on a), 2 refused by rack LIKE r1, 1 lack mem (need 8000, at most 4000 on a)"},
		{"one would do", agents, Need{Amount: Amount{CPUs: 8000}}, nil, "3 agents seen, 2 lack cpus (need 8, at most 4 on a), 1 would fit when offered again"},
		{"ports", agents, Need{Ports: PortNeed{Fixed: []uint64{80}, Any: 4}}, nil,
			"3 agents seen, 3 lack ports (need 5, at most 4 on a), 3 refused by port 80 is not free"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Summary(c.agents, &Request{Need: c.need, Rules: c.rules, Count: 1}); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// world makes agents, rules and requests up.
func world(t *rapid.T) ([]Agent, []Request) {
	agents := make([]Agent, rapid.IntRange(0, 8).Draw(t, "agents"))
	for i := range agents {
		agents[i] = agentAt(fmt.Sprintf("h%d", i), []string{"", "r1", "r2", "r3"}[rapid.IntRange(0, 3).Draw(t, "rack")],
			int64(rapid.IntRange(0, 6).Draw(t, "cpus")), int64(rapid.IntRange(0, 600).Draw(t, "mem")))
		agents[i].Place.Zone = []string{"", "z1", "z2"}[rapid.IntRange(0, 2).Draw(t, "zone")]
		if rapid.IntRange(0, 9).Draw(t, "refused") == 0 {
			agents[i].Refused = "maintenance"
		}
	}
	requests := make([]Request, rapid.IntRange(1, 4).Draw(t, "requests"))
	for i := range requests {
		r := &requests[i]
		r.Count = rapid.IntRange(0, 8).Draw(t, "count")
		r.Need = Need{Amount: Amount{
			CPUs: resource.Milli(rapid.IntRange(0, 3).Draw(t, "need cpus") * 500), Mem: resource.Milli(rapid.IntRange(1, 3).Draw(t, "need mem") * 50000),
		}}
		if rapid.IntRange(0, 3).Draw(t, "ports") == 0 {
			r.Need.Ports = PortNeed{Any: 1, Fixed: []uint64{31001}}
		}
		var constraints []*tandemv1.Constraint
		for range rapid.IntRange(0, 3).Draw(t, "constraints") {
			c := &tandemv1.Constraint{
				Attribute: []string{"rack", "@hostname", "@zone"}[rapid.IntRange(0, 2).Draw(t, "attribute")],
				Operator:  tandemv1.ConstraintOperator(rapid.IntRange(1, 7).Draw(t, "operator")),
			}
			switch c.Operator {
			case cluster:
				c.Value = []string{"", "r1"}[rapid.IntRange(0, 1).Draw(t, "value")]
			case like, unlike:
				c.Value = []string{"r[12]", ".*1"}[rapid.IntRange(0, 1).Draw(t, "value")]
			case maxPer:
				c.Value = fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "value"))
			case groupBy:
				c.Value = []string{"", "2", "3"}[rapid.IntRange(0, 2).Draw(t, "value")]
			case is:
				c.Value = "r2"
			}
			constraints = append(constraints, c)
		}
		var prefer []*tandemv1.Preference
		if rapid.Bool().Draw(t, "prefer") {
			prefer = append(prefer, &tandemv1.Preference{Attribute: "rack", Operator: is, Value: "r1", Weight: int32(rapid.IntRange(-5, 5).Draw(t, "weight"))})
		}
		r.Rules = mustCompile(t, constraints, prefer)
		r.Spread = NewSpread(r.Rules)
	}
	return agents, requests
}

// TestMatchAgainstDumbBestFit compares Match with an implementation that looks
// at every agent for every copy.
func TestMatchAgainstDumbBestFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agents, requests := world(t)
		var want []string
		{
			agents, counts := slices.Clone(agents), make([]map[string]map[string]int, len(requests))
			unit := newOrder(agents).unit
			for i := range requests {
				counts[i] = map[string]map[string]int{}
				for range requests[i].Count {
					at := dumbBest(agents, &requests[i], counts[i], unit)
					if at < 0 {
						break
					}
					want = append(want, fmt.Sprintf("%d on %s", i, agents[at].Place.Hostname))
				}
			}
		}
		var got []string
		for _, p := range Match(agents, requests) {
			got = append(got, fmt.Sprintf("%d on %s", p.Request, agents[p.Agent].Place.Hostname))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("placed %v\n  want %v", got, want)
		}
	})
}

// dumbBest places one copy and returns the agent, or -1.
func dumbBest(agents []Agent, r *Request, counts map[string]map[string]int, unit Amount) int {
	var rules Rules
	if r.Rules != nil {
		rules = *r.Rules
	}
	// The values that GROUP_BY has to fill are those of agents where the group
	// could have gone at the beginning of the round.
	possible := func(a *Agent) bool {
		for _, rule := range rules.fixed {
			if v, ok := a.Place.Value(rule.attribute); rule.operator == unlike && ok && rule.pattern.MatchString(v) ||
				rule.operator == like && !(ok && rule.pattern.MatchString(v)) ||
				(rule.operator == is || rule.operator == cluster) && v != rule.value {
				return false
			}
		}
		for _, rule := range rules.counts {
			if _, ok := a.Place.Value(rule.attribute); !ok {
				return false
			}
		}
		return a.Refused == ""
	}
	if counts["(known)"] == nil {
		counts["(known)"] = map[string]int{}
		for i := range agents {
			if a := &agents[i]; possible(a) && fits(a, &r.Need) {
				for _, rule := range rules.counts {
					v, _ := a.Place.Value(rule.attribute)
					counts["(known)"][rule.attribute+"="+v] = 1
				}
			}
		}
	}
	allowed := func(a *Agent) bool {
		for _, rule := range rules.counts {
			v, _ := a.Place.Value(rule.attribute)
			n, used, least := counts[rule.attribute][v], len(counts[rule.attribute]), -1
			for key := range counts["(known)"] {
				if known, ok := strings.CutPrefix(key, rule.attribute+"="); ok && (least < 0 || counts[rule.attribute][known] < least) {
					least = counts[rule.attribute][known]
				}
			}
			if rule.operator == unique && n > 0 || rule.operator == maxPer && n >= rule.number || rule.operator == cluster && used > 0 && n == 0 ||
				rule.operator == groupBy && (n > 0 && used < rule.number || n > least) {
				return false
			}
		}
		return true
	}
	grouped := ""
	for _, rule := range rules.counts {
		if rule.operator == groupBy {
			grouped = rule.attribute
			break
		}
	}
	better := func(a, b *Agent) bool {
		if grouped != "" {
			va, _ := a.Place.Value(grouped)
			vb, _ := b.Place.Value(grouped)
			if na, nb := counts[grouped][va], counts[grouped][vb]; na != nb {
				return na < nb
			}
		}
		weight := func(p *Place) (sum int) {
			for _, rule := range rules.prefer {
				if v, _ := p.Value(rule.attribute); v == rule.value {
					sum += rule.weight
				}
			}
			return sum
		}
		if wa, wb := weight(&a.Place), weight(&b.Place); wa != wb {
			return wa > wb
		}
		o := order{unit: unit}
		return o.measure(a.Free) < o.measure(b.Free)
	}
	best := -1
	for i := range agents {
		a := &agents[i]
		if possible(a) && fits(a, &r.Need) && allowed(a) && (best < 0 || better(a, &agents[best])) {
			best = i
		}
	}
	if best < 0 {
		return -1
	}
	a := &agents[best]
	a.Free = a.Free.Minus(r.Need.Amount)
	_, a.Ports = r.Need.Ports.take(a.Ports)
	for _, rule := range rules.counts {
		if counts[rule.attribute] == nil {
			counts[rule.attribute] = map[string]int{}
		}
	}
	seen := map[string]bool{}
	for _, rule := range rules.counts {
		if !seen[rule.attribute] {
			seen[rule.attribute] = true
			v, _ := a.Place.Value(rule.attribute)
			counts[rule.attribute][v]++
		}
	}
	return best
}

func TestUnevenIsWhatOneMoveMends(t *testing.T) {
	rules, err := Compile([]*tandemv1.Constraint{
		{Attribute: "@hostname", Operator: maxPer, Value: "9"}, {Attribute: "rack", Operator: groupBy},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := func(rack string) func(string) (string, bool) {
		return func(name string) (string, bool) { return rack, name == "rack" && rack != "" }
	}
	for _, c := range []struct {
		name, on, known string // racks
		want            string
	}{
		{"nothing is there", "", "ab", ""},
		{"one more is even", "aab", "ab", ""},
		{"two more are not", "aaab", "ab", "a"},
		{"a rack that has come", "aabb", "abc", "a"},
		{"of two that are full, the first by name", "bbaa", "abc", "a"},
		{"a rack that is gone still has its instances", "aab", "bc", "a"},
		{"no agent is known", "aaa", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSpread(rules)
			for _, rack := range c.on {
				s.Add(at(string(rack)))
			}
			var places []*Place
			for _, rack := range c.known {
				places = append(places, &Place{Hostname: "h", Attributes: []Attribute{{Name: "rack", Value: string(rack)}}})
			}
			s.Know(rules, places)
			attribute, fullest, ok := s.Uneven()
			if fullest != c.want || ok != (c.want != "") || ok && attribute != "rack" {
				t.Errorf("Uneven() = %q, %q, %v; want %q", attribute, fullest, ok, c.want)
			}
		})
	}
	if _, _, ok := (*Spread)(nil).Uneven(); ok {
		t.Error("nothing that is counted is uneven")
	}
}
