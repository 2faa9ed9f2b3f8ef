package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
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

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

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
	// tls is nil for an agent without; token is what calls need, if any.
	tls   *tls.Config
	token string
	// binary is the executor; empty for this test's binary.
	binary string
	// user is the executor's; 0 for this test's. It owns its cgroups' directories,
	// but for the freezer's, as an agent gives them to it.
	user int
	// delegated has the executor in no container, and a subtree delegated to it.
	delegated bool
	// within is a command that starts the executor, in words of sh; empty for none.
	within string
	// socket is where the agent listens, too; empty for nowhere.
	socket string

	mu         sync.Mutex // guards what follows
	stream     chan *executor.Event
	subscribes []*executor.Call_Subscribe
	updates    []mesos.TaskStatus
	messages   [][]byte
	changed    chan struct{}
}

// capabilities are what the framework of the tests has.
var capabilities = []mesos.FrameworkInfo_Capability{
	{Type: mesos.FrameworkInfo_Capability_TASK_KILLING_STATE},
	{Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE},
}

func newAgent(t *testing.T, environment ...string) *agent {
	return startAgent(t, &agent{}, environment...)
}

// startAgent starts an agent that speaks as a says, and its executor.
func startAgent(t *testing.T, a *agent, environment ...string) *agent {
	t.Parallel()
	a.t, a.sandbox, a.container = t, t.TempDir(), fmt.Sprintf("tandem-test-%d", time.Now().UnixNano())
	a.changed, a.exited = make(chan struct{}, 1), make(chan struct{})
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
	if a.tls != nil {
		listener = tls.NewListener(listener, a.tls)
	}
	a.server = &http.Server{Handler: a, ErrorLog: log.New(io.Discard, "", 0)}
	go a.server.Serve(listener)
	if a.socket == "" {
		return
	}
	if listener, err = net.Listen("unix", a.socket); err != nil {
		a.t.Fatal(err)
	}
	go a.server.Serve(listener)
}

// startExecutor starts the executor as an agent does: in cgroups whose last
// part is the container's id, with an agent's environment and nothing else.
func (a *agent) startExecutor(more []string) {
	script := `exec ` + a.within + ` "$0"`
	if a.user != 0 {
		script = fmt.Sprintf(`exec setpriv --reuid=%d --regid=%d --clear-groups "$0"`, a.user, a.user)
		a.own(a.sandbox)
	}
	switch group := a.makeContainer(); {
	case group == nil:
	case a.delegated:
		more = append(more, "TANDEM_CGROUP="+group.String())
	default:
		for _, d := range group.Dirs() {
			if a.user != 0 && !slices.Contains(d.Controllers, "freezer") {
				a.own(d.Path)
			}
			script = fmt.Sprintf("echo $$ > %s/cgroup.procs; %s", d.Path, script)
		}
	}
	if a.binary == "" {
		own, err := os.Executable()
		if err != nil {
			a.t.Fatal(err)
		}
		a.binary = own
	}
	a.process = exec.Command("/bin/sh", "-c", script, a.binary)
	a.process.Dir = a.sandbox
	a.process.Env = append([]string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", asExecutor + "=1",
		"MESOS_FRAMEWORK_ID=framework-1", "MESOS_EXECUTOR_ID=api.0.1", "MESOS_SANDBOX=" + a.sandbox, "MESOS_DIRECTORY=" + a.sandbox,
		"MESOS_AGENT_ENDPOINT=" + a.address, "MESOS_SLAVE_PID=slave(1)@" + a.address, "MESOS_SLAVE_ID=agent-1",
		"MESOS_CHECKPOINT=1", "MESOS_RECOVERY_TIMEOUT=15mins", "MESOS_SUBSCRIPTION_BACKOFF_MAX=2secs",
		"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs", "LIBPROCESS_IP=127.0.0.1",
	}, more...)
	stderr, err := os.Create(filepath.Join(a.sandbox, "stderr"))
	if err != nil {
		a.t.Fatal(err)
	}
	defer stderr.Close()
	a.process.Stderr = stderr
	if err := a.process.Start(); err != nil {
		a.t.Fatal(err)
	}
	go func() {
		a.process.Wait()
		close(a.exited)
	}()
}

// own gives something to the executor's user.
func (a *agent) own(path string) {
	a.t.Helper()
	if err := os.Chown(path, a.user, a.user); err != nil {
		a.t.Fatal(err)
	}
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
	name := a.container
	if a.delegated {
		name = "subtree-" + name
	}
	group, err := host.Create(name, "cpu", "cpuacct", "memory", "pids", "freezer")
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
	if a.token != "" && r.Header.Get("Authorization") != "Bearer "+a.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
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
	case executor.Call_MESSAGE:
		a.mu.Lock()
		a.messages = append(a.messages, call.Message.Data)
		a.mu.Unlock()
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
