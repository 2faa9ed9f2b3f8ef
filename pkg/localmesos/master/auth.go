package master

import (
	"net/http"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// The realms in which a master's callers authenticate (src/master/constants.hpp).
const (
	frameworkRealm = "mesos-master-scheduler"
	readonlyRealm  = "mesos-master-readonly"
	readwriteRealm = "mesos-master-readwrite"
)

// scheduler serves schedulers, which authenticate if there are any credentials
// for them.
func (m *Master) scheduler(h wire.Handler) wire.Handler {
	if len(m.options.FrameworkCredentials) == 0 {
		return h
	}
	return wire.Authenticated(frameworkRealm, m.options.FrameworkCredentials, h)
}

// readonly serves operators who look at something.
func (m *Master) readonly(h wire.Handler) wire.Handler {
	if !m.options.AuthenticateReadonly {
		return h
	}
	return wire.Authenticated(readonlyRealm, m.options.OperatorCredentials, h)
}

// readwrite serves operators who may change something.
func (m *Master) readwrite(h wire.Handler) wire.Handler {
	if !m.options.AuthenticateReadwrite {
		return h
	}
	return wire.Authenticated(readwriteRealm, m.options.OperatorCredentials, h)
}

// endpoint serves what the ACLs can keep from operators as a whole, by its path.
func (m *Master) endpoint(path string, h wire.Handler) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := m.viewer(r).allowed(acl.GetEndpoints, path); err != nil {
			return err
		}
		return h(w, r)
	}
}

// flagsEndpoint serves /flags.
func (m *Master) flagsEndpoint(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && m.options.ACLs != nil {
		return wire.MethodNotAllowed(r.Method, http.MethodGet)
	}
	if !m.viewer(r).seesFlags() {
		return errForbidden
	}
	return m.show(showFlags)(w, r)
}
