package core

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestAnyOrderOfThings plays random launches, kills, exits, failures,
// disconnections and lost acknowledgements in any order, and then lets
// everything come to its end. Whatever the order, every task must have exactly
// one terminal update, a task's updates keep their order, nothing that the
// agent has not acknowledged is forgotten, and every start ends.
func TestAnyOrderOfThings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			if w.end != nil {
				break
			}
			w.anything()
		}
		w.finish()
	})
}

// world is an agent, a kernel and a network around one core.
type world struct {
	t    *rapid.T
	core *Core
	now  time.Time
	uuid uint64
	end  *End

	connected, shutdown bool
	launched            int
	tasks               map[string]*modelTask
	pending             []*executor.Call_Update // reported and not acknowledged, in order
	fetches             []Run
	starts              []Run
	alive               []Run // processes
	doomed              map[Run]bool
	checks              []Check
	preStops            []Run
	disks               []Run
}

type modelTask struct {
	run      Run
	fetch    bool
	started  bool
	exited   bool
	acked    bool
	updates  [][]byte
	states   []mesos.TaskState
	terminal bool
}

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		tasks: map[string]*modelTask{}, doomed: map[Run]bool{},
	}
	core, err := New(w.now, Config{
		ExecutorID:  mesos.ExecutorID{Value: "payments-api.0.1"},
		FrameworkID: mesos.FrameworkID{Value: "framework-1"},
		Checkpoint:  true,
		Linger:      time.Second,
		FirstTask:   time.Hour,
		Starts:      rapid.IntRange(1, 4).Draw(t, "starts"),
		HeadStart:   rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond}).Draw(t, "head start"),
		QuickStart:  rapid.SampledFrom([]time.Duration{0, 100 * time.Millisecond}).Draw(t, "quick start"),
		NewUUID: func() [16]byte {
			w.uuid++
			return [16]byte{0: byte(w.uuid >> 8), 1: byte(w.uuid), 6: 0x40, 8: 0x80}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.core = core
	w.subscribe()
	return w
}

func (w *world) subscribe() {
	w.step(Subscribing{})
	if w.end == nil && rapid.IntRange(0, 3).Draw(w.t, "between") == 0 {
		w.kernel() // Something happens before the answer.
	}
	w.connected = true
	w.step(subscribedWith([]string{"TASK_KILLING_STATE"}))
}

// anything does one thing that can happen.
func (w *world) anything() {
	switch rapid.IntRange(0, 9).Draw(w.t, "what") {
	case 0:
		if w.connected {
			w.launch()
		}
	case 1:
		if id := w.anyTask(); id != "" && w.connected {
			grace := time.Duration(rapid.IntRange(0, 5).Draw(w.t, "grace")) * time.Second
			w.step(KillAsked{
				TaskID: mesos.TaskID{Value: id},
				Policy: &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(grace)}},
			})
		}
	case 2:
		if w.connected {
			w.connected = false
			w.step(Disconnected{Reason: "connection reset"})
		} else {
			w.subscribe()
		}
	case 3:
		w.pass(time.Duration(rapid.IntRange(1, 4000).Draw(w.t, "ms")) * time.Millisecond)
	case 4, 5:
		w.acknowledge()
	case 6:
		if rapid.IntRange(0, 20).Draw(w.t, "shutdown") == 0 {
			w.shutdown = true
			w.step(Shutdown{Reason: "the agent asked for it"})
		} else {
			w.replace()
		}
	default:
		w.kernel()
	}
}

func (w *world) launch() {
	var group []mesos.TaskInfo
	for range rapid.IntRange(1, 4).Draw(w.t, "tasks") {
		w.launched++
		id := fmt.Sprintf("task-%d", w.launched)
		info := mesos.TaskInfo{
			Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: mesos.AgentID{Value: "agent-1"},
			Command: &mesos.CommandInfo{Value: proto.String("exec ./" + id)},
		}
		m := &modelTask{fetch: rapid.Bool().Draw(w.t, "fetch")}
		if m.fetch {
			info.Command.URIs = []mesos.CommandInfo_URI{{Value: "http://files.example/app.tgz"}}
		}
		switch rapid.IntRange(0, 9).Draw(w.t, "kind") {
		case 0:
			info.Command = nil // Refused.
		case 1:
			info.MaxCompletionTime = &mesos.DurationInfo{Nanoseconds: int64(time.Second)}
		case 2:
			info.HealthCheck = &mesos.HealthCheck{
				Type: mesos.HealthCheck_TCP, TCP: &mesos.HealthCheck_TCPCheckInfo{Port: 31000}, DelaySeconds: proto.Float64(0.1),
				GracePeriodSeconds: proto.Float64(0), IntervalSeconds: proto.Float64(0.5), ConsecutiveFailures: proto.Uint32(2),
			}
		case 3, 4, 5, 6:
			data, err := proto.Marshal(&tandemv1.TaskSettings{
				Magic:     settingsMagic,
				Lifecycle: tandemv1.Lifecycle(rapid.IntRange(0, 4).Draw(w.t, "lifecycle")),
				Essential: rapid.Bool().Draw(w.t, "essential"),
				Restart: pick(rapid.Bool().Draw(w.t, "restart"), &tandemv1.WorkloadRestart{
					Attempts: proto.Int32(2), Factor: 2, Interval: durationpb.New(10 * time.Second),
					Delay: durationpb.New(300 * time.Millisecond), MaxDelay: durationpb.New(time.Second),
				}),
				RestartFinished: rapid.Bool().Draw(w.t, "restart-finished"),
				Limits:          pick(rapid.Bool().Draw(w.t, "disk"), &tandemv1.Limits{Disk: proto.Float64(1)}),
				PreStopHttp:     pick(rapid.Bool().Draw(w.t, "pre-stop"), &tandemv1.HttpCheck{Path: "/quit"}),
			})
			if err != nil {
				w.t.Fatal(err)
			}
			info.Data = data
		}
		group = append(group, info)
		w.tasks[id] = m
	}
	w.step(Launched{Tasks: group})
}

func pick[T any](yes bool, value *T) *T {
	if yes {
		return value
	}
	return nil
}

func (w *world) anyTask() string {
	if w.launched == 0 {
		return ""
	}
	return fmt.Sprintf("task-%d", rapid.IntRange(1, w.launched).Draw(w.t, "task"))
}

// kernel lets one thing go on that the core has asked for, or a process end.
func (w *world) kernel() {
	failure := func(text string) string {
		if rapid.IntRange(0, 4).Draw(w.t, "failure") == 0 {
			return text
		}
		return ""
	}
	switch rapid.IntRange(0, 6).Draw(w.t, "kernel") {
	case 0:
		if run, ok := takeAny(w.t, &w.fetches); ok {
			w.step(Fetched{Run: run, Err: failure("404 Not Found")})
		}
	case 1, 2:
		if run, ok := takeAny(w.t, &w.starts); ok {
			w.started(run, failure("no such user"))
		}
	case 3:
		if run, ok := takeAny(w.t, &w.alive); ok {
			w.exited(run, Exit{Code: rapid.IntRange(0, 1).Draw(w.t, "code")})
		}
	case 4:
		if check, ok := takeAny(w.t, &w.checks); ok {
			w.step(Checked{Run: check.Run, Kind: check.Kind, Seq: check.Seq, Result: CheckResult{Connected: rapid.Bool().Draw(w.t, "connected")}})
		}
	case 5:
		if run, ok := takeAny(w.t, &w.preStops); ok {
			w.step(PreStopped{Run: run, Result: CheckResult{Err: failure("no answer")}})
		}
	case 6:
		if run, ok := takeAny(w.t, &w.disks); ok {
			w.step(DiskMeasured{Run: run, Used: uint64(rapid.IntRange(0, 2).Draw(w.t, "mebibytes")) << 20, Err: failure("permission denied")})
		}
	}
}

func takeAny[T any](t *rapid.T, from *[]T) (T, bool) {
	var none T
	if len(*from) == 0 {
		return none, false
	}
	i := rapid.IntRange(0, len(*from)-1).Draw(t, "which")
	x := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return x, true
}

func (w *world) started(run Run, err string) {
	if err == "" {
		w.alive = append(w.alive, run)
	} else {
		w.byRun(run).exited = true
	}
	w.step(Started{Run: run, Err: err})
}

func (w *world) exited(run Run, exit Exit) {
	w.byRun(run).exited = true
	delete(w.doomed, run)
	w.step(Exited{Run: run, Exit: exit})
}

// acknowledge acknowledges the oldest update of some task, as an agent does;
// one that is said while there is no connection is lost.
func (w *world) acknowledge() {
	if !w.connected || len(w.pending) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.pending)-1).Draw(w.t, "update")
	id := w.pending[i].Status.TaskID
	i = slices.IndexFunc(w.pending, func(u *executor.Call_Update) bool { return u.Status.TaskID == id })
	update := w.pending[i]
	w.pending = slices.Delete(w.pending, i, i+1)
	w.tasks[id.Value].acked = true
	w.step(Acknowledged{UUID: update.Status.UUID})
}

func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for w.end == nil {
		next, ok := w.core.Next()
		if !ok || next.After(end) {
			break
		}
		if next.After(w.now) {
			w.now = next
		}
		w.step(Ticked{})
		// What was killed is gone soon.
		for run := range w.doomed {
			if w.end == nil {
				w.alive = slices.DeleteFunc(w.alive, func(r Run) bool { return r == run })
				w.exited(run, Exit{Signal: 9})
			}
		}
	}
	w.now = end
}

func (w *world) byRun(run Run) *modelTask {
	for _, m := range w.tasks {
		if m.run == run {
			return m
		}
	}
	w.t.Fatalf("the core speaks of run %d, which has not been started or fetched for", run)
	return nil
}

func (w *world) step(in Input) {
	if w.end != nil {
		return
	}
	e := w.core.Step(w.now, in)
	if e.Subscribe != nil {
		w.checkSubscribe(e.Subscribe)
	}
	if len(e.Sends) > 0 && !w.connected {
		w.t.Fatalf("%T: sends without a connection", in)
	}
	w.collect()
	for _, f := range e.Fetches {
		w.tasks[f.Task.TaskID.Value].run = f.Run
		w.fetches = append(w.fetches, f.Run)
	}
	for _, run := range e.StopFetches {
		w.fetches = slices.DeleteFunc(w.fetches, func(r Run) bool { return r == run })
	}
	for _, s := range e.Starts {
		m := w.tasks[s.Task.TaskID.Value]
		if m.started && !m.exited || m.terminal || slices.Contains(m.states, mesos.TASK_KILLING) {
			w.t.Fatalf("task %s is started, after %v", s.Task.TaskID.Value, m.states)
		}
		if m.started && m.run == s.Run {
			w.t.Fatalf("run %d of task %s comes a second time", s.Run, s.Task.TaskID.Value)
		}
		m.started, m.exited, m.run = true, false, s.Run
		w.starts = append(w.starts, s.Run)
	}
	for _, run := range e.Kills {
		w.mustLive(run, "kill")
		w.doomed[run] = true
	}
	for _, s := range e.Signals {
		w.mustLive(s.Run, "signal")
	}
	for _, p := range e.PreStops {
		w.mustLive(p.Run, "pre-stop")
		w.preStops = append(w.preStops, p.Run)
	}
	for _, run := range e.Disks {
		w.mustLive(run, "measurement")
		w.disks = append(w.disks, run)
	}
	w.checks = slices.DeleteFunc(w.checks, func(k Check) bool { return slices.Contains(e.StopChecks, k.Run) })
	for _, k := range e.Checks {
		w.mustLive(k.Run, "check")
		if slices.ContainsFunc(w.checks, func(o Check) bool { return o.Run == k.Run && o.Kind == k.Kind }) {
			w.t.Fatalf("two checks of run %d at once", k.Run)
		}
		w.checks = append(w.checks, k)
	}
	w.end = e.End
}

func (w *world) mustLive(run Run, what string) {
	if m := w.byRun(run); !m.started || m.exited {
		w.t.Fatalf("%s of run %d, which is not running", what, run)
	}
}

// collect takes in what the core has put into its outbox, and checks each
// update against those of the same task before it.
func (w *world) collect() {
	w.core.eachPending(func(p *pending) {
		update := p.call.Update
		status := update.Status
		m := w.tasks[status.TaskID.Value]
		if slices.ContainsFunc(m.updates, func(u []byte) bool { return bytes.Equal(u, status.UUID) }) {
			return
		}
		if m.terminal {
			w.t.Fatalf("task %s: %s after its terminal update; before: %v", status.TaskID.Value, status.State, m.states)
		}
		if status.GetState() == mesos.TASK_RUNNING && slices.Contains(m.states, mesos.TASK_KILLING) {
			w.t.Fatalf("task %s: TASK_RUNNING after TASK_KILLING", status.TaskID.Value)
		}
		if status.UUID[6]>>4 != 4 || status.UUID[8]>>6 != 2 {
			w.t.Fatalf("UUID %x is not of version 4", status.UUID)
		}
		m.updates = append(m.updates, status.UUID)
		m.states = append(m.states, status.GetState())
		switch status.GetState() {
		case mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING:
		default:
			m.terminal = true
			if m.started && !m.exited {
				w.t.Fatalf("task %s: %s while its workload runs", status.TaskID.Value, status.State)
			}
		}
		w.pending = append(w.pending, update)
	})
}

// checkSubscribe compares a SUBSCRIBE with what is not acknowledged.
func (w *world) checkSubscribe(call *executor.Call) {
	var want, got [][]byte
	for _, u := range w.pending {
		want = append(want, u.Status.UUID)
	}
	for _, u := range call.Subscribe.UnacknowledgedUpdates {
		got = append(got, u.Status.UUID)
	}
	if !slices.EqualFunc(want, got, bytes.Equal) {
		w.t.Fatalf("SUBSCRIBE holds the updates %x, want %x", got, want)
	}
	listed := map[string]bool{}
	for _, info := range call.Subscribe.UnacknowledgedTasks {
		listed[info.TaskID.Value] = true
	}
	for id, m := range w.tasks {
		if m.acked == listed[id] {
			w.t.Fatalf("SUBSCRIBE: task %s acknowledged=%v listed=%v", id, m.acked, listed[id])
		}
	}
}

// finish lets everything that is under way come to its end, and checks that
// nothing is left.
func (w *world) finish() {
	if w.end == nil && !w.connected {
		w.subscribe()
	}
	idle := 0 // time lets those that rest start again
	for range 10_000 {
		switch {
		case w.end != nil:
			w.checkEnd()
			return
		case len(w.fetches) > 0:
			run, _ := takeAny(w.t, &w.fetches)
			w.step(Fetched{Run: run})
		case len(w.starts) > 0:
			run, _ := takeAny(w.t, &w.starts)
			w.started(run, "")
		case len(w.alive) > 0:
			run, _ := takeAny(w.t, &w.alive)
			w.exited(run, Exit{})
		case len(w.pending) > 0:
			w.acknowledge()
		case slices.ContainsFunc(slices.Collect(maps.Values(w.tasks)), func(m *modelTask) bool { return !m.terminal }) && idle < 100:
			idle++
			w.pass(time.Second)
		default:
			if w.launched > 0 {
				for id, m := range w.tasks {
					if !m.terminal {
						w.t.Fatalf("task %s will never end: %v", id, m.states)
					}
				}
			}
			w.pass(2 * time.Hour)
		}
	}
	w.t.Fatal("it never ends")
}

func (w *world) checkEnd() {
	if w.shutdown || w.end.Failed {
		return // The executor was ended from outside, with what it had.
	}
	for id, m := range w.tasks {
		if !m.terminal || !m.acked {
			w.t.Fatalf("the executor ended while task %s had only %v", id, m.states)
		}
	}
	if len(w.pending) > 0 {
		w.t.Fatalf("the executor ended with %d updates that the agent does not know", len(w.pending))
	}
}
