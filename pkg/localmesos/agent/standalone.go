package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// launchContainer serves LAUNCH_CONTAINER: a container within another, or a
// standalone one, which the master knows nothing of.
func (a *Agent) launchContainer(w http.ResponseWriter, id mesos.ContainerID, c *mesosagent.Call_LaunchContainer) error {
	if id.Parent == nil {
		if err := a.launchStandalone(id, c); err != nil {
			return err
		}
	} else if _, err := a.launchNested(id, c.Command, c.Container, core.LimitsOf(c.Resources, c.Limits, a.options.CgroupsEnableCFS), false); err != nil {
		return err
	}
	wire.WriteEmpty(w, http.StatusOK)
	return nil
}

// launchStandalone starts a container that belongs to no executor.
func (a *Agent) launchStandalone(id mesos.ContainerID, c *mesosagent.Call_LaunchContainer) error {
	n := newStandalone(id)
	refused, ok := ask(a, func(time.Time) *wire.Error {
		switch {
		case a.stopping:
			return wire.Unavailable("Agent is stopping")
		case a.nested[id.Value] != nil || a.containers[id.Value] != nil:
			return &wire.Error{Status: http.StatusAccepted}
		}
		a.nested[id.Value] = n
		a.workers.Add(1) // until it has ended
		return nil
	})
	switch {
	case !ok:
		n.cancel()
		return wire.Unavailable("Agent has not finished recovery")
	case refused != nil:
		n.cancel()
		return refused
	}
	err := a.startStandalone(n, c)
	if err != nil {
		a.workers.Done()
		a.inputs.post(func(time.Time) { delete(a.nested, id.Value) })
		close(n.ready)
		n.end()
	}
	return err
}

func newStandalone(id mesos.ContainerID) *nested {
	ctx, cancel := context.WithCancel(context.Background())
	return &nested{id: id, ready: make(chan struct{}), ended: make(chan struct{}), ctx: ctx, cancel: cancel}
}

func (a *Agent) startStandalone(n *nested, c *mesosagent.Call_LaunchContainer) error {
	command := c.Command
	if command == nil {
		command = &mesos.CommandInfo{}
	}
	dir, owner, err := sandbox.Standalone(a.options.WorkDir, n.id.Value, command.GetUser())
	if err != nil {
		return wire.Internal("Failed to create sandbox: " + err.Error())
	}
	stdout, stderr, err := sandbox.Logs(dir, owner)
	if err != nil {
		return wire.BadRequest("%s", err)
	}
	done := func() {
		_ = stdout.Close()
		_ = stderr.Close()
	}
	a.describe(n, c, dir, owner)
	n.spec.Stdout, n.spec.Stderr = stdout, stderr
	text := a.lacking(n.spec.Limits)
	if text == "" {
		text = unsupported(c.Container)
	}
	if text != "" {
		done()
		return wire.BadRequest("%s", text)
	}
	if err := linkVolumes(dir, "", c.Container.GetVolumes()); err != nil {
		done()
		return wire.BadRequest("%s", err)
	}
	if err := a.fetchAll(n.ctx, n.id.Value, command.URIs, dir, owner, stderr); err != nil {
		done()
		return wire.BadRequest("%s", err)
	}
	ran, err := a.runtime.Start(n.spec)
	var notExecuted *container.NotExecutedError
	if errors.As(err, &notExecuted) {
		// A real agent's launch helper finds out.
		fmt.Fprintf(stderr, "Failed to execute '%s': %s\n", n.spec.Path, reason(notExecuted))
		n.status = int32(container.StatusNotExecuted)
		close(n.ready)
		n.end()
		done()
		a.workers.Done()
		return nil
	}
	if err != nil {
		done()
		return wire.BadRequest("%s", err)
	}
	a.standaloneStarted(c, ran.PID())
	n.process = signaled{ran}
	close(n.ready)
	if stopping, ok := ask(a, func(time.Time) bool { return a.stopping }); stopping || !ok {
		ran.Destroy()
	}
	go a.awaitStandalone(n, ran, done)
	return nil
}

// describe says what a standalone container is, but for its files.
func (a *Agent) describe(n *nested, c *mesosagent.Call_LaunchContainer, dir string, owner sandbox.Owner) {
	command := c.Command
	if command == nil {
		command = &mesos.CommandInfo{}
	}
	n.own, n.owner = dir, owner
	n.spec = container.Spec{
		ID: n.id.Value, Dir: dir, Credential: owner.Credential,
		Limits: core.LimitsOf(c.Resources, c.Limits, a.options.CgroupsEnableCFS),
		Env: withVariables([]string{"PATH=" + defaultPath}, command, map[string]string{
			"MESOS_CONTAINER_IP": a.ip, "MESOS_SANDBOX": dir,
		}),
	}
	setCommand(&n.spec, command)
}

// awaitStandalone waits until a standalone container is gone; then nothing uses its
// files any more, and done is called.
func (a *Agent) awaitStandalone(n *nested, c *container.Container, done func()) {
	defer a.workers.Done()
	status, limitation, err := c.Wait()
	done()
	if err != nil {
		a.destroyErrors.Add(1)
		a.log.WithError(err).WithField("container", n.id.Value).Error("cannot remove a container")
	}
	n.status, n.limitation = int32(status), limitation
	a.standaloneEnded(n.id.Value)
	a.forgetNested(n.id.Value)
	n.end()
}

// lacking says what resources a container has none of and cannot be without.
func (a *Agent) lacking(l core.Limits) string {
	if a.runtime.Version() == cgroup.None {
		return ""
	}
	var texts []string
	if l.MemMB == 0 {
		texts = append(texts, "Failed to update subsystem 'memory': No memory resource given")
	}
	if l.CPUs == 0 {
		texts = append(texts, "Failed to update subsystem 'cpu': No cpus resource given")
	}
	if len(texts) == 0 {
		return ""
	}
	return "Failed to update subsystems: " + strings.Join(texts, "; ")
}

// destroyStandalone kills the containers that belong to no executor. It is the
// loop's.
func (a *Agent) destroyStandalone() {
	for _, n := range a.nested {
		if n.id.Parent == nil && n.lives() { // one that starts just now is killed by who starts it
			n.process.Signal(syscall.SIGKILL, true)
		}
	}
}

// getContainers answers GET_CONTAINERS: the executors' containers, and of the
// others those that are asked for.
func (a *Agent) getContainers(call *mesosagent.Call_GetContainers, who operator) (wire.Message, error) {
	executors, err := a.runningExecutors()
	if err != nil {
		return nil, err
	}
	out := &mesosagent.Response_GetContainers{}
	var measured []*container.Container // those of out, nil for nested ones
	for _, e := range executors {
		if !who.may(acl.ViewContainers, e.worker.user()) {
			continue
		}
		usage, err := e.usage(a.options.Clock.Now())
		if err != nil {
			continue // it ended meanwhile
		}
		measured = append(measured, e.container)
		info, status, name := e.worker.launch.Executor, e.status(), e.worker.launch.Executor.GetName()
		out.Containers = append(out.Containers, mesosagent.Response_GetContainers_Container{
			FrameworkID: e.worker.launch.Framework.ID, ExecutorID: &info.ExecutorID, ExecutorName: &name,
			ContainerID: *status.ContainerID, ContainerStatus: &status, ResourceStatistics: &usage,
		})
	}
	others, _ := ask(a, func(time.Time) []*nested {
		var all []*nested
		for _, id := range sortedKeys(a.nested) {
			n := a.nested[id]
			shown := call.GetShowStandalone() && who.mayAny(acl.ViewStandaloneContainers)
			if n.id.Parent != nil {
				shown = call.GetShowNested()
				if w := a.containers[root(n.id)]; w != nil {
					shown = shown && who.may(acl.ViewContainers, w.user())
				}
			}
			if shown {
				all = append(all, n)
			}
		}
		return all
	})
	for _, n := range others {
		if <-n.ready; n.lives() {
			out.Containers = append(out.Containers, a.describeNested(n))
			own, _ := n.process.(signaled)
			measured = append(measured, own.Container)
		}
	}
	if len(out.Containers) == 0 {
		out = nil // as a real agent has it
	}
	response := &mesosagent.Response{Type: mesosagent.Response_GET_CONTAINERS, GetContainers: out}
	return a.schema.Extend(response, kernelMemory(func(n int) *container.Container {
		return measured[n]
	}, "get_containers", "containers", "resource_statistics")...)
}

// describeNested tells of a container that runs and is no executor's. As a real
// agent, it tells its name only, and of one within another what it may use rather
// than what it does.
func (a *Agent) describeNested(n *nested) mesosagent.Response_GetContainers_Container {
	pid, usage := uint32(n.process.PID()), mesos.ResourceStatistics{}
	if s, ok := n.process.(signaled); ok {
		usage, _ = s.Usage() // without it, the time alone is told
	} else if l := n.spec.Limits; l != (core.Limits{}) {
		const least, megabyte = 32, 1 << 20
		bytes := uint64(max(l.MemMB, least) * megabyte)
		usage.CPUsSoftLimit, usage.MemLimitBytes, usage.MemSoftLimitBytes = &l.CPUs, &bytes, &bytes
	}
	usage.Timestamp = float64(a.options.Clock.Now().UnixMicro()) / 1e6
	return mesosagent.Response_GetContainers_Container{
		ContainerID:        mesos.ContainerID{Value: n.id.Value},
		ContainerStatus:    &mesos.ContainerStatus{ContainerID: &n.id, ExecutorPID: &pid},
		ResourceStatistics: &usage,
	}
}
