package master

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// updateQuota makes the call of that name, as src/master/quota_handler.cpp
// does: all configurations or none.
func (c *core) updateQuota(call *mesosmaster.Call_UpdateQuota, who viewer) error {
	configs := call.GetQuotaConfigs()
	for i := range configs {
		if !c.permitted(configs[i].Role) {
			return wire.BadRequest("Invalid QuotaConfig: '%s' is not on the roles whitelist", configs[i].Role)
		}
		if strings.Contains(configs[i].Role, "/") {
			return wire.BadRequest("Updating quota on nested role '%s' is not supported yet", configs[i].Role)
		}
		if err := validateQuota(&configs[i]); err != nil {
			return wire.BadRequest("Invalid QuotaConfig: %s", err)
		}
	}
	changed := maps.Clone(c.quotas)
	for _, config := range configs {
		consumed := c.consumedQuota(config.Role)
		if !call.GetForce() && !limited(config.Limits, consumed) {
			return wire.BadRequest("Invalid QuotaConfig: Role '%s' is already consuming '%s'; this is more than the requested limits '%s'"+
				" (use 'force' flag to bypass this check)", config.Role, quantitiesText(consumed), quantitiesText(quantitiesOf(config.Limits)))
		}
		changed[config.Role] = config
	}
	guaranteed, capacity := c.guaranteed(changed), c.capacity()
	if !call.GetForce() && !capacity.Contains(guaranteed) {
		return wire.BadRequest("Invalid QuotaConfig: total quota guarantees '%s' exceed cluster capacity '%s' (use 'force' flag to bypass this check)",
			quantitiesText(guaranteed), quantitiesText(capacity))
	}
	for _, config := range configs {
		if err := who.allowed(acl.UpdateQuotas, config.Role); err != nil {
			return err
		}
	}
	for _, config := range configs {
		c.setQuota(config)
	}
	for _, config := range configs {
		c.makeRoom(config)
	}
	return nil
}

// setQuota replaces the quota of a role. One without guarantees and limits is a
// quota still, until it is removed.
func (c *core) setQuota(config quota.QuotaConfig) {
	c.quotas[config.Role] = config
	c.changed = true
	c.allocator.SetQuota(config.Role, allocator.Quota{
		Guarantees: quantitiesOf(config.Guarantees), Limits: quantitiesOf(config.Limits),
	})
}

// makeRoom rescinds offers, of the role's own until it is within its limits, and
// of others until its guarantees can be kept.
func (c *core) makeRoom(config quota.QuotaConfig) {
	within := func(role string) bool { return role == config.Role || resource.IsSubrole(role, config.Role) }
	has := c.consumedQuota(config.Role)
	for _, o := range c.offers {
		if within(o.role) {
			addTo(has, scalarsOf(o.resources))
		}
	}
	for _, f := range c.sortedFrameworks() {
		for _, o := range sortedOffers(f.offers) {
			if limited(config.Limits, has) {
				break
			}
			if within(o.role) {
				for name, n := range scalarsOf(o.resources) {
					has[name] = max(has[name]-n, 0)
				}
				c.rescind(o)
			}
		}
	}
	guarantees := quantitiesOf(config.Guarantees)
	for _, a := range c.sortedAgents() {
		for _, o := range sortedOffers(a.offers) {
			if has.Contains(guarantees) {
				return
			}
			if !within(o.role) {
				addTo(has, scalarsOf(o.resources))
				c.rescind(o)
			}
		}
	}
}

// consumedQuota returns what a role and its parts have in reservations, used or
// not, and of the rest in use. What is only offered does not count.
func (c *core) consumedQuota(role string) allocator.Quantities {
	consumed := allocator.Quantities{}
	for _, a := range c.agents {
		for _, reserved := range a.total.Reservations() {
			if reserved == role || resource.IsSubrole(reserved, role) {
				addTo(consumed, countsOf(a.total.ReservedFor(reserved)))
			}
		}
	}
	for _, f := range c.frameworks {
		used := f.used()
		for _, r := range used.Roles() {
			if r == role || resource.IsSubrole(r, role) {
				addTo(consumed, countsOf(used.AllocatedTo(r).Unreserved()))
			}
		}
	}
	return consumed
}

// validateQuota is quota::validate of src/master/quota.cpp.
func validateQuota(config *quota.QuotaConfig) error {
	if err := resource.ValidateRole(config.Role); err != nil {
		return fmt.Errorf("Invalid 'QuotaConfig.role': %w", err) //nolint:staticcheck // a real master's text
	}
	const exabyte, trillion = 1 << 40, 1e12
	for _, side := range []struct {
		name    string
		amounts map[string]mesos.Value_Scalar
	}{{"guarantees", config.Guarantees}, {"limits", config.Limits}} {
		for _, name := range slices.Sorted(maps.Keys(side.amounts)) {
			value := side.amounts[name].Value
			switch {
			case (name == "mem" || name == "disk") && value > exabyte:
				return fmt.Errorf("Invalid 'QuotaConfig.%s': {'%s': %s} is invalid: values greater than 1 exabyte (%d) are not supported", side.name, name, largeNumber(value), int64(exabyte)) //nolint:staticcheck
			case name != "mem" && name != "disk" && value > trillion:
				return fmt.Errorf("Invalid 'QuotaConfig.%s': {'%s': %s} is invalid: values greater than 1 trillion (%d) are not supported", side.name, name, largeNumber(value), int64(trillion)) //nolint:staticcheck
			}
		}
	}
	for _, side := range []struct {
		name    string
		amounts map[string]mesos.Value_Scalar
	}{{"guarantee", config.Guarantees}, {"limit", config.Limits}} {
		for _, name := range slices.Sorted(maps.Keys(side.amounts)) {
			value, wrong := side.amounts[name].Value, ""
			switch {
			case math.IsNaN(value):
				wrong = "NaN not supported"
			case math.IsInf(value, 0):
				wrong = "Infinite values not supported"
			case value < 0:
				wrong = "Negative values not supported"
			default:
				continue
			}
			return fmt.Errorf("Invalid %s configuration {'%s': %s}: %s", side.name, name, number6(value), wrong) //nolint:staticcheck
		}
	}
	if !limited(config.Limits, quantitiesOf(config.Guarantees)) {
		return fmt.Errorf("'QuotaConfig.guarantees' %s is not contained within the 'QuotaConfig.limits' %s", mapText(config.Guarantees), mapText(config.Limits))
	}
	return nil
}

// largeNumber prints an amount that is too large, as a Value::Scalar is printed.
func largeNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// number6 prints a number as C++ does by default.
func number6(v float64) string { return fmt.Sprintf("%.6g", v) }

// mapText is how a map of a message is printed.
func mapText(amounts map[string]mesos.Value_Scalar) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		parts = append(parts, fmt.Sprintf("%s: %s", name, resource.Thousandths(amounts[name].Value)))
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// limited tells whether nothing is beyond the limits. What they do not name has
// none.
func limited(limits map[string]mesos.Value_Scalar, amounts allocator.Quantities) bool {
	for name, limit := range limits {
		if amounts[name] > resource.Thousandths(limit.Value) {
			return false
		}
	}
	return true
}

func quantitiesOf(amounts map[string]mesos.Value_Scalar) allocator.Quantities {
	q := allocator.Quantities{}
	for name, s := range amounts {
		if n := resource.Thousandths(s.Value); n > 0 {
			q[name] = n
		}
	}
	return q
}

// scalarsOf returns the scalars that are not revocable, summed by name.
func scalarsOf(r resource.Resources) allocator.Quantities {
	q := allocator.Quantities{}
	firm := r.Scalars()
	if rest, err := firm.Subtract(firm.Revocable()); err == nil {
		firm = rest
	}
	for _, name := range firm.Names() {
		q[name] = firm.Scalar(name)
	}
	return q
}

// countsOf returns the amounts of all resources by name, counting ranges and sets.
func countsOf(r resource.Resources) allocator.Quantities {
	q := allocator.Quantities{}
	for _, name := range r.Names() {
		q[name] = r.Scalar(name)
		if discrete := r.Named(name).Count(); discrete > 0 {
			q[name] = resource.Whole(int64(discrete))
		}
	}
	return q
}

func addTo(q, other allocator.Quantities) {
	for name, n := range other {
		q[name] += n
	}
}

func quantitiesText(q allocator.Quantities) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(q)) {
		parts = append(parts, fmt.Sprintf("%s:%s", name, q[name]))
	}
	if len(parts) == 0 {
		return "{}"
	}
	return strings.Join(parts, "; ")
}

// quotaStatus is the answer to GET_QUOTA, and of /quota.
func (c *core) quotaStatus(who viewer) quota.QuotaStatus {
	var status quota.QuotaStatus
	for _, role := range slices.Sorted(maps.Keys(c.quotas)) {
		if who.allowed(acl.GetQuotas, role) != nil {
			continue
		}
		config := c.quotas[role]
		info := quota.QuotaInfo{Role: new(role)}
		for _, name := range slices.Sorted(maps.Keys(config.Guarantees)) {
			info.Guarantee = append(info.Guarantee, mesos.Resource{
				Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: config.Guarantees[name].Value},
			})
		}
		status.Infos = append(status.Infos, info)
		status.Configs = append(status.Configs, config)
	}
	return status
}

func showQuota(v view, _ url.Values) {
	status := v.core.quotaStatus(v.viewer)
	v.message(&status)
}

// quota writes the quota of a role, as /roles shows it.
func (v view) quota(role string) {
	config := v.core.quotas[role]
	v.Key("quota")
	v.BeginObject()
	v.text("role", role)
	v.quantitiesByName("guarantee", quantitiesOf(config.Guarantees))
	v.quantitiesByName("limit", quantitiesOf(config.Limits))
	v.quantitiesByName("consumed", v.core.consumedQuota(role))
	v.EndObject()
}

func (v view) quantitiesByName(key string, q allocator.Quantities) {
	v.Key(key)
	v.BeginObject()
	for _, name := range slices.Sorted(maps.Keys(q)) {
		v.double(name, q[name].Float())
	}
	v.EndObject()
}

// updateWeights makes the call of that name (src/master/weights_handler.cpp).
func (c *core) updateWeights(infos []mesos.WeightInfo, who viewer) error {
	for i := range infos {
		role := strings.TrimSpace(infos[i].GetRole())
		if err := resource.ValidateRole(role); err != nil {
			return wire.BadRequest("Failed to validate update weights request JSON: Invalid role '%s': %s", role, err)
		}
		if !c.permitted(role) {
			return wire.BadRequest("Failed to validate update weights request JSON: Unknown role '%s'", role)
		}
		if infos[i].Weight <= 0 {
			return wire.BadRequest("Failed to validate update weights request JSON for role '%s': Invalid weight '%s': Weights must be positive",
				role, number6(infos[i].Weight))
		}
		infos[i].Role = &role
	}
	for _, info := range infos {
		if err := who.allowed(acl.UpdateWeights, info.GetRole()); err != nil {
			return err
		}
	}
	taken, used := c.taken(), false
	for _, info := range infos {
		c.setWeight(info.GetRole(), info.Weight)
		used = used || len(taken[info.GetRole()]) > 0
	}
	if used {
		// The shares of all are others now.
		for _, a := range c.sortedAgents() {
			for _, o := range sortedOffers(a.offers) {
				c.rescind(o)
			}
		}
	}
	return nil
}

func (c *core) setWeight(role string, weight float64) {
	c.weights[role] = weight
	c.changed = true
	c.allocator.SetWeight(role, weight)
}

func (c *core) weightInfos() []mesos.WeightInfo {
	var infos []mesos.WeightInfo
	for _, role := range slices.Sorted(maps.Keys(c.weights)) {
		infos = append(infos, mesos.WeightInfo{Role: new(role), Weight: c.weights[role]})
	}
	return infos
}

// shownWeights are those that an operator may see.
func (c *core) shownWeights(who viewer) []mesos.WeightInfo {
	return slices.DeleteFunc(c.weightInfos(), func(info mesos.WeightInfo) bool { return !who.seesRole(info.GetRole()) })
}

// serveWeights serves /weights, which shows and sets weights of roles.
func (m *Master) serveWeights(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
		return m.show(func(v view, _ url.Values) {
			v.BeginArray()
			for _, info := range v.core.shownWeights(v.viewer) {
				v.message(&info)
			}
			v.EndArray()
		})(w, r)
	case http.MethodPut:
	default:
		return wire.MethodNotAllowed(r.Method, http.MethodGet, http.MethodPut)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return wire.Internal("failed to decode body")
	}
	parsed, err := wire.ParseArray(body)
	if err != nil {
		return wire.BadRequest("Failed to parse update weights request JSON '%s': %s", body, err)
	}
	infos, err := wire.ConvertList[mesos.WeightInfo](m.options.Schema, parsed)
	if err != nil {
		return wire.BadRequest("Failed to convert weights JSON array to protobuf '%s': %s", body, err)
	}
	if err := m.do(func() error { return m.core.updateWeights(infos, m.viewer(r)) }); err != nil {
		return err
	}
	return empty(w, r)
}
