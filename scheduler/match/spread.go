package match

import (
	"maps"
	"slices"
)

// Spread is where the instances of one job are: for each attribute that its
// rules count, how many instances each value has. Nil counts nothing.
type Spread struct {
	attributes []attributeSpread
}

type attributeSpread struct {
	name   string
	counts map[string]int // only of values with instances
	// grouped says that a GROUP_BY asks what follows. known are the values of agents
	// that an instance might go to. levels[n] is how many of them have n instances, so
	// that the least is found without looking at all.
	grouped bool
	known   map[string]struct{}
	levels  []int
	lowest  int // no level below it has a value
}

// NewSpread returns the empty spread for all rules of a job's versions, or nil
// when they count nothing.
func NewSpread(all ...*Rules) *Spread {
	s := &Spread{}
	for _, rs := range all {
		if rs == nil {
			continue
		}
		for i := range rs.counts {
			name := rs.counts[i].attribute
			if s.of(name) == nil {
				s.attributes = append(s.attributes, attributeSpread{
					name: name, counts: map[string]int{}, known: map[string]struct{}{},
				})
			}
			if rs.counts[i].operator == groupBy {
				s.of(name).grouped = true
			}
		}
	}
	if len(s.attributes) == 0 {
		return nil
	}
	return s
}

func (s *Spread) of(attribute string) *attributeSpread {
	if s != nil {
		for i := range s.attributes {
			if s.attributes[i].name == attribute {
				return &s.attributes[i]
			}
		}
	}
	return nil
}

// Clone returns a copy that can be changed on its own.
func (s *Spread) Clone() *Spread {
	if s == nil {
		return nil
	}
	c := &Spread{attributes: make([]attributeSpread, len(s.attributes))}
	for i, a := range s.attributes {
		a.counts, a.known, a.levels = maps.Clone(a.counts), maps.Clone(a.known), slices.Clone(a.levels)
		c.attributes[i] = a
	}
	return c
}

// Attributes returns the names that instances are counted by.
func (s *Spread) Attributes() []string {
	if s == nil {
		return nil
	}
	names := make([]string, len(s.attributes))
	for i := range s.attributes {
		names[i] = s.attributes[i].name
	}
	return names
}

// Add counts an instance; value tells the attributes of its agent.
func (s *Spread) Add(value func(attribute string) (string, bool)) { s.add(value, 1) }

// Remove takes an instance out that was added with the same values.
func (s *Spread) Remove(value func(attribute string) (string, bool)) { s.add(value, -1) }

func (s *Spread) add(value func(string) (string, bool), delta int) {
	if s == nil {
		return
	}
	for i := range s.attributes {
		if v, ok := value(s.attributes[i].name); ok {
			s.attributes[i].add(v, delta)
		}
	}
}

// Know forgets which values there are and learns them anew: those of the agents
// that the rules which look at the agent alone admit. GROUP_BY fills them
// evenly, and waits for the emptiest where it must.
func (s *Spread) Know(rs *Rules, places []*Place) {
	if s == nil {
		return
	}
	for i := range s.attributes {
		clear(s.attributes[i].known)
		clear(s.attributes[i].levels)
		s.attributes[i].lowest = 0
	}
	for _, p := range places {
		if !rs.Admits(p) {
			continue
		}
		for i := range s.attributes {
			if v, ok := p.Value(s.attributes[i].name); ok && s.attributes[i].grouped {
				s.attributes[i].know(v)
			}
		}
	}
}

func (a *attributeSpread) know(v string) {
	if _, known := a.known[v]; !known {
		a.known[v] = struct{}{}
		a.level(a.counts[v], 1)
	}
}

func (a *attributeSpread) add(v string, delta int) {
	old := a.counts[v]
	n := max(0, old+delta)
	if n == 0 {
		delete(a.counts, v)
	} else {
		a.counts[v] = n
	}
	if _, known := a.known[v]; known {
		a.level(old, -1)
		a.level(n, 1)
	}
}

func (a *attributeSpread) level(n, delta int) {
	for len(a.levels) <= n {
		a.levels = append(a.levels, 0)
	}
	a.levels[n] += delta
	a.lowest = min(a.lowest, n)
}

// Uneven returns a value of a GROUP_BY that has at least two instances more than
// another has, the fullest one, and its attribute; false when there is none.
func (s *Spread) Uneven() (attribute, fullest string, ok bool) {
	if s == nil {
		return "", "", false
	}
	for i := range s.attributes {
		a := &s.attributes[i]
		if !a.grouped || len(a.known) == 0 {
			continue
		}
		for v, n := range a.counts {
			if n > a.counts[fullest] || n == a.counts[fullest] && v < fullest {
				fullest = v
			}
		}
		if a.counts[fullest] >= a.least()+2 {
			return a.name, fullest, true
		}
		fullest = ""
	}
	return "", "", false
}

// least is the smallest count of any known value.
func (a *attributeSpread) least() int {
	for a.lowest < len(a.levels)-1 && a.levels[a.lowest] == 0 {
		a.lowest++
	}
	return a.lowest
}

// Allows reports whether every rule that counts instances lets one more be where value
// tells.
func (s *Spread) Allows(rs *Rules, value func(attribute string) (string, bool)) bool {
	return rs.allowed(s, value) == yes
}

// allows judges an agent's value by where the other instances are. What it
// refuses it goes on refusing while instances are added, but for GROUP_BY.
func (r *rule) allows(s *Spread, v string) bool {
	a := s.of(r.attribute)
	if a == nil {
		return true
	}
	n := a.counts[v]
	switch r.operator {
	case unique:
		return n == 0
	case maxPer:
		return n < r.number
	case cluster:
		return len(a.counts) == 0 || n > 0
	case groupBy:
		if n > 0 && len(a.counts) < r.number {
			return false
		}
		return n <= a.least()
	}
	return true
}
