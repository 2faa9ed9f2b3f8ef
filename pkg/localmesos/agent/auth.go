package agent

import "github.com/tandem-mesos/tandem/pkg/localmesos/wire"

// The realms in which operators authenticate (src/slave/constants.hpp).
const (
	readonlyRealm  = "mesos-agent-readonly"
	readwriteRealm = "mesos-agent-readwrite"
)

// readonly serves operators who look at something.
func (a *Agent) readonly(h wire.Handler) wire.Handler {
	if !a.options.AuthenticateReadonly {
		return h
	}
	return wire.Authenticated(readonlyRealm, a.options.OperatorCredentials, h)
}

// readwrite serves operators who may change something.
func (a *Agent) readwrite(h wire.Handler) wire.Handler {
	if !a.options.AuthenticateReadwrite {
		return h
	}
	return wire.Authenticated(readwriteRealm, a.options.OperatorCredentials, h)
}
