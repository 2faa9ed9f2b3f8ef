package master

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

func (c *core) view() link.MasterView {
	return link.MasterView{
		Info:        c.info,
		PingTimeout: c.options.AgentPingTimeout * time.Duration(c.options.MaxAgentPingTimeouts),
	}
}

func (c *core) registerAgent(l link.Agent, r link.Registration) {
	if c.stopped {
		return
	}
	c.metrics.messages["register_slave"]++
	if c.refusesMachine(l, r) || !c.placeable(r) || c.registeredAlready(l, r) {
		return
	}
	c.metrics.messages["update_slave"]++
	c.metrics.counters["slave_registrations"]++
	began := time.Now()
	id := c.newAgentID()
	a, err := c.addAgent(id, l, r)
	c.metrics.stores.since(began)
	if err != nil {
		l.Shutdown(err.Error())
		return
	}
	// An agent must have its ID before it can answer a ping.
	l.Registered(mesos.AgentID{Value: string(id)}, c.view())
	c.ping(a)
	c.options.Logger.WithFields(map[string]any{"agent": string(id), "resources": a.total.String()}).Info("agent registered")
	c.allocateSoon(id)
}

// placeable tells whether the master can tell an agent's place from its own. It
// does not answer others.
func (c *core) placeable(r link.Registration) bool {
	if r.Info.Domain == nil {
		return !c.options.RequireAgentDomain
	}
	return c.options.Domain != nil
}

// registeredAlready answers an agent again that has not heard the answer. One that
// comes without an ID from the address of another that is disconnected is in its
// place, which has not recovered and is not coming back.
func (c *core) registeredAlready(l link.Agent, r link.Registration) bool {
	a := c.agentOf[r.PID]
	switch {
	case a == nil:
		return false
	case a.connected:
		l.Registered(mesos.AgentID{Value: string(a.id)}, c.view())
		return true
	}
	c.metrics.counters["slave_removals/reason_registered"]++
	c.leave(a, "a new agent registered at the same address")
	return false
}

// addAgent adds a connected agent without tasks.
func (c *core) addAgent(id agentID, l link.Agent, r link.Registration) (*agent, error) {
	total, err := resource.FromMesos(totalOf(r))
	if err != nil {
		return nil, fmt.Errorf("cannot take the agent's resources: %w", err)
	}
	a := &agent{
		id:         id,
		info:       r.Info,
		link:       l,
		pid:        r.PID,
		version:    r.Version,
		connected:  true,
		total:      total,
		registered: c.now(),
		tasks:      make(map[frameworkID]map[taskID]*task),
		executors:  make(map[frameworkID]map[executorID]*executor),
		offers:     make(map[offerID]*offer),
	}
	a.info.ID = &mesos.AgentID{Value: string(id)}
	c.agents[id], c.agentOf[a.pid] = a, a
	c.changed = true
	c.allocator.AddAgent(a.allocatable())
	c.allocator.ActivateAgent(string(id), c.usable(a))
	c.tellAgentAdded(a)
	return a, nil
}

// totalOf is what a registering agent has, operations on it included.
func totalOf(r link.Registration) []mesos.Resource {
	if len(r.Total) > 0 {
		return r.Total
	}
	return r.Info.Resources
}

func (a *agent) allocatable() allocator.Agent {
	return allocator.Agent{
		ID:         string(a.id),
		Hostname:   a.info.Hostname,
		Attributes: a.info.Attributes,
		Domain:     a.info.Domain,
		Total:      a.total,
	}
}

// url is the agent's address in offers, made of its PID.
func (a *agent) url() *mesos.URL {
	process, address, ok := strings.Cut(a.pid, "@")
	host, portText, err := net.SplitHostPort(address)
	if !ok || err != nil {
		return nil
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil
	}
	path := "/" + process
	return &mesos.URL{
		Scheme:  "http",
		Address: mesos.Address{Hostname: &a.info.Hostname, IP: &host, Port: int32(port)},
		Path:    &path,
	}
}

// ping watches an agent: it becomes unreachable when it misses too many pings.
func (c *core) ping(a *agent) {
	a.ponged = false
	a.link.Ping(a.connected)
	a.pinger = c.after(c.options.AgentPingTimeout, func() {
		if a.ponged {
			a.missedPings = 0
		} else if a.missedPings++; a.missedPings >= c.options.MaxAgentPingTimeouts {
			c.loseAgent(a)
			return
		}
		c.ping(a)
	})
}

// timestamp is a time as Mesos writes it, in seconds.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}
