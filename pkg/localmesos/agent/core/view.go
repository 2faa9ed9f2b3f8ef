package core

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// View is the agent's state at one moment, for those who only look. It shares
// messages with the core, which never changes a message that it has.
type View struct {
	Info       mesos.AgentInfo
	Phase      Phase
	Frameworks []FrameworkView
	Completed  []FrameworkView
	Metrics    Metrics
}

// FrameworkView is a framework and its executors.
type FrameworkView struct {
	Info      mesos.FrameworkInfo
	Executors []ExecutorView
	Completed []ExecutorView
}

// ExecutorView is one run of an executor.
type ExecutorView struct {
	Info       mesos.ExecutorInfo
	Container  string
	PID        uint32 // zero before the executor was started
	Registered bool
	Ending     bool // it is being ended, or has ended
	Kind       ExecutorKind
	Tasks      []mesos.Task
	Queued     []mesos.TaskInfo
	// Ended are the tasks whose terminal update waits for acknowledgement,
	// Completed those for which all is said.
	Ended, Completed []mesos.Task
}

// ContainerOf returns the container of an executor.
func (c *Core) ContainerOf(framework mesos.FrameworkID, id mesos.ExecutorID) (container string, ok bool) {
	f, ok := c.frameworks.get(framework)
	if !ok {
		return "", false
	}
	e, ok := f.executors.get(id)
	if !ok {
		return "", false
	}
	return e.container, true
}

// View returns a copy of the state.
func (c *Core) View() View {
	v := View{Info: c.config.Info, Phase: c.phase, Metrics: c.metrics}
	v.Info.Resources = c.total()
	v.Metrics.Tasks = make(map[mesos.TaskState]uint64, len(c.metrics.Tasks))
	for s, n := range c.metrics.Tasks {
		v.Metrics.Tasks[s] = n
	}
	for _, f := range c.frameworks.all() {
		v.Frameworks = append(v.Frameworks, f.view())
	}
	for _, f := range c.completed {
		v.Completed = append(v.Completed, f.view())
	}
	return v
}

func (f *framework) view() FrameworkView {
	v := FrameworkView{Info: f.info}
	for _, e := range f.executors.all() {
		v.Executors = append(v.Executors, e.view())
	}
	for _, e := range f.completed {
		v.Completed = append(v.Completed, e.view())
	}
	return v
}

func (e *executorState) view() ExecutorView {
	v := ExecutorView{
		Info:       e.info,
		Container:  e.container,
		PID:        e.pid,
		Registered: e.state == running,
		Ending:     e.state >= terminating,
		Kind:       e.kind,
		Queued:     e.queued.all(),
	}
	for _, t := range e.launched.all() {
		v.Tasks = append(v.Tasks, t.message(e.framework.id, e))
	}
	for t := range e.ended.each() {
		v.Ended = append(v.Ended, t.message(e.framework.id, e))
	}
	for _, t := range e.completed {
		v.Completed = append(v.Completed, t.message(e.framework.id, e))
	}
	return v
}
