package localmesos

import (
	"sync/atomic"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master"
)

// leader is the address of the master, whichever that is: what agents send while
// there is none is lost, as it is when nobody listens at an address.
type leader struct{ current atomic.Pointer[master.Master] }

var _ link.Master = (*leader)(nil)

func (l *leader) tell(what func(m *master.Master)) {
	if m := l.current.Load(); m != nil {
		what(m)
	}
}

func (l *leader) RegisterAgent(a link.Agent, r link.Registration) {
	l.tell(func(m *master.Master) { m.RegisterAgent(a, r) })
}

func (l *leader) ReregisterAgent(a link.Agent, r link.Registration) {
	l.tell(func(m *master.Master) { m.ReregisterAgent(a, r) })
}

func (l *leader) UnregisterAgent(id mesos.AgentID) {
	l.tell(func(m *master.Master) { m.UnregisterAgent(id) })
}

func (l *leader) AgentDisconnected(id mesos.AgentID) {
	l.tell(func(m *master.Master) { m.AgentDisconnected(id) })
}

func (l *leader) Pong(id mesos.AgentID) {
	l.tell(func(m *master.Master) { m.Pong(id) })
}

func (l *leader) StatusUpdate(u link.StatusUpdate) {
	l.tell(func(m *master.Master) { m.StatusUpdate(u) })
}

func (l *leader) ExitedExecutor(agent mesos.AgentID, framework mesos.FrameworkID, executor mesos.ExecutorID, status int32) {
	l.tell(func(m *master.Master) { m.ExitedExecutor(agent, framework, executor, status) })
}

func (l *leader) OperationStatus(u link.OperationUpdate) {
	l.tell(func(m *master.Master) { m.OperationStatus(u) })
}

func (l *leader) ExecutorToFramework(agent mesos.AgentID, framework mesos.FrameworkID, executor mesos.ExecutorID, data []byte) {
	l.tell(func(m *master.Master) { m.ExecutorToFramework(agent, framework, executor, data) })
}
