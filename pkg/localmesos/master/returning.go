package master

import (
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

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
