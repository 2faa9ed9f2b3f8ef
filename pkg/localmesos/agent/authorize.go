package agent

import (
	"net/http"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// What the ACLs say of those who use the agent's endpoints: what they may not see
// is left out, and what they may not do is refused (src/slave/http.cpp and
// src/authorizer/local/authorizer.cpp). Executors are asked for nothing.

// errForbidden refuses what the ACLs do not allow.
var errForbidden = wire.Forbidden("403 Forbidden.")

// operator is who makes a request, as far as the ACLs want to know.
type operator struct {
	rules     *acl.Rules
	principal string // empty if it need not authenticate
}

func (a *Agent) operator(r *http.Request) operator {
	return operator{rules: a.options.ACLs, principal: wire.Principal(r)}
}

func (o operator) may(action acl.Action, user string) bool {
	return o.rules.Allow(o.principal, action, user)
}

func (o operator) mayAny(action acl.Action) bool { return o.rules.AllowAny(o.principal, action) }

// needs is errForbidden unless the operator may do something that is about no
// object.
func (o operator) needs(action acl.Action) error {
	if !o.mayAny(action) {
		return errForbidden
	}
	return nil
}

func (o operator) seesFlags() bool { return o.mayAny(acl.ViewFlags) }

// endpoint serves what rules on endpoints may be about, by its path.
func (a *Agent) endpoint(path string, h wire.Handler) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !a.operator(r).may(acl.GetEndpoints, path) {
			return errForbidden
		}
		return h(w, r)
	}
}

// action is what a call does to a container, by where that is.
type action struct{ nested, standalone acl.Action }

var containerActions = map[mesosagent.Call_Type]action{
	mesosagent.Call_WAIT_NESTED_CONTAINER:   {acl.WaitNestedContainers, acl.WaitStandaloneContainers},
	mesosagent.Call_WAIT_CONTAINER:          {acl.WaitNestedContainers, acl.WaitStandaloneContainers},
	mesosagent.Call_KILL_NESTED_CONTAINER:   {acl.KillNestedContainers, acl.KillStandaloneContainers},
	mesosagent.Call_KILL_CONTAINER:          {acl.KillNestedContainers, acl.KillStandaloneContainers},
	mesosagent.Call_REMOVE_NESTED_CONTAINER: {acl.RemoveNestedContainers, acl.RemoveStandaloneContainers},
	mesosagent.Call_REMOVE_CONTAINER:        {acl.RemoveNestedContainers, acl.RemoveStandaloneContainers},
	mesosagent.Call_LAUNCH_NESTED_CONTAINER: {acl.LaunchNestedContainersUnderUser, acl.LaunchStandaloneContainers},
	mesosagent.Call_LAUNCH_CONTAINER:        {acl.LaunchNestedContainersUnderUser, acl.LaunchStandaloneContainers},

	mesosagent.Call_LAUNCH_NESTED_CONTAINER_SESSION: {nested: acl.LaunchSessionsUnderUser},
}

// mayTouch is errForbidden for a call about a container that the operator may not
// make.
func (a *Agent) mayTouch(o operator, call *mesosagent.Call, id mesos.ContainerID) error {
	does, asked := containerActions[call.Type]
	if !asked || o.rules == nil {
		return nil
	}
	user, known := a.userOf(id)
	allowed := false
	switch {
	case id.Parent == nil:
		allowed = o.mayAny(does.standalone)
	case known:
		allowed = o.may(does.nested, user) && o.mayRun(call)
	default:
		allowed = o.mayAny(does.nested)
	}
	if !allowed {
		return errForbidden
	}
	return nil
}

// mayRun says whether the operator may have a command run as its user; what runs
// nothing it may.
func (o operator) mayRun(call *mesosagent.Call) bool {
	var command *mesos.CommandInfo
	as := acl.LaunchNestedContainersAsUser
	switch call.Type {
	case mesosagent.Call_LAUNCH_NESTED_CONTAINER:
		command = call.LaunchNestedContainer.Command
	case mesosagent.Call_LAUNCH_CONTAINER:
		command = call.LaunchContainer.Command
	case mesosagent.Call_LAUNCH_NESTED_CONTAINER_SESSION:
		command, as = call.LaunchNestedContainerSession.Command, acl.LaunchSessionsAsUser
	default:
		return true
	}
	if command != nil && command.User != nil {
		return o.may(as, *command.User)
	}
	return o.mayAny(as)
}

// mayAttach is errForbidden if the operator may not attach to an executor's
// container or one within it.
func (a *Agent) mayAttach(o operator, id mesos.ContainerID, does acl.Action) error {
	if user, known := a.userOf(id); known && !o.may(does, user) {
		return errForbidden
	}
	return nil
}

// userOf is whom the executor runs as that a container belongs to, if it belongs to
// one.
func (a *Agent) userOf(id mesos.ContainerID) (user string, known bool) {
	w, _ := ask(a, func(time.Time) *worker { return a.containers[root(id)] })
	if w == nil {
		return "", false
	}
	return w.user(), true
}

// seen is what an operator may see of the state.
func (o operator) seen(v core.View) core.View {
	if o.rules == nil {
		return v
	}
	v.Frameworks, v.Completed = o.frameworks(v.Frameworks), o.frameworks(v.Completed)
	return v
}

func (o operator) frameworks(all []core.FrameworkView) []core.FrameworkView {
	var shown []core.FrameworkView
	for _, f := range all {
		if !o.may(acl.ViewFrameworks, f.Info.User) {
			continue
		}
		f.Executors, f.Completed = o.executors(f, f.Executors), o.executors(f, f.Completed)
		shown = append(shown, f)
	}
	return shown
}

func (o operator) executors(f core.FrameworkView, all []core.ExecutorView) []core.ExecutorView {
	var shown []core.ExecutorView
	for _, e := range all {
		if !o.may(acl.ViewExecutors, userOr(e.Info.Command.GetUser(), f.Info.User)) {
			continue
		}
		e.Tasks, e.Ended, e.Completed = o.tasks(f, e.Tasks), o.tasks(f, e.Ended), o.tasks(f, e.Completed)
		var queued []mesos.TaskInfo
		for i := range e.Queued {
			own := e.Queued[i].GetCommand().GetUser()
			if own == "" {
				own = e.Queued[i].GetExecutor().GetCommand().GetUser()
			}
			if o.may(acl.ViewTasks, userOr(own, f.Info.User)) {
				queued = append(queued, e.Queued[i])
			}
		}
		e.Queued = queued
		shown = append(shown, e)
	}
	return shown
}

func (o operator) tasks(f core.FrameworkView, all []mesos.Task) []mesos.Task {
	var shown []mesos.Task
	for i := range all {
		if o.may(acl.ViewTasks, userOr(all[i].GetUser(), f.Info.User)) {
			shown = append(shown, all[i])
		}
	}
	return shown
}

func userOr(user, otherwise string) string {
	if user == "" {
		return otherwise
	}
	return user
}
