package agent

import (
	"net/http"
	"os"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// onContainers returns what serves a call about containers, or nil for another.
func (a *Agent) onContainers(call *mesosagent.Call, there wire.Presence) wire.Handler {
	serve := func(name string, there bool, id func() mesos.ContainerID, nested bool, h func(http.ResponseWriter, *http.Request, mesos.ContainerID) error) wire.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			text := "Expecting '" + name + "' to be present"
			if there {
				text = invalidID(name, id(), nested)
			}
			if text == "" {
				text = invalidLaunch(call)
			}
			if text != "" {
				return wire.BadRequest("Failed to validate agent::Call: %s", text)
			}
			if err := a.mayTouch(a.operator(r), call, id()); err != nil {
				return err
			}
			return h(w, r, id())
		}
	}
	switch call.Type {
	case mesosagent.Call_ATTACH_CONTAINER_INPUT:
		return func(http.ResponseWriter, *http.Request) error {
			if text := invalidInput(call, there); text != "" {
				return wire.BadRequest("Failed to validate agent::Call: %s", text)
			}
			return &wire.Error{
				Status: http.StatusUnsupportedMediaType,
				Text:   "Expecting 'Content-Type' to be application/recordio for ATTACH_CONTAINER_INPUT call",
			}
		}
	case mesosagent.Call_ATTACH_CONTAINER_OUTPUT:
		c := call.AttachContainerOutput
		return serve("attach_container_output", c != nil, func() mesos.ContainerID { return c.ContainerID }, false, a.attachOutput)
	case mesosagent.Call_LAUNCH_NESTED_CONTAINER:
		c := call.LaunchNestedContainer
		return serve("launch_nested_container", c != nil, func() mesos.ContainerID { return c.ContainerID }, true,
			func(w http.ResponseWriter, _ *http.Request, id mesos.ContainerID) error {
				if _, err := a.launchNested(id, c.Command, c.Container, core.Limits{}, false); err != nil {
					return err
				}
				wire.WriteEmpty(w, http.StatusOK)
				return nil
			})
	case mesosagent.Call_LAUNCH_NESTED_CONTAINER_SESSION:
		c := call.LaunchNestedContainerSession
		return serve("launch_nested_container_session", c != nil, func() mesos.ContainerID { return c.ContainerID }, true,
			func(w http.ResponseWriter, r *http.Request, id mesos.ContainerID) error {
				return a.session(w, r, id, c.Command, c.Container)
			})
	case mesosagent.Call_WAIT_NESTED_CONTAINER:
		c := call.WaitNestedContainer
		return serve("wait_nested_container", c != nil, func() mesos.ContainerID { return c.ContainerID }, true,
			func(w http.ResponseWriter, r *http.Request, id mesos.ContainerID) error {
				return a.waitFor(w, r, id, func(n *nested) *mesosagent.Response {
					out := &mesosagent.Response_WaitNestedContainer{ExitStatus: &n.status}
					out.State, out.Reason, out.Limitation, out.Message = n.why()
					return &mesosagent.Response{Type: mesosagent.Response_WAIT_NESTED_CONTAINER, WaitNestedContainer: out}
				})
			})
	case mesosagent.Call_WAIT_CONTAINER:
		c := call.WaitContainer
		return serve("wait_container", c != nil, func() mesos.ContainerID { return c.ContainerID }, false,
			func(w http.ResponseWriter, r *http.Request, id mesos.ContainerID) error {
				return a.waitFor(w, r, id, func(n *nested) *mesosagent.Response {
					out := &mesosagent.Response_WaitContainer{ExitStatus: &n.status}
					out.State, out.Reason, out.Limitation, out.Message = n.why()
					return &mesosagent.Response{Type: mesosagent.Response_WAIT_CONTAINER, WaitContainer: out}
				})
			})
	case mesosagent.Call_LAUNCH_CONTAINER:
		c := call.LaunchContainer
		return serve("launch_container", c != nil, func() mesos.ContainerID { return c.ContainerID }, false,
			func(w http.ResponseWriter, _ *http.Request, id mesos.ContainerID) error {
				return a.launchContainer(w, id, c)
			})
	case mesosagent.Call_KILL_CONTAINER:
		c := call.KillContainer
		return serve("kill_container", c != nil, func() mesos.ContainerID { return c.ContainerID }, false,
			func(w http.ResponseWriter, _ *http.Request, id mesos.ContainerID) error {
				return a.kill(w, id, c.Signal)
			})
	case mesosagent.Call_REMOVE_NESTED_CONTAINER:
		c := call.RemoveNestedContainer
		return serve("remove_nested_container", c != nil, func() mesos.ContainerID { return c.ContainerID }, true, a.remove)
	case mesosagent.Call_REMOVE_CONTAINER:
		c := call.RemoveContainer
		return serve("remove_container", c != nil, func() mesos.ContainerID { return c.ContainerID }, false, a.remove)
	case mesosagent.Call_KILL_NESTED_CONTAINER:
		c := call.KillNestedContainer
		return serve("kill_nested_container", c != nil, func() mesos.ContainerID { return c.ContainerID }, true,
			func(w http.ResponseWriter, _ *http.Request, id mesos.ContainerID) error {
				return a.kill(w, id, c.Signal)
			})
	}
	return nil
}

// findNested returns a nested container once it is started, or nil.
func (a *Agent) findNested(id mesos.ContainerID) *nested {
	n, _ := ask(a, func(time.Time) *nested { return a.nested[dotted(id)] })
	if n != nil {
		<-n.ready
	}
	return n
}

// waitFor answers with a container's end once it has come.
func (a *Agent) waitFor(w http.ResponseWriter, r *http.Request, id mesos.ContainerID, response func(n *nested) *mesosagent.Response) error {
	media, err := wire.Accept(r)
	if err != nil {
		return err
	}
	n := a.findNested(id)
	if n == nil {
		n = a.findExecutor(id)
	}
	if n == nil {
		return &wire.Error{Status: http.StatusNotFound, Text: "Container " + dotted(id) + " cannot be found"}
	}
	select {
	case <-n.ended:
	case <-r.Context().Done():
		return nil // nobody is there to be told
	}
	body, err := a.schema.Encode(media, response(n))
	if err != nil {
		return err
	}
	wire.WriteBody(w, r, string(media), body)
	return nil
}

// why says for what a container was destroyed, all nil if it was not.
func (n *nested) why() (*mesos.TaskState, *mesos.TaskStatus_Reason, *mesos.TaskResourceLimitation, *string) {
	l := n.limitation
	if l == nil {
		return nil, nil, nil, nil
	}
	return mesos.TASK_FAILED.Enum(), l.Reason.Enum(), &mesos.TaskResourceLimitation{Resources: l.Resources}, &l.Message
}

// findExecutor returns an executor's container that runs, or nil.
func (a *Agent) findExecutor(id mesos.ContainerID) *nested {
	if id.Parent != nil {
		return nil
	}
	n, _ := ask(a, func(time.Time) *nested {
		if w := a.containers[id.Value]; w != nil && w.running != nil {
			return &w.self
		}
		return nil
	})
	return n
}

// kill sends a container's process a signal; nil means SIGKILL.
func (a *Agent) kill(w http.ResponseWriter, id mesos.ContainerID, with *int32) error {
	n := a.findNested(id)
	if n == nil {
		n = a.findExecutor(id)
	}
	if n == nil || !n.lives() {
		return &wire.Error{
			Status: http.StatusNotFound,
			Text:   "Container '" + dotted(id) + "' cannot be found (or is already killed)",
		}
	}
	signal := syscall.SIGKILL
	if with != nil {
		signal = syscall.Signal(*with)
	}
	n.process.Signal(signal, signal == syscall.SIGKILL)
	wire.WriteEmpty(w, http.StatusOK)
	return nil
}

// remove forgets a container that has ended, and removes its sandbox. A real agent
// dies of the call for a container without a parent; this one refuses it.
func (a *Agent) remove(w http.ResponseWriter, _ *http.Request, id mesos.ContainerID) error {
	if id.Parent == nil {
		return wire.BadRequest("Container %s has no parent, and is not removed", dotted(id))
	}
	if n := a.findNested(id); n != nil && n.lives() {
		return wire.Internal("Nested container has not terminated yet")
	}
	var sandbox string
	refused, ok := ask(a, func(time.Time) error {
		above := a.nested[root(id)]
		if a.containers[root(id)] == nil && (above == nil || !above.lives()) {
			return wire.Internal("Unknown root container")
		}
		if n := a.nested[dotted(id)]; n != nil {
			sandbox = n.own
			delete(a.nested, dotted(id))
		}
		return nil
	})
	if !ok {
		return wire.Unavailable("Agent has not finished recovery")
	}
	if refused != nil {
		return refused
	}
	if sandbox != "" {
		if err := os.RemoveAll(sandbox); err != nil {
			return wire.Internal("Failed to remove the sandbox directory: " + reason(err))
		}
	}
	wire.WriteEmpty(w, http.StatusOK)
	return nil
}
