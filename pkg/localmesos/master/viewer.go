package master

import (
	"net/http"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// errForbidden refuses an operator what the ACLs do not allow.
var errForbidden = wire.Forbidden("403 Forbidden.")

// viewer is an operator who asks for something: what it may see and do is up to
// the ACLs. What it may not see is left out, as if it were not there
// (src/master/readonly_handler.cpp).
type viewer struct {
	rules     *acl.Rules
	principal string // empty if it need not authenticate
	media     wire.MediaType
}

// viewer returns who makes a request, and is answered in JSON.
func (m *Master) viewer(r *http.Request) viewer {
	return viewer{rules: m.options.ACLs, principal: wire.Principal(r), media: wire.JSON}
}

// allowed is errForbidden unless the operator may act on the object.
func (w viewer) allowed(action acl.Action, object string) error {
	if !w.rules.Allow(w.principal, action, object) {
		return errForbidden
	}
	return nil
}

// allowedAny is errForbidden unless the operator may act on anything of the kind.
func (w viewer) allowedAny(action acl.Action) error {
	if !w.rules.AllowAny(w.principal, action) {
		return errForbidden
	}
	return nil
}

func (w viewer) seesFramework(f *framework) bool {
	return w.rules.Allow(w.principal, acl.ViewFrameworks, f.info.User)
}

// seesTask tells whether a task of a framework is shown that is shown itself.
func (w viewer) seesTask(f *framework, t *task) bool {
	user := f.info.User
	if t.info.User != nil {
		user = *t.info.User
	}
	return w.rules.Allow(w.principal, acl.ViewTasks, user)
}

func (w viewer) seesExecutor(f *framework, e *executor) bool {
	user := f.info.User
	if c := e.info.Command; c != nil && c.User != nil {
		user = *c.User
	}
	return w.rules.Allow(w.principal, acl.ViewExecutors, user)
}

func (w viewer) seesRole(role string) bool {
	return w.rules.Allow(w.principal, acl.ViewRoles, role)
}

func (w viewer) seesFlags() bool { return w.rules.AllowAny(w.principal, acl.ViewFlags) }

// tasks returns those of a framework's tasks that are shown.
func (w viewer) tasks(f *framework, all []*task) []*task {
	if w.rules == nil {
		return all
	}
	shown := make([]*task, 0, len(all))
	for _, t := range all {
		if w.seesTask(f, t) {
			shown = append(shown, t)
		}
	}
	return shown
}

// frameworks returns those that are shown.
func (w viewer) frameworks(all []*framework) []*framework {
	if w.rules == nil {
		return all
	}
	shown := make([]*framework, 0, len(all))
	for _, f := range all {
		if w.seesFramework(f) {
			shown = append(shown, f)
		}
	}
	return shown
}

// resources returns those that are shown, in the form that endpoints have. It is
// up to the roles that they are reserved for and the one that they are allocated
// to.
func (w viewer) resources(all resource.Resources) []mesos.Resource {
	list := endpointForm(all.ToMesos())
	if w.rules == nil {
		return list
	}
	shown := make([]mesos.Resource, 0, len(list))
	for i := range list {
		if w.seesResource(&list[i]) {
			shown = append(shown, list[i])
		}
	}
	return shown
}

func (w viewer) seesResource(r *mesos.Resource) bool {
	for i := range r.Reservations {
		if !w.seesRole(r.Reservations[i].GetRole()) {
			return false
		}
	}
	return r.AllocationInfo == nil || w.seesRole(r.AllocationInfo.GetRole())
}
