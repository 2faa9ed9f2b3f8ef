package master

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

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

// reregisterAgent takes back an agent that has an ID: one that it knows, one
// that was unreachable, or one of the time before this master.
func (c *core) reregisterAgent(l link.Agent, r link.Registration) {
	if c.stopped {
		return
	}
	if r.Info.ID == nil || r.Info.ID.Value == "" {
		c.registerAgent(l, r)
		return
	}
	c.metrics.messages["reregister_slave"]++
	id := agentID(r.Info.ID.Value)
	if c.isGone(id) {
		l.Shutdown(goneMessage)
		return
	}
	if c.refusesMachine(l, r) || !c.placeable(r) {
		return
	}
	if a := c.agents[id]; a != nil {
		c.returnOfKnown(a, l, r)
		return
	}
	_, recovered := c.recovered[id]
	if !recovered {
		c.welcomeBack(id, r)
	}
	began := time.Now()
	a, err := c.addAgent(id, l, r)
	c.metrics.stores.since(began)
	if err != nil {
		l.Shutdown(err.Error())
		return
	}
	c.metrics.messages["update_slave"]++
	c.metrics.counters["slave_reregistrations"]++
	a.reregistered = c.now()
	delete(c.unreachable, id)
	delete(c.recovered, id)
	c.takeBack(a, r)
	l.Reregistered(mesos.AgentID{Value: string(id)}, c.view(), nil)
	c.ping(a)
	c.updateFrameworks(a, r)
	c.drainAgain(a)
	c.options.Logger.WithField("agent", string(id)).Info("agent reregistered")
	c.allocateSoon(id)
}

// welcomeBack tells frameworks of the tasks of an agent that this master had
// given up; those that it lost meanwhile are forgotten.
func (c *core) welcomeBack(id agentID, r link.Registration) {
	message := "Unknown agent reregistered"
	if _, ok := c.unreachable[id]; ok {
		message = "Unreachable agent re-reregistered"
	}
	for i := range r.Tasks {
		t := &task{info: r.Tasks[i]}
		f := c.frameworks[frameworkID(t.info.FrameworkID.Value)]
		if f == nil {
			continue
		}
		f.finished = slices.DeleteFunc(f.finished, func(other *task) bool { return other.id() == t.id() })
		status := c.status(t.info.TaskID, t.state(), mesos.REASON_AGENT_REREGISTERED, message)
		t.describe(&status)
		f.update(status)
	}
	for _, f := range c.frameworks {
		f.unreachable = slices.DeleteFunc(f.unreachable, func(t *task) bool { return t.agent() == id })
	}
}

// returnOfKnown brings an agent up to date that was not removed meanwhile.
func (c *core) returnOfKnown(a *agent, l link.Agent, r link.Registration) {
	if on := (&agent{info: r.Info, pid: r.PID}); a.machine().ip != on.machine().ip || a.info.Hostname != r.Info.Hostname {
		l.Shutdown("Agent attempted to reregister with different IP / hostname")
		return
	}
	// One that was disconnected has no offers; those of one that was not stay.
	delete(c.agentOf, a.pid)
	a.link, a.pid, a.version = l, r.PID, r.Version
	c.agentOf[a.pid] = a
	a.connected = true
	a.reregistered = c.now()
	a.missedPings, a.ponged = 0, true
	c.metrics.messages["update_slave"]++
	changed := false
	if total, err := resource.FromMesos(totalOf(r)); err == nil {
		changed = !total.Equal(a.total) || !r.Info.Equal(&a.info)
		a.info, a.total = r.Info, total
		c.allocator.UpdateAgent(a.allocatable())
		c.changed = c.changed || changed
	}
	c.allocator.ActivateAgent(string(a.id), c.usable(a))
	l.Reregistered(mesos.AgentID{Value: string(a.id)}, c.view(), c.missingTasks(a, r))
	c.dropMissingExecutors(a, r)
	c.killAgain(a, r)
	c.takeBack(a, r)
	c.updateFrameworks(a, r)
	c.drainAgain(a)
	c.options.Logger.WithField("agent", string(a.id)).Info("agent reregistered")
	// One that is as before is offered when it is its turn.
	if changed {
		c.allocateSoon(a.id)
	}
}

// killAgain kills what an agent has not heard to be killed.
func (c *core) killAgain(a *agent, r link.Registration) {
	for i := range r.Tasks {
		framework, id := r.Tasks[i].FrameworkID, r.Tasks[i].TaskID
		if t := a.tasks[frameworkID(framework.Value)][taskID(id.Value)]; t != nil && t.killed && !terminal(r.Tasks[i].GetState()) {
			a.link.KillTask(framework, id, nil)
		}
	}
}

// missingTasks lists the tasks that the master believes the agent to run and
// that the agent does not know.
func (c *core) missingTasks(a *agent, r link.Registration) []mesos.Task {
	type key struct {
		framework frameworkID
		task      taskID
	}
	known := make(map[key]bool)
	for i := range r.Tasks {
		known[key{frameworkID(r.Tasks[i].FrameworkID.Value), taskID(r.Tasks[i].TaskID.Value)}] = true
	}
	var missing []mesos.Task
	for framework, tasks := range a.tasks {
		for _, t := range sortedTasks(tasks) {
			if !known[key{framework, t.id()}] && !terminal(t.state()) {
				missing = append(missing, t.info)
			}
		}
	}
	return missing
}

// dropMissingExecutors removes the executors that ended while the agent was
// away.
func (c *core) dropMissingExecutors(a *agent, r link.Registration) {
	for framework, executors := range a.executors {
		for id := range executors {
			alive := false
			for _, e := range r.Executors {
				alive = alive || frameworkID(e.FrameworkID.Value) == framework && executorID(e.Info.ExecutorID.Value) == id
			}
			if !alive {
				c.removeExecutor(a.id, framework, id)
			}
		}
	}
}

// takeBack adds what a returning agent runs and the master does not know to be
// there. Frameworks that it has not heard of are noted as recovered; those that
// were removed are shut down.
func (c *core) takeBack(a *agent, r link.Registration) {
	defer c.takeBackOperations(a, r.Operations)
	for _, info := range r.Frameworks {
		id := frameworkID(info.ID.GetValue())
		if c.isCompleted(id) {
			a.link.ShutdownFramework(mesos.FrameworkID{Value: string(id)})
			continue
		}
		if c.frameworks[id] == nil {
			c.recoverFramework(info)
		}
	}
	for _, e := range r.Executors {
		id := executorID(e.Info.ExecutorID.Value)
		f := c.frameworks[frameworkID(e.FrameworkID.Value)]
		if f != nil && a.executors[f.id][id] == nil {
			added := c.addExecutor(f, a, e.Info)
			c.allocator.Use(string(f.id), string(a.id), added.resources)
		}
	}
	for i := range r.Tasks {
		if f := c.frameworks[frameworkID(r.Tasks[i].FrameworkID.Value)]; f != nil {
			c.takeBackTask(f, a, r.Tasks[i])
		}
	}
}

// updateFrameworks tells a returning agent what its frameworks are now.
func (c *core) updateFrameworks(a *agent, r link.Registration) {
	for _, info := range r.Frameworks {
		if f := c.frameworks[frameworkID(info.ID.GetValue())]; f != nil && !f.recovered {
			a.link.UpdateFramework(f.info)
		}
	}
}

func (c *core) takeBackTask(f *framework, a *agent, info mesos.Task) {
	id := taskID(info.TaskID.Value)
	if t := f.tasks[id]; t != nil {
		// The agent knows best.
		if !terminal(t.state()) && terminal(info.GetState()) {
			c.freeTask(f, t)
		}
		if !terminal(t.state()) {
			t.info.State = info.State
		}
		return
	}
	resources, err := resource.FromMesos(info.Resources)
	if err != nil {
		c.options.Logger.WithError(err).Warn("cannot take back a task of a returning agent")
		return
	}
	t := &task{info: info, resources: resources, updateState: info.GetStatusUpdateState(), updateUUID: info.StatusUpdateUUID}
	c.insertTask(f, a, t)
	if terminal(t.state()) {
		t.freed = true
		return
	}
	c.allocator.Use(string(f.id), string(a.id), resources)
}

// disconnectAgent withdraws an agent's offers; its tasks wait for its return or
// for the pings to time out.
func (c *core) disconnectAgent(id agentID) {
	a := c.agents[id]
	if a == nil || !a.connected {
		return
	}
	a.connected = false
	c.allocator.ActivateAgent(string(id), false)
	for _, o := range sortedOffers(a.offers) {
		c.rescind(o)
	}
	c.loseUncheckpointed(a)
	c.options.Logger.WithField("agent", string(id)).Info("agent disconnected")
}

// unregisterAgent removes an agent that leaves for good: its tasks are lost
// even to frameworks that know of partitions.
func (c *core) unregisterAgent(id agentID) {
	a := c.agents[id]
	if a == nil {
		return
	}
	c.metrics.messages["unregister_slave"]++
	c.metrics.counters["slave_removals/reason_unregistered"]++
	c.leave(a, "the agent unregistered")
}

// leave removes an agent for good, and says why.
func (c *core) leave(a *agent, why string) {
	c.metrics.counters["slave_removals"]++
	delete(c.draining, a.id)
	delete(c.deactivated, a.id)
	message := fmt.Sprintf("Agent %s removed: %s", a.info.Hostname, why)
	c.dropOperations(a, mesos.OPERATION_UNSUPPORTED, "")
	c.removeAgent(a, func(f *framework, t *task) { c.loseTask(f, t, mesos.REASON_AGENT_REMOVED, message) })
	// Of one that is unreachable, or gone, a real master tells operators nothing.
	c.tellAgentRemoved(a)
}

// loseTask ends a task as lost.
func (c *core) loseTask(f *framework, t *task, reason mesos.TaskStatus_Reason, message string) {
	c.endTask(f, t, c.status(t.info.TaskID, mesos.TASK_LOST, reason, message))
	c.removeTask(f, t)
}

// endTask gives a task a status of the master's own, which ends it or says that
// nobody can reach it; the task is then to be removed or kept as unreachable. A
// task that has ended already and whose framework has yet to acknowledge that
// gets it, too, but stays as it ended.
func (c *core) endTask(f *framework, t *task, status mesos.TaskStatus) {
	t.identify(&status)
	news := t.news(&status)
	if was := t.state(); !terminal(was) {
		t.info.State = status.State
		if was != mesos.TASK_UNREACHABLE {
			c.metrics.states[status.GetState()]++
			c.metrics.counters.task(&status)
			f.countEnded(status.GetState())
		}
	}
	t.addStatus(status)
	c.freeTask(f, t)
	f.update(status)
	if news {
		c.tellTaskUpdated(t, status)
	}
}

// keepUnreachable moves a task to those whose agent is not there.
func (c *core) keepUnreachable(f *framework, t *task) {
	c.forgetTask(f, t)
	f.unreachable = append(f.unreachable, t)
	if len(f.unreachable) > maxUnreachableTasks {
		f.unreachable = f.unreachable[1:]
	}
}

// loseUncheckpointed ends what a disconnected agent runs for frameworks without
// checkpointing, for it does not outlive the agent's process.
func (c *core) loseUncheckpointed(a *agent) {
	for _, f := range c.sortedFrameworks() {
		if f.info.GetCheckpoint() {
			continue
		}
		for _, t := range sortedTasks(a.tasks[f.id]) {
			c.loseTask(f, t, mesos.REASON_AGENT_DISCONNECTED, fmt.Sprintf("Agent %s disconnected", a.info.Hostname))
		}
		for id := range a.executors[f.id] {
			c.removeExecutor(a.id, f.id, id)
		}
	}
}

// markUnreachable notes that nobody can reach an agent.
func (c *core) markUnreachable(id agentID, now time.Time) {
	for _, name := range []string{"slave_unreachable_scheduled", "slave_unreachable_completed", "slave_removals", "slave_removals/reason_unhealthy"} {
		c.metrics.counters[name]++
	}
	c.unreachable[id] = now
}

// loseAgent takes away an agent that nobody can reach.
func (c *core) loseAgent(a *agent) {
	now := c.now()
	c.markUnreachable(a.id, now)
	c.dropOperations(a, mesos.OPERATION_UNREACHABLE, "Agent was marked unreachable")
	c.removeAgent(a, func(f *framework, t *task) {
		state := mesos.TASK_LOST
		if f.partitionAware() {
			state = mesos.TASK_UNREACHABLE
		}
		status := c.status(t.info.TaskID, state, mesos.REASON_AGENT_REMOVED, "health check timed out")
		status.UnreachableTime = &mesos.TimeInfo{Nanoseconds: now.UnixNano()}
		c.endTask(f, t, status)
		c.keepUnreachable(f, t)
	})
}

// removeAgent takes an agent away: its tasks, as lose does it; then its
// executors and offers; then every framework hears of the failure.
func (c *core) removeAgent(a *agent, lose func(*framework, *task)) {
	a.connected = false
	a.pinger.cancel()
	c.allocator.ActivateAgent(string(a.id), false)
	for id, tasks := range a.tasks {
		f := c.frameworks[id]
		for _, t := range sortedTasks(tasks) {
			lose(f, t)
		}
	}
	for framework, executors := range a.executors {
		for id := range executors {
			c.removeExecutor(a.id, framework, id)
		}
	}
	for _, o := range sortedOffers(a.offers) {
		c.rescind(o)
	}
	c.forgetPlan(a)
	c.allocator.RemoveAgent(string(a.id))
	delete(c.agents, a.id)
	c.changed = true
	if c.agentOf[a.pid] == a {
		delete(c.agentOf, a.pid)
	}
	c.tellAgentLost(a.id)
	c.options.Logger.WithField("agent", string(a.id)).Info("agent removed")
}

// tellAgentLost tells all frameworks that an agent is not there any more.
func (c *core) tellAgentLost(id agentID) {
	for _, f := range c.sortedFrameworks() {
		f.send(&scheduler.Event{
			Type:    scheduler.Event_FAILURE,
			Failure: &scheduler.Event_Failure{AgentID: &mesos.AgentID{Value: string(id)}},
		})
	}
}

func (c *core) isCompleted(id frameworkID) bool {
	for _, f := range c.completed {
		if f.id == id {
			return true
		}
	}
	return false
}

// timestamp is a time as Mesos writes it, in seconds.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}
