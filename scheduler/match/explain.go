package match

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Lack is one reason why a group does not go to an agent.
type Lack struct {
	// What is the resource or the rule that stands against it, such as cpus,
	// ports or rack LIKE r1.
	What string
	// Need and Have are in the resource's own unit, or the attribute's value;
	// empty where they say nothing.
	Need, Have string
	// short is how much of the need is missing, from 0 to 1.
	short float64
}

// String prints the reason in a few words.
func (l Lack) String() string {
	switch {
	case l.Need != "":
		return fmt.Sprintf("%s: needs %s, has %s", l.What, l.Need, l.Have)
	case l.Have != "":
		return fmt.Sprintf("%s: is %s", l.What, l.Have)
	}
	return l.What
}

// Explain returns every reason why the request cannot go to the agent now, or
// nothing when it can.
func Explain(a *Agent, r *Request) []Lack {
	var lacks []Lack
	if a.Refused != "" {
		lacks = append(lacks, Lack{What: a.Refused})
	}
	scalar := func(what string, need, have resource.Milli) {
		if have < need {
			lacks = append(lacks, Lack{
				What: what, Need: need.String(), Have: have.String(), short: float64(need-have) / float64(need),
			})
		}
	}
	scalar("cpus", r.Need.CPUs, a.Free.CPUs)
	scalar("mem", r.Need.Mem, a.Free.Mem)
	scalar("disk", r.Need.Disk, a.Free.Disk)
	scalar("gpus", r.Need.GPUs, a.Free.GPUs)
	if need, have := len(r.Need.Ports.Fixed)+r.Need.Ports.Any, a.Ports.Len(); have < uint64(need) {
		lacks = append(lacks, Lack{
			What: "ports", Need: fmt.Sprint(need), Have: fmt.Sprint(have), short: float64(need-int(have)) / float64(need),
		})
	}
	for _, p := range r.Need.Ports.Fixed {
		if !contains(a.Ports, p) {
			lacks = append(lacks, Lack{What: fmt.Sprintf("port %d is not free", p)})
		}
	}
	if r.Rules == nil {
		return lacks
	}
	for i := range r.Rules.fixed {
		if rule := &r.Rules.fixed[i]; !rule.admits(&a.Place) {
			v, _ := a.Place.Value(rule.attribute)
			lacks = append(lacks, Lack{What: rule.String(), Have: v})
		}
	}
	for i := range r.Rules.counts {
		rule := &r.Rules.counts[i]
		if v, ok := a.Place.Value(rule.attribute); !ok || !rule.allows(r.Spread, v) {
			lacks = append(lacks, Lack{What: rule.String(), Have: v})
		}
	}
	return lacks
}

// Summary says in one line why a request fits none of the agents, which must
// all have been seen: how many lack what, the most frequent first, and for
// resources the agent that lacks the least.
func Summary(agents []Agent, r *Request) string {
	if len(agents) == 0 {
		return "no agent has been offered yet"
	}
	type tally struct {
		what    string
		agents  int
		nearest Lack
		at      string
	}
	var tallies []*tally
	byWhat := map[string]*tally{}
	fit := 0
	for i := range agents {
		lacks := Explain(&agents[i], r)
		if len(lacks) == 0 {
			fit++
		}
		for _, l := range lacks {
			t := byWhat[l.What]
			if t == nil {
				t = &tally{what: l.What, nearest: l, at: agents[i].Place.Hostname}
				byWhat[l.What] = t
				tallies = append(tallies, t)
			}
			t.agents++
			if l.Need != "" && l.short < t.nearest.short {
				t.nearest, t.at = l, agents[i].Place.Hostname
			}
		}
	}
	slices.SortStableFunc(tallies, func(a, b *tally) int { return b.agents - a.agents })
	var b strings.Builder
	fmt.Fprintf(&b, "%s seen", plural(len(agents), "agent"))
	for i, t := range tallies {
		if i == 4 {
			fmt.Fprintf(&b, ", and %d more reasons", len(tallies)-i)
			break
		}
		if t.nearest.Need != "" {
			fmt.Fprintf(&b, ", %d lack %s (need %s, nearest %s has %s)", t.agents, t.what, t.nearest.Need, t.at, t.nearest.Have)
		} else {
			fmt.Fprintf(&b, ", %d refused by %s", t.agents, t.what)
		}
	}
	if fit > 0 {
		fmt.Fprintf(&b, ", %d would fit when offered again", fit)
	}
	return b.String()
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
