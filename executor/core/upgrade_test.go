package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// replace has another program take over, if nothing is half done: its core is
// made of what this one writes, some time later.
func (w *world) replace() {
	if w.end != nil || w.core.HalfDone() != "" {
		return
	}
	if w.connected {
		w.connected = false
		w.step(Disconnected{Given: true})
	}
	// A check that is under way is broken off, as with a lost connection.
	w.core.upgrade = &upgrade{request: 1, prepared: true, giveUp: w.now.Add(quietTime)}
	w.step(Prepared{})
	state, err := w.core.State(w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	data, err := json.Marshal(state)
	if err != nil {
		w.t.Fatal(err)
	}
	var read State
	if err := json.Unmarshal(data, &read); err != nil {
		w.t.Fatal(err)
	}
	written := w.now
	w.now = w.now.Add(20 * time.Millisecond)
	core, err := Restore(w.now, written, w.core.config, read)
	if err != nil {
		w.t.Fatal(err)
	}
	again, err := core.State(written)
	if err != nil {
		w.t.Fatal(err)
	}
	if data2, err := json.Marshal(again); err != nil || !sameState(data, data2) {
		w.t.Fatalf("what is written of what was read differs (%v):\n%s\n%s", err, data, data2)
	}
	w.core = core
	w.subscribe()
}

// sameState compares states but for the request, which is answered, and kills
// that had fallen due.
func sameState(a, b []byte) bool {
	normal := func(data []byte) string {
		var s State
		if err := json.Unmarshal(data, &s); err != nil {
			return err.Error()
		}
		s.Request = 0
		for _, t := range s.Tasks {
			if t.Kill != nil {
				t.Kill.Next = nil
			}
		}
		out, _ := json.Marshal(s)
		return string(out)
	}
	return normal(a) == normal(b)
}

func coreWithATask(t *testing.T, info mesos.TaskInfo) (*Core, time.Time) {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	uuid := byte(0)
	c, err := New(now, Config{
		ExecutorID: mesos.ExecutorID{Value: "api.0.1"}, FrameworkID: mesos.FrameworkID{Value: "framework-1"}, Checkpoint: true, Version: "2.0",
		NewUUID: func() [16]byte { uuid++; return [16]byte{0: uuid, 6: 0x40, 8: 0x80} },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Step(now, Subscribing{})
	c.Step(now, subscribedWith(nil))
	c.Step(now, Launched{Tasks: []mesos.TaskInfo{info}})
	c.Step(now, Started{Run: 1})
	return c, now
}

func plainTask() mesos.TaskInfo {
	return mesos.TaskInfo{
		Name: "web", TaskID: mesos.TaskID{Value: "web"}, AgentID: mesos.AgentID{Value: "agent-1"}, Command: &mesos.CommandInfo{Value: proto.String("serve")},
	}
}

func upgradeMessage(t *testing.T, sum string) Message {
	t.Helper()
	data, err := talk.EncodeToExecutor(&tandemv1.ToExecutor{Request: 7, Ask: &tandemv1.ToExecutor_UpgradeExecutor{
		UpgradeExecutor: &tandemv1.UpgradeExecutor{Uri: "http://files/tandem-executor", Sha256: sum},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return Message{Data: data}
}

func answerOf(t *testing.T, e Effects) *tandemv1.Answer {
	t.Helper()
	if len(e.Says) != 1 {
		t.Fatalf("it says %v", e.Says)
	}
	m, err := talk.ParseFromExecutor(e.Says[0].Message.Data)
	if err != nil {
		t.Fatal(err)
	}
	return m.GetAnswer()
}

func TestUpgradeIsAnsweredByTheNewProgram(t *testing.T) {
	info := plainTask()
	info.HealthCheck = &mesos.HealthCheck{
		Type: mesos.HealthCheck_TCP, TCP: &mesos.HealthCheck_TCPCheckInfo{Port: 31000}, DelaySeconds: proto.Float64(0), IntervalSeconds: proto.Float64(1), GracePeriodSeconds: proto.Float64(0),
	}
	c, now := coreWithATask(t, info)
	if e := c.Step(now, Ticked{}); len(e.Checks) != 1 {
		t.Fatalf("no check: %+v", e)
	}
	e := c.Step(now, upgradeMessage(t, "ab"))
	if e.Prepare == nil || *e.Prepare != (Prepare{URI: "http://files/tandem-executor", SHA256: "ab"}) || c.Replaceable() {
		t.Fatalf("%+v", e)
	}
	if e = c.Step(now, Prepared{}); len(e.StopChecks) != 1 || !c.Replaceable() {
		t.Fatalf("prepared: %+v", e)
	}
	if e := c.Step(now, Launched{Tasks: []mesos.TaskInfo{{TaskID: mesos.TaskID{Value: "later"}, Command: info.Command}}}); len(e.Starts) > 0 {
		t.Fatalf("a task is begun while a new program waits: %+v", e)
	}
	c.Step(now, Disconnected{Given: true})
	state, err := c.State(now)
	if err != nil {
		t.Fatal(err)
	}
	later := now.Add(time.Second)
	next, err := Restore(later, now, c.config, state)
	if err != nil {
		t.Fatal(err)
	}
	e = next.Step(later, Subscribing{})
	if n := len(e.Subscribe.Subscribe.UnacknowledgedUpdates); n != 2 {
		t.Errorf("%d updates in the SUBSCRIBE, want TASK_STARTING and TASK_RUNNING", n)
	}
	if len(e.Starts) != 1 || e.Starts[0].Task.TaskID.Value != "later" {
		t.Errorf("the group that came meanwhile is not begun: %+v", e.Starts)
	}
	e = next.Step(later, subscribedWith(nil))
	if a := answerOf(t, e); a.Request != 7 || a.Problem != "" || a.Version != "2.0" {
		t.Errorf("answer %v", a)
	}
	if e := next.Step(later, Ticked{}); len(e.Checks) != 1 {
		t.Errorf("the checks do not go on: %+v", e)
	}
}

// A program that does not know what a task was launched with does not take over.
func TestStateWithLaterSettings(t *testing.T) {
	c, now := coreWithATask(t, plainTask())
	c.Step(now, upgradeMessage(t, "ab"))
	c.Step(now, Prepared{})
	c.Step(now, Disconnected{Given: true})
	state, err := c.State(now)
	if err != nil {
		t.Fatal(err)
	}
	settings := &tandemv1.TaskSettings{Magic: settingsMagic}
	settings.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 1))
	later := plainTask()
	if later.Data, err = proto.Marshal(settings); err != nil {
		t.Fatal(err)
	}
	if state.Tasks[0].Info, err = later.Marshal(); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(now, now, c.config, state); err == nil || !strings.Contains(err.Error(), "field 1000 of TaskSettings") {
		t.Errorf("err = %v", err)
	}
}

func TestUpgradeThatIsNotToBe(t *testing.T) {
	for name, tt := range map[string]struct {
		play    func(c *Core, now time.Time) Effects
		want    string
		dismiss bool
	}{
		"it does not run here": {func(c *Core, now time.Time) Effects { return c.Step(now, Prepared{Err: "it does not run here"}) }, "it does not run here", false},
		"a session is open": {func(c *Core, now time.Time) Effects {
			c.talking.sessions = 1
			c.Step(now, Prepared{})
			return c.Step(now.Add(quietTime), Ticked{})
		}, "within 1m0s: commands of people run beside tasks (1)", true},
		"the kernel refuses": {func(c *Core, now time.Time) Effects {
			c.Step(now, Prepared{})
			c.Step(now, Disconnected{Given: true})
			dismiss := c.Step(now, NotReplaced{Err: "exec format error"}).Dismiss
			c.Step(now, Subscribing{})
			e := c.Step(now, subscribedWith(nil))
			e.Dismiss = dismiss
			return e
		}, "exec format error", true},
	} {
		t.Run(name, func(t *testing.T) {
			c, now := coreWithATask(t, plainTask())
			c.Step(now, upgradeMessage(t, "ab"))
			e := tt.play(c, now)
			if a := answerOf(t, e); !strings.Contains(a.Problem, tt.want) || a.Request != 7 {
				t.Errorf("answer %v, want %q", a, tt.want)
			}
			if e.Dismiss != tt.dismiss {
				t.Errorf("dismisses the program: %v", e.Dismiss)
			}
			if c.upgrade != nil {
				t.Error("it is still being replaced")
			}
			if e := c.Step(now.Add(2*time.Minute), Launched{Tasks: []mesos.TaskInfo{{TaskID: mesos.TaskID{Value: "later"}, Command: plainTask().Command}}}); len(e.Starts) != 1 {
				t.Errorf("it does not go on: %+v", e)
			}
		})
	}
	c, now := coreWithATask(t, plainTask())
	if a := answerOf(t, c.Step(now, upgradeMessage(t, ""))); !strings.Contains(a.Problem, "no SHA-256") {
		t.Errorf("answer %v", a)
	}
}

func TestKillThatFellDueMeanwhileIsCarriedOut(t *testing.T) {
	c, now := coreWithATask(t, plainTask())
	c.Step(now, KillAsked{TaskID: mesos.TaskID{Value: "web"}, Policy: &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(time.Second)}}})
	state, err := c.State(now)
	if err != nil {
		t.Fatal(err)
	}
	later := now.Add(3 * time.Second)
	next, err := Restore(later, now, c.config, state)
	if err != nil {
		t.Fatal(err)
	}
	if e := next.Step(later, Ticked{}); len(e.Kills) != 1 {
		t.Errorf("it is not killed: %+v", e)
	}
}

func TestLostAgentWithoutCheckpointsIsTheEndAfterAnUpgradeToo(t *testing.T) {
	c, now := coreWithATask(t, plainTask())
	state, err := c.State(now)
	if err != nil {
		t.Fatal(err)
	}
	config := c.config
	config.Checkpoint = false
	next, err := Restore(now, now, config, state)
	if err != nil {
		t.Fatal(err)
	}
	next.Step(now, Subscribing{})
	if e := next.Step(now, Disconnected{Reason: "connection refused"}); len(e.Signals) != 1 {
		t.Errorf("its task is not ended: %+v", e)
	}
}

func FuzzRestore(f *testing.F) {
	info := plainTask()
	bytes, err := info.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	for _, phase := range []string{"queued", "running", "ended", "fetching"} {
		data, err := json.Marshal(State{
			LastRun: 1, Tasks: []TaskState{{Run: 1, Info: bytes, Phase: phase, Kill: &KillState{Cause: 1}}},
			Groups: []GroupState{{Mains: []Run{1}, Inits: []Run{2}}}, Queue: []Run{1}, Updates: []UpdateState{{Run: 1}},
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	config := Config{ExecutorID: mesos.ExecutorID{Value: "e"}, FrameworkID: mesos.FrameworkID{Value: "f"}, NewUUID: func() [16]byte { return [16]byte{} }}
	f.Fuzz(func(t *testing.T, text string) {
		var s State
		if json.Unmarshal([]byte(text), &s) != nil {
			return
		}
		c, err := Restore(now, now, config, s)
		if err != nil {
			return
		}
		c.Step(now, Subscribing{})
		c.Step(now, subscribedWith(nil))
		for _, r := range c.Running() {
			c.Step(now, Exited{Run: r.Run, Exit: Exit{Code: 1}})
		}
		if _, err := c.State(now); err != nil {
			t.Error(fmt.Errorf("what was read cannot be written: %w", err))
		}
	})
}
