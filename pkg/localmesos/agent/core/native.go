package core

import (
	"slices"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// ExecutorKind says who an executor is.
type ExecutorKind int

const (
	// CustomExecutor is a framework's own program.
	CustomExecutor ExecutorKind = iota
	// CommandExecutor is Mesos's own for a task that brings none. The master
	// does not know of it.
	CommandExecutor
	// DefaultExecutor is Mesos's own for task groups.
	DefaultExecutor
)

// LauncherDir is where the programs of a real agent's package lie, as far as
// ExecutorInfo tells it (--launcher_dir).
const LauncherDir = "/usr/libexec/mesos"

// What a command executor adds to its task's resources, from
// src/slave/constants.hpp.
const (
	commandExecutorCPUs  = 0.1
	commandExecutorMemMB = 32
)

// commandMargin is what the grace period of a command executor has above its
// task's: time to notice the end and to tell it.
const commandMargin = 2 * time.Second

// commandExecutor makes the executor of a task that brings none
// (Slave::getExecutorInfo in src/slave/slave.cpp).
func commandExecutor(f mesos.FrameworkInfo, t *mesos.TaskInfo) mesos.ExecutorInfo {
	command := t.Command
	if command == nil {
		command = &mesos.CommandInfo{}
	}
	path := LauncherDir + "/mesos-executor"
	info := mesos.ExecutorInfo{
		ExecutorID:  mesos.ExecutorID{Value: t.TaskID.Value},
		FrameworkID: f.ID,
		Container:   t.Container,
		Name:        new("Command Executor (Task: " + t.TaskID.Value + ") " + shortCommand(command)),
		Source:      new(t.TaskID.Value),
		Labels:      t.Labels,
		Discovery:   t.Discovery,
		Command: &mesos.CommandInfo{
			URIs:        command.URIs,
			Environment: command.Environment,
			User:        command.User,
			Shell:       new(false),
			Value:       &path,
			Arguments:   []string{"mesos-executor", "--launcher_dir=" + LauncherDir},
		},
	}
	if p := t.KillPolicy; p != nil && p.GracePeriod != nil {
		info.ShutdownGracePeriod = &mesos.DurationInfo{Nanoseconds: p.GracePeriod.Nanoseconds + int64(commandMargin)}
	}
	var allocation *mesos.Resource_AllocationInfo
	for _, r := range t.Resources {
		if r.AllocationInfo != nil {
			allocation = r.AllocationInfo
			break
		}
	}
	for _, r := range []struct {
		name  string
		value float64
	}{{"cpus", commandExecutorCPUs}, {"mem", commandExecutorMemMB}} {
		info.Resources = append(info.Resources, mesos.Resource{
			Name: r.name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: r.value}, AllocationInfo: allocation,
		})
	}
	return info
}

// shortCommand is the part of a command that the executor's name tells.
func shortCommand(c *mesos.CommandInfo) string {
	const most, kept = 15, 12
	switch {
	case c.GetShell() && c.Value == nil:
		return "(Command: NO COMMAND)"
	case c.GetShell():
		if v := c.GetValue(); len(v) > most {
			return "(Command: sh -c '" + v[:kept] + "...')"
		}
		return "(Command: sh -c '" + c.GetValue() + "')"
	case c.Value == nil:
		return "(Command: NO EXECUTABLE)"
	}
	args := c.GetValue() + ", " + strings.Join(c.Arguments, ", ")
	if len(args) > most {
		return "(Command: [" + args[:kept] + "...])"
	}
	return "(Command: [" + args + "])"
}

// nested is a container within an executor's.
type nested struct {
	id  string
	pid uint32
}

// NestedLaunched says that an executor has started a nested container.
func (c *Core) NestedLaunched(container, id string, pid int) {
	if e := c.containers[container]; e != nil {
		e.nested = append(e.nested, nested{id, uint32(pid)})
	}
}

// NestedExited says that nothing is left of a nested container.
func (c *Core) NestedExited(container, id string) {
	if e := c.containers[container]; e != nil {
		e.nested = slices.DeleteFunc(e.nested, func(n nested) bool { return n.id == id })
	}
}

// pidOf returns the process ID of the executor's container, or of one in it.
func (e *executorState) pidOf(id *mesos.ContainerID) (pid uint32, ok bool) {
	if id == nil || id.Value == e.container {
		return e.pid, e.state != terminated && e.hasPID
	}
	for _, n := range e.nested {
		if id.Value == n.id {
			return n.pid, true
		}
	}
	return 0, false
}
