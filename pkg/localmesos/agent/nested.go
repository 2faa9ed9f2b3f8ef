package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/switchboard"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// nested is a container that the API may name, mostly one within another. It is remembered until its executor's is gone or somebody
// removes it, so that its end can be asked for.
type nested struct {
	id mesos.ContainerID
	// What follows is set before ready is closed.
	ready   chan struct{}
	spec    container.Spec
	owner   sandbox.Owner
	own     string        // the sandbox that is its own; empty for none
	process running       // nil if none could be started
	ended   chan struct{} // closed when it has ended
	// What follows is set before ended is closed.
	status     int32            // its wait status
	limitation *core.Limitation // why it was destroyed, if it used too much
	// ctx ends with a standalone container, by cancel; both are nil for others.
	ctx    context.Context
	cancel context.CancelFunc
}

// running is the process of a container.
type running interface {
	PID() int
	Signal(s syscall.Signal, tree bool)
}

// end says that a standalone container has ended.
func (n *nested) end() {
	close(n.ended)
	n.cancel()
}

// lives says whether a container runs.
func (n *nested) lives() bool {
	select {
	case <-n.ended:
		return false
	default:
	}
	select {
	case <-n.ready:
		return n.process != nil
	default:
		return false
	}
}

// dotted is how a real agent writes a container's ID.
func dotted(id mesos.ContainerID) string {
	if id.Parent == nil {
		return id.Value
	}
	return dotted(*id.Parent) + "." + id.Value
}

// root is the executor's container that a container is in.
func root(id mesos.ContainerID) string {
	if id.Parent == nil {
		return id.Value
	}
	return root(*id.Parent)
}

// session launches a container that ends with its client.
func (a *Agent) session(w http.ResponseWriter, r *http.Request, id mesos.ContainerID, command *mesos.CommandInfo, info *mesos.ContainerInfo) error {
	media, err := wire.AcceptStream(w, r)
	if err != nil {
		return err
	}
	board, err := a.launchNested(id, command, info, core.Limits{}, true)
	if err != nil {
		return err
	}
	defer func() {
		if n := a.findNested(id); n != nil && n.process != nil {
			n.process.Signal(syscall.SIGKILL, true)
		}
	}()
	return a.serveOutput(w, r, media, board)
}

// place is where a nested container goes.
type place struct {
	parent *nested // which may be an executor's container
	made   *nested
	// ctx ends with the outermost container, whose user owns what nobody else
	// does.
	ctx   context.Context
	owner sandbox.Owner
}

// start starts a process in it; own says that it has limits of its own.
func (p place) start(spec container.Spec, own bool) (*container.Process, error) {
	switch parent := p.parent.process.(type) {
	case signaled:
		return parent.Nest(spec, own)
	case *container.Process:
		return parent.Nest(spec)
	}
	return nil, container.ErrEnded
}

// launchNested starts a container within another. A session's shares its parent's
// sandbox and environment, and always has a switchboard.
func (a *Agent) launchNested(id mesos.ContainerID, command *mesos.CommandInfo, info *mesos.ContainerInfo, limits core.Limits, session bool) (*switchboard.Switchboard, error) {
	p, err := a.reserve(id)
	if err != nil {
		return nil, err
	}
	if command == nil {
		command = &mesos.CommandInfo{}
	}
	own := ownCgroups(info)
	spec, closeLogs, err := container.Spec{}, func() {}, a.refusedNested(info, limits, own)
	if err == nil {
		spec, closeLogs, err = a.nestedSpec(p, id, command, info, session)
		spec.ID, spec.Limits = id.Value, limits
	}
	var board *switchboard.Switchboard
	if err == nil && (session || info.GetTTYInfo() != nil) {
		if board, err = a.connect(dotted(id), info.GetTTYInfo(), &spec, session); err == nil {
			logs := closeLogs
			closeLogs = func() {
				a.disconnect(dotted(id), board)
				logs()
			}
		}
	}
	if err == nil {
		err = a.startNested(p, spec, own, closeLogs)
	} else {
		closeLogs()
	}
	if err != nil {
		a.inputs.post(func(time.Time) { delete(a.nested, dotted(id)) })
		close(p.made.ready)
		close(p.made.ended)
		return nil, wire.BadRequest("%s", err)
	}
	return board, nil
}

// reserve takes the name of a nested container.
func (a *Agent) reserve(id mesos.ContainerID) (place, error) {
	var p place
	refused, ok := ask(a, func(time.Time) *wire.Error {
		name, parent := dotted(id), dotted(*id.Parent)
		if a.nested[name] != nil {
			return &wire.Error{Status: http.StatusAccepted}
		}
		top := a.nested[root(id)]
		if w := a.containers[root(id)]; w != nil {
			top, p.ctx = &w.self, w.ctx
		} else if top != nil {
			p.ctx = top.ctx
		}
		p.parent = top
		if id.Parent.Parent != nil {
			p.parent = a.nested[parent]
		}
		if top == nil || !top.lives() || p.parent == nil || !p.parent.lives() {
			return wire.BadRequest("Parent container %s does not exist", parent)
		}
		p.owner = top.owner
		p.made = &nested{id: id, ready: make(chan struct{}), ended: make(chan struct{})}
		a.nested[name] = p.made
		return nil
	})
	switch {
	case !ok:
		return p, wire.Unavailable("Agent has not finished recovery")
	case refused != nil:
		return p, refused
	}
	return p, nil
}

// nestedSpec is what a nested container runs, and where. The function that it
// returns is called in any case, when nothing uses the files any more.
func (a *Agent) nestedSpec(p place, id mesos.ContainerID, command *mesos.CommandInfo, info *mesos.ContainerInfo, session bool) (s container.Spec, done func(), err error) {
	done = func() {}
	dir, env, owner := p.parent.spec.Dir, p.parent.spec.Env, p.owner
	if session {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return s, done, err
		}
		s = container.Spec{Dir: dir, Env: withVariables(env, command, nil), Credential: owner.Credential, Stdout: null, Stderr: null}
		setCommand(&s, command)
		return s, func() { _ = null.Close() }, nil
	}
	above := dir
	dir, owner, err = sandbox.Nested(above, id.Value, "", command.GetUser(), owner)
	if err != nil {
		return s, done, err
	}
	if err := linkVolumes(dir, above, info.GetVolumes()); err != nil {
		return s, done, err
	}
	stdout, stderr, err := sandbox.Logs(dir, owner)
	if err != nil {
		return s, done, err
	}
	done = func() {
		_ = stdout.Close()
		_ = stderr.Close()
	}
	p.made.own = dir
	s = container.Spec{Dir: dir, Credential: owner.Credential, Stdout: stdout, Stderr: stderr}
	s.Env = withVariables([]string{"PATH=" + defaultPath}, command, map[string]string{
		"MESOS_CONTAINER_IP": a.ip, "MESOS_SANDBOX": dir,
	})
	setCommand(&s, command)
	return s, done, a.fetchAll(p.ctx, dotted(id), command.URIs, dir, owner, stderr)
}

// startNested starts a nested container's process; done is called at its end.
func (a *Agent) startNested(p place, spec container.Spec, own bool, done func()) error {
	n := p.made
	n.spec = spec
	process, err := p.start(spec, own)
	var notExecuted *container.NotExecutedError
	if errors.As(err, &notExecuted) {
		// A real agent's launch helper finds out.
		fmt.Fprintf(spec.Stderr, "Failed to execute '%s': %s\n", spec.Path, reason(notExecuted))
		n.status = int32(container.StatusNotExecuted)
		close(n.ready)
		close(n.ended)
		go done()
		return nil
	}
	if err != nil {
		done()
		return err
	}
	n.process = process
	close(n.ready)
	go func() {
		n.status = int32(process.Wait())
		n.limitation = process.Limitation()
		done()
		close(n.ended)
	}()
	return nil
}

// runsNested makes a container of the default executor one that the API knows.
func (a *Agent) runsNested(id mesos.ContainerID, spec container.Spec, process *container.Process) {
	n := &nested{id: id, ready: make(chan struct{}), ended: make(chan struct{}), spec: spec, own: spec.Dir, process: process}
	close(n.ready)
	a.inputs.post(func(time.Time) { a.nested[dotted(id)] = n })
	go func() {
		n.status = int32(process.Wait())
		n.limitation = process.Limitation()
		close(n.ended)
	}()
}

// ownCgroups says whether a nested container has limits of its own.
func ownCgroups(info *mesos.ContainerInfo) bool {
	linux := info.GetLinuxInfo()
	return linux != nil && linux.ShareCgroups != nil && !*linux.ShareCgroups
}

// refusedNested says why a nested container cannot be as it is described.
func (a *Agent) refusedNested(info *mesos.ContainerInfo, limits core.Limits, own bool) error {
	text := unsupported(info)
	if text == "" && own {
		text = a.lacking(limits)
	}
	if text != "" {
		return errors.New(text)
	}
	return nil
}

// forgetNested is called when an outermost container is gone.
func (a *Agent) forgetNested(top string) {
	a.inputs.post(func(time.Time) {
		for id := range a.nested {
			if strings.HasPrefix(id, top+".") {
				delete(a.nested, id)
			}
		}
	})
}
