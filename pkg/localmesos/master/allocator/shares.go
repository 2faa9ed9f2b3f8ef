package allocator

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// share is what is allocated to a role, or to a framework in a role.
type share struct {
	amounts map[string]resource.Milli
	// unreserved is the part of the amounts that nobody had reserved.
	unreserved map[string]resource.Milli
	grants     int
}

// account adds resources to, or takes them from, the shares of their roles, of
// the roles above those, and of the framework in them.
func (a *Allocator) account(frameworkID string, r resource.Resources, sign resource.Milli) {
	f := a.frameworks[frameworkID]
	for _, role := range r.Roles() {
		allocated := r.AllocatedTo(role)
		part, free := amounts(allocated), amounts(chargeable(allocated))
		shares := []*share{shareOf(a.roles, role)}
		for above := role; above != ""; above = parent(above) {
			shares = append(shares, shareOf(a.trees, above))
		}
		if f != nil {
			shares = append(shares, shareOf(f.shares, role))
		}
		for _, s := range shares {
			s.add(part, free, sign)
		}
		if sign < 0 {
			a.forget(role)
		}
	}
}

func (s *share) add(part, free map[string]resource.Milli, sign resource.Milli) {
	for name, n := range part {
		s.amounts[name] += sign * n
	}
	for name, n := range free {
		s.unreserved[name] += sign * n
	}
	if sign > 0 {
		s.grants++
	}
}

func shareOf(shares map[string]*share, role string) *share {
	s := shares[role]
	if s == nil {
		s = &share{amounts: make(map[string]resource.Milli), unreserved: make(map[string]resource.Milli)}
		shares[role] = s
	}
	return s
}

// forget drops the shares of a role that no framework has and that has nothing,
// and of those above it: if it comes again it begins anew.
func (a *Allocator) forget(role string) {
	for _, f := range a.order {
		if slices.Contains(f.Roles, role) {
			return
		}
	}
	if s := a.roles[role]; s == nil || !s.empty() {
		return
	}
	delete(a.roles, role)
	for above := role; above != ""; above = parent(above) {
		for other := range a.roles {
			if other == above || resource.IsSubrole(other, above) {
				return
			}
		}
		delete(a.trees, above)
	}
}

func (s *share) empty() bool {
	for _, n := range s.amounts {
		if n != 0 {
			return false
		}
	}
	return true
}

// parent returns the role that a role is within, or nothing.
func parent(role string) string {
	i := strings.LastIndexByte(role, '/')
	return role[:max(i, 0)]
}

func amounts(r resource.Resources) map[string]resource.Milli {
	scalars := r.Scalars()
	out := make(map[string]resource.Milli, 4)
	for _, name := range scalars.Names() {
		out[name] = scalars.Scalar(name)
	}
	return out
}

// rolesByShare lists the roles that somebody wants offers for. Roles within the
// same role share what that gets: first comes all of the role with the least
// dominant share, in it the same again. A role that others are within takes part
// among them for itself.
func (a *Allocator) rolesByShare() []string {
	wanted := make(map[string]bool)
	nested := false
	for _, f := range a.order {
		if !f.active {
			continue
		}
		for _, role := range f.Roles {
			if !slices.Contains(f.Suppressed, role) {
				wanted[role] = true
				nested = nested || strings.Contains(role, "/")
			}
		}
	}
	roles := slices.Collect(maps.Keys(wanted))
	if nested {
		return a.inOrder(nil, "", roles)
	}
	slices.SortFunc(roles, func(x, y string) int { return a.compareRoles(branch{x, x, nil}, branch{y, y, nil}) })
	return roles
}

// branch is a role and those within it that want offers, or one that others are
// within by itself.
type branch struct {
	path, role string
	within     []string
}

// inOrder appends the roles, which are all within one, or that one.
func (a *Allocator) inOrder(out []string, within string, roles []string) []string {
	branches := make(map[string]*branch)
	for _, role := range roles {
		name, _, deeper := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(role, within), "/"), "/")
		path := within + "/" + name
		if within == "" {
			path = name
		}
		if role == within {
			branches["."] = &branch{path: within + "/.", role: role}
			continue
		}
		b := branches[path]
		if b == nil {
			b = &branch{path: path}
			branches[path] = b
		}
		if deeper {
			b.within = append(b.within, role)
		} else {
			b.role = role
		}
	}
	for _, b := range slices.SortedFunc(maps.Values(branches), func(x, y *branch) int { return a.compareRoles(*x, *y) }) {
		switch {
		case len(b.within) == 0:
			out = append(out, b.role)
		case b.role == "":
			out = a.inOrder(out, b.path, b.within)
		default:
			out = a.inOrder(out, b.path, append(b.within, b.role))
		}
	}
	return out
}

func (a *Allocator) compareRoles(x, y branch) int {
	shareOf := func(b branch) *share {
		if strings.HasSuffix(b.path, "/.") {
			return a.roles[b.role]
		}
		return a.trees[b.path]
	}
	if c := a.compare(shareOf(x), shareOf(y), a.weight(x.path), a.weight(y.path)); c != 0 {
		return c
	}
	return strings.Compare(x.path, y.path)
}

func (a *Allocator) frameworksByShare(role string) []*framework {
	var frameworks []*framework
	for _, f := range a.order {
		if f.active && slices.Contains(f.Roles, role) && !slices.Contains(f.Suppressed, role) {
			frameworks = append(frameworks, f)
		}
	}
	slices.SortFunc(frameworks, func(x, y *framework) int {
		return cmp.Or(a.compare(x.shares[role], y.shares[role], 1, 1), strings.Compare(x.ID, y.ID))
	})
	return frameworks
}

// compare orders by dominant share for the weight, then by how often something
// was granted.
func (a *Allocator) compare(x, y *share, weightX, weightY float64) int {
	return cmp.Or(cmp.Compare(a.dominant(x)/weightX, a.dominant(y)/weightY), grantsOf(x)-grantsOf(y))
}

func grantsOf(s *share) int {
	if s == nil {
		return 0
	}
	return s.grants
}

func (a *Allocator) dominant(s *share) float64 {
	if s == nil {
		return 0
	}
	most := 0.0
	for name, n := range s.amounts {
		if total := a.total[name]; total > 0 && !slices.Contains(a.options.FairSharingExcluded, name) {
			most = max(most, float64(n)/float64(total))
		}
	}
	return most
}

// Shares returns the dominant share of each role that a framework has or that has
// something, for its weight, without what is within the role.
func (a *Allocator) Shares() map[string]float64 {
	shares := make(map[string]float64)
	for role, s := range a.roles {
		shares[role] = a.dominant(s) / a.weight(role)
	}
	for _, f := range a.order {
		for _, role := range f.Roles {
			if _, ok := shares[role]; !ok {
				shares[role] = 0
			}
		}
	}
	return shares
}

// Filters counts the filters that hold back something, for each role that has
// shares.
func (a *Allocator) Filters() map[string]int {
	active := make(map[string]int)
	for role := range a.Shares() {
		active[role] = 0
	}
	for _, f := range a.order {
		for key, filters := range f.filters {
			active[key.role] += len(filters)
		}
	}
	return active
}
