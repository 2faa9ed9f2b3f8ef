package agent_test

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/resources"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

const (
	agentID     = "2fd8720a-d95b-449a-bf80-d74edacf3aac-S0"
	frameworkID = "2fd8720a-d95b-449a-bf80-d74edacf3aac-0000"
	patience    = 20 * time.Second // how long a test waits for what must come
)

// fakeMaster registers an agent, acknowledges its updates unless told not to,
// and keeps what it was told, a line each.
type fakeMaster struct {
	heard chan heard
	quiet bool
}

// heard is one message to the master.
type heard struct {
	line   string
	update *link.StatusUpdate
	data   []byte
	reg    *link.Registration
}

func newFakeMaster() *fakeMaster { return &fakeMaster{heard: make(chan heard, 1000)} }

func (m *fakeMaster) RegisterAgent(a link.Agent, r link.Registration) {
	// In this order: who hears of it may rely on it.
	a.Registered(mesos.AgentID{Value: agentID}, link.MasterView{})
	m.heard <- heard{line: "register", reg: &r}
}

func (m *fakeMaster) ReregisterAgent(a link.Agent, r link.Registration) {
	m.heard <- heard{line: "reregister", reg: &r}
	a.Reregistered(mesos.AgentID{Value: agentID}, link.MasterView{}, nil)
}

func (m *fakeMaster) UnregisterAgent(mesos.AgentID) { m.heard <- heard{line: "unregister"} }
func (m *fakeMaster) AgentDisconnected(mesos.AgentID) {
	m.heard <- heard{line: "disconnected"}
}
func (m *fakeMaster) Pong(mesos.AgentID) { m.heard <- heard{line: "pong"} }

func (m *fakeMaster) StatusUpdate(u link.StatusUpdate) {
	m.heard <- heard{line: fmt.Sprintf("update %s %s", u.Status.TaskID.Value, u.Status.GetState()), update: &u}
}

func (m *fakeMaster) ExitedExecutor(_ mesos.AgentID, _ mesos.FrameworkID, e mesos.ExecutorID, status int32) {
	m.heard <- heard{line: fmt.Sprintf("exited %s %d", e.Value, status)}
}

func (m *fakeMaster) OperationStatus(link.OperationUpdate) {}

func (m *fakeMaster) ExecutorToFramework(_ mesos.AgentID, _ mesos.FrameworkID, e mesos.ExecutorID, data []byte) {
	m.heard <- heard{line: "message from " + e.Value, data: data}
}

// fixture is an agent and its master, with nothing left of either at the end.
type fixture struct {
	*testing.T
	agent  *agent.Agent
	master *fakeMaster
	opts   agent.Options
	ended  bool
}

// start starts an agent and waits until it has registered.
func start(t *testing.T, change func(o *agent.Options)) *fixture {
	t.Helper()
	before := runtime.NumGoroutine()
	f := &fixture{T: t, master: newFakeMaster()}
	log := logrus.New()
	log.SetOutput(t.Output())
	log.SetLevel(logrus.DebugLevel)
	f.opts = agent.Options{
		Master:      f.master,
		WorkDir:     filepath.Join(t.TempDir(), "agent"),
		Resources:   "cpus:8;mem:8192;disk:20000;ports:[31000-32000]",
		Attributes:  "rack:r1;zone:a",
		CgroupsRoot: fmt.Sprintf("localmesos-test/%d-%s", os.Getpid(), strings.ToLower(filepath.Base(t.Name()))),
		Logger:      log,
	}
	if change != nil {
		change(&f.opts)
	}
	if f.opts.WorkDir != "" {
		// A sandbox must be reachable for other users, as a real one is.
		allowTraversal(t, f.opts.WorkDir)
	}
	a, err := agent.New(f.opts)
	if err != nil {
		t.Fatal(err)
	}
	f.agent = a
	a.Start()
	t.Cleanup(func() {
		f.stop()
		waitFor(t, "the agent's goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	})
	f.expect("register")
	return f
}

func allowTraversal(t *testing.T, dir string) {
	for d := filepath.Dir(dir); d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fixture) stop() {
	f.Helper()
	if f.ended {
		return
	}
	f.ended = true
	// The test's own context has ended when this is a clean-up.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.agent.Stop(ctx); err != nil {
		f.Error(err)
	}
}

// waitFor polls a condition that nothing announces.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			buffer := make([]byte, 1<<20)
			t.Fatalf("waited in vain for %s\n%s", what, buffer[:runtime.Stack(buffer, true)])
		}
	}
}

// next returns what the master hears next, and acknowledges it if it is an
// update.
func (f *fixture) next() heard {
	f.Helper()
	select {
	case h := <-f.master.heard:
		if u := h.update; u != nil && !f.master.quiet {
			f.agent.AcknowledgeStatusUpdate(u.FrameworkID, u.Status.TaskID, u.Status.UUID)
		}
		return h
	case <-time.After(patience):
		f.Fatal("the master heard nothing more")
		return heard{}
	}
}

// expect asserts what the master hears next, in this order.
func (f *fixture) expect(lines ...string) (last heard) {
	f.Helper()
	for _, want := range lines {
		last = f.next()
		if last.line != want {
			text := ""
			if last.update != nil {
				text = last.update.Status.GetMessage()
			}
			f.Fatalf("the master heard %q (%s), want %q", last.line, text, want)
		}
	}
	return last
}

// expectAny is expect for lines whose order is open.
func (f *fixture) expectAny(lines ...string) map[string]heard {
	f.Helper()
	got := map[string]heard{}
	for range lines {
		h := f.next()
		got[h.line] = h
	}
	for _, want := range lines {
		if _, ok := got[want]; !ok {
			f.Fatalf("the master did not hear %q but %v", want, got)
		}
	}
	return got
}

func framework() mesos.FrameworkInfo {
	checkpoint := true
	self, err := user.Current()
	if err != nil {
		panic(err)
	}
	return mesos.FrameworkInfo{
		ID: &mesos.FrameworkID{Value: frameworkID}, Name: "example", User: self.Username, Checkpoint: &checkpoint,
		Roles: []string{"example"},
		Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE},
			{Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE},
		},
	}
}

// executorInfo describes the test executor, fetched from this test binary.
func executorInfo(id, mode string, variables ...string) mesos.ExecutorInfo {
	binary, err := os.Executable()
	if err != nil {
		panic(err)
	}
	shell, executable, value := true, true, "exec ./"+filepath.Base(binary)
	env := &mesos.Environment{}
	for _, v := range append(variables, executorMode+"="+mode) {
		name, text, _ := strings.Cut(v, "=")
		env.Variables = append(env.Variables, mesos.Environment_Variable{Name: name, Value: &text})
	}
	return mesos.ExecutorInfo{
		Type:        mesos.ExecutorInfo_CUSTOM,
		ExecutorID:  mesos.ExecutorID{Value: id},
		FrameworkID: &mesos.FrameworkID{Value: frameworkID},
		Command: &mesos.CommandInfo{
			Shell: &shell, Value: &value, Environment: env,
			URIs: []mesos.CommandInfo_URI{{Value: "file://" + binary, Executable: &executable}},
		},
		Resources: amounts(0.2, 64, 32),
	}
}

func amounts(cpus, mem, disk float64) []mesos.Resource {
	return []mesos.Resource{
		resources.NewCPUs(cpus).Resource, resources.NewMemory(mem).Resource, resources.NewDisk(disk).Resource,
	}
}

func task(id, data string) mesos.TaskInfo {
	return mesos.TaskInfo{
		Name: "task " + id, TaskID: mesos.TaskID{Value: id}, AgentID: mesos.AgentID{Value: agentID},
		Resources: amounts(0.1, 32, 10), Data: []byte(data),
	}
}

func group(tasks ...mesos.TaskInfo) mesos.TaskGroupInfo { return mesos.TaskGroupInfo{Tasks: tasks} }
