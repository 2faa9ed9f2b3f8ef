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
	most        Amount // below and including this node
	ports       uint64 // the most ports, likewise
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

// left is what stays free of an amount, by the measure of the package comment.
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
	n := &o.nodes[i]
	n.key, n.left, n.right, n.in = o.measure(o.agents[i].Free), none, none, true
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
	n.most, n.ports = o.agents[i].Free, o.agents[i].Ports.Len()
	for _, child := range [2]int32{n.left, n.right} {
		if child != none {
			n.most = n.most.max(o.nodes[child].most)
			n.ports = max(n.ports, o.nodes[child].ports)
		}
	}
}

// first returns the first agent in order that has what is needed, or none.
func (o *order) first(need *Need) int32 { return o.search(o.root, need) }

func (o *order) search(at int32, need *Need) int32 {
	for at != none {
		n := &o.nodes[at]
		if !n.most.holds(need.Amount) || n.ports < uint64(len(need.Ports.Fixed)+need.Ports.Any) {
			return none
		}
		if found := o.search(n.left, need); found != none {
			return found
		}
		if a := &o.agents[at]; a.Free.holds(need.Amount) && need.Ports.within(a.Ports) {
			return at
		}
		at = n.right
	}
	return none
}

// walk calls f with each agent that has what is needed, in order.
func (o *order) walk(need *Need, f func(i int32)) { o.walkAt(o.root, need, f) }

func (o *order) walkAt(at int32, need *Need, f func(i int32)) {
	for at != none {
		n := &o.nodes[at]
		if !n.most.holds(need.Amount) || n.ports < uint64(len(need.Ports.Fixed)+need.Ports.Any) {
			return
		}
		o.walkAt(n.left, need, f)
		if a := &o.agents[at]; a.Free.holds(need.Amount) && need.Ports.within(a.Ports) {
			f(at)
		}
		at = n.right
	}
}
