package agent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
)

// needCgroups skips a test on machines where executors cannot be limited.
func (f *fixture) needCgroups() {
	f.Helper()
	if f.agent.Cgroups() == cgroup.None {
		f.Skip("no cgroups can be made here: it takes root and a writable cgroup file system")
	}
}

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

// checkMembership asserts in which cgroups an executor is.
func (f *fixture) checkMembership(lines []string, container string) {
	f.Helper()
	path := "/" + f.opts.CgroupsRoot + "/" + container
	if f.agent.Cgroups() == cgroup.V2 {
		if want := "0::" + path + "/leaf"; !slices.Contains(lines, want) {
			f.Errorf("not in %s: %q", want, lines)
		}
		return
	}
	for _, line := range lines {
		parts := strings.SplitN(line, ":", 3)
		controlled := slices.Contains([]string{"cpu", "cpuacct", "memory", "pids", "freezer"}, parts[1])
		if inside := strings.HasSuffix(parts[2], path); inside != controlled {
			f.Errorf("in the hierarchy of %s the executor is in %s", parts[1], parts[2])
		}
	}
}

// limits reads files of a container's cgroup: on v1 each as controller/file, on
// v2 by its path in the one directory.
func (f *fixture) limits(container string, files ...string) []string {
	f.Helper()
	var all []string
	for _, file := range files {
		controller := ""
		if f.agent.Cgroups() == cgroup.V1 {
			controller, file, _ = strings.Cut(file, "/")
		}
		all = append(all, strings.TrimSpace(f.read(filepath.Join("/sys/fs/cgroup", controller, f.opts.CgroupsRoot, container, file))))
	}
	return all
}

func TestLimitsFollowTheTasks(t *testing.T) {
	f := start(t, nil)
	f.needCgroups()
	sized := func(id, data string, cpus, mem float64) mesos.TaskInfo {
		ti := task(id, data)
		ti.Resources = amounts(cpus, mem, 10)
		return ti
	}
	f.launch(executorInfo("exec-1", "normal"), sized("t1", "run", 0.5, 128))
	container := f.expect("update t1 TASK_RUNNING").update.Status.ContainerStatus.GetContainerID().Value
	check := func(shares, weight, soft, hard string) {
		t.Helper()
		files := []string{"cpu/cpu.shares", "cpu/cpu.cfs_quota_us", "memory/memory.soft_limit_in_bytes", "memory/memory.limit_in_bytes", "pids/pids.max"}
		want := []string{shares, "-1", soft, hard, "max"}
		if f.agent.Cgroups() == cgroup.V2 {
			// The processes are in the leaf, which has no limits of its own.
			files = []string{"cpu.weight", "cpu.max", "memory.low", "memory.max", "pids.max", "leaf/memory.max", "cgroup.procs"}
			want = []string{weight, "max 100000", soft, hard, "max", "max", ""}
		}
		if diff := cmp.Diff(want, f.limits(container, files...)); diff != "" {
			t.Errorf("limits (-want +got):\n%s", diff)
		}
	}
	check("716", "70", "201326592", "201326592")
	f.agent.RunTaskGroup(framework(), executorInfo("exec-1", "normal"), group(sized("t2", "run", 1, 256), sized("t3", "run", 0.1, 32)), false)
	f.expect("update t2 TASK_RUNNING", "update t3 TASK_RUNNING")
	check("1843", "180", "503316480", "503316480")
	f.agent.KillTask(mesos.FrameworkID{Value: frameworkID}, mesos.TaskID{Value: "t2"}, nil)
	f.expect("update t2 TASK_KILLED")
	check("819", "80", "234881024", "503316480") // the hard limit is never lowered
}

func TestCPUQuota(t *testing.T) {
	for name, cfs := range map[string]bool{"for tasks with a bound": false, "for all with cgroups_enable_cfs": true} {
		t.Run(name, func(t *testing.T) {
			f := start(t, func(o *agent.Options) { o.CgroupsEnableCFS = cfs })
			f.needCgroups()
			bound := task("t1", "run")
			bound.Limits = map[string]mesos.Value_Scalar{"cpus": {Value: 2}, "mem": {Value: 256}}
			want := "220000"
			if cfs {
				bound, want = task("t1", "run"), "30000"
			}
			f.launch(executorInfo("exec-1", "normal"), bound)
			container := f.expect("update t1 TASK_RUNNING").update.Status.ContainerStatus.GetContainerID().Value
			file := "cpu/cpu.cfs_quota_us"
			if f.agent.Cgroups() == cgroup.V2 {
				file, want = "cpu.max", want+" 100000"
			}
			if got := f.limits(container, file); got[0] != want {
				t.Errorf("quota %s, want %s", got[0], want)
			}
		})
	}
}

// TestLimitsThatTheKernelRefuses plays an executor that leaves a cgroup with a
// quota behind when a task has ended: the agent cannot lower its own any more.
func TestLimitsThatTheKernelRefuses(t *testing.T) {
	f := start(t, func(o *agent.Options) { o.CgroupsEnableCFS = true })
	f.needCgroups()
	if f.agent.Cgroups() != cgroup.V1 {
		t.Skip("cgroup v2 takes any quota")
	}
	f.launch(executorInfo("exec-1", "normal"), task("t1", "run"), task("t2", "run"))
	f.expect("update t1 TASK_RUNNING")
	container := f.expect("update t2 TASK_RUNNING").update.Status.ContainerStatus.GetContainerID().Value
	child := filepath.Join("/sys/fs/cgroup/cpu", f.opts.CgroupsRoot, container, "child")
	if err := os.Mkdir(child, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(child, "cpu.cfs_quota_us"), []byte("40000"), 0); err != nil {
		t.Fatal(err)
	}
	f.agent.KillTask(*framework().ID, task("t1", "").TaskID, nil)
	f.expect("update t1 TASK_KILLED", "exited exec-1 9")
	got := f.expect("update t2 TASK_GONE").update.Status
	want := "Failed to update resources for container: Failed to update 'cpu.cfs_quota_us': Invalid argument"
	if got.GetReason() != mesos.REASON_CONTAINER_UPDATE_FAILED || got.GetMessage() != want {
		t.Errorf("%v %q, want %q", got.GetReason(), got.GetMessage(), want)
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
				if err != nil {
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

func TestFetchedFiles(t *testing.T) {
	f := start(t, nil)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "words"), []byte("some words"), 0o644); err != nil {
		t.Fatal(err)
	}
	requests := 0
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // and not the question for its size
			requests++
		}
		http.ServeFile(w, r, filepath.Join(dir, r.URL.Path))
	}))
	defer files.Close()
	yes, name := true, "data/more"
	for _, id := range []string{"exec-1", "exec-2"} {
		e := executorInfo(id, "normal")
		e.Command.URIs = append(e.Command.URIs,
			mesos.CommandInfo_URI{Value: files.URL + "/words", Cache: &yes},
			mesos.CommandInfo_URI{Value: filepath.Join(dir, "words"), OutputFile: &name})
		f.launch(e, task("of-"+id, "run"))
		f.expect("update of-" + id + " TASK_RUNNING")
		for _, file := range []string{"words", name} {
			if got := f.read(filepath.Join(f.sandbox(id), file)); got != "some words" {
				t.Errorf("%s holds %q", file, got)
			}
		}
	}
	if requests != 1 {
		t.Errorf("the cached file was requested %d times", requests)
	}
	if log := f.read(filepath.Join(f.sandbox("exec-1"), "stderr")); !strings.Contains(log, "Successfully fetched all URIs into '") {
		t.Errorf("stderr %q", log)
	}
}

// slowSite serves one file, once it is allowed to.
func slowSite(t *testing.T, file string) (url string, asked <-chan struct{}, release func()) {
	t.Helper()
	began, allowed := make(chan struct{}), make(chan struct{})
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		select {
		case <-allowed:
			http.ServeFile(w, r, file)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(site.Close)
	return site.URL + "/" + filepath.Base(file), began, func() { close(allowed) }
}

func TestKillDuringTheFetch(t *testing.T) {
	f := start(t, nil)
	e := executorInfo("exec-1", "normal")
	var asked <-chan struct{}
	var release func()
	e.Command.URIs[0].Value, asked, release = slowSite(t, strings.TrimPrefix(e.Command.URIs[0].Value, "file://"))
	f.launch(e, task("t1", "run"), task("t2", "run"))
	<-asked
	f.agent.KillTask(*framework().ID, task("t2", "").TaskID, nil)
	for _, id := range []string{"t1", "t2"} {
		got := f.expect("update " + id + " TASK_KILLED").update.Status
		if got.GetReason() != mesos.REASON_TASK_KILLED_DURING_LAUNCH ||
			got.GetMessage() != "A task within the task group was killed before delivery to the executor" {
			t.Errorf("%v %q", got.GetReason(), got.GetMessage())
		}
	}
	// The fetch goes on; the executor starts and is told to end.
	release()
	f.expect("exited exec-1 0")
	if out := f.read(filepath.Join(f.sandbox("exec-1"), "stdout")); strings.Contains(out, "SUBSCRIBED") {
		t.Errorf("the executor was let in: %s", out)
	}
}

func TestStopDuringTheFetch(t *testing.T) {
	f := start(t, nil)
	e := executorInfo("exec-1", "normal")
	var asked <-chan struct{}
	e.Command.URIs[0].Value, asked, _ = slowSite(t, "none")
	f.launch(e, task("t1", "run"))
	<-asked
	f.stop()
}

func TestExecutorsThatEnd(t *testing.T) {
	for _, c := range []struct {
		name, data string
		status     int
	}{
		{"with exit status 0", "exit 0", 0},
		{"with exit status 1", "exit 1", 256},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, nil)
			f.launch(executorInfo("exec-1", "normal"), task("run", "run"), task("staging", "stage"), task("last", c.data))
			f.expect("update run TASK_RUNNING", fmt.Sprintf("exited exec-1 %d", c.status))
			// The order is open: an update waits for the acknowledgement of
			// the one before it.
			f.expectAny("update run TASK_FAILED", "update staging TASK_FAILED", "update last TASK_FAILED")
		})
	}
	t.Run("by SIGKILL", func(t *testing.T) {
		f := start(t, nil)
		f.launch(executorInfo("exec-1", "normal"), task("run", "run"))
		pid := f.expect("update run TASK_RUNNING").update.Status.ContainerStatus.GetExecutorPID()
		if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		f.expect("exited exec-1 9", "update run TASK_FAILED")
	})
}

func TestNothingOutlivesItsContainer(t *testing.T) {
	for _, isolation := range []agent.Isolation{agent.IsolationAuto, agent.IsolationNone} {
		t.Run(fmt.Sprintf("isolation %d", isolation), func(t *testing.T) {
			f := start(t, func(o *agent.Options) { o.Isolation = isolation })
			e := executorInfo("exec-1", "normal")
			// A grandchild that the executor leaves behind.
			value := "sleep 1000 & echo $! > child; sleep 1000 & " + *e.Command.Value
			e.Command.Value = &value
			f.launch(e, task("t1", "run"))
			f.expect("update t1 TASK_RUNNING")
			child := strings.TrimSpace(f.read(filepath.Join(f.sandbox("exec-1"), "child")))
			f.stop()
			if _, err := os.Stat("/proc/" + child); !errors.Is(err, os.ErrNotExist) {
				stat, _ := os.ReadFile("/proc/" + child + "/stat")
				if !strings.Contains(string(stat), ") Z ") {
					t.Errorf("process %s lives on: %s", child, stat)
				}
			}
			for _, controller := range []string{"cpu", "memory", "freezer", "."} {
				if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", controller, f.opts.CgroupsRoot)); err == nil {
					t.Errorf("a cgroup of %s is left", controller)
				}
			}
		})
	}
}

func TestOutOfMemory(t *testing.T) {
	f := start(t, nil)
	f.needCgroups()
	f.launch(executorInfo("exec-1", "normal"), task("t1", "run"), task("t2", "eat"))
	f.expect("update t1 TASK_RUNNING", "update t2 TASK_RUNNING", "exited exec-1 9")
	for _, h := range f.expectAny("update t1 TASK_FAILED", "update t2 TASK_FAILED") {
		got := h.update.Status
		if got.GetReason() != mesos.REASON_CONTAINER_LIMITATION_MEMORY {
			t.Errorf("reason %v", got.GetReason())
		}
		if f.agent.Cgroups() == cgroup.V1 && !strings.HasPrefix(got.GetMessage(), "Memory limit exceeded: Requested: 128MB Maximum Used: 1") {
			t.Errorf("message %q", got.GetMessage())
		}
		if !strings.Contains(got.GetMessage(), "\nMEMORY STATISTICS") {
			t.Errorf("message %q has no statistics", got.GetMessage())
		}
		// The kernel's peak may be some pages above the limit.
		if r := got.GetLimitation().GetResources(); len(r) != 1 || r[0].Name != "mem" || math.Abs(r[0].Scalar.GetValue()-128) > 1 {
			t.Errorf("limitation %v", r)
		}
	}
}

// manualClock stands still until it is moved.
type manualClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*manualTimer]bool
}

type manualTimer struct {
	at time.Time
	f  func()
}

func newManualClock() *manualClock {
	return &manualClock{now: time.Unix(1_795_412_844, 0), timers: map[*manualTimer]bool{}}
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) AfterFunc(d time.Duration, f func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &manualTimer{c.now.Add(d), f}
	c.timers[t] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, t)
	}
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	for t := range c.timers {
		if !t.at.After(c.now) {
			due = append(due, t.f)
			delete(c.timers, t)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}

func TestRegistrationTimeout(t *testing.T) {
	clock := newManualClock()
	f := start(t, func(o *agent.Options) { o.Clock = clock })
	f.launch(executorInfo("exec-1", "silent"), task("t1", "run"))
	waitFor(t, "the executor to run", func() bool {
		text, err := os.ReadFile(filepath.Join(f.sandbox("exec-1"), "stdout"))
		return err == nil && strings.Contains(string(text), "started")
	})
	clock.advance(time.Minute)
	f.expect("exited exec-1 9", "update t1 TASK_FAILED")
}

func TestStubbornExecutor(t *testing.T) {
	clock := newManualClock()
	f := start(t, func(o *agent.Options) { o.Clock = clock })
	f.launch(executorInfo("exec-1", "normal", "STUBBORN=1"), task("t1", "run"))
	f.expect("update t1 TASK_RUNNING")
	f.agent.ShutdownExecutor(mesos.FrameworkID{Value: frameworkID}, mesos.ExecutorID{Value: "exec-1"})
	waitFor(t, "the executor to be told", func() bool {
		return strings.Contains(f.read(filepath.Join(f.sandbox("exec-1"), "stdout")), "SHUTDOWN")
	})
	clock.advance(5 * time.Second)
	f.expect("exited exec-1 9", "update t1 TASK_FAILED")
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

func TestCrashAndRecovery(t *testing.T) {
	clock := newManualClock()
	f := start(t, func(o *agent.Options) { o.Clock = clock })
	f.launch(executorInfo("exec-1", "normal"), task("t1", "run"))
	f.expect("update t1 TASK_RUNNING")
	f.agent.Crash()
	f.expect("disconnected")
	if err := f.agent.Recover(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the executor to come back", func() bool {
		return strings.Count(f.read(filepath.Join(f.sandbox("exec-1"), "stdout")), "event SUBSCRIBED") == 2
	})
	clock.advance(2 * time.Second)
	r := f.expect("reregister").reg
	if len(r.Executors) != 1 || len(r.Tasks) != 1 || r.Tasks[0].GetState() != mesos.TASK_RUNNING {
		t.Errorf("reregistered with %d executors and tasks %v", len(r.Executors), r.Tasks)
	}
	f.agent.KillTask(mesos.FrameworkID{Value: frameworkID}, mesos.TaskID{Value: "t1"}, nil)
	f.expect("update t1 TASK_KILLED")
}

func TestUnregistering(t *testing.T) {
	f := start(t, nil)
	f.launch(executorInfo("exec-1", "normal"), task("t1", "run"))
	f.expect("update t1 TASK_RUNNING")
	f.agent.Unregister()
	f.expect("unregister", "exited exec-1 0")
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
