package master

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// taken returns the frameworks of each role that a framework has, or has
// something of.
func (c *core) taken() map[string][]*framework {
	by := make(map[string][]*framework)
	for _, f := range c.sortedFrameworks() {
		for _, role := range c.rolesOf(f) {
			by[role] = append(by[role], f)
		}
	}
	return by
}

func (c *core) rolesOf(f *framework) []string {
	roles := slices.Concat(validation.Roles(&f.info), f.used().Roles())
	for _, o := range f.offers {
		roles = append(roles, o.role)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// roles returns the roles that are known, which are those of the whitelist if
// there is one. Else frameworks have them, something is reserved for them, or they
// have a quota or a weight. With a role those above it are known, too.
func (c *core) roles() []string {
	var known []string
	if c.options.Roles != nil {
		known = slices.Concat(c.options.Roles, []string{resource.AnyRole})
	} else {
		known = slices.Concat(slices.Collect(maps.Keys(c.taken())), slices.Collect(maps.Keys(c.quotas)), slices.Collect(maps.Keys(c.weights)))
		for _, a := range c.agents {
			known = append(known, a.total.Reservations()...)
		}
	}
	for _, role := range known {
		for i := strings.LastIndexByte(role, '/'); i > 0; i = strings.LastIndexByte(role[:i], '/') {
			known = append(known, role[:i])
		}
	}
	slices.Sort(known)
	return slices.Compact(known)
}

// permitted tells whether the whitelist of roles, if there is one, has a role.
func (c *core) permitted(role string) bool {
	return c.options.Roles == nil || role == resource.AnyRole || slices.Contains(c.options.Roles, role)
}

// permittedRoles refuses roles of a framework that are not on the whitelist.
func (c *core) permittedRoles(info *mesos.FrameworkInfo) error {
	others := slices.DeleteFunc(slices.Clone(validation.Roles(info)), c.permitted)
	if len(others) == 0 {
		return nil
	}
	slices.Sort(others)
	//lint:ignore ST1005 a real master's text
	return fmt.Errorf("Roles { %s } are not present in the master's --roles", strings.Join(others, ", "))
}

// holdings are what a role and those within it have.
type holdings struct {
	used, offered, reserved allocator.Quantities
}

func (c *core) holdings(role string) holdings {
	within := func(other string) bool { return other == role || resource.IsSubrole(other, role) }
	h := holdings{allocator.Quantities{}, allocator.Quantities{}, allocator.Quantities{}}
	add := func(to allocator.Quantities, r resource.Resources) {
		for _, other := range r.Roles() {
			if within(other) {
				addTo(to, countsOf(r.AllocatedTo(other)))
			}
		}
	}
	for _, f := range c.frameworks {
		add(h.used, f.used())
		add(h.offered, offered(f.offers))
	}
	for _, a := range c.agents {
		for _, other := range a.total.Reservations() {
			if within(other) {
				addTo(h.reserved, countsOf(a.total.ReservedFor(other)))
			}
		}
	}
	return h
}

// held is what is in use or offered.
func (h holdings) held() allocator.Quantities {
	sum := maps.Clone(h.used)
	addTo(sum, h.offered)
	return sum
}

func (c *core) weightOf(role string) float64 {
	if weight, ok := c.weights[role]; ok {
		return weight
	}
	return 1
}

func showRoles(v view, _ url.Values) {
	taken := v.core.taken()
	v.BeginObject()
	v.list("roles", func() {
		for _, role := range v.core.roles() {
			if v.viewer.seesRole(role) {
				v.role(role, taken[role])
			}
		}
	})
	v.EndObject()
}

func (v view) role(role string, frameworks []*framework) {
	h := v.core.holdings(role)
	v.BeginObject()
	v.text("name", role)
	v.double("weight", v.core.weightOf(role))
	v.quota(role)
	v.quantitiesByName("resources", h.held())
	v.quantitiesByName("allocated", h.used)
	v.quantitiesByName("offered", h.offered)
	v.quantitiesByName("reserved", h.reserved)
	v.list("frameworks", func() {
		for _, f := range frameworks {
			v.String(string(f.id))
		}
	})
	v.EndObject()
}

// getRoles shows of resources what is offered or in use, of four kinds.
func (c *core) getRoles(who viewer) *mesosmaster.Response_GetRoles {
	out, taken := new(mesosmaster.Response_GetRoles), c.taken()
	for _, name := range c.roles() {
		if !who.seesRole(name) {
			continue
		}
		role := mesos.Role{Name: name, Weight: c.weightOf(name)}
		for _, f := range taken[name] {
			role.Frameworks = append(role.Frameworks, mesos.FrameworkID{Value: string(f.id)})
		}
		held := c.holdings(name).held()
		for _, kind := range []string{"cpus", "disk", "gpus", "mem"} {
			if n := held[kind]; n > 0 {
				role.Resources = append(role.Resources, mesos.Resource{
					Name: kind, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: n.Float()},
				})
			}
		}
		out.Roles = append(out.Roles, role)
	}
	return out
}
