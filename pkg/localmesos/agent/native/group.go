package native

import (
	"strings"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// Group is the default executor: it runs the tasks of groups in nested
// containers, kills a group when one of its tasks fails or is killed, and ends
// with its last task.
type Group struct {
	base
	greeted   bool     // it has said what it is
	children  []*child // in the order of launch
	ending    bool
	unhealthy bool
}

// child is a task in its nested container.
type child struct {
	task      mesos.TaskInfo
	group     []mesos.TaskInfo
	container string
	running   Running
	// answered says that the launch was answered; launched that it succeeded.
	answered, launched bool
	launchError        *LaunchError
	acked              bool
	// killing says that the task is being killed, and groupKilled that all of
	// its group is.
	killing, groupKilled, timedOut bool
	last                           mesos.TaskStatus
	checks                         []*checker
	stopTimeout                    func()
	// end is how the process has ended, and limitation why it was killed for it.
	end        *syscall.WaitStatus
	limitation *core.Limitation
}

// LaunchError says why a nested container was not launched.
type LaunchError struct {
	Text string
	// Made says that the container was made, and then killed: its end follows.
	Made bool
}

func (e *LaunchError) Error() string { return e.Text }

// failSafe bounds the wait for the acknowledgement of the last updates.
const failSafe = time.Minute

// NewGroup makes a default executor.
func NewGroup(s Settings, w World) *Group {
	g := &Group{base: base{Settings: s, world: w}}
	g.shutdown = g.end
	g.unackedTasks = func() []mesos.TaskInfo {
		var tasks []mesos.TaskInfo
		for _, c := range g.children {
			if c.launched && !c.acked {
				tasks = append(tasks, c.task)
			}
		}
		return tasks
	}
	return g
}

const groupSource = "default_executor.cpp"

// Event implements Executor.
func (g *Group) Event(e *executor.Event) {
	if g.gone {
		return
	}
	g.log(groupSource+":205", "Received %s event", e.Type)
	switch e.Type {
	case executor.Event_SUBSCRIBED:
		g.greet(groupSource+":209", e.Subscribed)
		for _, c := range g.children {
			resumeAll(c.checks)
		}
	case executor.Event_LAUNCH:
		g.world.Log('E', groupSource+":240", "LAUNCH event is not supported")
		g.end()
	case executor.Event_LAUNCH_GROUP:
		g.launch(e.LaunchGroup.TaskGroup.Tasks)
	case executor.Event_KILL:
		g.killTask(e.Kill.TaskID, e.Kill.KillPolicy)
	case executor.Event_ACKNOWLEDGED:
		if _, known := g.acknowledged(e.Acknowledged); !known {
			return
		}
		if c := g.child(e.Acknowledged.TaskID); c != nil {
			c.acked = true
		}
		if len(g.children) == 0 && len(g.unacked) == 0 {
			g.quit()
		}
	case executor.Event_SHUTDOWN:
		g.end()
	}
}

// Connected implements Executor.
func (g *Group) Connected() {
	if !g.greeted {
		g.greeted = true
		g.log(groupSource+":1796", "Using URL %s for the streaming endpoint", g.API)
		g.log("executor.cpp:210", "Version: %s", g.Version)
		g.log("executor.cpp:286", "Using URL %s/executor for the executor API endpoint", g.API)
	}
	g.base.Connected()
}

// quit ends the executor's process.
func (g *Group) quit() {
	g.log("process.cpp:935", "Stopped the socket accept loop")
	g.world.Exit(0)
}

// Disconnected implements Executor.
func (g *Group) Disconnected() {
	for _, c := range g.children {
		pauseAll(c.checks)
	}
	g.base.Disconnected()
}

// Gone implements Executor.
func (g *Group) Gone() {
	g.base.Gone()
	for _, c := range g.children {
		pauseAll(c.checks)
	}
}

func (g *Group) child(id mesos.TaskID) *child {
	for _, c := range g.children {
		if c.task.TaskID == id {
			return c
		}
	}
	return nil
}

// statusOf is a status that names the task's container.
func (g *Group) statusOf(c *child, state mesos.TaskState) mesos.TaskStatus {
	s := g.status(&c.task, state)
	parent := g.container
	s.ContainerStatus = &mesos.ContainerStatus{ContainerID: &mesos.ContainerID{Value: c.container, Parent: &parent}}
	return s
}

func (g *Group) update(c *child, s mesos.TaskStatus) {
	c.last = s
	g.forward(s)
}

func (g *Group) launch(tasks []mesos.TaskInfo) {
	if g.ending {
		g.warn(groupSource+":382", "Ignoring the launch group operation as the executor is shutting down")
		return
	}
	g.log(groupSource+":439", "Setting 'MESOS_CONTAINER_IP' to: %s", g.IP)
	var group []*child
	for _, t := range tasks {
		c := &child{task: t, group: tasks, container: g.world.NewContainerID()}
		g.children = append(g.children, c)
		group = append(group, c)
		g.update(c, g.statusOf(c, mesos.TASK_STARTING))
	}
	for _, c := range group {
		p := Process{
			Task: c.task.TaskID, Role: roleOf(&c.task), Resources: c.task.Resources, Limits: c.task.Limits, Container: c.container, Info: c.task.Container,
			Started: func(_ int, err error) { g.answered(group, c, err) },
			Ended: func(status syscall.WaitStatus, why *core.Limitation) {
				if c.end, c.limitation = &status, why; allAnswered(group) {
					g.ended(c)
				}
			},
		}
		if c.task.Command != nil {
			p.Command = *c.task.Command
		}
		c.running = g.world.Run(p)
	}
}

func allAnswered(group []*child) bool {
	for _, c := range group {
		if !c.answered {
			return false
		}
	}
	return true
}

// answered goes on when the whole group has been launched.
func (g *Group) answered(group []*child, c *child, err error) {
	if g.gone {
		return
	}
	c.answered = true
	if err != nil {
		c.launchError = asLaunchError(err)
	}
	if !allAnswered(group) {
		return
	}
	if g.ending {
		g.warn(groupSource+":545", "Ignoring the launch group operation as the executor is shutting down")
		return
	}
	for _, c := range group {
		g.begin(c)
	}
	g.log(groupSource+":690", "Finished launching tasks [ %s ] in child containers [ %s ]", names(group), g.containersOf(group))
	g.log(groupSource+":714", "Waiting on child containers of tasks [ %s ]", names(group))
	for _, c := range group {
		g.log(groupSource+":775", "Waiting for child container %s of task '%s'", g.containersOf([]*child{c}), c.task.TaskID.Value)
	}
	for _, c := range group {
		if c.end != nil || (c.launchError != nil && !c.launchError.Made) {
			g.ended(c)
		}
	}
}

func asLaunchError(err error) *LaunchError {
	if e, ok := err.(*LaunchError); ok {
		return e
	}
	return &LaunchError{Text: err.Error()}
}

func (g *Group) begin(c *child) {
	if c.launchError != nil {
		g.world.Log('E', groupSource+":595", "Received '400 Bad Request' ("+c.launchError.Text+") while launching child container "+
			g.containersOf([]*child{c})+" of task '"+c.task.TaskID.Value+"'")
		return
	}
	c.launched = true
	c.checks = startChecks(&g.base, &c.task, c.running,
		func(s *mesos.CheckStatusInfo) { g.checked(c, s) },
		func(healthy, kill bool) { g.health(c, healthy, kill) })
	if d := c.task.MaxCompletionTime; d != nil && d.Nanoseconds > 0 {
		limit := nanoseconds(d)
		c.stopTimeout = g.later(limit, func() { g.overdue(c, limit) })
	}
	g.update(c, g.statusOf(c, mesos.TASK_RUNNING))
}

func names(group []*child) string {
	var ids []string
	for _, c := range group {
		ids = append(ids, c.task.TaskID.Value)
	}
	return strings.Join(ids, ", ")
}

func (g *Group) containersOf(group []*child) string {
	var ids []string
	for _, c := range group {
		ids = append(ids, g.container.Value+"."+c.container)
	}
	return strings.Join(ids, ", ")
}

// ended tells the end of a task, and what it means for its group.
func (g *Group) ended(c *child) {
	if g.gone || g.child(c.task.TaskID) != c {
		return
	}
	pauseAll(c.checks)
	c.cancelTimeout()
	state, text, timedOut := c.outcome()
	s := g.statusOf(c, state)
	if timedOut {
		s.Reason = mesos.REASON_MAX_COMPLETION_TIME_REACHED.Enum()
	}
	if why := c.limitation; why != nil {
		// What the agent says goes before what the executor has found out.
		state, s.State, s.Reason = mesos.TASK_FAILED, mesos.TASK_FAILED.Enum(), why.Reason.Enum()
		s.Limitation = &mesos.TaskResourceLimitation{Resources: why.Resources}
		text += ": " + why.Message
	}
	suffix := ""
	if text != "" {
		s.Message = &text
		suffix = ": " + text
	}
	if g.unhealthy {
		s.Healthy = new(false)
	}
	g.update(c, s)
	g.log(groupSource+":982", "Child container %s of task '%s' completed in state %s%s",
		g.containersOf([]*child{c}), c.task.TaskID.Value, state, suffix)
	if !g.ending && !c.groupKilled && (state == mesos.TASK_FAILED || state == mesos.TASK_KILLED) {
		g.killGroup(c)
	}
	for i, other := range g.children {
		if other == c {
			g.children = append(g.children[:i:i], g.children[i+1:]...)
			break
		}
	}
	if len(g.children) == 0 {
		g.exit()
	}
}

// outcome is how a task ended, and what is said of it.
func (c *child) outcome() (state mesos.TaskState, text string, timedOut bool) {
	var status syscall.WaitStatus
	switch {
	case c.end != nil:
		status = *c.end
	case c.killing:
		return mesos.TASK_KILLED, "", false
	default:
		return mesos.TASK_FAILED, c.launchError.Text, false
	}
	text = "Command " + Explain(status)
	switch {
	case c.timedOut:
		return mesos.TASK_FAILED, text, true
	case c.killing:
		return mesos.TASK_KILLED, text, false
	case status.Exited() && status.ExitStatus() == 0:
		return mesos.TASK_FINISHED, text, false
	default:
		return mesos.TASK_FAILED, text, false
	}
}

func (g *Group) killGroup(c *child) {
	var ids []string
	for _, t := range c.group {
		ids = append(ids, t.TaskID.Value)
	}
	g.log(groupSource+":1003", "Killing task group containing tasks [ %s ]", strings.Join(ids, ", "))
	c.groupKilled = true
	for _, t := range c.group {
		other := g.child(t.TaskID)
		if other == nil || other == c {
			continue
		}
		other.groupKilled = true
		if !other.killing {
			g.kill(other, defaultGrace)
		}
	}
}

// end is what SHUTDOWN does.
func (g *Group) end() {
	if g.ending || g.gone {
		return
	}
	g.log(groupSource+":1048", "Shutting down")
	g.ending = true
	if len(g.children) == 0 || g.state != subscribed {
		g.exit()
		return
	}
	for _, c := range g.children {
		if !c.killing {
			g.kill(c, defaultGrace)
		}
	}
}

// exit ends the executor once its updates are acknowledged, or the time for
// that is over.
func (g *Group) exit() {
	if len(g.unacked) == 0 {
		g.quit()
		return
	}
	g.log(groupSource+":1109", "Terminating after %s", core.FormatDuration(failSafe))
	g.later(failSafe, func() { g.quit() })
}

func (g *Group) killTask(id mesos.TaskID, override *mesos.KillPolicy) {
	if g.ending {
		g.warn(groupSource+":1275", "Ignoring kill for task '%s' since the executor is shutting down", id.Value)
		return
	}
	g.log(groupSource+":1285", "Received kill for task '%s'", id.Value)
	c := g.child(id)
	switch {
	case c == nil:
		g.warn(groupSource+":1288", "Ignoring kill for task '%s' as it is no longer active", id.Value)
	case c.killing:
		g.warn(groupSource+":1295", "Ignoring kill for task '%s' as it is in the process of getting killed", id.Value)
	default:
		g.kill(c, graceOf(&c.task, override))
	}
}

func (g *Group) kill(c *child, grace time.Duration) {
	if !c.launched {
		return
	}
	c.cancelTimeout()
	c.killing = true
	pauseAll(c.checks)
	g.log(groupSource+":1160", "Killing task %s running in child container %s with SIGTERM signal",
		c.task.TaskID.Value, g.containersOf([]*child{c}))
	g.log(groupSource+":1171", "Scheduling escalation to SIGKILL in %s from now", core.FormatDuration(grace))
	g.later(max(0, grace), func() {
		if g.child(c.task.TaskID) != c {
			return
		}
		g.log(groupSource+":1249", "Task '%s' running in child container %s did not terminate after %s, sending SIGKILL to the container",
			c.task.TaskID.Value, g.containersOf([]*child{c}), core.FormatDuration(grace))
		c.running.Signal(syscall.SIGKILL, true)
	})
	if !c.timedOut && g.kills() {
		g.update(c, g.statusOf(c, mesos.TASK_KILLING))
	}
	c.running.Signal(syscall.SIGTERM, false)
}

func (g *Group) overdue(c *child, limit time.Duration) {
	if g.child(c.task.TaskID) != c || c.killing {
		return
	}
	g.log(groupSource+":1327", "Killing task %s which exceeded its maximum completion time of %s", c.task.TaskID.Value, core.FormatDuration(limit))
	c.stopTimeout, c.timedOut = nil, true
	g.kill(c, 0)
}

func (c *child) cancelTimeout() {
	if c.stopTimeout != nil {
		c.stopTimeout()
		c.stopTimeout = nil
	}
}

func (g *Group) checked(c *child, s *mesos.CheckStatusInfo) {
	if g.child(c.task.TaskID) != c || c.killing {
		return
	}
	g.log(groupSource+":1361", "Received check update '%s' for task '%s'", describe(s), c.task.TaskID.Value)
	update := g.again(c.last, mesos.REASON_TASK_CHECK_STATUS_UPDATED)
	update.CheckStatus = s
	g.update(c, update)
}

func (g *Group) health(c *child, healthy, kill bool) {
	if g.child(c.task.TaskID) != c || c.killing || g.state == disconnected {
		return
	}
	how := "not healthy"
	if healthy {
		how = "healthy"
	}
	g.log(groupSource+":1411", "Received task health update for task '%s', task is %s", c.task.TaskID.Value, how)
	update := g.again(c.last, mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED)
	update.Healthy = &healthy
	g.update(c, update)
	if kill {
		g.unhealthy = true
		g.killTask(c.task.TaskID, nil)
	}
}
