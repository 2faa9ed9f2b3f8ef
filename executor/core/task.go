package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// phase is how far a task has come; see the package's doc for the legal moves.
type phase int

const (
	queued   phase = iota // Waits to be begun.
	fetching              // Its files are being brought.
	waiting               // Has its files, and waits for its turn in the group.
	starting              // Its start is under way.
	running               // Its workload runs.
	resting               // Its workload has ended, and will be started again.
	ended                 // Its terminal update is in the outbox.
)

func (p phase) String() string {
	switch p {
	case queued:
		return "queued"
	case fetching:
		return "fetching"
	case waiting:
		return "waiting"
	case starting:
		return "starting"
	case running:
		return "running"
	case resting:
		return "resting"
	case ended:
		return "ended"
	default:
		return "unknown"
	}
}

// task is one execution of a task.
type task struct {
	run      Run
	order    Run // its first run, which is its place among all launches
	id       string
	info     *mesos.TaskInfo
	settings *tandemv1.TaskSettings // nil for a plain task
	group    *group

	lifecycle tandemv1.Lifecycle
	essential bool

	phase        phase
	acknowledged bool // of any update
	warnings     []string
	kill         *kill
	expires      time.Time // when max_completion_time is over; zero for never
	armed        time.Time // the timer that is set; zero for none
	diskAt       time.Time // when its directory is to be measured; zero for not now
	diskBegun    time.Time // when the last measurement began

	checkers    []*checker
	healthy     *bool // the last report
	checkStatus *mesos.CheckStatusInfo

	restarts restarts
}

func (t *task) ended() bool { return t.phase == ended }

// wakeAt returns when the task is to be looked at next, or zero.
func (t *task) wakeAt() time.Time {
	switch t.phase {
	case running:
	case resting:
		return earlier(t.expires, t.restarts.at)
	default:
		return time.Time{}
	}
	if t.kill != nil {
		return t.kill.next
	}
	at := earlier(t.expires, t.diskAt)
	for _, k := range t.checkers {
		at = earlier(at, k.next)
	}
	return at
}

// wake does what has fallen due for a running task.
func (c *Core) wake(t *task) {
	switch {
	case t.phase == resting:
		c.wakeResting(t)
	case t.phase != running:
	case t.kill != nil:
		c.escalate(t)
	case due(t.expires, c.now):
		c.killNow(t)
	default:
		c.runChecks(t)
		c.measureDisk(t)
	}
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

// ahead is the head start of a group's first task: until that time, or until any
// start is over, no more tasks may be starting than there were, and it.
type ahead struct {
	until    time.Time
	starting int
}

// admit takes tasks from the queue, as long as not too many are starting.
func (c *Core) admit() {
	if due(c.ahead.until, c.now) {
		c.ahead = ahead{}
	}
	room := c.config.Starts
	if !c.ahead.until.IsZero() {
		room = min(room, c.ahead.starting)
	}
	for c.starting < room && len(c.queue) > 0 && !c.holding() {
		t := c.queue[0]
		c.queue = c.queue[1:]
		if t.phase == queued { // Otherwise it was killed in the queue.
			c.begin(t)
		}
	}
	if len(c.queue) == 0 {
		c.queue = nil
	}
}

// begin brings a task's files, or starts it.
func (c *Core) begin(t *task) {
	if t.needsFiles() {
		c.reportStarting(t)
		t.phase = fetching
		c.out.Fetches = append(c.out.Fetches, Fetch{Run: t.run, Task: t.info, Settings: t.settings})
		c.note(Info, t, "fetching its files")
		return
	}
	c.beginStart(t)
}

func (t *task) needsFiles() bool {
	return len(t.info.Command.GetURIs()) > 0 || len(t.settings.GetFetch()) > 0
}

func (c *Core) fetched(in Fetched) {
	t := c.runs[in.Run]
	if t == nil || t.phase != fetching {
		return // It was killed meanwhile.
	}
	if in.Err != "" {
		c.finish(t, verdict{
			state:   mesos.TASK_FAILED,
			reason:  mesos.REASON_CONTAINER_LAUNCH_FAILED.Enum(),
			message: upperFirst(in.Err),
		})
		return
	}
	t.phase = waiting
	c.ready(t)
}

// start asks for the workload of a task whose turn it is.
func (c *Core) start(t *task) {
	t.phase = starting
	c.starting++
	c.out.Starts = append(c.out.Starts, Start{Run: t.run, Task: t.info, Settings: t.settings})
}

func (c *Core) started(in Started) {
	t := c.runs[in.Run]
	if t == nil || t.phase != starting {
		return
	}
	c.starting--
	c.ahead = ahead{}
	if in.Err != "" {
		if t.kill != nil {
			c.finish(t, verdict{state: mesos.TASK_KILLED, message: "Not started: " + t.kill.why})
			return
		}
		v := verdict{
			state:   mesos.TASK_FAILED,
			reason:  mesos.REASON_CONTAINER_LAUNCH_FAILED.Enum(),
			message: upperFirst(in.Err),
		}
		if t.restarts.total > 0 && c.goesOn(t, v) {
			c.rest(t, v)
			return
		}
		c.finish(t, v)
		return
	}
	t.phase = running
	t.restarts.began = c.now
	if t.restarts.total == 0 {
		t.warnings = in.Warnings
	}
	for _, w := range in.Warnings {
		c.note(Warn, t, "%s", w)
	}
	if t.kill != nil {
		c.carryOut(t)
		c.arm(t)
		return
	}
	if limit := t.maxTime(); limit > 0 && t.expires.IsZero() {
		t.expires = c.now.Add(limit)
	}
	c.beginChecks(t)
	c.watchDisk(t, 0)
	if t.restarts.total > 0 {
		c.startedAgain(t)
	} else {
		c.report(t, runningStatus(t))
		c.note(Info, t, "running")
	}
	c.arm(t)
}

// maxTime returns how long the task may run, all its runs taken together; 0 for as
// long as it will.
func (t *task) maxTime() time.Duration {
	return time.Duration(t.info.MaxCompletionTime.GetNanoseconds())
}

func (c *Core) exited(in Exited) {
	t := c.runs[in.Run]
	if t == nil {
		return
	}
	switch t.phase {
	case running:
	case starting: // It ended before its start was reported.
		c.starting--
		c.ahead = ahead{}
	default:
		return
	}
	if in.Exit.Trouble != "" {
		c.note(Warn, t, "%s", in.Exit.Trouble)
	}
	v := t.judge(in.Exit)
	if c.goesOn(t, v) {
		c.rest(t, v)
		return
	}
	if v.exit != nil && t.restarts.usage != nil {
		v.exit.Usage = together(t.restarts.usage, v.exit.Usage)
	}
	c.finish(t, v)
}

// finish ends a task with its one terminal update, and tells its group.
func (c *Core) finish(t *task, v verdict) {
	if t.ended() {
		return
	}
	before := t.phase
	t.phase = ended
	t.armed = time.Time{}
	c.live--
	if c.live == 0 {
		c.quiet = c.now
	}
	if before == running {
		c.stopChecks(t)
	}
	c.report(t, v.status(t))
	level := Info
	if v.state == mesos.TASK_FAILED || v.state == mesos.TASK_ERROR {
		level = Warn
	}
	c.note(level, t, "%s: %s", v.state, v.message)
	c.afterEnd(t, v)
}
