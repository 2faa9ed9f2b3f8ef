package agent

import (
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

// nested is a container that no executor has asked the agent for, mostly one
// within another. It is remembered until its executor's is gone or somebody
// removes it, so that its end can be asked for.
type nested struct {
	id mesos.ContainerID
	// What follows is set before ready is closed.
	ready   chan struct{}
	spec    container.Spec
	own     string        // the sandbox that is its own; empty for none
	process running       // nil if none could be started
	limits  *core.Limits  // what was asked for it, or nil if nothing was
	ended   chan struct{} // closed when it has ended
	status  int32         // its wait status, set before
}

// running is the process of a container.
type running interface {
	PID() int
	Signal(s syscall.Signal, tree bool)
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

// invalidID says what is wrong with a container's ID (validateContainerId in
// src/slave/validation.cpp), or nothing.
func invalidID(call string, id mesos.ContainerID, nested bool) string {
	const longest = 242
	text := ""
	for at, prefix := &id, ""; at != nil && text == ""; at, prefix = at.Parent, prefix+"'ContainerID.parent' is invalid: " {
		switch v := at.Value; {
		case v == "":
			text = prefix + "ID must not be empty"
		case v == "..":
			text = prefix + "'..' is disallowed"
		case strings.ContainsAny(v, "/\\"):
			text = fmt.Sprintf("%s'%s' contains invalid characters", prefix, v)
		case len(v) > longest:
			text = fmt.Sprintf("%s'ContainerID.value' '%s' exceeds the maximum length (%d)", prefix, v, longest)
		case strings.ContainsAny(v, ". "):
			text = fmt.Sprintf("%s'ContainerID.value' '%s' contains invalid characters", prefix, v)
		}
	}
	if text != "" {
		return "'" + call + ".container_id' is invalid: " + text
	}
	if nested && id.Parent == nil {
		return "Expecting '" + call + ".container_id.parent' to be present"
	}
	return ""
}

// session launches a container that ends with its client.
func (a *Agent) session(w http.ResponseWriter, r *http.Request, id mesos.ContainerID, command *mesos.CommandInfo, info *mesos.ContainerInfo) error {
	media, err := wire.AcceptStream(w, r)
	if err != nil {
		return err
	}
	board, err := a.launchNested(id, command, info, true)
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
	worker *worker
	parent *nested // nil for the executor's own container
	made   *nested
}

// launchNested starts a container within another. A session's shares its parent's
// sandbox and environment, and always has a switchboard.
func (a *Agent) launchNested(id mesos.ContainerID, command *mesos.CommandInfo, info *mesos.ContainerInfo, session bool) (*switchboard.Switchboard, error) {
	p, err := a.reserve(id)
	if err != nil {
		return nil, err
	}
	if command == nil {
		command = &mesos.CommandInfo{}
	}
	if p.parent != nil {
		<-p.parent.ready
	}
	spec, closeLogs, err := a.nestedSpec(p, id, command, info, session)
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
		err = a.startNested(p, spec, closeLogs)
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
		p.worker, p.parent = a.containers[root(id)], a.nested[parent]
		if p.worker == nil || p.worker.running == nil || (id.Parent.Parent != nil && (p.parent == nil || !p.parent.lives())) {
			return wire.BadRequest("Parent container %s does not exist", parent)
		}
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
	dir, env, owner := a.sandboxPath(p.worker.launch).Dir(), p.worker.env, p.worker.owner
	if p.parent != nil {
		dir, env = p.parent.spec.Dir, p.parent.spec.Env
	}
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
	return s, done, a.fetchAll(p.worker.ctx, dotted(id), command.URIs, dir, owner, stderr)
}

// startNested starts a nested container's process; done is called at its end.
func (a *Agent) startNested(p place, spec container.Spec, done func()) error {
	n := p.made
	n.spec = spec
	process, err := p.worker.running.Exec(spec, true)
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
		done()
		close(n.ended)
	}()
	return nil
}

// runsNested makes a container of the default executor one that the API knows.
func (a *Agent) runsNested(id mesos.ContainerID, limits core.Limits, spec container.Spec, process *container.Process) {
	n := &nested{id: id, ready: make(chan struct{}), ended: make(chan struct{}), spec: spec, own: spec.Dir, process: process, limits: &limits}
	close(n.ready)
	a.inputs.post(func(time.Time) { a.nested[dotted(id)] = n })
	go func() {
		n.status = int32(process.Wait())
		close(n.ended)
	}()
}

// forgetNested is called when an executor's container is gone.
func (a *Agent) forgetNested(executor string) {
	a.inputs.post(func(time.Time) {
		for id := range a.nested {
			if strings.HasPrefix(id, executor+".") {
				delete(a.nested, id)
			}
		}
	})
}
