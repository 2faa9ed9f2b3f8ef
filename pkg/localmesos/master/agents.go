package master

import (
	"fmt"
	"net"
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
	if c.refusesMachine(l, r) {
		return
	}
	c.metrics.counters["slave_registrations"]++
	id := c.newAgentID()
	a, err := c.addAgent(id, l, r)
	if err != nil {
		l.Shutdown(err.Error())
		return
	}
	l.Registered(mesos.AgentID{Value: string(id)}, c.view())
	c.options.Logger.WithFields(map[string]any{"agent": string(id), "resources": a.total.String()}).Info("agent registered")
	c.allocateSoon(id)
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
	c.agents[id] = a
	c.allocator.AddAgent(a.allocatable())
	c.allocator.ActivateAgent(string(id), c.usable(a))
	c.tellAgentAdded(a)
	c.ping(a)
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
	c.metrics.counters["slave_reregistrations"]++
	id := agentID(r.Info.ID.Value)
	if c.gone[id] {
		l.Shutdown(goneMessage)
		return
	}
	if c.refusesMachine(l, r) {
		return
	}
	if c.removed[id] {
		l.Shutdown("Agent attempted to reregister after removal")
		return
	}
	if a := c.agents[id]; a != nil {
		c.returnOfKnown(a, l, r)
		return
	}
	a, err := c.addAgent(id, l, r)
	if err != nil {
		l.Shutdown(err.Error())
		return
	}
	a.reregistered = c.now()
	_, wasUnreachable := c.unreachable[id]
	delete(c.unreachable, id)
	delete(c.recovered, id)
	c.takeBack(a, r, wasUnreachable)
	l.Reregistered(mesos.AgentID{Value: string(id)}, c.view(), nil)
	c.updateFrameworks(a, r)
	c.drainAgain(a)
	c.options.Logger.WithField("agent", string(id)).Info("agent reregistered")
	c.allocateSoon(id)
}

// returnOfKnown brings an agent up to date that was not removed meanwhile.
func (c *core) returnOfKnown(a *agent, l link.Agent, r link.Registration) {
	// One that was disconnected has no offers; those of one that was not stay.
	a.link, a.pid, a.version = l, r.PID, r.Version
	a.connected = true
	a.reregistered = c.now()
	a.missedPings, a.ponged = 0, true
	if total, err := resource.FromMesos(totalOf(r)); err == nil {
		a.info, a.total = r.Info, total
		c.allocator.UpdateAgent(a.allocatable())
	}
	c.allocator.ActivateAgent(string(a.id), c.usable(a))
	l.Reregistered(mesos.AgentID{Value: string(a.id)}, c.view(), c.missingTasks(a, r))
	c.dropMissingExecutors(a, r)
	c.takeBack(a, r, false)
	c.updateFrameworks(a, r)
	c.drainAgain(a)
	c.options.Logger.WithField("agent", string(a.id)).Info("agent reregistered")
	c.allocateSoon(a.id)
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
func (c *core) takeBack(a *agent, r link.Registration, wasUnreachable bool) {
	defer c.takeBackOperations(a, r.Operations)
	for _, info := range r.Frameworks {
		id := frameworkID(info.ID.GetValue())
		if c.isCompleted(id) {
			a.link.ShutdownFramework(mesos.FrameworkID{Value: string(id)})
			continue
		}
		if c.frameworks[id] == nil {
			f := c.addFramework(id, info)
			f.recovered = true
			c.allocator.SetFramework(c.allocatable(f, nil))
			c.allocator.ActivateFramework(string(id), false)
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
			c.takeBackTask(f, a, r.Tasks[i], wasUnreachable)
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

func (c *core) takeBackTask(f *framework, a *agent, info mesos.Task, wasUnreachable bool) {
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
	for i, t := range f.unreachable {
		if t.id() == id {
			f.unreachable = append(f.unreachable[:i:i], f.unreachable[i+1:]...)
			break
		}
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
	if wasUnreachable {
		status := c.status(t.info.TaskID, t.state(), mesos.REASON_AGENT_REREGISTERED, "Unreachable agent re-reregistered")
		t.describe(&status)
		f.update(status)
	}
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
	c.removed[a.id] = true
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
	c.endTask(f, t, mesos.TASK_LOST, reason, message)
}

// endTask ends a task in a state that the master decides.
func (c *core) endTask(f *framework, t *task, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) {
	c.metrics.states[state]++
	f.countEnded(state)
	status := c.status(t.info.TaskID, state, reason, message)
	t.identify(&status)
	c.metrics.counters.task(&status)
	t.info.State = state.Enum()
	t.addStatus(status)
	c.freeTask(f, t)
	c.removeTask(f, t)
	f.update(status)
	c.tellTaskUpdated(t, status)
}

// loseUncheckpointed ends what a disconnected agent runs for frameworks without
// checkpointing, for it does not outlive the agent's process.
func (c *core) loseUncheckpointed(a *agent) {
	for _, f := range c.sortedFrameworks() {
		if f.info.GetCheckpoint() {
			continue
		}
		for _, t := range sortedTasks(a.tasks[f.id]) {
			if terminal(t.state()) {
				c.removeTask(f, t)
				continue
			}
			c.loseTask(f, t, mesos.REASON_AGENT_DISCONNECTED, fmt.Sprintf("Agent %s disconnected", a.info.Hostname))
		}
		for id := range a.executors[f.id] {
			c.removeExecutor(a.id, f.id, id)
		}
	}
}

// loseAgent marks an agent unreachable.
func (c *core) loseAgent(a *agent) {
	now := c.now()
	for _, name := range []string{"slave_unreachable_scheduled", "slave_unreachable_completed", "slave_removals", "slave_removals/reason_unhealthy"} {
		c.metrics.counters[name]++
	}
	c.unreachable[a.id] = now
	c.dropOperations(a, mesos.OPERATION_UNREACHABLE, "Agent was marked unreachable")
	c.removeAgent(a, func(f *framework, t *task) {
		state := mesos.TASK_LOST
		if f.partitionAware() {
			state = mesos.TASK_UNREACHABLE
		}
		status := c.status(t.info.TaskID, state, mesos.REASON_AGENT_REMOVED, "health check timed out")
		t.identify(&status)
		status.UnreachableTime = &mesos.TimeInfo{Nanoseconds: now.UnixNano()}
		c.freeTask(f, t)
		c.forgetTask(f, t)
		t.info.State = state.Enum()
		t.addStatus(status)
		f.unreachable = append(f.unreachable, t)
		if len(f.unreachable) > maxUnreachableTasks {
			f.unreachable = f.unreachable[1:]
		}
		f.update(status)
		c.tellTaskUpdated(t, status)
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
			if terminal(t.state()) {
				c.removeTask(f, t)
				continue
			}
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
	for _, f := range c.sortedFrameworks() {
		f.send(&scheduler.Event{
			Type:    scheduler.Event_FAILURE,
			Failure: &scheduler.Event_Failure{AgentID: &mesos.AgentID{Value: string(a.id)}},
		})
	}
	c.options.Logger.WithField("agent", string(a.id)).Info("agent removed")
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
