package native

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// Plan is what becomes of a task that is only played.
type Plan struct {
	// Start is the time from the launch to TASK_RUNNING.
	Start time.Duration
	// Run is the time from there to the end; zero means until the task is
	// killed.
	Run time.Duration
	// Stop is the time that the task takes to end when it is killed.
	Stop time.Duration
	// End is the task's last state when it is not killed, TASK_FINISHED unless
	// set, and Message what that says.
	End     mesos.TaskState
	Message string
}

// unset is the end of a plan that names none: no task ends starting.
const unset = mesos.TASK_STARTING

// Fake is an executor that runs nothing: what becomes of a task is planned. It
// says nothing of TASK_STARTING, and ends when it is told to.
type Fake struct {
	base
	plan  func(mesos.TaskInfo) Plan
	tasks map[mesos.TaskID]*fakeTask
	// alone means that it ends with its task, as a command executor.
	alone bool
}

type fakeTask struct {
	info  mesos.TaskInfo
	plan  Plan
	stop  func() // ends the timer for what comes next
	acked bool
}

// NewFake makes an executor whose tasks do what plan says. With alone, it ends
// with its last task.
func NewFake(s Settings, w World, plan func(mesos.TaskInfo) Plan, alone bool) *Fake {
	f := &Fake{base: base{Settings: s, world: w}, plan: plan, alone: alone}
	f.shutdown = f.end
	f.unackedTasks = func() []mesos.TaskInfo {
		var tasks []mesos.TaskInfo
		for _, t := range f.tasks {
			if !t.acked {
				tasks = append(tasks, t.info)
			}
		}
		return tasks
	}
	return f
}

// Event implements Executor.
func (f *Fake) Event(e *executor.Event) {
	if f.gone {
		return
	}
	switch e.Type {
	case executor.Event_SUBSCRIBED:
		f.state, f.info = subscribed, e.Subscribed.FrameworkInfo
	case executor.Event_LAUNCH:
		f.launch(e.Launch.Task)
	case executor.Event_LAUNCH_GROUP:
		for _, t := range e.LaunchGroup.TaskGroup.Tasks {
			f.launch(t)
		}
	case executor.Event_KILL:
		if t := f.tasks[e.Kill.TaskID]; t != nil {
			f.kill(t)
		}
	case executor.Event_ACKNOWLEDGED:
		f.acknowledged(e.Acknowledged)
		if t := f.tasks[e.Acknowledged.TaskID]; t != nil {
			t.acked = true
		}
		if f.alone && len(f.tasks) == 0 && len(f.unacked) == 0 {
			f.world.Exit(0)
		}
	case executor.Event_SHUTDOWN:
		f.end()
	}
}

func (f *Fake) launch(info mesos.TaskInfo) {
	t := &fakeTask{info: info}
	if f.plan != nil {
		t.plan = f.plan(info)
	}
	if f.tasks == nil {
		f.tasks = map[mesos.TaskID]*fakeTask{}
	}
	f.tasks[info.TaskID] = t
	f.after(t, t.plan.Start, func() {
		f.forward(f.status(&t.info, mesos.TASK_RUNNING))
		if t.plan.Run > 0 {
			f.after(t, t.plan.Run, func() {
				state := mesos.TASK_FINISHED
				if t.plan.End != unset {
					state = t.plan.End
				}
				f.finish(t, state, t.plan.Message)
			})
		}
	})
}

// after does what comes next for a task, at once if there is nothing to wait for.
func (f *Fake) after(t *fakeTask, d time.Duration, next func()) {
	if t.stop != nil {
		t.stop()
		t.stop = nil
	}
	if d <= 0 {
		next()
		return
	}
	t.stop = f.later(d, next)
}

func (f *Fake) kill(t *fakeTask) {
	f.after(t, t.plan.Stop, func() { f.finish(t, mesos.TASK_KILLED, "") })
}

func (f *Fake) finish(t *fakeTask, state mesos.TaskState, text string) {
	delete(f.tasks, t.info.TaskID)
	s := f.status(&t.info, state)
	if text != "" {
		s.Message = &text
	}
	f.forward(s)
}

// end is what SHUTDOWN does: a fake has nothing to wait for.
func (f *Fake) end() {
	if !f.gone {
		f.world.Exit(0)
	}
}

// Gone implements Executor.
func (f *Fake) Gone() {
	f.base.Gone()
	for _, t := range f.tasks {
		if t.stop != nil {
			t.stop()
		}
	}
}
