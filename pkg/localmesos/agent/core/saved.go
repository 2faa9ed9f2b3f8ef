package core

import (
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// Saved is what an agent's former process has kept.
type Saved struct {
	// Agent is the agent as a master registered it; without an ID if none did.
	Agent      mesos.AgentInfo
	Frameworks []SavedFramework
	// Resources are those of the agent that operations have reserved or made volumes
	// of, and Operations those that were not acknowledged.
	Resources  []mesos.Resource
	Operations []mesos.Operation
	// Drain is what the agent drains by; nil if it does not.
	Drain *mesos.DrainConfig
}

// SavedFramework is a framework that checkpoints.
type SavedFramework struct {
	Info      mesos.FrameworkInfo
	Executors []SavedExecutor
}

// SavedExecutor is the latest run of an executor that has not been settled.
type SavedExecutor struct {
	Info      mesos.ExecutorInfo
	Container string
	Kind      ExecutorKind
	// PID is the process ID that it had; zero if none was kept, or if the machine
	// was started anew since.
	PID   int
	Tasks []SavedTask
}

// SavedTask is a task that was meant for an executor, and what was heard of it.
type SavedTask struct {
	Task   mesos.Task
	Limits map[string]mesos.Value_Scalar
	// Updates are in the order in which they came; Acknowledged has the UUIDs of
	// those that the framework has acknowledged.
	Updates      []link.StatusUpdate
	Acknowledged map[string]bool
}

// Adopt takes a container of the agent's former process over. Core.Exited
// answers in the end, at once if nothing is left of it.
type Adopt struct {
	Launch Launch
	// PID is zero if nobody knows it.
	PID int
}

func (Adopt) effect() {}

// Recover returns the core of an agent whose former process has died. It goes on
// as after Restart; with cleanup the agent ends all executors, in their grace
// periods, and never registers. It is an error if the agent no longer has what
// operations were made on.
func Recover(now time.Time, config Config, saved Saved, cleanup bool) (*Core, error) {
	c := New(now, config)
	c.config.Info.ID = saved.Agent.ID
	c.drain = saved.Drain
	if err := c.recoverResources(&saved); err != nil {
		return nil, fmt.Errorf("cannot recover the agent's resources: %w", err)
	}
	for i := range saved.Frameworks {
		c.recoverFramework(now, &saved.Frameworks[i])
	}
	if cleanup {
		c.endAll(now)
		return c, nil
	}
	c.awaitExecutors(now)
	return c, nil
}

func (c *Core) recoverFramework(now time.Time, s *SavedFramework) {
	if len(s.Executors) == 0 {
		return
	}
	f := newFramework(s.Info)
	c.frameworks.put(f.id, f)
	for i := range s.Executors {
		c.recoverExecutor(now, f, &s.Executors[i])
	}
}

func (c *Core) recoverExecutor(now time.Time, f *framework, s *SavedExecutor) {
	e := newExecutor(f, s.Info, s.Container)
	e.kind = s.Kind
	if s.PID > 0 {
		e.pid, e.hasPID = uint32(s.PID), true
	}
	f.executors.put(e.id(), e)
	c.containers[e.container] = e
	for i := range s.Tasks {
		c.recoverTask(now, e, &s.Tasks[i])
	}
	c.emit(Adopt{PID: s.PID, Launch: c.description(e)})
}

// recoverTask takes a task back as the executor's. Whether it has reached the
// executor shows when that subscribes.
func (c *Core) recoverTask(now time.Time, e *executorState, s *SavedTask) {
	info := infoOf(s)
	e.framework.holders[info.TaskID] = e
	e.demand.add(&info)
	e.addLaunched(info)
	for _, u := range s.Updates {
		acknowledged := s.Acknowledged[string(u.Status.UUID)]
		c.streams.add(now, u)
		if e.advance(u.Status); terminal(u.Status.GetState()) && acknowledged {
			c.streams.acknowledge(now, e.framework.id, info.TaskID, u.Status.UUID)
			if t, ended := e.ended.get(info.TaskID); ended {
				e.ended.remove(info.TaskID)
				e.remember(t)
			}
			return
		}
		if acknowledged {
			c.streams.acknowledge(now, e.framework.id, info.TaskID, u.Status.UUID)
		}
	}
}

// infoOf is what is known of a task that was handed to its executor long ago; what
// only that needed is not.
func infoOf(s *SavedTask) mesos.TaskInfo {
	t := &s.Task
	return mesos.TaskInfo{
		Name: t.Name, TaskID: t.TaskID, AgentID: t.AgentID, Resources: t.Resources, Limits: s.Limits,
		Labels: t.Labels, Discovery: t.Discovery, Container: t.Container, HealthCheck: t.HealthCheck, KillPolicy: t.KillPolicy,
	}
}

// endAll shuts all executors down, as an agent that is started to clean up.
func (c *Core) endAll(now time.Time) {
	c.phase = Terminating
	c.registerAt = time.Time{}
	for _, f := range c.frameworks.all() {
		for _, e := range f.executors.all() {
			c.shutdown(now, e)
		}
	}
}
