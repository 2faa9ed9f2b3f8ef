package master

import (
	"errors"
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/master/validation"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// acceptance is an ACCEPT call on its way: what is left of its offers, and
// where and for whom they are.
type acceptance struct {
	core *core
	f    *framework
	a    *agent
	role string
	// offered is what the offers held, and rest what is left of it, operations
	// on it included.
	offered, rest resource.Resources
	// resized are the volumes of operations that have changed their size.
	resized resource.Resources
}

// accept handles ACCEPT. One bad offer spoils the whole call and gives back the
// good ones; otherwise all are used up, whatever becomes of the operations, and
// what those leave over is refused by the call's filters. Operations fail one
// by one.
func (c *core) accept(f *framework, call *scheduler.Call_Accept, sent wire.Presence) {
	for i := range call.Operations {
		if op := &call.Operations[i]; op.Type == mesos.Offer_Operation_LAUNCH {
			if len(op.GetLaunch().GetTaskInfos()) > 0 {
				c.metrics.messages["launch_tasks"]++
			} else {
				c.metrics.messages["decline_offers"]++
			}
		}
	}
	if err := c.acceptable(f, call.OfferIDs); err != nil {
		for _, id := range call.OfferIDs {
			if o := c.offers[offerID(id.Value)]; o != nil {
				c.removeOffer(o, 0)
			}
		}
		c.refuseOperations(f, call.Operations, err)
		return
	}
	first := f.offers[offerID(call.OfferIDs[0].Value)]
	acc := acceptance{core: c, f: f, a: c.agents[first.agent], role: first.role}
	f.counts["offers/accepted"] += len(call.OfferIDs)
	for _, id := range call.OfferIDs {
		o := f.offers[offerID(id.Value)]
		acc.offered = acc.offered.Add(o.resources)
		c.forgetOffer(o)
	}
	acc.rest = acc.offered
	// Bad resources are found in all operations before the first is done.
	var sound []int
	for i := range call.Operations {
		if acc.sound(&call.Operations[i]) {
			sound = append(sound, i)
		}
	}
	operations := sent.List("accept", "operations")
	for _, i := range sound {
		acc.perform(&call.Operations[i], operations[i])
	}
	acc.giveBack(refusal(call.Filters))
}

// acceptable looks at the offers of an ACCEPT.
func (c *core) acceptable(f *framework, ids []mesos.OfferID) error {
	if len(ids) == 0 {
		return errors.New("No offers specified")
	}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			return fmt.Errorf("Duplicate offer %s in offer list", id.Value)
		}
	}
	for _, id := range ids {
		if c.offers[offerID(id.Value)] == nil {
			return fmt.Errorf("Offer %s is no longer valid", id.Value)
		}
	}
	first := c.offers[offerID(ids[0].Value)]
	for _, id := range ids {
		if o := c.offers[offerID(id.Value)]; o.framework != f.id {
			return fmt.Errorf("Offer %s has invalid framework %s while framework %s is expected", id.Value, o.framework, f.id)
		}
	}
	for _, id := range ids {
		if o := c.offers[offerID(id.Value)]; o.role != first.role {
			return fmt.Errorf("Aggregated offers must be allocated to the same role. Offer %s uses role '%s but another is using role '%s", id.Value, o.role, first.role)
		}
	}
	for _, id := range ids {
		if o := c.offers[offerID(id.Value)]; o.agent != first.agent {
			return fmt.Errorf("Aggregated offers must belong to one single agent. Offer %s uses agent %s and agent %s", id.Value, o.agent, first.agent)
		}
	}
	return nil
}

// refuseOperations answers the operations of an ACCEPT with invalid offers.
func (c *core) refuseOperations(f *framework, operations []mesos.Offer_Operation, because error) {
	state := mesos.TASK_LOST
	if f.partitionAware() {
		state = mesos.TASK_DROPPED
	}
	for i := range operations {
		op := &operations[i]
		tasks, launch := tasksOf(op)
		if !launch {
			c.drop(f, op, "Operation attempted with invalid offers: "+because.Error())
			continue
		}
		for j := range tasks {
			c.tell(f, &tasks[j], state, mesos.REASON_INVALID_OFFERS, "Task launched with invalid offers: "+because.Error())
		}
	}
}

// tasksOf returns the tasks that an operation launches, and whether it is one
// that launches.
func tasksOf(op *mesos.Offer_Operation) ([]mesos.TaskInfo, bool) {
	switch op.Type {
	case mesos.Offer_Operation_LAUNCH:
		return op.GetLaunch().GetTaskInfos(), true
	case mesos.Offer_Operation_LAUNCH_GROUP:
		if op.LaunchGroup == nil {
			return nil, true
		}
		return op.LaunchGroup.TaskGroup.Tasks, true
	}
	return nil, false
}

// tell sends a status for a task that is not launched.
func (c *core) tell(f *framework, task *mesos.TaskInfo, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) {
	c.metrics.states[state]++
	f.countEnded(state)
	status := c.status(task.TaskID, state, reason, message)
	c.metrics.counters.task(&status)
	status.AgentID = &mesos.AgentID{Value: task.AgentID.Value}
	f.update(status)
}

// fail sends TASK_ERROR for every task of an operation.
func (acc *acceptance) fail(op *mesos.Offer_Operation, because error) {
	reason := mesos.REASON_TASK_INVALID
	if op.Type == mesos.Offer_Operation_LAUNCH_GROUP {
		reason = mesos.REASON_TASK_GROUP_INVALID
	}
	acc.failFor(op, reason, because.Error())
}

func (acc *acceptance) failFor(op *mesos.Offer_Operation, reason mesos.TaskStatus_Reason, because string) {
	tasks, _ := tasksOf(op)
	for i := range tasks {
		acc.core.tell(acc.f, &tasks[i], mesos.TASK_ERROR, reason, because)
	}
}

// drop refuses an operation other than a launch. The framework hears of it if
// it gave the operation an ID.
func (c *core) drop(f *framework, op *mesos.Offer_Operation, message string) {
	c.options.Logger.WithFields(map[string]any{"framework": string(f.id), "operation": op.Type.String()}).Warn("operation dropped: " + message)
	c.metrics.counters.operation(op.Type, mesos.OPERATION_ERROR, 1)
	if op.ID == nil {
		return
	}
	f.updateOperation(mesos.OperationStatus{OperationID: op.ID, State: mesos.OPERATION_ERROR, Message: &message})
}

// sound refuses an operation whose resources are no resources, or that has an
// ID and may not.
func (acc *acceptance) sound(op *mesos.Offer_Operation) bool {
	tasks, launch := tasksOf(op)
	if !launch {
		return acc.soundConversion(op)
	}
	lists := make([][]mesos.Resource, 0, 2*len(tasks)+1)
	for i := range tasks {
		lists = append(lists, tasks[i].Resources)
		if tasks[i].Executor != nil {
			lists = append(lists, tasks[i].Executor.Resources)
		}
	}
	if op.LaunchGroup != nil {
		lists = append(lists, op.LaunchGroup.Executor.Resources)
	}
	for _, list := range lists {
		if _, err := resource.FromMesos(list); err != nil {
			acc.fail(op, err)
			return false
		}
	}
	if op.ID != nil {
		acc.fail(op, fmt.Errorf("The `id` field cannot be set on %s operations", op.Type))
		return false
	}
	return true
}

// perform does one operation.
func (acc *acceptance) perform(op *mesos.Offer_Operation, sent wire.Presence) {
	switch op.Type {
	case mesos.Offer_Operation_LAUNCH:
		for i := range op.GetLaunch().GetTaskInfos() {
			acc.launch(&op.Launch.TaskInfos[i])
		}
	case mesos.Offer_Operation_LAUNCH_GROUP:
		if op.LaunchGroup != nil {
			acc.launchGroup(op, sent.Has("launch_group", "executor", "type"))
		}
	case mesos.Offer_Operation_UNKNOWN:
		// A real master passes over these without a word.
	default:
		acc.convert(op)
	}
}

// normalize returns resources in the refined form, allocated to the role unless
// they say otherwise; in their order, and with those of no amount.
func (acc *acceptance) normalize(list []mesos.Resource) []mesos.Resource {
	var out []mesos.Resource
	for _, r := range list {
		r = resource.Upgrade(r)
		if r.AllocationInfo == nil {
			r.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &acc.role}
		}
		out = append(out, r)
	}
	return out
}

// rules is what the validation has to know.
func (acc *acceptance) rules() *validation.Launch {
	running := func(id string) *mesos.ExecutorInfo {
		if e := acc.f.executors[acc.a.id][executorID(id)]; e != nil {
			return &e.info
		}
		return nil
	}
	return &validation.Launch{
		FrameworkID: string(acc.f.id),
		AgentID:     string(acc.a.id),
		Offered:     acc.rest,
		Running:     running,
		Known: func(id string) (bool, bool) {
			unreachable := slices.ContainsFunc(acc.f.unreachable, func(t *task) bool { return string(t.id()) == id })
			return acc.f.tasks[taskID(id)] != nil || unreachable, unreachable
		},
		Shares: func(id string) (share, any bool) {
			for _, t := range acc.a.tasks[acc.f.id] {
				if t.info.ExecutorID != nil && t.info.ExecutorID.Value == id {
					return validation.SharesCgroups(t.info.Container), true
				}
			}
			return false, false
		},
		Dump: func(e *mesos.ExecutorInfo) string { return acc.core.options.Schema.Text(e) },
	}
}

// launch launches one task of a LAUNCH operation.
func (acc *acceptance) launch(task *mesos.TaskInfo) {
	if action := acc.unauthorized(task); action != "" {
		acc.core.tell(acc.f, task, mesos.TASK_ERROR, mesos.REASON_TASK_UNAUTHORIZED,
			fmt.Sprintf("Principal '%s' no authorized to %s", acc.f.info.GetPrincipal(), action))
		return
	}
	task.Resources = acc.normalize(task.Resources)
	if e := task.Executor; e != nil {
		e.Resources = acc.normalize(e.Resources)
		if e.FrameworkID == nil {
			e.FrameworkID = &mesos.FrameworkID{Value: string(acc.f.id)}
		}
	}
	guessCheck(task.HealthCheck)
	if err := acc.rules().Task(task); err != nil {
		acc.core.tell(acc.f, task, mesos.TASK_ERROR, mesos.REASON_TASK_INVALID, err.Error())
		return
	}
	launch := task.Executor == nil || acc.useExecutor(task.Executor)
	acc.useTask(task)
	acc.f.count("operations", mesos.Offer_Operation_LAUNCH.String())
	acc.a.link.RunTask(acc.f.info, *task, launch)
}

// guessCheck tells the type of a health check that has none by what it has, which
// tasks of a group are not granted.
func guessCheck(h *mesos.HealthCheck) {
	switch {
	case h == nil || h.Type != mesos.HealthCheck_UNKNOWN || (h.Command == nil) == (h.HTTP == nil):
	case h.Command != nil:
		h.Type = mesos.HealthCheck_COMMAND
	default:
		h.Type = mesos.HealthCheck_HTTP
	}
}

// launchGroup launches a task group, all or nothing.
func (acc *acceptance) launchGroup(op *mesos.Offer_Operation, typed bool) {
	executor, group := &op.LaunchGroup.Executor, &op.LaunchGroup.TaskGroup
	executor.Resources = acc.normalize(executor.Resources)
	for i := range group.Tasks {
		t := &group.Tasks[i]
		t.Resources = acc.normalize(t.Resources)
		if t.Executor == nil {
			t.Executor = executor
		} else {
			t.Executor.Resources = acc.normalize(t.Executor.Resources)
		}
	}
	for i := len(group.Tasks) - 1; i >= 0; i-- {
		// The last one that is refused is told of; its text lacks a blank.
		if action := acc.unauthorized(&group.Tasks[i]); action != "" {
			acc.failFor(op, mesos.REASON_TASK_GROUP_UNAUTHORIZED, fmt.Sprintf("Task '%s' is not authorized to%s", group.Tasks[i].TaskID.Value, action))
			return
		}
	}
	if err := acc.rules().Group(executor, typed, group); err != nil {
		acc.fail(op, err)
		return
	}
	// The executor of an empty group is accounted for, as a real master does,
	// though no agent ever starts it.
	launch := acc.useExecutor(executor)
	if len(group.Tasks) == 0 {
		return
	}
	for i := range group.Tasks {
		acc.useTask(&group.Tasks[i])
	}
	acc.f.count("operations", mesos.Offer_Operation_LAUNCH_GROUP.String())
	acc.a.link.RunTaskGroup(acc.f.info, *executor, *group, launch)
}

// take moves resources from what is left of the offers to what is used.
func (acc *acceptance) take(list []mesos.Resource) {
	used, err := resource.FromMesos(list)
	if err == nil {
		var rest resource.Resources
		if rest, err = acc.rest.Subtract(used); err == nil {
			acc.rest = rest
			return
		}
	}
	// The validation has found them to be there.
	acc.core.options.Logger.WithError(err).Error("cannot account for the resources of a launch")
}

// useExecutor takes what an executor needs that does not run yet, which it reports.
func (acc *acceptance) useExecutor(info *mesos.ExecutorInfo) bool {
	if acc.f.executors[acc.a.id][executorID(info.ExecutorID.Value)] != nil {
		return false
	}
	acc.take(info.Resources)
	acc.core.addExecutor(acc.f, acc.a, *info)
	return true
}

func (acc *acceptance) useTask(info *mesos.TaskInfo) {
	acc.take(info.Resources)
	resources, _ := resource.FromMesos(info.Resources)
	t := &task{
		info: mesos.Task{
			Name:        info.Name,
			TaskID:      info.TaskID,
			FrameworkID: mesos.FrameworkID{Value: string(acc.f.id)},
			AgentID:     info.AgentID,
			State:       mesos.TASK_STAGING.Enum(),
			Resources:   info.Resources,
			Labels:      info.Labels,
			Discovery:   info.Discovery,
			Container:   info.Container,
			HealthCheck: info.HealthCheck,
			KillPolicy:  info.KillPolicy,
		},
		limits:    info.Limits,
		resources: resources,
	}
	if e := info.Executor; e != nil {
		t.info.ExecutorID = &mesos.ExecutorID{Value: e.ExecutorID.Value}
	}
	t.info.User = runAs(info)
	acc.core.insertTask(acc.f, acc.a, t)
	acc.core.tellTaskAdded(t)
}

// runAs returns the user that a task itself asks to run as, if it does.
func runAs(task *mesos.TaskInfo) *string {
	switch {
	case task.Command != nil && task.Command.User != nil:
		return task.Command.User
	case task.Executor != nil && task.Executor.Command != nil:
		return task.Executor.Command.User
	}
	return nil
}
