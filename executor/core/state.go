package core

import (
	"errors"
	"fmt"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// State is what a core passes on to that of the program that replaces it, at a
// moment at which nothing is half done. Package handover says what its fields'
// names and meanings are to be held to.
type State struct {
	// LastRun is the highest Run that was given out.
	LastRun Run
	// HadTasks says that there has been a task.
	HadTasks bool
	// Quiet is since when there has been nothing to run or to report.
	Quiet Moment
	// Groups are all of which a task is left.
	Groups []GroupState
	// Tasks are those that have not ended, or whose last update is not
	// acknowledged.
	Tasks []TaskState
	// Queue are the tasks that wait to be begun, in order.
	Queue []Run
	// Updates are those that are not acknowledged, in order.
	Updates []UpdateState
	// Request is the UpgradeExecutor that is to be answered; 0 for none.
	Request uint64
	// SampleInterval, SampleUntil and SampleNext are the lease on samples.
	SampleInterval          time.Duration
	SampleUntil, SampleNext *Moment
}

// Moment is a time, in nanoseconds from that at which the state was written. A
// moment that is missing never comes.
type Moment time.Duration

// GroupState is one LAUNCH_GROUP. Each list holds runs in the group's order,
// those of tasks that are gone included.
type GroupState struct {
	Inits, Mains, Sidecars, Poststops []Run
	Failed                            bool
}

// TaskState is one task.
type TaskState struct {
	Run Run
	// Order is its first run, which is its place among all.
	Order Run
	// Info is the TaskInfo in protobuf's binary form.
	Info         []byte
	Phase        string // as String of it says: never fetching or starting
	Acknowledged bool
	Warnings     []string
	Kill         *KillState
	Expires      *Moment
	Healthy      *bool
	CheckStatus  []byte // CheckStatusInfo in protobuf's binary form
	Checkers     []CheckerState
	Restarts     *RestartState // nil before the first start
}

// RestartState is what is known of a task whose workload is started again in place.
type RestartState struct {
	Total  uint32
	Latest []Moment
	Row    int
	// Began is when the present run did, and At when the next does.
	Began Moment
	At    *Moment
	Usage []byte // tandem.v1.Usage of earlier runs, in binary form
}

// KillState is a task's end under way.
type KillState struct {
	// Cause is the number of one: 0 the scheduler, 1 its group, 2 the mains of its
	// group, 3 health, 4 max_completion_time, 5 the executor's end, 6 its limit of disk.
	Cause int
	Why   string
	// Again says that the workload is to be started again afterwards.
	Again    bool
	Deadline Moment
	Next     *Moment
}

// CheckerState is what a check remembers beside what the task says of it.
type CheckerState struct {
	Kind     int // 0 for health, 1 for status
	Seq      uint64
	Began    Moment
	Passed   bool
	Failures uint32
}

// UpdateState is one update that is not acknowledged.
type UpdateState struct {
	// Run is 0 for an update of a task that is gone.
	Run Run
	// Status is the TaskStatus in protobuf's binary form, its UUID included.
	Status   []byte
	Terminal bool
}

// phaseOf is the inverse of phase.String, for those phases that can be passed on.
var phaseOf = map[string]phase{"queued": queued, "waiting": waiting, "running": running, "resting": resting, "ended": ended}

// State returns the core's state. HalfDone must return nothing.
func (c *Core) State(now time.Time) (State, error) {
	since := func(t time.Time) Moment { return Moment(t.Sub(now)) }
	maybe := func(t time.Time) *Moment {
		if t.IsZero() {
			return nil
		}
		m := since(t)
		return &m
	}
	s := State{
		LastRun: c.lastRun, HadTasks: c.hadTasks, Quiet: since(c.quiet),
		SampleInterval: c.talking.interval, SampleUntil: maybe(c.talking.until), SampleNext: maybe(c.talking.next),
	}
	if c.upgrade != nil {
		s.Request = c.upgrade.request
	}
	runs := func(tasks []*task) (all []Run) {
		for _, t := range tasks {
			all = append(all, t.run)
		}
		return all
	}
	seen := make(map[*group]bool)
	for _, t := range c.inOrder() {
		if g := t.group; !seen[g] {
			seen[g] = true
			s.Groups = append(s.Groups, GroupState{
				Inits: runs(g.inits), Mains: runs(g.mains), Sidecars: runs(g.sidecars), Poststops: runs(g.poststops), Failed: g.failed,
			})
		}
		info, err := t.info.Marshal()
		if err != nil {
			return State{}, fmt.Errorf("cannot pass on task %s: %w", t.id, err)
		}
		ts := TaskState{
			Run: t.run, Order: t.order, Info: info, Phase: t.phase.String(), Acknowledged: t.acknowledged, Warnings: t.warnings,
			Expires: maybe(t.expires), Healthy: t.healthy,
		}
		if k := t.kill; k != nil {
			ts.Kill = &KillState{Cause: int(k.cause), Why: k.why, Again: k.again, Deadline: since(k.deadline), Next: maybe(k.next)}
		}
		if t.checkStatus != nil {
			if ts.CheckStatus, err = t.checkStatus.Marshal(); err != nil {
				return State{}, fmt.Errorf("cannot pass on task %s: %w", t.id, err)
			}
		}
		if r := &t.restarts; r.total > 0 || !r.began.IsZero() {
			if ts.Restarts, err = r.state(since, maybe); err != nil {
				return State{}, fmt.Errorf("cannot pass on task %s: %w", t.id, err)
			}
		}
		for _, k := range t.checkers {
			ts.Checkers = append(ts.Checkers, CheckerState{Kind: int(k.kind), Seq: k.seq, Began: since(k.began), Passed: k.passed, Failures: k.failures})
		}
		s.Tasks = append(s.Tasks, ts)
	}
	for _, t := range c.queue {
		if t.phase == queued {
			s.Queue = append(s.Queue, t.run)
		}
	}
	var err error
	c.eachPending(func(p *pending) {
		u := UpdateState{Run: p.task.run, Terminal: p.terminal}
		if c.runs[p.task.run] != p.task {
			u.Run = 0
		}
		if u.Status, err = p.call.Update.Status.Marshal(); err == nil {
			s.Updates = append(s.Updates, u)
		}
	})
	if err != nil {
		return State{}, fmt.Errorf("cannot pass on an update: %w", err)
	}
	return s, nil
}

func (r *restarts) state(since func(time.Time) Moment, maybe func(time.Time) *Moment) (*RestartState, error) {
	s := &RestartState{Total: r.total, Row: r.row, Began: since(r.began), At: maybe(r.at)}
	for _, at := range r.latest {
		s.Latest = append(s.Latest, since(at))
	}
	if r.usage == nil {
		return s, nil
	}
	var err error
	s.Usage, err = proto.Marshal(r.usage)
	return s, err
}

// restarts is the inverse of state.
func (s *RestartState) restarts(at func(Moment) time.Time, maybe func(*Moment) time.Time) (restarts, error) {
	r := restarts{total: s.Total, row: s.Row, began: at(s.Began), at: maybe(s.At)}
	for _, m := range s.Latest {
		r.latest = append(r.latest, at(m))
	}
	if len(s.Usage) == 0 {
		return r, nil
	}
	r.usage = &tandemv1.Usage{}
	return r, proto.Unmarshal(s.Usage, r.usage)
}

// Running is a task whose workload runs.
type Running struct {
	Run      Run
	Task     *mesos.TaskInfo
	Settings *tandemv1.TaskSettings
	Warnings []string
}

// Running lists the tasks whose workloads run, in the order of their launch.
func (c *Core) Running() []Running {
	var all []Running
	for _, t := range c.inOrder() {
		if t.phase == running {
			all = append(all, Running{Run: t.run, Task: t.info, Settings: t.settings, Warnings: t.warnings})
		}
	}
	return all
}

// Restore returns a core that goes on where another stopped: it has been
// subscribed, and its connection is given up for a moment. written is when the
// state was written, on the clock of now.
func Restore(now, written time.Time, config Config, s State) (*Core, error) {
	c, err := New(now, config)
	if err != nil {
		return nil, err
	}
	if err := c.restore(now, written, s); err != nil {
		return nil, fmt.Errorf("cannot go on with the state of the executor before this one: %w", err)
	}
	return c, nil
}

func (c *Core) restore(now, written time.Time, s State) error {
	at := func(m Moment) time.Time { return written.Add(time.Duration(m)) }
	maybe := func(m *Moment) time.Time {
		if m == nil {
			return time.Time{}
		}
		return at(*m)
	}
	c.everSubscribed, c.hadTasks = true, s.HadTasks
	c.disconnectedAt, c.quiet, c.lastRun = now, at(s.Quiet), s.LastRun
	c.talking.interval, c.talking.until, c.talking.next = s.SampleInterval, maybe(s.SampleUntil), maybe(s.SampleNext)
	if s.Request != 0 {
		c.answers = []answer{{request: s.Request, version: c.config.Version}}
	}
	for _, ts := range s.Tasks {
		t, err := ts.task()
		if err != nil {
			return err
		}
		if t.run == 0 || t.run > c.lastRun || t.order == 0 || t.order > t.run || c.runs[t.run] != nil || c.tasks[t.id] != nil {
			return fmt.Errorf("task %q, run %d, is there twice, or never was", t.id, t.run)
		}
		c.runs[t.run], c.tasks[t.id] = t, t
		if r := ts.Restarts; r != nil {
			if t.restarts, err = r.restarts(at, maybe); err != nil {
				return fmt.Errorf("the restarts of task %q: %w", t.id, err)
			}
		}
		if !t.ended() {
			c.live++
		}
		t.expires = maybe(ts.Expires)
		if k := ts.Kill; k != nil {
			t.kill = &kill{cause: cause(k.Cause), why: k.Why, again: k.Again, deadline: at(k.Deadline), next: maybe(k.Next)}
			if t.phase == running && !t.kill.deadline.After(now) {
				t.kill.next = now // Nobody may have been left to carry it out.
			}
		}
		if t.phase == running && t.kill == nil {
			c.now = now
			c.watchDisk(t, 0)
		}
		if err := c.restoreCheckers(t, ts, at); err != nil {
			return err
		}
	}
	if err := c.restoreGroups(s.Groups); err != nil {
		return err
	}
	for _, run := range s.Queue {
		t := c.runs[run]
		if t == nil || t.phase != queued {
			return fmt.Errorf("run %d cannot be in the queue", run)
		}
		c.queue = append(c.queue, t)
	}
	for _, t := range c.tasks {
		c.arm(t)
	}
	return c.restoreUpdates(s.Updates)
}

// task makes a task of its state, all but the times.
func (ts *TaskState) task() (*task, error) {
	info := &mesos.TaskInfo{}
	if err := info.Unmarshal(ts.Info); err != nil {
		return nil, fmt.Errorf("the TaskInfo of run %d: %w", ts.Run, err)
	}
	t := newTask(info)
	t.run, t.order, t.acknowledged, t.warnings, t.healthy = ts.Run, ts.Order, ts.Acknowledged, ts.Warnings, ts.Healthy
	known := false
	if t.phase, known = phaseOf[ts.Phase]; !known {
		return nil, fmt.Errorf("task %q is %q, which cannot be passed on", t.id, ts.Phase)
	}
	if refusal := t.accept(nil); refusal != "" && t.phase != ended {
		return nil, fmt.Errorf("task %q: %s", t.id, refusal)
	}
	if k := ts.Kill; k != nil && (k.Cause < int(byScheduler) || k.Cause > int(byDisk)) {
		return nil, fmt.Errorf("task %q is being killed by an unknown cause %d", t.id, k.Cause)
	}
	if len(ts.CheckStatus) > 0 {
		t.checkStatus = &mesos.CheckStatusInfo{}
		if err := t.checkStatus.Unmarshal(ts.CheckStatus); err != nil {
			return nil, fmt.Errorf("the check status of task %q: %w", t.id, err)
		}
	}
	return t, nil
}

// restoreCheckers sets up the checks that a task had. They begin anew with the
// subscription.
func (c *Core) restoreCheckers(t *task, ts TaskState, at func(Moment) time.Time) error {
	if len(ts.Checkers) == 0 {
		return nil
	}
	status := t.checkStatus
	c.beginChecks(t)
	t.checkStatus = status
	if len(t.checkers) != len(ts.Checkers) {
		return fmt.Errorf("task %q has %d checks, and had %d", t.id, len(t.checkers), len(ts.Checkers))
	}
	for i, k := range t.checkers {
		was := ts.Checkers[i]
		if int(k.kind) != was.Kind {
			return fmt.Errorf("task %q has other checks than it had", t.id)
		}
		k.seq, k.began, k.passed, k.failures = was.Seq, at(was.Began), was.Passed, was.Failures
	}
	return nil
}

// restoreGroups puts tasks into their groups. Those that are gone have ended.
func (c *Core) restoreGroups(groups []GroupState) error {
	for _, gs := range groups {
		g := &group{failed: gs.Failed}
		for lifecycle, runs := range map[tandemv1.Lifecycle][]Run{
			tandemv1.Lifecycle_LIFECYCLE_INIT: gs.Inits, tandemv1.Lifecycle_LIFECYCLE_MAIN: gs.Mains,
			tandemv1.Lifecycle_LIFECYCLE_SIDECAR: gs.Sidecars, tandemv1.Lifecycle_LIFECYCLE_POSTSTOP: gs.Poststops,
		} {
			for _, run := range runs {
				t := c.runs[run]
				if t == nil {
					t = &task{run: run, info: &mesos.TaskInfo{}, phase: ended, lifecycle: lifecycle}
				}
				if t.group != nil || t.lifecycle != lifecycle {
					return fmt.Errorf("run %d is in two groups, or in the wrong place of one", run)
				}
				g.add(t)
			}
		}
		g.recount()
	}
	for _, t := range c.tasks {
		if t.group == nil {
			return fmt.Errorf("task %q has no group", t.id)
		}
	}
	return nil
}

// recount takes those that have ended out of the group's numbers.
func (g *group) recount() {
	for _, tasks := range [][]*task{g.inits, g.mains, g.sidecars} {
		for _, t := range tasks {
			if t.ended() {
				g.othersLeft--
			}
		}
	}
	for _, t := range g.mains {
		if t.ended() {
			g.mainsLeft--
		}
	}
	for g.initsDone < len(g.inits) && g.inits[g.initsDone].ended() {
		g.initsDone++
	}
	for g.poststopsDone < len(g.poststops) && g.poststops[g.poststopsDone].ended() {
		g.poststopsDone++
	}
}

func (c *Core) restoreUpdates(updates []UpdateState) error {
	for _, u := range updates {
		call := c.call(executor.Call_UPDATE)
		call.Update = &executor.Call_Update{}
		status := &call.Update.Status
		if err := status.Unmarshal(u.Status); err != nil {
			return fmt.Errorf("an update: %w", err)
		}
		p := &pending{call: call, task: c.runs[u.Run], terminal: u.Terminal}
		switch {
		case copy(p.uuid[:], status.UUID) != len(p.uuid) || c.outboxByUUID[p.uuid] != nil:
			return errors.New("an update has no UUID of its own")
		case u.Run != 0 && (p.task == nil || p.task.id != status.TaskID.Value || u.Terminal && !p.task.ended()):
			return fmt.Errorf("an update is of run %d, which is none of its task", u.Run)
		case u.Run == 0 && u.Terminal:
			return errors.New("an update that ends a task is of none")
		case p.task == nil:
			p.task = &task{id: status.TaskID.Value, phase: ended}
		}
		c.outboxByUUID[p.uuid] = c.outbox.PushBack(p)
	}
	return nil
}
