package master

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// The calls and the endpoint for quotas that UPDATE_QUOTA has replaced: a quota is
// guarantees that are limits, too, and is set once and removed
// (src/master/quota_handler.cpp).

// serveQuota serves /quota, which shows, sets and removes quotas.
func (m *Master) serveQuota(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
		return m.show(showQuota)(w, r)
	case http.MethodPost:
		return m.serveSetQuota(w, r)
	case http.MethodDelete:
		return m.serveRemoveQuota(w, r)
	}
	return wire.MethodNotAllowed(r.Method, http.MethodGet, http.MethodPost, http.MethodDelete)
}

func (m *Master) serveSetQuota(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return wire.Internal("failed to decode body")
	}
	parsed, err := wire.ParseObject(body)
	if err != nil {
		return wire.BadRequest("Failed to parse set quota request JSON '%s': %s", body, err)
	}
	var request quota.QuotaRequest
	if err := m.options.Schema.Convert(parsed, &request); err != nil {
		return wire.BadRequest("Failed to validate set quota request JSON '%s': %s", body, err)
	}
	return m.serveChange(w, changeOf(&mesosmaster.Call{
		Type: mesosmaster.Call_SET_QUOTA, SetQuota: &mesosmaster.Call_SetQuota{QuotaRequest: request},
	}, m.viewer(r)))
}

// serveRemoveQuota removes the quota of the role that the path ends with, which
// has to begin with the name of the process.
func (m *Master) serveRemoveQuota(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.Path
	if !strings.HasPrefix(path, "/master/") {
		path = "/master" + path
	}
	elements := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if len(elements) < 3 {
		return wire.BadRequest("Failed to parse remove quota request for path '%s': expected 3 tokens, found %d tokens", path, len(elements))
	}
	role := strings.Join(elements[2:], "/")
	err := m.do(func() error {
		if _, ok := m.core.quotas[role]; !ok {
			return wire.BadRequest("Failed to remove quota for path '%s': Role '%s' has no quota set", path, role)
		}
		return m.core.removeQuota(role, m.viewer(r))
	})
	if err != nil {
		return err
	}
	return empty(w, r)
}

// setQuotaOf makes SET_QUOTA.
func (c *core) setQuotaOf(request *quota.QuotaRequest, who viewer) error {
	role := request.GetRole()
	if err := validateQuotaRequest(request); err != nil {
		return wire.BadRequest("Failed to validate set quota request: %s", err)
	}
	if _, ok := c.quotas[role]; ok {
		return wire.BadRequest("Failed to validate set quota request: Cannot set quota for role '%s' which already has quota", role)
	}
	if err := c.withinParent(request); err != nil {
		return wire.BadRequest("Failed to validate set quota request: %s", err)
	}
	if strings.Contains(role, "/") {
		return wire.BadRequest("Setting quota on nested role '%s' is not supported yet", role)
	}
	if err := who.allowed(acl.UpdateQuotas, role); err != nil {
		return err
	}
	config := quota.QuotaConfig{Role: role, Guarantees: map[string]mesos.Value_Scalar{}, Limits: map[string]mesos.Value_Scalar{}}
	for _, r := range request.Guarantee {
		config.Guarantees[r.Name], config.Limits[r.Name] = *r.Scalar, *r.Scalar
	}
	changed := maps.Clone(c.quotas)
	changed[role] = config
	if guaranteed, capacity := c.guaranteed(changed), c.capacity(); !request.GetForce() && !capacity.Contains(guaranteed) {
		return &wire.Error{Status: http.StatusConflict, Text: fmt.Sprintf(
			"Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees '%s' exceed cluster capacity '%s'",
			quantitiesText(guaranteed), quantitiesText(capacity))}
	}
	c.setQuota(config)
	c.makeRoom(config)
	return nil
}

// withinParent refuses a quota that the role above has not promised. Roles above
// that one cannot have been promised less.
func (c *core) withinParent(request *quota.QuotaRequest) error {
	i := strings.LastIndexByte(request.GetRole(), '/')
	if i < 0 {
		return nil
	}
	parent, sum := request.GetRole()[:i], allocator.Quantities{}
	for _, r := range request.Guarantee {
		sum[r.Name] = resource.Thousandths(r.GetScalar().GetValue())
	}
	promised := quantitiesOf(c.quotas[parent].Guarantees)
	if promised.Contains(sum) {
		return nil
	}
	//lint:ignore ST1005 a real master's text
	return fmt.Errorf("Invalid quota configuration. Parent role '%s' with guarantees (%s) does not contain the sum of its children's guarantees (%s)",
		parent[strings.LastIndexByte(parent, '/')+1:], quantitiesText(promised), quantitiesText(sum))
}

// removeQuota makes REMOVE_QUOTA.
func (c *core) removeQuota(role string, who viewer) error {
	if _, ok := c.quotas[role]; !ok {
		return wire.BadRequest("Failed to remove quota: Role '%s' has no quota set", role)
	}
	if err := who.allowed(acl.UpdateQuotas, role); err != nil {
		return err
	}
	c.setQuota(quota.QuotaConfig{Role: role})
	delete(c.quotas, role)
	return nil
}

// validateQuotaRequest is quota::validation::quotaInfo of src/master/quota.cpp.
func validateQuotaRequest(request *quota.QuotaRequest) error {
	if _, err := resource.FromMesos(request.Guarantee); err != nil {
		return fmt.Errorf("QuotaInfo with invalid resource: %w", err)
	}
	if err := resource.ValidateRole(request.GetRole()); err != nil {
		return fmt.Errorf("QuotaInfo with invalid role: %w", err)
	}
	if len(request.Guarantee) == 0 {
		return errors.New("QuotaInfo with empty 'guarantee'")
	}
	seen := make(map[string]bool)
	for _, each := range request.Guarantee {
		r := resource.Upgrade(each)
		switch {
		case len(r.Reservations) > 0:
			return errors.New("QuotaInfo must not contain any ReservationInfo")
		case r.Disk != nil:
			return errors.New("QuotaInfo must not contain DiskInfo")
		case r.Revocable != nil:
			return errors.New("QuotaInfo must not contain RevocableInfo")
		case r.GetType() != mesos.SCALAR:
			return errors.New("QuotaInfo must not include non-scalar resources")
		case seen[r.Name]:
			return fmt.Errorf("QuotaInfo contains duplicate resource name '%s'", r.Name)
		}
		seen[r.Name] = true
	}
	return nil
}

// guaranteed is the sum of what quotas promise.
func (c *core) guaranteed(quotas map[string]quota.QuotaConfig) allocator.Quantities {
	sum := allocator.Quantities{}
	for _, config := range quotas {
		addTo(sum, quantitiesOf(config.Guarantees))
	}
	return sum
}

// capacity is what all agents have.
func (c *core) capacity() allocator.Quantities {
	sum := allocator.Quantities{}
	for _, a := range c.agents {
		addTo(sum, scalarsOf(a.total))
	}
	return sum
}
