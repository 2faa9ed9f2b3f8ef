package agent_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("another user can be taken by root only")
	}
}

// launch launches a group on a new executor.
func (f *fixture) launch(e mesos.ExecutorInfo, tasks ...mesos.TaskInfo) {
	f.agent.RunTaskGroup(framework(), e, group(tasks...), true)
}

// sandbox is the directory of an executor's newest run.
func (f *fixture) sandbox(executor string) string {
	return filepath.Join(f.opts.WorkDir, "slaves", agentID, "frameworks", frameworkID, "executors", executor, "runs", "latest")
}

func (f *fixture) read(file string) string {
	f.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	return string(data)
}

func TestAgentRegistersWithWhatItHas(t *testing.T) {
	master := newFakeMaster()
	a, err := agent.New(agent.Options{
		Master: master, WorkDir: t.TempDir(), Isolation: agent.IsolationNone,
		Resources: "cpus:8;mem:8192;disk:20000;ports:[31000-32000]", Attributes: "rack:r1;weight:2.5;slots:[1-3];tags:{a,b}",
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	defer a.Stop(t.Context())
	h := <-master.heard
	if h.reg.PID != "slave(1)@"+a.Address() {
		t.Errorf("PID %q", h.reg.PID)
	}
	var got []string
	for _, r := range h.reg.Info.Resources {
		got = append(got, r.String())
	}
	for _, attribute := range h.reg.Info.Attributes {
		got = append(got, attribute.Name+" "+attribute.Type.String())
	}
	want := []string{"weight SCALAR", "slots RANGES", "tags SET", "rack TEXT"}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("no attribute %q in %q", w, got)
		}
	}
	if len(h.reg.Info.Resources) != 4 {
		t.Errorf("resources %v", h.reg.Info.Resources)
	}
}

func TestLifeOfATaskGroup(t *testing.T) {
	f := start(t, nil)
	f.launch(executorInfo("exec-1", "normal"), task("t1", "finish"), task("t2", "run"))
	f.expect("update t1 TASK_RUNNING")
	f.expectAny("update t1 TASK_FINISHED", "update t2 TASK_RUNNING")
	f.agent.KillTask(mesos.FrameworkID{Value: frameworkID}, mesos.TaskID{Value: "t2"}, nil)
	f.expect("update t2 TASK_KILLED")
	f.agent.ShutdownExecutor(mesos.FrameworkID{Value: frameworkID}, mesos.ExecutorID{Value: "exec-1"})
	f.expect("exited exec-1 0")
}

func TestSingleTask(t *testing.T) {
	f := start(t, nil)
	info, single := executorInfo("exec-1", "normal"), task("t1", "finish")
	single.Executor = &info
	f.agent.RunTask(framework(), single, true)
	f.expect("update t1 TASK_RUNNING", "update t1 TASK_FINISHED")
}

func TestWhatAnExecutorSees(t *testing.T) {
	f := start(t, nil)
	f.needCgroups()
	f.launch(executorInfo("exec-1", "normal", "EXAMPLE_VAR=from-executor-command"), task("t1", "report"))
	u := f.expect("update t1 TASK_FINISHED").update
	var got report
	if err := json.Unmarshal(u.Status.Data, &got); err != nil {
		t.Fatal(err)
	}
	container := u.Status.ContainerStatus.GetContainerID().Value
	sandbox, err := filepath.EvalSymlinks(f.sandbox("exec-1"))
	if err != nil {
		t.Fatal(err)
	}
	if want := f.opts.WorkDir + "/slaves/" + agentID + "/frameworks/" + frameworkID + "/executors/exec-1/runs/" + container; sandbox != want || got.Dir != want {
		t.Errorf("sandbox %s, working directory %s, want %s", sandbox, got.Dir, want)
	}
	slices.Sort(got.Env)
	want := []string{
		"EXAMPLE_VAR=from-executor-command",
		"LIBPROCESS_IP=127.0.0.1",
		"LIBPROCESS_PORT=0",
		"MESOS_AGENT_ENDPOINT=" + f.agent.Address(),
		"MESOS_CHECKPOINT=1",
		"MESOS_DIRECTORY=" + sandbox,
		"MESOS_EXECUTOR_ID=exec-1",
		"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs",
		"MESOS_FRAMEWORK_ID=" + frameworkID,
		"MESOS_HTTP_COMMAND_EXECUTOR=0",
		"MESOS_RECOVERY_TIMEOUT=15mins",
		"MESOS_SANDBOX=" + sandbox,
		"MESOS_SLAVE_ID=" + agentID,
		"MESOS_SLAVE_PID=slave(1)@" + f.agent.Address(),
		"MESOS_SUBSCRIPTION_BACKOFF_MAX=2secs",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"PWD=" + sandbox, // from the shell
		executorMode + "=normal",
	}
	if diff := cmp.Diff(want, got.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if int(u.Status.ContainerStatus.GetExecutorPID()) != got.PID {
		t.Errorf("executor_pid %d, its own idea is %d", u.Status.ContainerStatus.GetExecutorPID(), got.PID)
	}
	f.checkMembership(got.Cgroups, container)
	if !slices.Contains(got.Files, "-rw-r--r-- stderr") || !slices.Contains(got.Files, "-rw-r--r-- stdout") {
		t.Errorf("files in the sandbox: %q", got.Files)
	}
	if info, err := os.Stat(sandbox); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("sandbox %v, %v", info.Mode(), err)
	}
}

func TestCommandForms(t *testing.T) {
	needRoot(t)
	f := start(t, nil)
	e := executorInfo("exec-1", "normal")
	shell, value, user, output, executable := false, "./bin/my-exec", "nobody", "bin/my-exec", true
	e.Command.Shell, e.Command.Value, e.Command.User = &shell, &value, &user
	e.Command.Arguments = []string{"my-exec", "http://127.0.0.1:5190"}
	// Another user may read the program over HTTP, though not the file itself.
	files := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(strings.TrimPrefix(e.Command.URIs[0].Value, "file://")))))
	defer files.Close()
	e.Command.URIs[0].Value = files.URL + "/" + filepath.Base(e.Command.URIs[0].Value)
	e.Command.URIs[0].OutputFile, e.Command.URIs[0].Executable = &output, &executable
	f.launch(e, task("t1", "report"))
	u := f.expect("update t1 TASK_FINISHED").update
	var got report
	if err := json.Unmarshal(u.Status.Data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"my-exec", "http://127.0.0.1:5190"}, got.Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if got.UID == 0 {
		t.Error("the executor runs as root")
	}
	for _, v := range got.Env {
		if strings.HasPrefix(v, "PWD=") {
			t.Error("without a shell there is a PWD")
		}
	}
	var stat syscall.Stat_t
	for _, file := range []string{"", "bin", "bin/my-exec", "stdout", "stderr"} {
		if err := syscall.Stat(filepath.Join(f.sandbox("exec-1"), file), &stat); err != nil || int(stat.Uid) != got.UID {
			t.Errorf("%q belongs to %d (%v), want %d", file, stat.Uid, err, got.UID)
		}
	}
}

func TestExecutorsThatNeverRun(t *testing.T) {
	command := func(e *mesos.ExecutorInfo, shell bool, value string) {
		e.Command.Shell, e.Command.Value, e.Command.URIs = &shell, &value, nil
	}
	for _, c := range []struct {
		name   string
		change func(e *mesos.ExecutorInfo)
		status int
		state  mesos.TaskState
		reason mesos.TaskStatus_Reason
		text   string // C stands for the container
		stderr string
	}{
		{
			"missing command in a shell", func(e *mesos.ExecutorInfo) { command(e, true, "./not-there") },
			127 << 8, mesos.TASK_FAILED, mesos.REASON_EXECUTOR_TERMINATED, "Executor terminated", "not-there",
		},
		{
			"missing command without a shell", func(e *mesos.ExecutorInfo) { command(e, false, "./not-there") },
			256256, mesos.TASK_FAILED, mesos.REASON_EXECUTOR_TERMINATED, "Executor terminated", "not-there",
		},
		{
			"unknown user", func(e *mesos.ExecutorInfo) { u := "no-such-user"; e.Command.User = &u },
			-1, mesos.TASK_DROPPED, mesos.REASON_EXECUTOR_TERMINATED,
			"Failed to create executor directory 'DIR/C': Failed to chown directory to 'no-such-user': No such user 'no-such-user'", "",
		},
		{
			"connection refused", func(e *mesos.ExecutorInfo) { e.Command.URIs[0].Value = "http://127.0.0.1:1/x" },
			256, mesos.TASK_FAILED, mesos.REASON_CONTAINER_LAUNCH_FAILED,
			"Failed to launch container: Failed to fetch all URIs for container 'C': exited with status 1",
			"Failed to fetch 'http://127.0.0.1:1/x': ",
		},
		{
			"unknown scheme", func(e *mesos.ExecutorInfo) { e.Command.URIs[0].Value = "gopher://x/y" },
			256, mesos.TASK_FAILED, mesos.REASON_CONTAINER_LAUNCH_FAILED,
			"Failed to launch container: Failed to fetch all URIs for container 'C': exited with status 1",
			"Failed to fetch 'gopher://x/y': ",
		},
		{
			"exit before subscribing", func(e *mesos.ExecutorInfo) { *e = executorInfo("exec-1", "exit") },
			3 << 8, mesos.TASK_FAILED, mesos.REASON_EXECUTOR_TERMINATED, "Executor terminated", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, nil)
			e := executorInfo("exec-1", "normal")
			c.change(&e)
			f.launch(e, task("t1", "run"), task("t2", "run"))
			f.expect(fmt.Sprintf("exited exec-1 %d", c.status))
			for _, id := range []string{"t1", "t2"} {
				got := f.expect("update " + id + " " + c.state.String()).update.Status
				run, err := os.Readlink(f.sandbox("exec-1"))
				if c.state == mesos.TASK_DROPPED { // there is no sandbox, but in the message
					_, rest, _ := strings.Cut(got.GetMessage(), "'")
					run, _, _ = strings.Cut(rest, "'")
				} else if err != nil {
					t.Fatal(err)
				}
				want := strings.NewReplacer("'DIR/C'", "'"+run+"'", "'C'", "'"+filepath.Base(run)+"'").Replace(c.text)
				if got.GetReason() != c.reason || got.GetMessage() != want || got.GetSource() != mesos.SOURCE_AGENT {
					t.Errorf("%v %v %q, want %v %q", got.GetSource(), got.GetReason(), got.GetMessage(), c.reason, want)
				}
				if got.ContainerStatus != nil {
					t.Errorf("container status %v of a container that is gone", got.ContainerStatus)
				}
			}
			if c.stderr != "" {
				if text := f.read(filepath.Join(f.sandbox("exec-1"), "stderr")); !strings.Contains(text, c.stderr) {
					t.Errorf("stderr %q does not say %q", text, c.stderr)
				}
			}
		})
	}
}

type manualTimer struct {
	at time.Time
	f  func()
}

func TestMessagesBothWays(t *testing.T) {
	f := start(t, nil)
	f.launch(executorInfo("exec-1", "normal"), task("t1", "run"))
	f.expect("update t1 TASK_RUNNING")
	f.agent.FrameworkToExecutor(mesos.FrameworkID{Value: frameworkID}, mesos.ExecutorID{Value: "exec-1"}, []byte("hello"))
	if got := string(f.expect("message from exec-1").data); got != "echo hello" {
		t.Errorf("message %q", got)
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	for _, c := range []struct {
		change func(o *agent.Options)
		want   string
	}{
		{func(o *agent.Options) { o.Master = nil }, "no master is given"},
		{func(o *agent.Options) { o.WorkDir = "" }, "no work directory is given"},
		{func(o *agent.Options) { o.Listen = "localhost:5051" }, `listen address "localhost:5051" is not of the form IP:PORT`},
		{func(o *agent.Options) { o.Resources = "cpus" }, `cannot read resources "cpus": "cpus" has no value: write name:value`},
		{func(o *agent.Options) { o.Resources = "ports:[5-1]" }, `range 5-1 ends before it begins`},
		{func(o *agent.Options) { o.Attributes = "rack" }, `"rack" is not of the form name:value`},
		{func(o *agent.Options) { o.RecoveryTimeout = -1 }, "the recovery timeout is negative"},
		{func(o *agent.Options) { o.WorkDir = "/proc/none" }, "cannot use work directory /proc/none"},
	} {
		o := agent.Options{Master: newFakeMaster(), WorkDir: t.TempDir(), Isolation: agent.IsolationNone}
		c.change(&o)
		a, err := agent.New(o)
		if err == nil {
			a.Stop(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want one that says %q", err, c.want)
		}
	}
}
