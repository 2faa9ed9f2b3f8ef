package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/resource"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// simMaster is a master with one framework. What it does in each case is what a
// real one was seen to do.
type simMaster struct {
	w          *world
	up         bool
	failedOver bool
	agents     map[string]*masterAgent // by ID, also those that are not there
	offers     map[string]*simOffer
	suppressed bool
	filters    map[string]simFilter // by agent
	stream     *stream              // of the subscribed scheduler, or nil
	// constraints are what agents must satisfy to be offered, in protobuf.
	constraints []byte
	offerCount  int
	// quiet says that nothing has changed since the last allocation, which found
	// nothing to offer until quietUntil.
	quiet      bool
	operations map[string]bool // by ID, all that ever were
	quietUntil time.Time
	quota      *resource.Milli // of processors, or nil
}

type agentState int

const (
	registered agentState = iota
	// recovering: the registry knows it, and it has not returned since the
	// master's failover.
	recovering
	unreachableAgent
	gone
)

// masterAgent is what the master knows of an agent.
type masterAgent struct {
	state agentState
	agent *simAgent
	total resource.Resources // as far as the master knows
	tasks map[string]*masterTask
	// deactivated: an operator drains it, or has.
	deactivated bool
	maintenance *mesos.Unavailability
	inverse     string    // the inverse offer that is not answered, or ""
	inverseNot  time.Time // none is made before
}

type masterTask struct {
	id, executor string
	state        mesos.TaskState
	// told and uuid are of the latest status, which may be older than the state; a
	// task that has ended is known until its status is acknowledged.
	told        mesos.TaskState
	uuid        string
	resources   resource.Resources
	executorRes resource.Resources
	volumes     []string
}

type simOffer struct {
	agent     *masterAgent
	resources resource.Resources
}

type simFilter struct {
	until     time.Time
	resources resource.Resources
}

// stream is one subscription. Events arrive in order, and none after its end.
type stream struct {
	ended bool
	last  time.Time
}

func newSimMaster(w *world) *simMaster {
	return &simMaster{w: w, up: true, agents: map[string]*masterAgent{}, offers: map[string]*simOffer{}, filters: map[string]simFilter{}, operations: map[string]bool{}}
}

// send delivers an event to the scheduler, in order.
func (m *simMaster) send(in core.Input) {
	s := m.stream
	if s == nil {
		return
	}
	at := m.w.now.Add(m.w.latency())
	if at.Before(s.last) {
		at = s.last
	}
	s.last = at
	m.w.at(at, func() {
		if !s.ended && m.w.sched.stream == s {
			m.w.sched.step(in)
		}
	})
}

func (m *simMaster) subscribe(s *stream, wanted core.Wanted) {
	m.quiet = false
	if m.stream == nil || m.suppressed && !wanted.None {
		// A framework that the master holds for connected keeps its filters.
		clear(m.filters)
	}
	m.endStream()
	m.stream = s
	m.suppressed = wanted.None
	m.constraints = nil
	clear(m.offers)
	m.forgetInverse()
	version := "1.12.0"
	m.send(core.Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw-1"}, Master: mesos.MasterInfo{Version: &version}, Suppressed: wanted.None})
	for _, id := range slices.Sorted(maps.Keys(m.agents)) {
		if a := m.agents[id]; a.state == registered {
			a.agent.retry()
		}
	}
}

func (m *simMaster) endStream() {
	if m.stream != nil {
		m.stream.ended = true
		s := m.stream
		m.stream = nil
		m.w.sched.streamEnded(s)
	}
	clear(m.offers)
}

// free is what of an agent is neither used nor offered.
func (m *simMaster) free(a *masterAgent) resource.Resources {
	free, over := a.total, false
	executors := map[string]bool{}
	take := func(r resource.Resources) {
		rest, err := free.Subtract(r)
		if err != nil && m.failedOver {
			// An agent has come back with a task that the master before had given
			// up, and offered its resources again.
			over = true
			return
		}
		if err != nil {
			m.w.fail("the master overcommitted agent %s: %v", a.agent.id, err)
		}
		free = rest
	}
	for _, id := range slices.Sorted(maps.Keys(a.tasks)) {
		t := a.tasks[id]
		if terminal(t.state) {
			continue
		}
		take(t.resources)
		if !executors[t.executor] {
			executors[t.executor] = true
			take(t.executorRes)
		}
	}
	var offered []string
	for id, o := range m.offers {
		if o.agent == a {
			offered = append(offered, id)
		}
	}
	slices.Sort(offered)
	for _, id := range offered {
		take(m.offers[id].resources)
	}
	if over {
		return resource.Resources{}
	}
	return free
}

// allocate offers what is free.
func (m *simMaster) allocate() {
	if !m.up || m.stream == nil || m.suppressed {
		return
	}
	if m.quiet && m.w.now.Before(m.quietUntil) {
		return
	}
	m.quiet, m.quietUntil = true, m.w.now.Add(time.Hour)
	var offers []mesos.Offer
	for _, id := range slices.Sorted(maps.Keys(m.agents)) {
		a := m.agents[id]
		if a.state != registered || a.deactivated {
			continue
		}
		if !admitted(m.constraints, a.agent) {
			continue
		}
		free := m.withinQuota(m.free(a))
		if free.Scalar("cpus") < 10 && free.Scalar("mem") < 32000 {
			continue
		}
		if f, ok := m.filters[id]; ok && m.w.now.Before(f.until) && f.resources.Contains(free) {
			if f.until.Before(m.quietUntil) {
				m.quietUntil = f.until
			}
			continue
		}
		m.offerCount++
		offerID := fmt.Sprintf("o%d", m.offerCount)
		m.offers[offerID] = &simOffer{a, free}
		offers = append(offers, mesos.Offer{
			ID: mesos.OfferID{Value: offerID}, FrameworkID: mesos.FrameworkID{Value: "fw-1"},
			AgentID: mesos.AgentID{Value: id}, Hostname: a.agent.host,
			Attributes:     []mesos.Attribute{{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: a.agent.rack}}},
			Resources:      free.ToMesos(),
			Unavailability: a.maintenance,
			AllocationInfo: &mesos.Resource_AllocationInfo{Role: &m.w.role},
		})
	}
	if len(offers) == 0 {
		return
	}
	if n := len(offers); n > 1 && m.w.chance(0.3) {
		at := 1 + m.w.random.IntN(n-1)
		m.send(core.Offers{Offers: offers[:at]})
		offers = offers[at:]
	}
	m.send(core.Offers{Offers: offers})
}

func (m *simMaster) rescind() {
	ids := slices.Sorted(maps.Keys(m.offers))
	if len(ids) == 0 {
		return
	}
	id := ids[m.w.random.IntN(len(ids))]
	delete(m.offers, id)
	m.quiet = false
	m.send(core.Rescinded{OfferID: mesos.OfferID{Value: id}})
}

// status sends a status of the master's own making.
func (m *simMaster) status(task, agent string, st mesos.TaskState, reason mesos.TaskStatus_Reason, message string) {
	source := mesos.SOURCE_MASTER
	now := float64(m.w.now.UnixNano()) / 1e9
	s := mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: task}, State: &st, Source: &source, Reason: &reason, Message: &message, Timestamp: &now,
	}
	if agent != "" {
		s.AgentID = &mesos.AgentID{Value: agent}
	}
	m.send(core.Updated{Status: &s})
}

// call carries out what the scheduler asks for; constraints go with a call of
// UPDATE_FRAMEWORK.
func (m *simMaster) call(c *scheduler.Call, constraints []byte) {
	m.quiet = false
	switch c.Type {
	case scheduler.Call_ACCEPT:
		m.accept(c.Accept)
	case scheduler.Call_DECLINE:
		for _, id := range c.Decline.OfferIDs {
			m.decline(id.Value, c.Decline.Filters)
		}
	case scheduler.Call_ACCEPT_INVERSE_OFFERS:
		for _, id := range c.AcceptInverseOffers.InverseOfferIDs {
			m.answerInverse(id.Value, true, c.AcceptInverseOffers.Filters)
		}
	case scheduler.Call_DECLINE_INVERSE_OFFERS:
		for _, id := range c.DeclineInverseOffers.InverseOfferIDs {
			m.answerInverse(id.Value, false, c.DeclineInverseOffers.Filters)
		}
	case scheduler.Call_UPDATE_FRAMEWORK:
		m.suppressed = len(c.UpdateFramework.SuppressedRoles) > 0
		m.constraints = constraints
	case scheduler.Call_REVIVE:
		m.suppressed = false
		clear(m.filters)
		m.allocate()
	case scheduler.Call_SUPPRESS:
		m.suppressed = true
	case scheduler.Call_KILL:
		m.kill(c.Kill.TaskID.Value, c.Kill.AgentID.GetValue())
	case scheduler.Call_ACKNOWLEDGE:
		m.acknowledged(c.Acknowledge)
		if a := m.agents[c.Acknowledge.AgentID.Value]; a != nil && a.state == registered {
			m.tell(a.agent, func() { a.agent.acknowledge(c.Acknowledge.TaskID.Value, string(c.Acknowledge.UUID)) })
		}
	case scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS:
		if a := m.agents[c.AcknowledgeOperationStatus.AgentID.GetValue()]; a != nil && a.state == registered {
			m.tell(a.agent, func() { delete(a.agent.operations, c.AcknowledgeOperationStatus.OperationID.Value) })
		}
	case scheduler.Call_MESSAGE:
		m.message(c.Message)
	case scheduler.Call_RECONCILE:
		m.reconcile(c.Reconcile.Tasks)
	default:
		m.w.fail("unexpected call %s", c.Type)
	}
}

// tell sends an agent something. It takes nothing in that came by a connection which
// was given up: not from a master that leads no more (Slave::run in
// src/slave/slave.cpp).
func (m *simMaster) tell(a *simAgent, do func()) {
	registration := a.registrations
	m.w.message(a, func() {
		if a.registrations == registration {
			do()
		}
	})
}

func (m *simMaster) decline(id string, f *mesos.Filters) {
	o := m.offers[id]
	if o == nil {
		return
	}
	delete(m.offers, id)
	m.filter(o.agent, f, o.resources)
}

func (m *simMaster) filter(a *masterAgent, f *mesos.Filters, r resource.Resources) {
	seconds := 5.0
	if f != nil && f.RefuseSeconds != nil {
		seconds = *f.RefuseSeconds
	}
	m.filters[a.agent.id] = simFilter{m.w.now.Add(time.Duration(seconds * float64(time.Second))), r}
}

func (m *simMaster) accept(accept *scheduler.Call_Accept) {
	valid := true
	var offered resource.Resources
	var at *masterAgent
	for _, id := range accept.OfferIDs {
		o := m.offers[id.Value]
		if o == nil {
			valid = false
			continue
		}
		delete(m.offers, id.Value)
		if at != nil && at != o.agent {
			m.w.fail("an ACCEPT combines offers of two agents")
		}
		at = o.agent
		offered = offered.Add(o.resources)
	}
	unexpected := false // an executor that a group was to join has ended, and is brought anew
	for i := range accept.Operations {
		g := accept.Operations[i].LaunchGroup
		if g == nil {
			offered = m.operate(&accept.Operations[i], at, offered, valid)
			continue
		}
		if !valid {
			for _, t := range g.TaskGroup.Tasks {
				m.status(t.TaskID.Value, t.AgentID.Value, mesos.TASK_DROPPED, mesos.REASON_INVALID_OFFERS, "Task launched with invalid offers: Offer is no longer valid")
			}
			continue
		}
		executor := m.read(g.Executor.Resources)
		var sum resource.Resources
		if !at.carries(g.Executor.ExecutorID.Value) {
			sum = executor
		}
		for _, t := range g.TaskGroup.Tasks {
			sum = sum.Add(m.read(t.Resources))
		}
		own := strings.HasPrefix(g.TaskGroup.Tasks[0].TaskID.Value, g.Executor.ExecutorID.Value+".")
		rest, err := offered.Subtract(sum)
		if err != nil {
			if len(volumesIn(g.Executor.Resources)) == 0 && own && !unexpected {
				m.w.fail("the group of %s is not in its offers: %v", g.Executor.ExecutorID.Value, err)
			}
			// It or one before it was to join an executor that has ended, or its volumes
			// were refused.
			for _, t := range g.TaskGroup.Tasks {
				m.status(t.TaskID.Value, t.AgentID.Value, mesos.TASK_ERROR, mesos.REASON_TASK_GROUP_INVALID, "Task group uses more resources than available")
			}
			continue
		}
		offered = rest
		unexpected = unexpected || !own && !at.carries(g.Executor.ExecutorID.Value)
		if m.w.faults() && m.w.chance(0.02) {
			for _, t := range g.TaskGroup.Tasks {
				m.status(t.TaskID.Value, t.AgentID.Value, mesos.TASK_ERROR, mesos.REASON_TASK_GROUP_INVALID, "Task '"+t.TaskID.Value+"' is invalid: made up")
			}
			continue
		}
		for _, t := range g.TaskGroup.Tasks {
			if at.tasks[t.TaskID.Value] != nil {
				m.w.fail("task ID %s was launched twice", t.TaskID.Value)
			}
			at.tasks[t.TaskID.Value] = &masterTask{
				id: t.TaskID.Value, executor: g.Executor.ExecutorID.Value, state: mesos.TASK_STAGING, told: mesos.TASK_STAGING,
				resources: m.read(t.Resources), executorRes: executor, volumes: volumesIn(g.Executor.Resources),
			}
		}
		m.tell(at.agent, func() { at.agent.launch(g) })
	}
	if at != nil {
		m.filter(at, accept.Filters, offered)
	}
}
