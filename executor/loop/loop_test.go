package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/pkg/mesos/executorapi"
)

// fakeAgent is an agent in memory. A test scripts it by its events and Fn
// fields.
type fakeAgent struct {
	mu         sync.Mutex
	subscribes []*executor.Call
	updates    []*executor.Call
	stream     *fakeStream
	// SubscribeFn and SendFn answer the n-th call, from 0; nil accepts all.
	SubscribeFn, SendFn func(n int) error
	sends               int
	// Silent stops it from acknowledging what it takes.
	silent bool
	// messages are the data of the calls of MESSAGE.
	messages [][]byte
}

type fakeStream struct {
	events chan *executor.Event
	closed chan struct{}
	once   sync.Once
}

func (s *fakeStream) Close() { s.once.Do(func() { close(s.closed) }) }
func (s *fakeStream) Next() (*executor.Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	case <-s.closed:
		return nil, io.EOF
	}
}

func (a *fakeAgent) Subscribe(ctx context.Context, call *executor.Call) (Stream, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.subscribes = append(a.subscribes, call)
	if a.SubscribeFn != nil {
		if err := a.SubscribeFn(len(a.subscribes) - 1); err != nil {
			return nil, err
		}
	}
	s := &fakeStream{events: make(chan *executor.Event, 1000), closed: make(chan struct{})}
	context.AfterFunc(ctx, s.Close)
	a.stream = s
	s.events <- &executor.Event{Type: executor.Event_SUBSCRIBED, Subscribed: &executor.Event_Subscribed{}}
	for _, u := range call.Subscribe.UnacknowledgedUpdates {
		a.take(&executor.Call{Update: &u})
	}
	return s, nil
}

func (a *fakeAgent) Send(ctx context.Context, call *executor.Call) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sends++
	if a.SendFn != nil {
		if err := a.SendFn(a.sends - 1); err != nil {
			return err
		}
	}
	if call.Message != nil {
		a.messages = append(a.messages, call.Message.Data)
		return nil
	}
	a.take(call)
	return nil
}

// take keeps an update once, and acknowledges it always.
func (a *fakeAgent) take(call *executor.Call) {
	status := call.Update.Status
	if !slices.ContainsFunc(a.updates, func(c *executor.Call) bool { return string(c.Update.Status.UUID) == string(status.UUID) }) {
		a.updates = append(a.updates, call)
	}
	if !a.silent {
		a.stream.events <- &executor.Event{
			Type:         executor.Event_ACKNOWLEDGED,
			Acknowledged: &executor.Event_Acknowledged{TaskID: status.TaskID, UUID: status.UUID},
		}
	}
}

func (a *fakeAgent) say(e *executor.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stream.events <- e
}

func (a *fakeAgent) breakConnection() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stream.Close()
}

// got lists what the agent was told of a task.
func (a *fakeAgent) got(task string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, u := range a.updates {
		if u.Update.Status.TaskID.Value == task {
			all = append(all, u.Update.Status.GetState().String())
		}
	}
	return all
}

// fakeTasks starts processes in memory, which end on signals.
type fakeTasks struct {
	mu      sync.Mutex
	running map[string]*fakeProcess
	// StartFn fails starts; FetchFn blocks or fails fetches.
	StartFn func(task string) error
	FetchFn func(ctx context.Context, task string) error
	// stubborn processes end on Kill only.
	stubborn bool
}

type fakeProcess struct {
	id       string
	exit     chan core.Exit
	stubborn bool
	once     sync.Once
	checks   chan core.Check
}

func (p *fakeProcess) end(e core.Exit)    { p.once.Do(func() { p.exit <- e }) }
func (p *fakeProcess) Warnings() []string { return nil }
func (p *fakeProcess) OnExit(f func(core.Exit)) {
	go func() { f(<-p.exit) }()
}
func (p *fakeProcess) Kill() { p.end(core.Exit{Signal: 9}) }
func (p *fakeProcess) Signal(s unix.Signal) error {
	if !p.stubborn {
		p.end(core.Exit{Signal: int(s)})
	}
	return nil
}
func (p *fakeProcess) Check(ctx context.Context, k core.Check) core.CheckResult {
	p.checks <- k
	<-ctx.Done()
	return core.CheckResult{Err: "stopped"}
}

func (f *fakeTasks) Fetch(ctx context.Context, k core.Fetch) error {
	return f.FetchFn(ctx, k.Task.TaskID.Value)
}

func (f *fakeTasks) Start(ctx context.Context, s core.Start) (Process, error) {
	id := s.Task.TaskID.Value
	if f.StartFn != nil {
		if err := f.StartFn(id); err != nil {
			return nil, err
		}
	}
	p := &fakeProcess{id: id, exit: make(chan core.Exit, 1), stubborn: f.stubborn, checks: make(chan core.Check, 10)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running[id] = p
	return p, nil
}

func (f *fakeTasks) process(id string) *fakeProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running[id]
}

// rig is a loop that runs with fakes, in a bubble of synthetic time.
type rig struct {
	agent  *fakeAgent
	tasks  *fakeTasks
	config core.Config
	// upgrader is nil for an executor that cannot be replaced.
	upgrader Upgrader
	stop     context.CancelFunc
	result   chan error
}

func newRig() *rig {
	var uuids byte
	return &rig{
		agent: &fakeAgent{}, tasks: &fakeTasks{running: map[string]*fakeProcess{}},
		config: core.Config{
			ExecutorID: mesos.ExecutorID{Value: "api.0.1"}, FrameworkID: mesos.FrameworkID{Value: "framework-1"},
			Checkpoint: true, Linger: time.Second,
			NewUUID: func() [16]byte { uuids++; return [16]byte{6: 0x40, 8: 0x80, 15: uuids} },
		},
		result: make(chan error, 1),
	}
}

func (r *rig) run(t *testing.T) {
	log := logrus.New()
	log.SetOutput(testWriter{t})
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() {
		r.result <- Run(ctx, Options{
			Core: r.config, Agent: r.agent, Log: log, Upgrader: r.upgrader,
			Open: func(*executor.Event_Subscribed) (Tasks, error) { return r.tasks, nil },
		})
	}()
	synctest.Wait()
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

func group(ids ...string) *executor.Event {
	var tasks []mesos.TaskInfo
	for _, id := range ids {
		tasks = append(tasks, mesos.TaskInfo{
			Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: mesos.AgentID{Value: "agent-1"},
			Command: &mesos.CommandInfo{Value: proto.String("exec ./" + id)},
		})
	}
	return &executor.Event{
		Type: executor.Event_LAUNCH_GROUP, LaunchGroup: &executor.Event_LaunchGroup{TaskGroup: mesos.TaskGroupInfo{Tasks: tasks}},
	}
}

func kill(id string) *executor.Event {
	return &executor.Event{Type: executor.Event_KILL, Kill: &executor.Event_Kill{TaskID: mesos.TaskID{Value: id}}}
}

func (r *rig) wantStates(t *testing.T, task string, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := r.agent.got(task); !slices.Equal(got, want) {
		t.Errorf("task %s: got %v, want %v", task, got, want)
	}
}

func (r *rig) wantEnd(t *testing.T, want string) {
	t.Helper()
	err := <-r.result
	if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
		t.Errorf("ended with %v, want %q", err, want)
	}
}

func TestTasksFromStartToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.run(t)
		r.agent.say(group("web", "db"))
		r.wantStates(t, "web", "TASK_STARTING", "TASK_RUNNING")
		r.tasks.process("db").end(core.Exit{Code: 0})
		r.wantStates(t, "db", "TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED")
		r.agent.say(kill("web"))
		r.wantStates(t, "web", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLED")
		r.wantEnd(t, "")
	})
}

func TestStubbornTaskIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.tasks.stubborn = true
		r.run(t)
		r.agent.say(group("web"))
		r.agent.say(kill("web"))
		began := time.Now()
		r.wantEnd(t, "")
		if waited := time.Since(began); waited != 4*time.Second { // Three of grace, one of lingering.
			t.Errorf("it took %s", waited)
		}
	})
}

func TestStartFailureEndsTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.tasks.StartFn = func(task string) error {
			if task == "db" {
				return errors.New("there is no user \"db\"")
			}
			return nil
		}
		r.run(t)
		r.agent.say(group("web", "db"))
		r.wantStates(t, "db", "TASK_STARTING", "TASK_FAILED")
		if got := r.agent.got("web"); got[len(got)-1] != "TASK_KILLED" {
			t.Errorf("task web: %v", got)
		}
		r.wantEnd(t, "")
	})
}

func TestFetchIsBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		ended := make(chan error, 1)
		r.tasks.FetchFn = func(ctx context.Context, _ string) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}
		r.run(t)
		event := group("web")
		event.LaunchGroup.TaskGroup.Tasks[0].Command.URIs = []mesos.CommandInfo_URI{{Value: "http://files.example/web.tgz"}}
		r.agent.say(event)
		r.wantStates(t, "web", "TASK_STARTING")
		r.agent.say(kill("web"))
		r.wantStates(t, "web", "TASK_STARTING", "TASK_KILLED")
		<-ended
		r.wantEnd(t, "")
	})
}

func TestReconnectsAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.run(t)
		r.agent.say(group("web", "db"))
		synctest.Wait()
		away := true
		r.agent.SubscribeFn = func(int) error {
			if away {
				return &executorapi.Error{Status: 503, Text: "Agent has not finished recovery"}
			}
			return nil
		}
		r.agent.SendFn = func(int) error { return errors.New("connection refused") }
		r.agent.breakConnection()
		synctest.Wait()
		r.tasks.process("web").end(core.Exit{Code: 0}) // While nobody listens.
		time.Sleep(10 * time.Second)
		r.agent.mu.Lock()
		away, r.agent.SendFn = false, nil
		tried := len(r.agent.subscribes)
		r.agent.mu.Unlock()
		if tried < 10 || tried > 200 {
			t.Errorf("%d attempts in ten seconds", tried)
		}
		time.Sleep(500 * time.Millisecond)
		r.wantStates(t, "web", "TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED")
		r.wantStates(t, "db", "TASK_STARTING", "TASK_RUNNING")
		r.agent.say(kill("db"))
		r.wantEnd(t, "")
	})
}

func TestUpdatesThatFailAreSentAgainInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.agent.SendFn = func(n int) error {
			if n%3 != 2 {
				return fmt.Errorf("connection reset by peer")
			}
			return nil
		}
		r.run(t)
		r.agent.say(group("web"))
		synctest.Wait()
		r.tasks.process("web").end(core.Exit{Code: 0})
		r.wantEnd(t, "")
		r.wantStates(t, "web", "TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED")
	})
}

func TestAgentThatForgotTheSubscriptionIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.agent.SendFn = func(n int) error {
			if n == 0 {
				return &executorapi.Error{Status: 403, Text: "Executor is not subscribed"}
			}
			return nil
		}
		r.run(t)
		r.agent.say(group("web"))
		time.Sleep(time.Second)
		r.wantStates(t, "web", "TASK_STARTING", "TASK_RUNNING")
		if n := len(r.agent.subscribes); n != 2 {
			t.Errorf("%d subscriptions, want 2", n)
		}
		r.agent.say(kill("web"))
		r.wantEnd(t, "")
	})
}

func TestUnknownExecutorEndsItsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.run(t)
		r.agent.say(group("web"))
		synctest.Wait()
		r.agent.SubscribeFn = func(int) error { return &executorapi.Error{Status: 400, Text: "Executor cannot be found"} }
		r.agent.breakConnection()
		r.wantEnd(t, "Executor cannot be found")
		if exit := r.tasks.process("web").exit; len(exit) != 0 {
			t.Error("nobody waited for the workload")
		}
	})
}

func TestShutdownAndInterrupt(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"the agent says so":       func(r *rig) { r.agent.say(&executor.Event{Type: executor.Event_SHUTDOWN}) },
		"the process is asked to": func(r *rig) { r.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.tasks.stubborn = true
				r.run(t)
				var ids []string
				for i := range 50 {
					ids = append(ids, fmt.Sprintf("task-%d", i))
				}
				r.agent.say(group(ids...))
				synctest.Wait()
				began := time.Now()
				end(r)
				r.wantEnd(t, "")
				if waited := time.Since(began); waited > 4*time.Second {
					t.Errorf("it took %s of the agent's five seconds", waited)
				}
				for _, id := range ids {
					if got := r.agent.got(id); got[len(got)-1] != "TASK_KILLED" {
						t.Errorf("task %s: %v", id, got)
					}
				}
			})
		})
	}
}

func TestChecksStopWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.run(t)
		event := group("web")
		event.LaunchGroup.TaskGroup.Tasks[0].HealthCheck = &mesos.HealthCheck{
			Type: mesos.HealthCheck_TCP, TCP: &mesos.HealthCheck_TCPCheckInfo{Port: 31000}, DelaySeconds: proto.Float64(1),
		}
		r.agent.say(event)
		synctest.Wait()
		p := r.tasks.process("web")
		<-p.checks
		r.agent.breakConnection()
		<-p.checks // The next one, at once when it is subscribed again.
		r.agent.say(kill("web"))
		r.wantEnd(t, "")
	})
}

func TestUnknownEventsAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.run(t)
		for _, event := range []*executor.Event{
			{Type: executor.Event_Type(99)}, {Type: executor.Event_HEARTBEAT}, {Type: executor.Event_KILL}, {},
			{Type: executor.Event_ERROR, Error: &executor.Event_Error{Message: "no"}},
			{Type: executor.Event_MESSAGE, Message: &executor.Event_Message{Data: []byte("hello")}},
		} {
			r.agent.say(event)
		}
		r.agent.say(group("web"))
		r.wantStates(t, "web", "TASK_STARTING", "TASK_RUNNING")
		r.agent.say(kill("web"))
		r.wantEnd(t, "")
	})
}
