package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/fetcher"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/switchboard"
)

// worker looks after one container, from the sandbox to the end. Its commands
// are carried out in order.
type worker struct {
	agent  *Agent
	launch core.Launch
	// ctx ends when the container is to be destroyed.
	ctx     context.Context
	destroy context.CancelFunc
	limits  *mailbox[update]
	// linked are the volumes in the sandbox, by name.
	linked map[string]string
	// disk is what the executor and its tasks have of disks; the loop's.
	disk []mesos.Resource
	// running is the container once it has started.
	running *container.Container
	// owner and env are the executor's, and board its terminal or nil; they are
	// set before running is.
	owner sandbox.Owner
	env   []string
	board *switchboard.Switchboard
	// native plays the executor, if that is one of Mesos's own.
	native *nativeHost
	// self is the container as the operator API sees it; complete once running
	// is set.
	self nested
}

// signaled lets the operator API signal an executor's process.
type signaled struct{ *container.Container }

func (s signaled) Signal(signal syscall.Signal, _ bool) {
	if signal == syscall.SIGKILL {
		s.Destroy()
		return
	}
	_ = syscall.Kill(s.PID(), signal) // it may be gone already
}

func (a *Agent) newWorker(l core.Launch) *worker {
	ctx, cancel := context.WithCancel(context.Background())
	return &worker{
		agent: a, launch: l, disk: l.Disk, ctx: ctx, destroy: cancel, limits: newMailbox[update](),
		self: nested{id: mesos.ContainerID{Value: l.Container}, ready: make(chan struct{}), ended: make(chan struct{})},
	}
}

func (w *worker) id() string { return w.launch.Container }

// report hands the core what happened.
func (w *worker) report(input func(now time.Time)) { w.agent.report(input) }

// run does the whole work, and reports the container's end last.
func (w *worker) run() {
	defer w.destroy()
	path := w.agent.sandboxPath(w.launch)
	owner, err := sandbox.Create(path, w.user())
	if err != nil {
		text := err.Error()
		w.report(func(now time.Time) { w.agent.core.NoSandbox(now, w.id(), text) })
		return
	}
	w.attach(path)
	w.end(w.runIn(path.Dir(), owner))
}

// attach shows the sandbox over HTTP.
func (w *worker) attach(path sandbox.Path) {
	for _, name := range []string{path.Dir(), path.Latest(), path.Virtual()} {
		w.agent.files.Attach(name, path.Dir(), w.mayLook)
	}
}

// end reports that nothing is left of the container.
func (w *worker) end(end core.Ending) {
	w.self.status, w.self.limitation = end.Status, end.Limitation
	close(w.self.ended)
	w.limits.close()
	w.agent.forgetNested(w.id())
	w.report(func(now time.Time) {
		if w.native != nil {
			w.native.executor.Gone()
		}
		w.agent.core.Exited(now, w.id(), end)
	})
}

// mayLook says whether a principal may look into the executor's sandbox.
func (w *worker) mayLook(principal string) bool {
	return w.agent.options.ACLs.Allow(principal, acl.AccessSandboxes, w.user())
}

// user is whom the executor runs as: the command's user, else the framework's.
func (w *worker) user() string {
	if u := w.launch.Executor.Command.GetUser(); u != "" {
		return u
	}
	return w.launch.Framework.User
}

func (w *worker) failed(text string, status int32) core.Ending {
	w.report(func(time.Time) { w.agent.core.LaunchFailed(w.id(), text) })
	return core.Ending{Status: status}
}

// runIn fetches into the sandbox and runs the executor there.
func (w *worker) runIn(dir string, owner sandbox.Owner) core.Ending {
	if c := w.launch.Executor.Container; c != nil && c.GetType() == mesos.ContainerInfo_DOCKER {
		return core.Ending{Status: int32(container.StatusNone), Unknown: true}
	}
	stdout, stderr, err := sandbox.Logs(dir, owner)
	if err != nil {
		return w.failed(err.Error(), int32(container.StatusNone))
	}
	defer stdout.Close()
	defer stderr.Close()
	if err := w.agent.fetchAll(w.ctx, w.id(), w.launch.Executor.Command.GetURIs(), dir, owner, stderr); err != nil {
		// A real agent's launch helper ends as its fetcher does.
		status := int32(1 << 8)
		var killed *fetcher.KilledError
		if errors.As(err, &killed) {
			status = int32(syscall.SIGKILL)
		}
		return w.failed(err.Error(), status)
	}
	if w.ctx.Err() != nil {
		return w.failed("Container destroyed while preparing isolators", int32(container.StatusNone))
	}
	if text := unsupported(w.launch.Executor.Container); text != "" {
		return w.failed(text, int32(container.StatusNone))
	}
	if err := linkVolumes(dir, "", w.launch.Executor.Container.GetVolumes()); err != nil {
		return w.failed(err.Error(), int32(container.StatusNone))
	}
	if err := w.link(dir, owner, w.launch.Volumes); err != nil {
		return w.failed(err.Error(), int32(container.StatusNone))
	}
	spec := w.spec(dir, owner, stdout, stderr)
	w.owner, w.env = owner, spec.Env
	if tty := w.launch.Executor.Container.GetTTYInfo(); tty != nil {
		if w.board, err = w.agent.connect(w.id(), tty, &spec, false); err != nil {
			return w.failed(err.Error(), int32(container.StatusNone))
		}
		defer w.agent.disconnect(w.id(), w.board)
	}
	if w.launch.Kind != core.CustomExecutor {
		host, err := w.newNativeHost(&spec, owner)
		if err != nil {
			return w.failed(err.Error(), int32(container.StatusNone))
		}
		defer host.close()
	} else if text := noCommand(w.launch.Executor.Command); text != "" {
		// A real agent's launch helper finds out, and exits with 1.
		fmt.Fprintln(stderr, text)
		return core.Ending{Status: 1 << 8}
	}
	c, err := w.agent.runtime.Start(spec)
	var notExecuted *container.NotExecutedError
	if errors.As(err, &notExecuted) {
		fmt.Fprintf(stderr, "Failed to execute command: %v\n", notExecuted.Err)
		return core.Ending{Status: int32(container.StatusNotExecuted)}
	}
	if err != nil {
		return w.failed(err.Error(), int32(container.StatusNone))
	}
	w.agent.forked(w.launch, c.PID())
	return w.watch(c, dir, owner, func() {
		w.agent.core.Launched(w.id(), c.PID())
		if w.native != nil {
			w.native.begin(c)
		}
	})
}

// unsupported says why a container cannot be as it is described, in the words of
// a real agent that is not configured for it; or nothing.
func unsupported(c *mesos.ContainerInfo) string {
	if c != nil && c.GetType() != mesos.ContainerInfo_MESOS {
		return "The provided ContainerInfo is not supported"
	}
	image := c.GetMesos().GetImage()
	for _, volume := range c.GetVolumes() {
		if image == nil {
			image = volume.Image
		}
	}
	if image != nil {
		return "Unsupported container image type: " + image.GetType().String()
	}
	for _, network := range c.GetNetworkInfos() {
		if network.GetName() != "" {
			return fmt.Sprintf("Unknown CNI network '%s'", network.GetName())
		}
	}
	return ""
}

// spec is the container to start.
func (w *worker) spec(dir string, owner sandbox.Owner, stdout, stderr *os.File) container.Spec {
	s := container.Spec{
		ID:         w.id(),
		Dir:        dir,
		Env:        w.agent.environment(w.launch, dir),
		Credential: owner.Credential,
		Stdout:     stdout,
		Stderr:     stderr,
		Limits:     w.launch.Limits,
	}
	setCommand(&s, w.launch.Executor.Command)
	return s
}

// setCommand has a container's process run a command.
func setCommand(s *container.Spec, command *mesos.CommandInfo) {
	if command.GetShell() {
		s.Path, s.Args = "/bin/sh", []string{"sh", "-c", command.GetValue()}
		return
	}
	s.Path, s.Args = command.GetValue(), command.GetArguments()
	if len(s.Args) == 0 {
		s.Args = []string{s.Path}
	}
}

// noCommand says what a command lacks to be run, in the words of a real agent's
// launch helper; or nothing.
func noCommand(command *mesos.CommandInfo) string {
	switch {
	case command.GetValue() != "":
		return ""
	case command.GetShell():
		return "Shell command is not specified"
	default:
		return "Executable path is not specified"
	}
}

// watch carries out commands until the container has ended. What is to follow from
// its being there is the loop's.
func (w *worker) watch(c *container.Container, dir string, owner sandbox.Owner, runs func()) core.Ending {
	w.report(func(time.Time) {
		w.running, w.self.process = c, signaled{c}
		w.self.spec, w.self.owner = container.Spec{Dir: dir, Env: w.env}, owner
		close(w.self.ready)
		runs()
	})
	ended := make(chan struct{})
	served := make(chan struct{})
	go func() {
		defer close(served)
		w.serve(c, dir, owner, ended)
	}()
	status, limitation, err := c.Wait()
	close(ended)
	<-served
	if err != nil {
		w.agent.destroyErrors.Add(1)
		w.agent.log.WithError(err).WithField("container", w.id()).Error("cannot remove a container")
	}
	return core.Ending{Status: int32(status), Limitation: limitation}
}

func (w *worker) serve(c *container.Container, dir string, owner sandbox.Owner, ended <-chan struct{}) {
	destroyed := w.ctx.Done()
	for {
		select {
		case <-ended:
			return
		case <-destroyed:
			destroyed = nil
			c.Destroy()
		case <-w.limits.ready:
			for _, u := range w.limits.take() {
				err := w.link(dir, owner, u.volumes)
				if err == nil {
					err = c.Limit(u.limits)
				}
				w.report(func(now time.Time) { w.agent.core.Limited(now, w.id(), err) })
			}
		}
	}
}
