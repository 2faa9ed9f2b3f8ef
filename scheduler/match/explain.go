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
			lacks = append(lacks, Lack{What: what, Need: need.String(), Have: have.String()})
		}
	}
	disk := func(what string, need, have resource.Milli) {
		scalar(what, need, have)
		if have < need && a.Plugins > 0 {
			lacks[len(lacks)-1].Have += fmt.Sprintf(", and %s of storage plugins, which are not used", a.Plugins)
		}
	}
	scalar("cpus", r.Need.CPUs, a.Free.CPUs)
	scalar("mem", r.Need.Mem, a.Free.Mem)
	disk("disk", r.Need.Disk, a.Free.Disk)
	scalar("gpus", r.Need.GPUs, a.Free.GPUs)
	if what, need, have := diskShort(a, &r.Need); what != "" {
		disk(what, need, have)
	}
	if need, have := len(r.Need.Ports.Fixed)+r.Need.Ports.Any, a.Ports.Len(); have < uint64(need) {
		lacks = append(lacks, Lack{What: "ports", Need: fmt.Sprint(need), Have: fmt.Sprint(have)})
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

// tally counts the agents that one thing stands against, and for a resource
// remembers which of them has the most of it.
type tally struct {
	what   string
	need   resource.Milli // 0 for a rule
	agents int
	most   resource.Milli
	at     int
}

func (t *tally) lacks(agent int, have resource.Milli) bool {
	if have >= t.need {
		return false
	}
	if t.agents == 0 || have > t.most {
		t.most, t.at = have, agent
	}
	t.agents++
	return true
}

// Summary says in one line why a request fits none of the agents, which must
// all have been seen: how many lack what, the most frequent first, and for
// resources the agent that lacks the least.
func Summary(agents []Agent, r *Request) string {
	if len(agents) == 0 {
		return "no agent has been offered yet"
	}
	n := &r.Need
	scalars := [...]tally{
		{what: "cpus", need: n.CPUs}, {what: "mem", need: n.Mem}, {what: "disk", need: n.Disk}, {what: "gpus", need: n.GPUs},
		{what: "ports", need: resource.Whole(int64(len(n.Ports.Fixed) + n.Ports.Any))},
	}
	ports := make([]tally, len(n.Ports.Fixed))
	for i, p := range n.Ports.Fixed {
		ports[i].what = fmt.Sprintf("port %d is not free", p)
	}
	var rules Rules
	if r.Rules != nil {
		rules = *r.Rules
	}
	disks := make([]tally, len(n.Disks))
	fixed, counts := make([]tally, len(rules.fixed)), make([]tally, len(rules.counts))
	for i := range fixed {
		fixed[i].what = rules.fixed[i].String()
	}
	for i := range counts {
		counts[i].what = rules.counts[i].String()
	}
	var refused []tally
	fit, plugins := 0, 0
	for i := range agents {
		a := &agents[i]
		fits := true
		if a.Refused != "" {
			fits = false
			at := slices.IndexFunc(refused, func(t tally) bool { return t.what == a.Refused })
			if at < 0 {
				at = len(refused)
				refused = append(refused, tally{what: a.Refused})
			}
			refused[at].agents++
		}
		for s, have := range [...]resource.Milli{a.Free.CPUs, a.Free.Mem, a.Free.Disk, a.Free.GPUs, resource.Whole(int64(a.Ports.Len()))} {
			if scalars[s].lacks(i, have) {
				fits = false
			}
		}
		short := a.Free.Disk < n.Disk
		if what, need, have := diskShort(a, n); what != "" {
			short = true
			at := slices.IndexFunc(disks, func(t tally) bool { return t.need == 0 || t.what == what && t.need == need })
			disks[at].what, disks[at].need = what, need
			disks[at].lacks(i, have)
			fits = false
		}
		if short && a.Plugins > 0 {
			plugins++
		}
		for p := range ports {
			if !contains(a.Ports, n.Ports.Fixed[p]) {
				ports[p].agents++
				fits = false
			}
		}
		for f := range fixed {
			if !rules.fixed[f].admits(&a.Place) {
				fixed[f].agents++
				fits = false
			}
		}
		for c := range counts {
			if v, ok := a.Place.Value(rules.counts[c].attribute); !ok || !rules.counts[c].allows(r.Spread, v) {
				counts[c].agents++
				fits = false
			}
		}
		if fits {
			fit++
		}
	}
	tallies := slices.Concat(refused, scalars[:], disks, ports, fixed, counts)
	tallies = slices.DeleteFunc(tallies, func(t tally) bool { return t.agents == 0 })
	slices.SortStableFunc(tallies, func(a, b tally) int { return b.agents - a.agents })
	var b strings.Builder
	fmt.Fprintf(&b, "%s seen", plural(len(agents), "agent"))
	for i := range tallies {
		t := &tallies[i]
		if i == 4 {
			fmt.Fprintf(&b, ", and %s", plural(len(tallies)-i, "more reason"))
			break
		}
		if t.need > 0 {
			fmt.Fprintf(&b, ", %d lack %s (need %s, at most %s on %s)", t.agents, t.what, t.need, t.most, agents[t.at].Place.Hostname)
		} else {
			fmt.Fprintf(&b, ", %d refused by %s", t.agents, t.what)
		}
	}
	if plugins > 0 {
		fmt.Fprintf(&b, ", %d have disk of storage plugins, which is not used", plugins)
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

// Against says what stands against a request on one agent, as the rest of a
// sentence about it: lacks cpus (needs 1, has 0.5).
func Against(a *Agent, r *Request) string {
	var parts []string
	for _, l := range Explain(a, r) {
		switch {
		case l.Need != "":
			parts = append(parts, fmt.Sprintf("lacks %s (needs %s, has %s)", l.What, l.Need, l.Have))
		case l.Have != "":
			parts = append(parts, fmt.Sprintf("is not %s but %s", l.What, l.Have))
		default:
			parts = append(parts, "is refused: "+l.What)
		}
	}
	if len(parts) == 0 {
		return "fits, and will be tried again"
	}
	return strings.Join(parts, ", ")
}
