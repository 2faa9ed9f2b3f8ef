package allocator

import (
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

// account adds resources to, or takes them from, the shares of their roles.
func (a *Allocator) account(frameworkID string, r resource.Resources, sign resource.Milli) {
	f := a.frameworks[frameworkID]
	for _, role := range r.Roles() {
		allocated := r.AllocatedTo(role)
		part, free := amounts(allocated), amounts(chargeable(allocated))
		shares := []*share{shareOf(a.roles, role)}
		if f != nil {
			shares = append(shares, shareOf(f.shares, role))
		}
		for _, s := range shares {
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

func amounts(r resource.Resources) map[string]resource.Milli {
	scalars := r.Scalars()
	out := make(map[string]resource.Milli, 4)
	for _, name := range scalars.Names() {
		out[name] = scalars.Scalar(name)
	}
	return out
}

// rolesByShare lists the roles that somebody wants offers for, the one with the
// least dominant share first.
func (a *Allocator) rolesByShare() []string {
	var roles []string
	for _, f := range a.order {
		if !f.active {
			continue
		}
		for _, role := range f.Roles {
			if !slices.Contains(f.Suppressed, role) && !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
	}
	slices.SortStableFunc(roles, func(x, y string) int {
		if c := a.compare(a.roles[x], a.roles[y], a.weight(x), a.weight(y)); c != 0 {
			return c
		}
		return strings.Compare(x, y)
	})
	return roles
}

func (a *Allocator) frameworksByShare(role string) []*framework {
	var frameworks []*framework
	for _, f := range a.order {
		if f.active && slices.Contains(f.Roles, role) && !slices.Contains(f.Suppressed, role) {
			frameworks = append(frameworks, f)
		}
	}
	slices.SortStableFunc(frameworks, func(x, y *framework) int { return a.compare(x.shares[role], y.shares[role], 1, 1) })
	return frameworks
}

// compare orders by dominant share for the weight, then by how often something
// was granted.
func (a *Allocator) compare(x, y *share, weightX, weightY float64) int {
	dx, dy := a.dominant(x)/weightX, a.dominant(y)/weightY
	switch {
	case dx < dy:
		return -1
	case dx > dy:
		return 1
	}
	return grantsOf(x) - grantsOf(y)
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
		if total := a.total[name]; total > 0 {
			most = max(most, float64(n)/float64(total))
		}
	}
	return most
}
