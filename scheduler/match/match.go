package match

import (
	"container/heap"
	"slices"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Need is what one copy of a group takes: its workloads and its executor
// together.
type Need struct {
	Amount
	Ports PortNeed
	Disks []Disk // beside the agent's own
}

// Request is a group that waits, Count times over.
type Request struct {
	Need  Need
	Rules *Rules
	// Spread is where the job's instances are; Match adds what it places. It is
	// NewSpread of the rules, and perhaps of more; several requests may share it.
	Spread *Spread
	Count  int
}

// Placement is one copy of a request on an agent, both by their index.
type Placement struct {
	Request, Agent int
	// Ports are the fixed ports in the request's order and then the others.
	Ports []uint64
}

// Match places as many copies of the requests as fit, the requests served in
// their order. It takes what it places off the agents' free amounts, and
// returns the placements in the order in which it made them.
func Match(agents []Agent, requests []Request) []Placement {
	m := matcher{order: newOrder(agents), agents: agents, columns: map[string]*column{}}
	for i := range requests {
		r := &requests[i]
		switch {
		case r.Count <= 0:
		case r.Rules == nil:
			m.fill(i, r)
		default:
			m.fillByRules(i, r)
		}
	}
	return m.placements
}

// Put places one copy of a request on an agent if it fits there and every rule
// holds, and reports whether it did.
func Put(a *Agent, r *Request) (ports []uint64, ok bool) {
	if a.Refused != "" || !fits(a, &r.Need) || !r.Rules.Admits(&a.Place) || r.Rules.allowed(r.Spread, a.Place.Value) != yes {
		return nil, false
	}
	ports = a.take(&r.Need)
	r.Spread.Add(a.Place.Value)
	return ports, true
}

type matcher struct {
	agents     []Agent
	order      *order
	columns    map[string]*column
	placements []Placement
}

// put places one copy. The agent must be out of the order while its free amount
// changes.
func (m *matcher) put(request int, r *Request, agent int32) {
	a := &m.agents[agent]
	m.placements = append(m.placements, Placement{request, int(agent), a.take(&r.Need)})
	r.Spread.Add(a.Place.Value)
}

func fits(a *Agent, need *Need) bool {
	if !a.Free.holds(need.Amount) || !need.Ports.within(a.Ports) {
		return false
	}
	if len(need.Disks) == 0 {
		return true
	}
	_, short := takeDisks(a.Disks, need.Disks)
	return short == nil
}

// Return gives the agent back what was taken off it.
func (a *Agent) Return(amount Amount, ports []uint64) {
	a.Free = a.Free.Plus(amount)
	a.Ports = slices.Clone(a.Ports)
	for _, p := range ports {
		a.Ports = insert(a.Ports, resource.Range{Begin: p, End: p})
	}
}

// take takes what fits off the agent, and returns the ports.
func (a *Agent) take(need *Need) (ports []uint64) {
	a.Free = a.Free.Minus(need.Amount)
	ports, a.Ports = need.Ports.take(a.Ports)
	a.Disks, _ = takeDisks(a.Disks, need.Disks)
	return ports
}

// fill places copies that no rule binds. The first agent in order that fits
// stays the first while it fits, for it only gets fuller.
func (m *matcher) fill(request int, r *Request) {
	for left := r.Count; left > 0; {
		at := m.order.first(&r.Need)
		if at == none {
			return
		}
		m.order.remove(at)
		for left > 0 && fits(&m.agents[at], &r.Need) {
			m.put(request, r, at)
			left--
		}
		m.order.insert(at)
	}
}

// cell is the eligible agents of one preference that have the same value of
// every GROUP_BY attribute, in order.
type cell struct {
	weight int
	value  string // of the first such attribute
	agents []int32
	// The heap's key: instances at the value, and the first agent's.
	count int
	key   int64
	at    int // in the heap, or -1
}

// cells is a heap, the next to be served first.
type cells []*cell

func (c cells) Len() int { return len(c) }
func (c cells) Less(i, j int) bool {
	a, b := c[i], c[j]
	switch {
	case a.count != b.count:
		return a.count < b.count
	case a.weight != b.weight:
		return a.weight > b.weight
	case a.key != b.key:
		return a.key < b.key
	}
	return a.agents[0] < b.agents[0]
}
func (c cells) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].at, c[j].at = i, j
}
func (c *cells) Push(x any) {
	x.(*cell).at = len(*c)
	*c = append(*c, x.(*cell))
}
func (c *cells) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	last.at = -1
	return last
}

// fillByRules places copies under constraints and preferences. Each agent is
// judged by the rules that look at it alone once; those that count are asked
// again before each placement.
func (m *matcher) fillByRules(request int, r *Request) {
	var groupings []*rule
	for i := range r.Rules.counts {
		if r.Rules.counts[i].operator == groupBy {
			groupings = append(groupings, &r.Rules.counts[i])
		}
	}
	var h cells
	byValue := map[string][]*cell{}
	byPlace := map[cellKey]*cell{}
	j := m.judge(r.Rules, groupings)
	m.order.walk(&r.Need, func(i int32) {
		at, ok := j.place(i)
		if !ok {
			return
		}
		c := byPlace[at]
		if c == nil {
			c = &cell{weight: at.weight}
			if len(groupings) > 0 {
				c.value, _ = m.agents[i].Place.Value(groupings[0].attribute)
			}
			byPlace[at] = c
			byValue[c.value] = append(byValue[c.value], c)
			h.Push(c)
			for _, g := range groupings {
				v, _ := m.agents[i].Place.Value(g.attribute)
				r.Spread.of(g.attribute).know(v)
			}
		}
		c.agents = append(c.agents, i)
	})
	if len(groupings) > 0 {
		counts := r.Spread.of(groupings[0].attribute).counts
		for _, c := range h {
			c.count = counts[c.value]
		}
	}
	for _, c := range h {
		c.key = m.order.nodes[c.agents[0]].key
	}
	heap.Init(&h)
	var aside []*cell // refused by a GROUP_BY, for now
	touched := map[int32]bool{}
	start := len(m.placements)
	for left := r.Count; left > 0 && len(h) > 0; {
		c := h[0]
		at := c.agents[0]
		switch m.verdict(r, at) {
		case never:
			if c.agents = c.agents[1:]; len(c.agents) == 0 {
				heap.Pop(&h)
				continue
			}
			c.key = m.order.nodes[c.agents[0]].key
			heap.Fix(&h, 0)
		case notNow:
			heap.Pop(&h)
			aside = append(aside, c)
		case yes:
			touched[at] = true
			m.put(request, r, at)
			left--
			c.key = m.order.measure(m.agents[at].Free)
			for _, other := range byValue[c.value] {
				if len(groupings) > 0 {
					other.count++
				}
				if other.at >= 0 {
					heap.Fix(&h, other.at)
				}
			}
			for _, other := range aside {
				heap.Push(&h, other)
			}
			aside = aside[:0]
		}
	}
	// The order is put right in the order of the agents, so that the tree's
	// shape depends on nothing else.
	for _, p := range m.placements[start:] {
		if at := int32(p.Agent); touched[at] {
			delete(touched, at)
			m.order.remove(at)
			m.order.insert(at)
		}
	}
}

type verdict int

const (
	yes    verdict = iota
	notNow         // a GROUP_BY wants another value first
	never          // in this round
)

func (m *matcher) verdict(r *Request, at int32) verdict {
	if a := &m.agents[at]; fits(a, &r.Need) {
		return r.Rules.allowed(r.Spread, a.Place.Value)
	}
	return never
}

// allowed judges an agent, of whose attributes value tells, by the rules that count
// instances.
func (rs *Rules) allowed(s *Spread, value func(attribute string) (string, bool)) verdict {
	if rs == nil {
		return yes
	}
	v := yes
	for i := range rs.counts {
		rule := &rs.counts[i]
		had, ok := value(rule.attribute)
		switch {
		case !ok:
			return never
		case rule.allows(s, had):
		case rule.operator != groupBy:
			return never
		default:
			v = notNow
		}
	}
	return v
}
