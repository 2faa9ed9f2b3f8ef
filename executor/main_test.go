package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// asExecutor makes this test's binary be the executor.
const asExecutor = "TANDEM_TEST_AS_EXECUTOR"

func TestMain(m *testing.M) {
	workload.Shim()
	if os.Getenv(asExecutor) != "" {
		os.Args = os.Args[:1]
		os.Exit(run())
	}
	os.Exit(m.Run())
}

// agent is the executor API of a Mesos agent, and one executor that runs
// against it as a process of its own, in a container of its own.
type agent struct {
	t         *testing.T
	address   string
	server    *http.Server
	sandbox   string
	container string
	process   *exec.Cmd
	exited    chan struct{}

	mu         sync.Mutex // guards what follows
	stream     chan *executor.Event
	subscribes []*executor.Call_Subscribe
	updates    []mesos.TaskStatus
	changed    chan struct{}
}

// capabilities are what the framework of the tests has.
var capabilities = []mesos.FrameworkInfo_Capability{
	{Type: mesos.FrameworkInfo_Capability_TASK_KILLING_STATE},
	{Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE},
}

func newAgent(t *testing.T, environment ...string) *agent {
	t.Parallel()
	a := &agent{
		t: t, sandbox: t.TempDir(), container: fmt.Sprintf("tandem-test-%d", time.Now().UnixNano()),
		changed: make(chan struct{}, 1), exited: make(chan struct{}),
	}
	// As below a real work directory, other users can get as far as here.
	if err := os.Chmod(filepath.Dir(a.sandbox), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(a.sandbox, 0o750); err != nil {
		t.Fatal(err)
	}
	a.listen("127.0.0.1:0")
	a.startExecutor(environment)
	t.Cleanup(func() {
		a.process.Process.Kill()
		<-a.exited
		a.server.Close()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(a.sandbox, "stderr"))
			t.Logf("the executor's log:\n%s", log)
		}
	})
	return a
}

func (a *agent) listen(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		a.t.Fatal(err)
	}
	a.address = listener.Addr().String()
	a.server = &http.Server{Handler: a}
	go a.server.Serve(listener)
}

// startExecutor starts the executor as an agent does: in cgroups whose last
// part is the container's id, with an agent's environment and nothing else.
func (a *agent) startExecutor(more []string) {
	script := `exec "$0"`
	if group := a.makeContainer(); group != nil {
		for _, d := range group.Dirs() {
			script = fmt.Sprintf("echo $$ > %s/cgroup.procs; %s", d.Path, script)
		}
	}
	binary, err := os.Executable()
	if err != nil {
		a.t.Fatal(err)
	}
	a.process = exec.Command("/bin/sh", "-c", script, binary)
	a.process.Dir = a.sandbox
	a.process.Env = append([]string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", asExecutor + "=1",
		"MESOS_FRAMEWORK_ID=framework-1", "MESOS_EXECUTOR_ID=api.0.1", "MESOS_SANDBOX=" + a.sandbox, "MESOS_DIRECTORY=" + a.sandbox,
		"MESOS_AGENT_ENDPOINT=" + a.address, "MESOS_SLAVE_PID=slave(1)@" + a.address, "MESOS_SLAVE_ID=agent-1",
		"MESOS_CHECKPOINT=1", "MESOS_RECOVERY_TIMEOUT=15mins", "MESOS_SUBSCRIPTION_BACKOFF_MAX=2secs",
		"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs", "LIBPROCESS_IP=127.0.0.1",
	}, more...)
	log, err := os.Create(filepath.Join(a.sandbox, "stderr"))
	if err != nil {
		a.t.Fatal(err)
	}
	defer log.Close()
	a.process.Stderr = log
	if err := a.process.Start(); err != nil {
		a.t.Fatal(err)
	}
	go func() {
		a.process.Wait()
		close(a.exited)
	}()
}

// makeContainer makes the executor's container, or says why there is none.
func (a *agent) makeContainer() *cgroup.Group {
	host, err := cgroup.ReadHost()
	if err == nil && host.Version != cgroup.V1 {
		err = fmt.Errorf("cgroup %s", host.Version)
	}
	if err != nil || os.Geteuid() != 0 {
		a.t.Logf("the executor has no container (%v, user %d)", err, os.Geteuid())
		return nil
	}
	group, err := host.Create(a.container, "cpu", "cpuacct", "memory", "pids", "freezer")
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		group.Kill(context.Background())
		if err := group.Remove(context.Background()); err != nil {
			a.t.Errorf("the executor has left cgroups: %v", err)
		}
	})
	return group
}

// needContainer skips a test that needs cgroups.
func (a *agent) needContainer() {
	a.t.Helper()
	host, err := cgroup.ReadHost()
	if err != nil || host.Version != cgroup.V1 || os.Geteuid() != 0 {
		a.t.Skip("needs root and the memory controller of cgroup v1")
	}
}

func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var call executor.Call
	if err := call.Unmarshal(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch call.Type {
	case executor.Call_SUBSCRIBE:
		a.subscribe(w, r, call.Subscribe)
	case executor.Call_UPDATE:
		a.take(*call.Update)
		w.WriteHeader(http.StatusAccepted)
	}
}

func (a *agent) subscribe(w http.ResponseWriter, r *http.Request, call *executor.Call_Subscribe) {
	events := make(chan *executor.Event, 1000)
	events <- &executor.Event{Type: executor.Event_SUBSCRIBED, Subscribed: &executor.Event_Subscribed{
		FrameworkInfo: mesos.FrameworkInfo{Name: "payments", Capabilities: capabilities},
		AgentInfo:     mesos.AgentInfo{Hostname: "agent.example"},
		ContainerID:   &mesos.ContainerID{Value: a.container},
	}}
	a.mu.Lock()
	a.stream = events
	a.subscribes = append(a.subscribes, call)
	a.mu.Unlock()
	for _, u := range call.UnacknowledgedUpdates {
		a.take(u)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	for {
		select {
		case event := <-events:
			record, err := event.Marshal()
			if err != nil {
				a.t.Error(err)
				return
			}
			fmt.Fprintf(w, "%d\n", len(record))
			w.Write(record)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// take takes an update in, once, and acknowledges it.
func (a *agent) take(u executor.Call_Update) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.ContainsFunc(a.updates, func(s mesos.TaskStatus) bool { return bytes.Equal(s.UUID, u.Status.UUID) }) {
		a.updates = append(a.updates, u.Status)
	}
	a.stream <- &executor.Event{
		Type:         executor.Event_ACKNOWLEDGED,
		Acknowledged: &executor.Event_Acknowledged{TaskID: u.Status.TaskID, UUID: u.Status.UUID},
	}
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// say sends an event, when there is a subscription.
func (a *agent) say(event *executor.Event) {
	a.t.Helper()
	a.eventually("a subscription", func() bool { return a.stream != nil })
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stream <- event
}

func (a *agent) launch(tasks ...mesos.TaskInfo) {
	a.t.Helper()
	a.say(&executor.Event{
		Type: executor.Event_LAUNCH_GROUP, LaunchGroup: &executor.Event_LaunchGroup{TaskGroup: mesos.TaskGroupInfo{Tasks: tasks}},
	})
}

func (a *agent) kill(id string, grace time.Duration) {
	a.t.Helper()
	a.say(&executor.Event{Type: executor.Event_KILL, Kill: &executor.Event_Kill{
		TaskID: mesos.TaskID{Value: id}, KillPolicy: &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(grace)}},
	}})
}

// eventually waits for a condition, which it checks under the lock.
func (a *agent) eventually(what string, condition func() bool) {
	a.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		a.mu.Lock()
		ok := condition()
		a.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-a.changed:
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			a.t.Fatalf("waited in vain for %s; updates: %v", what, a.states())
		}
	}
}

func (a *agent) states() []string {
	var all []string
	for _, s := range a.updates {
		all = append(all, fmt.Sprintf("%s %s %q", s.TaskID.Value, s.State, s.GetMessage()))
	}
	return all
}

// await waits for a state of a task and returns the status.
func (a *agent) await(id string, state mesos.TaskState) mesos.TaskStatus {
	a.t.Helper()
	var found mesos.TaskStatus
	a.eventually(fmt.Sprintf("%s of %s", state, id), func() bool {
		for _, s := range a.updates {
			if s.TaskID.Value == id && s.GetState() == state {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// awaitExit waits until the executor has ended.
func (a *agent) awaitExit(status int) {
	a.t.Helper()
	select {
	case <-a.exited:
		if got := a.process.ProcessState.ExitCode(); got != status {
			a.t.Errorf("the executor exited with status %d, want %d", got, status)
		}
	case <-time.After(20 * time.Second):
		a.t.Fatal("the executor does not end")
	}
}

// awaitGone waits until the executor's log tells of the end of a task.
func (a *agent) awaitGone(task string) {
	a.t.Helper()
	a.eventually("the end of "+task, func() bool {
		log, err := os.ReadFile(filepath.Join(a.sandbox, "stderr"))
		return err == nil && slices.ContainsFunc(strings.Split(string(log), "\n"), func(line string) bool {
			return strings.Contains(line, "TASK_FINISHED") && strings.HasSuffix(line, "task="+task)
		})
	})
}

func (a *agent) output(task, file string) string {
	a.t.Helper()
	text, err := os.ReadFile(filepath.Join(a.sandbox, "tasks", task, file))
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}

// shell describes a task that runs a command line.
func shell(id, command string, mem float64) mesos.TaskInfo {
	scalar := func(name string, value float64) mesos.Resource {
		return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: value}}
	}
	return mesos.TaskInfo{
		Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: mesos.AgentID{Value: "agent-1"},
		Command:   &mesos.CommandInfo{Value: proto.String(command)},
		Resources: []mesos.Resource{scalar("cpus", 0.5), scalar("mem", mem)},
	}
}

func reportOf(t *testing.T, s mesos.TaskStatus) *tandemv1.TaskReport {
	t.Helper()
	report := &tandemv1.TaskReport{}
	if err := proto.Unmarshal(s.Data, report); err != nil || report.Magic != 0x746e6472 {
		t.Fatalf("the data of %s hold no report: %v", s.State, err)
	}
	return report
}

func TestTwoTasksAndTheEnd(t *testing.T) {
	a := newAgent(t)
	a.launch(
		shell("greeter", "echo hello; echo oops >&2; pwd; cat /proc/self/cgroup", 32),
		shell("counter", "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done; echo $i", 32))
	finished := a.await("greeter", mesos.TASK_FINISHED)
	if got, want := finished.GetMessage(), "Command exited with status 0"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	report := reportOf(t, finished)
	if report.ExitCode == nil || *report.ExitCode != 0 || report.Usage.GetWallTime().AsDuration() <= 0 {
		t.Errorf("report %v", report)
	}
	a.await("counter", mesos.TASK_FINISHED)
	a.awaitExit(0)
	dir := filepath.Join(a.sandbox, "tasks", "greeter")
	if got, want := a.output("greeter", "stdout"), "hello\n"+dir+"\n"; !strings.HasPrefix(got, want) {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got := a.output("greeter", "stderr"); got != "oops\n" {
		t.Errorf("stderr %q", got)
	}
	if report.Usage.Source == "cgroup-v1" && !strings.Contains(a.output("greeter", "stdout"), ":/"+a.container+"/task-greeter") {
		t.Errorf("it did not run in its own cgroup: %s", a.output("greeter", "stdout"))
	}
}

func TestNothingOfTheAgentReachesATask(t *testing.T) {
	a := newAgent(t, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN=eyJ.secret.token")
	task := shell("env", "env; tr '\\0' '\\n' < /proc/$PPID/environ || true", 32)
	task.Command.Environment = &mesos.Environment{Variables: []mesos.Environment_Variable{{Name: "MODE", Value: proto.String("production")}}}
	task.Command.User = proto.String("nobody")
	if os.Geteuid() != 0 {
		task.Command.User = nil
	}
	a.launch(task)
	a.await("env", mesos.TASK_FINISHED)
	out := a.output("env", "stdout")
	for _, secret := range []string{"eyJ", "LIBPROCESS", "MESOS_SLAVE_PID", "MESOS_AGENT_ENDPOINT", "TANDEM"} {
		if strings.Contains(out, secret) {
			t.Errorf("%s in what the task sees:\n%s", secret, out)
		}
	}
	dir := filepath.Join(a.sandbox, "tasks", "env")
	for _, want := range []string{"MODE=production", "MESOS_SANDBOX=" + dir, "MESOS_TASK_ID=env", "MESOS_FRAMEWORK_ID=framework-1", "HOST=agent.example", "HOME=" + dir} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("no %s in what the task sees:\n%s", want, out)
		}
	}
}

func TestOutOfMemoryHitsOneTask(t *testing.T) {
	a := newAgent(t)
	a.needContainer()
	group := []mesos.TaskInfo{
		shell("hog", "head -c 200000000 /dev/zero | tail", 32),
		shell("other", "sleep 60", 32),
	}
	a.launch(group[0])
	a.launch(group[1])
	failed := a.await("hog", mesos.TASK_FAILED)
	if failed.GetReason() != mesos.REASON_CONTAINER_LIMITATION_MEMORY {
		t.Errorf("reason %s", failed.Reason)
	}
	if got, want := failed.GetMessage(), "Memory limit exceeded: used 32 MiB of 32 MiB; killed (1 OOM kill)"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if failed.Limitation == nil || failed.Limitation.Resources[0].GetScalar().GetValue() != 32 {
		t.Errorf("limitation %v", failed.Limitation)
	}
	a.await("other", mesos.TASK_RUNNING)
	a.kill("other", time.Second)
	a.await("other", mesos.TASK_KILLED)
	a.awaitExit(0)
}

func TestKillEscalates(t *testing.T) {
	a := newAgent(t)
	a.launch(shell("deaf", "trap '' TERM; (setsid sleep 300 &); echo ready; while :; do sleep 1; done", 32))
	a.eventually("its word", func() bool {
		out, err := os.ReadFile(filepath.Join(a.sandbox, "tasks", "deaf", "stdout"))
		return err == nil && string(out) == "ready\n"
	})
	a.kill("deaf", 100*time.Millisecond)
	a.await("deaf", mesos.TASK_KILLING)
	killed := a.await("deaf", mesos.TASK_KILLED)
	if got, want := killed.GetMessage(), "Command terminated with signal SIGKILL: killed at the scheduler's request"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	a.awaitExit(0)
}

func TestFailedStartsSayWhy(t *testing.T) {
	a := newAgent(t)
	missing := shell("missing", "", 32)
	missing.Command.Shell, missing.Command.Value = new(bool), proto.String("no-such-program")
	stranger := shell("stranger", "true", 32)
	stranger.Command.User = proto.String("no-such-user")
	unfetched := shell("unfetched", "true", 32)
	unfetched.Command.URIs = []mesos.CommandInfo_URI{{Value: "/no/such/file"}}
	for _, task := range []mesos.TaskInfo{missing, stranger, unfetched} {
		a.launch(task)
	}
	for id, want := range map[string]string{
		"missing": "no-such-program", "stranger": "no user \"no-such-user\"", "unfetched": "Cannot fetch /no/such/file: ",
	} {
		failed := a.await(id, mesos.TASK_FAILED)
		if !strings.Contains(failed.GetMessage(), want) || failed.GetReason() != mesos.REASON_CONTAINER_LAUNCH_FAILED {
			t.Errorf("%s: %s %q, want %q", id, failed.Reason, failed.GetMessage(), want)
		}
	}
	a.awaitExit(0)
}

func TestAgentRestart(t *testing.T) {
	a := newAgent(t)
	a.launch(shell("brief", "sleep 0.3", 32), shell("long", "sleep 300", 32))
	a.await("long", mesos.TASK_RUNNING)
	a.await("brief", mesos.TASK_RUNNING)
	a.mu.Lock()
	a.stream = nil
	a.mu.Unlock()
	a.server.Close()
	a.awaitGone("brief") // It ends while nobody listens.
	a.listen(a.address)
	a.await("brief", mesos.TASK_FINISHED)
	a.mu.Lock()
	last := a.subscribes[len(a.subscribes)-1]
	a.mu.Unlock()
	if !slices.ContainsFunc(last.UnacknowledgedUpdates, func(u executor.Call_Update) bool {
		return u.Status.TaskID.Value == "brief" && u.Status.GetState() == mesos.TASK_FINISHED
	}) {
		t.Errorf("SUBSCRIBE did not hold what had happened meanwhile: %v", last)
	}
	a.kill("long", time.Second)
	a.await("long", mesos.TASK_KILLED)
	a.awaitExit(0)
}

func TestShutdownEndsEverything(t *testing.T) {
	a := newAgent(t)
	a.launch(shell("deaf", "trap '' TERM; while :; do sleep 1; done", 32), shell("polite", "sleep 300", 32))
	a.await("deaf", mesos.TASK_RUNNING)
	a.await("polite", mesos.TASK_RUNNING)
	a.say(&executor.Event{Type: executor.Event_SHUTDOWN})
	a.await("polite", mesos.TASK_KILLED)
	a.await("deaf", mesos.TASK_KILLED)
	a.awaitExit(0)
}

func TestChecksOfATask(t *testing.T) {
	a := newAgent(t)
	task := shell("web", "sleep 300", 32)
	task.HealthCheck = &mesos.HealthCheck{
		Type: mesos.HealthCheck_COMMAND, Command: &mesos.CommandInfo{Value: proto.String("test -f well || (sleep 60 & sleep 60)")},
		DelaySeconds: proto.Float64(0), IntervalSeconds: proto.Float64(0.1), TimeoutSeconds: proto.Float64(0.3),
		GracePeriodSeconds: proto.Float64(0), ConsecutiveFailures: proto.Uint32(3),
	}
	a.launch(task)
	a.await("web", mesos.TASK_RUNNING)
	if err := os.WriteFile(filepath.Join(a.sandbox, "tasks", "web", "well"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	healthy := func(want bool) func() bool {
		return func() bool {
			return slices.ContainsFunc(a.updates, func(s mesos.TaskStatus) bool { return s.Healthy != nil && *s.Healthy == want })
		}
	}
	a.eventually("a healthy task", healthy(true))
	if err := os.Remove(filepath.Join(a.sandbox, "tasks", "web", "well")); err != nil {
		t.Fatal(err)
	}
	killed := a.await("web", mesos.TASK_KILLED)
	if want := "killed because its health check failed 3 times in a row, the last time with: no answer within 300ms"; !strings.Contains(killed.GetMessage(), want) {
		t.Errorf("message %q, want %q", killed.GetMessage(), want)
	}
	if killed.Healthy == nil || *killed.Healthy {
		t.Error("it does not say that the task was not healthy")
	}
	a.awaitExit(0)
}
