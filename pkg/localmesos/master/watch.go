package master

import (
	"net/http"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// watcher is an operator's event stream: the whole state first, then every
// change of a framework, an agent or a task.
type watcher struct {
	events    *wire.Events
	heartbeat *timer
	viewer    viewer
}

// serveWatcher serves SUBSCRIBE of the operator API. Its stream has no ID.
func (m *Master) serveWatcher(w http.ResponseWriter, r *http.Request, media wire.MediaType) error {
	watching := &watcher{events: new(wire.Events), viewer: m.viewer(r)}
	watching.viewer.media = media
	if err := m.do(func() error { m.core.addWatcher(watching); return nil }); err != nil {
		return wire.Unavailable(err.Error())
	}
	if err := m.options.Schema.ServeEvents(w, r, media, "", watching.events); err != nil {
		m.options.Logger.WithError(err).Debug("an operator's stream broke")
	}
	m.post(func() { m.core.removeWatcher(watching) })
	return nil
}

func (c *core) addWatcher(w *watcher) {
	if c.stopped {
		w.events.Close()
		return
	}
	c.watchers[w] = true
	var first wire.Message = &mesosmaster.Event{
		Type: mesosmaster.Event_SUBSCRIBED,
		Subscribed: &mesosmaster.Event_Subscribed{
			GetState:                 c.getState(w.viewer),
			HeartbeatIntervalSeconds: new(heartbeatInterval.Seconds()),
		},
	}
	if extended, err := c.options.Schema.Extend(first, c.stateAdditions(w.viewer, "subscribed", "get_state")...); err != nil {
		c.options.Logger.WithError(err).Error("cannot show the whole state")
	} else {
		first = extended
	}
	w.events.Send(first)
	c.beatWatcher(w)
}

func (c *core) beatWatcher(w *watcher) {
	w.events.Send(&mesosmaster.Event{Type: mesosmaster.Event_HEARTBEAT})
	w.heartbeat = c.after(heartbeatInterval, func() { c.beatWatcher(w) })
}

func (c *core) removeWatcher(w *watcher) {
	w.heartbeat.cancel()
	w.events.Close()
	delete(c.watchers, w)
}

// tellWatchers sends an event, which is only made if anybody watches who may see
// it.
func (c *core) tellWatchers(sees func(viewer) bool, event func() *mesosmaster.Event) {
	var e *mesosmaster.Event
	for w := range c.watchers {
		if !sees(w.viewer) {
			continue
		}
		if e == nil {
			e = event()
		}
		w.events.Send(e)
	}
}

// tellWatchersOf tells of a framework.
func (c *core) tellWatchersOf(f *framework, event func() *mesosmaster.Event) {
	c.tellWatchers(func(w viewer) bool { return w.seesFramework(f) }, event)
}

// tellWatchersOfTask tells of a task.
func (c *core) tellWatchersOfTask(t *task, event func() *mesosmaster.Event) {
	f := c.frameworks[frameworkID(t.info.FrameworkID.Value)]
	c.tellWatchers(func(w viewer) bool { return f == nil || w.seesFramework(f) && w.seesTask(f, t) }, event)
}

func (c *core) tellFrameworkAdded(f *framework) {
	c.tellWatchersOf(f, func() *mesosmaster.Event {
		return &mesosmaster.Event{
			Type:           mesosmaster.Event_FRAMEWORK_ADDED,
			FrameworkAdded: &mesosmaster.Event_FrameworkAdded{Framework: announceFramework(f)},
		}
	})
}

func (c *core) tellFrameworkUpdated(f *framework) {
	c.tellWatchersOf(f, func() *mesosmaster.Event {
		return &mesosmaster.Event{
			Type:             mesosmaster.Event_FRAMEWORK_UPDATED,
			FrameworkUpdated: &mesosmaster.Event_FrameworkUpdated{Framework: announceFramework(f)},
		}
	})
}

func (c *core) tellFrameworkRemoved(f *framework) {
	c.tellWatchersOf(f, func() *mesosmaster.Event {
		return &mesosmaster.Event{
			Type:             mesosmaster.Event_FRAMEWORK_REMOVED,
			FrameworkRemoved: &mesosmaster.Event_FrameworkRemoved{FrameworkInfo: f.info},
		}
	})
}

func (c *core) tellAgentAdded(a *agent) {
	for w := range c.watchers {
		w.events.Send(&mesosmaster.Event{
			Type:       mesosmaster.Event_AGENT_ADDED,
			AgentAdded: &mesosmaster.Event_AgentAdded{Agent: c.showAgent(a, w.viewer)},
		})
	}
}

func (c *core) tellAgentRemoved(a *agent) {
	c.tellWatchers(func(viewer) bool { return true }, func() *mesosmaster.Event {
		return &mesosmaster.Event{
			Type:         mesosmaster.Event_AGENT_REMOVED,
			AgentRemoved: &mesosmaster.Event_AgentRemoved{AgentID: mesos.AgentID{Value: string(a.id)}},
		}
	})
}

func (c *core) tellTaskAdded(t *task) {
	c.tellWatchersOfTask(t, func() *mesosmaster.Event {
		return &mesosmaster.Event{
			Type:      mesosmaster.Event_TASK_ADDED,
			TaskAdded: &mesosmaster.Event_TaskAdded{Task: t.info},
		}
	})
}

// tellTaskUpdated tells of a status and of the state that the task is in by
// now.
func (c *core) tellTaskUpdated(t *task, status mesos.TaskStatus) {
	c.tellWatchersOfTask(t, func() *mesosmaster.Event {
		state := t.state()
		return &mesosmaster.Event{
			Type: mesosmaster.Event_TASK_UPDATED,
			TaskUpdated: &mesosmaster.Event_TaskUpdated{
				FrameworkID: t.info.FrameworkID,
				Status:      status,
				State:       &state,
			},
		}
	})
}

// news tells whether a status says more than the task's last one: another
// state, or something of its checks.
func (t *task) news(s *mesos.TaskStatus) bool {
	switch s.GetReason() {
	case mesos.REASON_TASK_CHECK_STATUS_UPDATED, mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED:
		return true
	}
	n := len(t.info.Statuses)
	return n == 0 || t.info.Statuses[n-1].GetState() != s.GetState()
}
