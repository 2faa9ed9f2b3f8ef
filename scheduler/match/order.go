package match

import "github.com/tandem-mesos/tandem/pkg/resource"

// order holds agents by how much they have free, the fullest first, so that the
// best fit for any need is the first in order that has enough: what a group
// leaves free is what the agent has less a constant. It is a treap whose nodes
// know the most of each resource below them, which makes the search for the
// first that fits logarithmic in all but odd cases.
type order struct {
	agents []Agent
	unit   Amount // the largest free amount of any agent
	nodes  []node // by agent
	root   int32
}

type node struct {
	key         int64
	own         uint64                        // ports of the agent
	most        Amount                        // below and including this node
	ports       uint64                        // the most ports, likewise
	self, both  [len(balances)]resource.Milli // of the agent and below; see balances
	left, right int32
	rank        uint32 // heap order
	in          bool
}

const none = int32(-1)

func newOrder(agents []Agent) *order {
	o := &order{agents: agents, nodes: make([]node, len(agents)), root: none}
	for i := range agents {
		o.unit = o.unit.max(agents[i].Free)
	}
	for i := range agents {
		// A fixed scramble of the index keeps the tree balanced without drawing
		// random numbers.
		o.nodes[i].rank = (uint32(i)+1)*2654435761 ^ (uint32(i)+1)>>15*2246822519
		if agents[i].Refused == "" {
			o.insert(int32(i))
		}
	}
	return o
}

// balances are proportions of cpus to mem, as powers of two beside that of the
// largest free amounts. A subtree may have an agent with enough cpus and one
// with enough mem and none with both: the most that any of its agents has in
// one of these proportions tells. Without them placing takes twice as long, and
// five times where all shapes differ.
var balances = [...]int{-2, 0, 2}

// balanced is how much of an amount there is in a proportion.
func (o *order) balanced(a Amount, shift int) resource.Milli {
	cpus, mem := int64(a.CPUs)<<10, int64(a.Mem)<<10
	if o.unit.CPUs > 0 {
		cpus = cpus << 10 / int64(o.unit.CPUs)
	}
	if o.unit.Mem > 0 {
		mem = mem << 10 / int64(o.unit.Mem)
	}
	if shift < 0 {
		cpus <<= -shift
	} else {
		mem <<= shift
	}
	return resource.Milli(min(cpus, mem))
}

// measure is what stays free of an amount, by the package comment's account.
func (o *order) measure(a Amount) int64 {
	share := func(have, unit resource.Milli) int64 {
		if unit <= 0 {
			return 0
		}
		return int64(have) << 20 / int64(unit)
	}
	return share(a.CPUs, o.unit.CPUs) + share(a.Mem, o.unit.Mem) + share(a.Disk, o.unit.Disk) + share(a.GPUs, o.unit.GPUs)
}

func (o *order) before(a, b int32) bool {
	if o.nodes[a].key != o.nodes[b].key {
		return o.nodes[a].key < o.nodes[b].key
	}
	return a < b
}

func (o *order) insert(i int32) {
	n, a := &o.nodes[i], &o.agents[i]
	n.key, n.left, n.right, n.in = o.measure(a.Free), none, none, true
	n.own = a.Ports.Len()
	for b, shift := range balances {
		n.self[b] = o.balanced(a.Free, shift)
	}
	o.root = o.insertAt(o.root, i)
}

func (o *order) insertAt(at, i int32) int32 {
	if at == none {
		o.pull(i)
		return i
	}
	if o.nodes[i].rank > o.nodes[at].rank {
		o.nodes[i].left, o.nodes[i].right = o.split(at, i)
		o.pull(i)
		return i
	}
	if o.before(i, at) {
		o.nodes[at].left = o.insertAt(o.nodes[at].left, i)
	} else {
		o.nodes[at].right = o.insertAt(o.nodes[at].right, i)
	}
	o.pull(at)
	return at
}

// split parts a tree into what is before i and what is after.
func (o *order) split(at, i int32) (before, after int32) {
	if at == none {
		return none, none
	}
	n := &o.nodes[at]
	if o.before(at, i) {
		n.right, after = o.split(n.right, i)
		o.pull(at)
		return at, after
	}
	before, n.left = o.split(n.left, i)
	o.pull(at)
	return before, at
}

func (o *order) remove(i int32) {
	if o.nodes[i].in {
		o.root = o.removeAt(o.root, i)
		o.nodes[i].in = false
	}
}

func (o *order) removeAt(at, i int32) int32 {
	if at == i {
		return o.join(o.nodes[at].left, o.nodes[at].right)
	}
	if o.before(i, at) {
		o.nodes[at].left = o.removeAt(o.nodes[at].left, i)
	} else {
		o.nodes[at].right = o.removeAt(o.nodes[at].right, i)
	}
	o.pull(at)
	return at
}

func (o *order) join(a, b int32) int32 {
	switch {
	case a == none:
		return b
	case b == none:
		return a
	case o.nodes[a].rank > o.nodes[b].rank:
		o.nodes[a].right = o.join(o.nodes[a].right, b)
		o.pull(a)
		return a
	default:
		o.nodes[b].left = o.join(a, o.nodes[b].left)
		o.pull(b)
		return b
	}
}

// pull makes a node know what is below it.
func (o *order) pull(i int32) {
	n := &o.nodes[i]
	n.most, n.ports, n.both = o.agents[i].Free, n.own, n.self
	for _, child := range [2]int32{n.left, n.right} {
		if child == none {
			continue
		}
		c := &o.nodes[child]
		n.most = n.most.max(c.most)
		n.ports = max(n.ports, c.ports)
		for b := range n.both {
			n.both[b] = max(n.both[b], c.both[b])
		}
	}
}

// probe is a need made ready for searching.
type probe struct {
	need  *Need
	ports uint64
	both  [len(balances)]resource.Milli
}

func (o *order) probe(need *Need) probe {
	p := probe{need: need, ports: uint64(len(need.Ports.Fixed) + need.Ports.Any)}
	for b, shift := range balances {
		p.both[b] = o.balanced(need.Amount, shift)
	}
	return p
}

// hopeless reports whether no agent at or below a node can have what is needed.
func (n *node) hopeless(p *probe) bool {
	if !n.most.holds(p.need.Amount) || n.ports < p.ports {
		return true
	}
	for b := range n.both {
		if n.both[b] < p.both[b] {
			return true
		}
	}
	return false
}

// first returns the first agent in order that has what is needed, or none.
func (o *order) first(need *Need) int32 {
	p := o.probe(need)
	return o.search(o.root, &p)
}

func (o *order) search(at int32, p *probe) int32 {
	for at != none {
		n := &o.nodes[at]
		if n.hopeless(p) {
			return none
		}
		if found := o.search(n.left, p); found != none {
			return found
		}
		if fits(&o.agents[at], p.need) {
			return at
		}
		at = n.right
	}
	return none
}

// walk calls f with each agent that has what is needed, in order.
func (o *order) walk(need *Need, f func(i int32)) {
	p := o.probe(need)
	o.walkAt(o.root, &p, f)
}

func (o *order) walkAt(at int32, p *probe, f func(i int32)) {
	for at != none {
		n := &o.nodes[at]
		if n.hopeless(p) {
			return
		}
		o.walkAt(n.left, p, f)
		if fits(&o.agents[at], p.need) {
			f(at)
		}
		at = n.right
	}
}
