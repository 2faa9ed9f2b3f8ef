package agent

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// loop owns the core: it hands it what happened, and does what follows.
func (a *Agent) loop() {
	defer close(a.ended)
	for {
		select {
		case <-a.inputs.ready:
		case <-a.wake:
		case <-a.quit:
			a.stopTimer()
			for id := range a.events {
				a.hangup(id)
			}
			return
		}
		for _, input := range a.inputs.take() {
			input(a.options.Clock.Now())
			a.perform()
		}
		now := a.options.Clock.Now()
		if !a.down {
			a.core.Tick(now)
			a.perform()
		}
		a.arm(now)
	}
}

func (a *Agent) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// arm sets the timer for the next time that the core waits for.
func (a *Agent) arm(now time.Time) {
	next := a.core.Next()
	if next.Equal(a.timerAt) {
		return
	}
	a.stopTimer()
	a.timerAt, a.stopTimer = next, func() {}
	if !next.IsZero() {
		a.stopTimer = a.options.Clock.AfterFunc(next.Sub(now), a.poke)
	}
}

// report is for containers: what they report is not lost on an agent that plays
// dead, which learns of it when it comes back.
func (a *Agent) report(input func(now time.Time)) {
	a.inputs.post(func(now time.Time) {
		if a.down {
			a.held = append(a.held, input)
			return
		}
		input(now)
	})
}

// receive is for messages of the master: an agent that plays dead loses them.
func (a *Agent) receive(input func(now time.Time)) {
	a.inputs.post(func(now time.Time) {
		if !a.down {
			input(now)
		}
	})
}

// perform does what the core decided.
func (a *Agent) perform() {
	for _, e := range a.core.Effects() {
		a.carryOut(e)
	}
}

func (a *Agent) carryOut(e core.Effect) {
	switch e := e.(type) {
	case core.Admit:
		a.receive(func(now time.Time) { a.core.Admitted(now) })
	case core.Keep:
		a.keep(e.Record)
	case core.Launch:
		a.launch(e)
	case core.Adopt:
		a.adopt(e)
	case core.Limit:
		if h := a.fakes[e.Container]; h != nil {
			a.report(func(now time.Time) { a.core.Limited(now, h.container, nil) })
		}
		if w := a.containers[e.Container]; w != nil {
			w.disk = e.Disk
			w.limits.post(update{e.Limits, e.Volumes})
		}
	case core.Destroy:
		if h := a.fakes[e.Container]; h != nil {
			h.destroy()
		}
		if w := a.containers[e.Container]; w != nil {
			w.destroy()
		}
	case core.Volumes:
		a.keepVolumes(e)
	case core.Send:
		if events := a.events[e.Stream]; events != nil {
			events.Send(e.Event)
		}
	case core.Hangup:
		a.hangup(e.Stream)
	case core.Discard:
		a.discard(e)
	case core.Forget:
		a.log.WithField("framework", e.Framework.Value).Debug("a framework has nothing left here")
	default:
		if a.master != nil {
			a.tellMaster(e)
		}
	}
}

// launch starts the container's worker. After the end of the agent nothing is
// started any more, and nobody waits for it.
func (a *Agent) launch(l core.Launch) {
	if a.stopping {
		return
	}
	if a.options.Fake != nil {
		a.launchFake(l)
		return
	}
	a.employ(a.newWorker(l), (*worker).run)
}

// employ has a worker look after its container.
func (a *Agent) employ(w *worker, work func(*worker)) {
	l := w.launch
	a.containers[l.Container] = w
	log := a.log.WithFields(map[string]any{
		"framework": l.Framework.ID.Value, "executor": l.Executor.ExecutorID.Value, "container": l.Container,
	})
	log.Info("looking after an executor")
	a.workers.Go(func() {
		work(w)
		log.Info("the executor's container is gone")
		a.inputs.post(func(time.Time) { delete(a.containers, l.Container) })
	})
}

func (a *Agent) hangup(id core.StreamID) {
	if events := a.events[id]; events != nil {
		events.Close()
		delete(a.events, id)
	}
}

func (a *Agent) tellMaster(e core.Effect) {
	m, id := a.master, a.core.AgentID()
	switch e := e.(type) {
	case core.Register:
		m.RegisterAgent(a, a.registration(e.Registration))
	case core.Reregister:
		m.ReregisterAgent(a, a.registration(e.Registration))
	case core.Forward:
		m.StatusUpdate(e.Update)
	case core.OperationStatus:
		m.OperationStatus(e.Update)
	case core.ReportExit:
		m.ExitedExecutor(id, e.Framework, e.Executor, e.Status)
	case core.ToFramework:
		m.ExecutorToFramework(id, e.Framework, e.Executor, e.Data)
	}
}

func (a *Agent) registration(r link.Registration) link.Registration {
	r.PID, r.Version = a.pid(), a.options.Version
	return r
}

// What follows makes the Agent a link.Agent.

// Registered implements link.Agent.
func (a *Agent) Registered(id mesos.AgentID, m link.MasterView) {
	a.receive(func(now time.Time) {
		a.core.Registered(now, id, m.PingTimeout)
		a.welcomed(m)
	})
}

// Reregistered implements link.Agent.
func (a *Agent) Reregistered(id mesos.AgentID, m link.MasterView, reconcile []mesos.Task) {
	a.receive(func(now time.Time) {
		a.core.Reregistered(now, id, m.PingTimeout, reconcile)
		a.welcomed(m)
	})
}

// welcomed is called when a master has answered.
func (a *Agent) welcomed(m link.MasterView) {
	a.masterName = m.Info.GetHostname()
	select {
	case <-a.registered:
	default:
		if a.core.Phase() == core.Registered {
			close(a.registered)
		}
	}
}

// Shutdown implements link.Agent. The executors end in their grace periods; the
// agent goes on to answer its endpoints until it is stopped.
func (a *Agent) Shutdown(reason string) {
	a.receive(func(now time.Time) {
		a.log.WithField("reason", reason).Warn("the master shut this agent down")
		a.core.Shutdown(now)
	})
}

// Ping implements link.Agent.
func (a *Agent) Ping(connected bool) {
	a.receive(func(now time.Time) {
		if a.master == nil {
			return
		}
		a.master.Pong(a.core.AgentID())
		a.core.Ping(now, connected)
	})
}

// RunTask implements link.Agent.
func (a *Agent) RunTask(framework mesos.FrameworkInfo, task mesos.TaskInfo, launch bool) {
	a.receive(func(time.Time) { a.core.RunTask(framework, task, launch) })
}

// RunTaskGroup implements link.Agent.
func (a *Agent) RunTaskGroup(framework mesos.FrameworkInfo, executor mesos.ExecutorInfo, group mesos.TaskGroupInfo, launch bool) {
	a.receive(func(time.Time) { a.core.RunTaskGroup(framework, executor, group, launch) })
}

// KillTask implements link.Agent.
func (a *Agent) KillTask(framework mesos.FrameworkID, task mesos.TaskID, policy *mesos.KillPolicy) {
	a.receive(func(now time.Time) { a.core.KillTask(now, framework, task, policy) })
}

// ShutdownExecutor implements link.Agent.
func (a *Agent) ShutdownExecutor(framework mesos.FrameworkID, executor mesos.ExecutorID) {
	a.receive(func(now time.Time) { a.core.ShutdownExecutor(now, framework, executor) })
}

// ShutdownFramework implements link.Agent.
func (a *Agent) ShutdownFramework(framework mesos.FrameworkID) {
	a.receive(func(now time.Time) { a.core.ShutdownFramework(now, framework) })
}

// UpdateFramework implements link.Agent.
func (a *Agent) UpdateFramework(framework mesos.FrameworkInfo) {
	a.receive(func(now time.Time) { a.core.UpdateFramework(now, framework) })
}

// FrameworkToExecutor implements link.Agent.
func (a *Agent) FrameworkToExecutor(framework mesos.FrameworkID, executor mesos.ExecutorID, data []byte) {
	a.receive(func(time.Time) { a.core.FrameworkMessage(framework, executor, data) })
}

// AcknowledgeStatusUpdate implements link.Agent.
func (a *Agent) AcknowledgeStatusUpdate(framework mesos.FrameworkID, task mesos.TaskID, uuid []byte) {
	a.receive(func(now time.Time) { a.core.Acknowledge(now, framework, task, uuid) })
}

// ApplyOperation implements link.Agent.
func (a *Agent) ApplyOperation(op mesos.Operation) {
	a.receive(func(now time.Time) {
		if err := a.core.ApplyOperation(now, op); err != nil {
			a.log.WithError(err).Error("the master has made a conversion that this agent cannot make")
		}
	})
}

// AcknowledgeOperationStatus implements link.Agent.
func (a *Agent) AcknowledgeOperationStatus(operation, status []byte) {
	a.receive(func(time.Time) { a.core.AcknowledgeOperation(operation, status) })
}

// Drain implements link.Agent.
func (a *Agent) Drain(config mesos.DrainConfig) {
	a.receive(func(now time.Time) { a.core.Drain(now, config) })
}
