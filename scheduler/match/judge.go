package match

// column is one attribute of all agents, its values numbered, so that a rule is
// judged once for each value and not for each agent.
type column struct {
	ids    []int32 // by agent; 0 is the lack of the attribute
	places []int   // an agent for each value
}

func (m *matcher) column(attribute string) *column {
	if c := m.columns[attribute]; c != nil {
		return c
	}
	c := &column{ids: make([]int32, len(m.agents)), places: []int{-1}}
	numbers := map[string]int32{}
	for i := range m.agents {
		v, ok := m.agents[i].Place.Value(attribute)
		if !ok {
			continue
		}
		id, known := numbers[v]
		if !known {
			id = int32(len(c.places))
			numbers[v] = id
			c.places = append(c.places, i)
		}
		c.ids[i] = id
	}
	m.columns[attribute] = c
	return c
}

// judge knows what a request's rules say of every value of the attributes that
// they look at.
type judge struct {
	fixed  []judgedRule
	counts []*column
	prefer []judgedRule
	groups []*column
}

type judgedRule struct {
	column *column
	admits []bool // by number of the value
	weight int
}

// cellKey tells cells apart.
type cellKey struct {
	weight int
	group  uint64 // the numbers of the values of every GROUP_BY attribute
}

func (m *matcher) judge(rs *Rules, groupings []*rule) *judge {
	j := &judge{}
	judged := func(r *rule) judgedRule {
		c := m.column(r.attribute)
		admits := make([]bool, len(c.places))
		admits[0] = r.operator == unlike
		for id, place := range c.places[1:] {
			admits[id+1] = r.admits(&m.agents[place].Place)
		}
		return judgedRule{c, admits, r.weight}
	}
	for i := range rs.fixed {
		j.fixed = append(j.fixed, judged(&rs.fixed[i]))
	}
	for i := range rs.prefer {
		j.prefer = append(j.prefer, judged(&rs.prefer[i]))
	}
	for i := range rs.counts {
		j.counts = append(j.counts, m.column(rs.counts[i].attribute))
	}
	for _, g := range groupings {
		j.groups = append(j.groups, m.column(g.attribute))
	}
	return j
}

// place returns the cell of an agent, and false when the agent is not eligible
// however many instances are where.
func (j *judge) place(i int32) (cellKey, bool) {
	for n := range j.fixed {
		if r := &j.fixed[n]; !r.admits[r.column.ids[i]] {
			return cellKey{}, false
		}
	}
	for _, c := range j.counts {
		if c.ids[i] == 0 {
			return cellKey{}, false
		}
	}
	var at cellKey
	for n := range j.prefer {
		if r := &j.prefer[n]; r.admits[r.column.ids[i]] {
			at.weight += r.weight
		}
	}
	for _, c := range j.groups {
		at.group = at.group*uint64(len(c.places)) + uint64(c.ids[i])
	}
	return at, true
}
