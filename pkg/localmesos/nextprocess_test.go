package localmesos_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master"
)

// clusterDir is the variable that makes this test binary a cluster in a directory.
// Where that has a file of the name of unlimited, there are no cgroups; of two, two
// agents.
const (
	clusterDir = "TEST_CLUSTER_DIR"
	unlimited  = "unlimited"
	two        = "two"
)

func recovering(dir string) localmesos.Options {
	o := localmesos.Options{
		Dir:    dir,
		Master: master.Options{AllocationInterval: 50 * time.Millisecond},
		Agent:  agent.Options{Recovery: agent.RecoverReconnect, ExecutorReregistrationTimeout: 3 * time.Second},
	}
	if _, err := os.Stat(filepath.Join(dir, unlimited)); err == nil {
		o.Agent.Isolation = agent.IsolationNone
	}
	if _, err := os.Stat(filepath.Join(dir, two)); err == nil {
		o.Agents = 2
	}
	return o
}

// runCluster is a cluster's process; it ends when it is killed, or with its parent.
func runCluster(dir string) error {
	cluster, err := localmesos.Start(context.Background(), recovering(dir))
	if err != nil {
		return err
	}
	fmt.Println(cluster.URL())
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}

// clusterProcess starts a cluster in a process of its own, and returns its address
// and what kills it.
func clusterProcess(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), clusterDir+"="+dir)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed, and says so
			_ = stdin.Close()
		}
	}
	t.Cleanup(kill)
	url, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal("the cluster's process did not tell where it is:", err)
	}
	return strings.TrimSpace(url), kill
}

// recovered starts a cluster in this process that goes on where one was killed.
func recovered(t *testing.T, dir string) *localmesos.Cluster {
	t.Helper()
	return clusterOf(t, recovering(dir))
}

func TestTheNextProcessGoesOnWithRunningTasks(t *testing.T) {
	goOn(t, sharedDir(t))
}

func TestTheNextProcessGoesOnWithoutCgroups(t *testing.T) {
	dir := sharedDir(t)
	if err := os.WriteFile(filepath.Join(dir, unlimited), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	goOn(t, dir)
}

func goOn(t *testing.T, dir string) {
	url, kill := clusterProcess(t, dir)
	before := subscribeAt(t, url, mesos.FrameworkID{})
	offer := before.offer()
	before.launch(offer, "exec-1", "t1:stay")
	running := before.update("t1", mesos.TASK_RUNNING)
	pid := running.GetContainerStatus().GetExecutorPID()
	kill()
	<-before.ended

	cluster := recovered(t, dir)
	if id := cluster.Agents()[0].ID(); id != offer.AgentID {
		t.Errorf("agent %s has become %s", offer.AgentID.Value, id.Value)
	}
	after := subscribeAt(t, cluster.URL(), before.id)
	after.last = running.UUID // it may not have been acknowledged in time
	after.call(calls.Reconcile(calls.ReconcileTasks(map[string]string{"t1": offer.AgentID.Value})))
	after.update("t1", mesos.TASK_RUNNING) // the master's answer, which has no UUID
	after.last = running.UUID
	after.launch(after.offer(), "exec-1", "t2:stay")
	if s := after.update("t2", mesos.TASK_RUNNING); s.GetContainerStatus().GetExecutorPID() != pid {
		t.Errorf("the executor has become process %d, from %d", s.GetContainerStatus().GetExecutorPID(), pid)
	}
	after.call(calls.Kill("t1", offer.AgentID.Value))
	after.update("t1", mesos.TASK_KILLED)
}

func TestExecutorsThatEndedBetweenProcessesAreReported(t *testing.T) {
	dir := sharedDir(t)
	url, kill := clusterProcess(t, dir)
	before := subscribeAt(t, url, mesos.FrameworkID{})
	before.launch(before.offer(), "exec-1", "t1:stay")
	running := before.update("t1", mesos.TASK_RUNNING)
	pid := running.GetContainerStatus().GetExecutorPID()
	kill()
	<-before.ended
	process, err := os.FindProcess(int(pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}

	after := subscribeAt(t, recovered(t, dir).URL(), before.id)
	after.last = running.UUID // it may not have been acknowledged in time
	s := after.update("t1", mesos.TASK_FAILED)
	if s.GetReason() != mesos.REASON_EXECUTOR_TERMINATED || s.GetMessage() != "Executor terminated" {
		t.Errorf("it failed for %v: %s", s.GetReason(), s.GetMessage())
	}
}

// TestWhatIsPlayedEndsWithItsProcess: the command executor does, and its task with it.
func TestWhatIsPlayedEndsWithItsProcess(t *testing.T) {
	dir := sharedDir(t)
	url, kill := clusterProcess(t, dir)
	before := subscribeAt(t, url, mesos.FrameworkID{})
	offer := before.offer()
	task := plain("t1", "exec sleep 1000")
	task.AgentID = offer.AgentID
	before.accept(offer, calls.OpLaunch(task))
	before.update("t1", mesos.TASK_STARTING)
	running := before.update("t1", mesos.TASK_RUNNING)
	kill()
	<-before.ended

	after := subscribeAt(t, recovered(t, dir).URL(), before.id)
	after.last = running.UUID // it may not have been acknowledged in time
	s := after.update("t1", mesos.TASK_FAILED)
	if s.GetReason() != mesos.REASON_EXECUTOR_TERMINATED {
		t.Errorf("it failed for %v: %s", s.GetReason(), s.GetMessage())
	}
}

func TestCleaningUpEndsExecutors(t *testing.T) {
	dir := sharedDir(t)
	url, kill := clusterProcess(t, dir)
	before := subscribeAt(t, url, mesos.FrameworkID{})
	before.launch(before.offer(), "exec-1", "t1:stay")
	running := before.update("t1", mesos.TASK_RUNNING)
	kill()
	<-before.ended

	o := recovering(dir)
	o.Agent.Recovery = agent.RecoverCleanup
	clusterOf(t, o)
	process := fmt.Sprintf("/proc/%d/cmdline", running.GetContainerStatus().GetExecutorPID())
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		// It has none once it has ended, though nobody may ask how.
		if text, err := os.ReadFile(process); err != nil || len(text) == 0 {
			return
		}
	}
	t.Error("the executor lives on")
}

func TestAClusterThatWasStoppedHasTheSameAgents(t *testing.T) {
	dir := sharedDir(t)
	first, err := localmesos.Start(t.Context(), recovering(dir))
	if err != nil {
		t.Fatal(err)
	}
	id := first.Agents()[0].ID()
	if err := first.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if again := recovered(t, dir).Agents()[0].ID(); again != id {
		t.Errorf("agent %s has become %s", id.Value, again.Value)
	}
}

func TestStoppingEndsWhatAgentsThatAreNoMoreHaveLeft(t *testing.T) {
	dir := sharedDir(t)
	if err := os.WriteFile(filepath.Join(dir, two), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	url, kill := clusterProcess(t, dir)
	before := subscribeAt(t, url, mesos.FrameworkID{})
	executors := map[mesos.AgentID]int{}
	for len(executors) < 2 {
		offer := before.offer()
		if _, has := executors[offer.AgentID]; has {
			continue
		}
		task := fmt.Sprint("t", len(executors))
		before.launch(offer, "exec-1", task+":stay")
		running := before.update(task, mesos.TASK_RUNNING)
		executors[offer.AgentID] = int(running.GetContainerStatus().GetExecutorPID())
	}
	var groups []string
	for _, pid := range executors {
		groups = append(groups, agentGroups(t, pid)...)
	}
	kill()
	<-before.ended
	if err := os.Remove(filepath.Join(dir, two)); err != nil {
		t.Fatal(err)
	}

	cluster, err := localmesos.Start(t.Context(), recovering(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(groups) == 0 {
		t.Skip("there are no cgroups here")
	}
	for _, group := range groups {
		if _, err := os.Stat(group); err == nil {
			t.Error("there still is", group)
		}
	}
}

func TestTheNextProcessTakesStandaloneContainersOver(t *testing.T) {
	for _, name := range []string{"", unlimited} {
		t.Run("cgroups: "+name, func(t *testing.T) {
			dir := sharedDir(t)
			if name != "" {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			url, kill := clusterProcess(t, dir)
			framework := subscribeAt(t, url, mesos.FrameworkID{})
			offer := framework.offer()
			agentAddress := fmt.Sprintf("%s:%d", offer.URL.Address.GetIP(), offer.URL.Address.Port)
			const id = `"container_id":{"value":"standing-alone"}`
			if r := agentCallAt(t, agentAddress, `{"type":"LAUNCH_CONTAINER","launch_container":{`+id+`,"command":{"value":"sleep 1000"},"resources":[
				{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}},{"name":"mem","type":"SCALAR","scalar":{"value":32}}]}}`, false); r.StatusCode != http.StatusOK {
				t.Fatal("the launch was answered with", r.Status)
			}
			const list = `{"type":"GET_CONTAINERS","get_containers":{"show_standalone":true}}`
			before := executorPID(t, agentCallAt(t, agentAddress, list, false))
			kill()
			<-framework.ended

			cluster := recovered(t, dir)
			if after := executorPID(t, agentCall(t, cluster, list, false)); after != before {
				t.Errorf("the container has become process %s, from %s", after, before)
			}
			for _, call := range []string{"KILL", "WAIT"} {
				lower := strings.ToLower(call) + "_container"
				if r := agentCall(t, cluster, `{"type":"`+call+`_CONTAINER","`+lower+`":{`+id+`}}`, false); r.StatusCode != http.StatusOK {
					t.Errorf("%s was answered with %s", call, r.Status)
				}
			}
		})
	}
}

// executorPID returns the process ID of the one container that is listed.
func executorPID(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`"executor_pid":(\d+)`).FindAllSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("there are %d containers: %s", len(found), text)
	}
	return string(found[0][1])
}

// agentGroups lists the directories of a process's cgroups that are a cluster's agent's.
func agentGroups(t *testing.T, pid int) (dirs []string) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	host, err := cgroup.ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name := strings.TrimSpace(line[strings.LastIndex(line, ":")+1:])
		if at := strings.Index(name, "/agent-"); at >= 0 {
			for _, h := range host.Hierarchies {
				dirs = append(dirs, filepath.Join(h.Mount, name[:at+len("/agent-1")]))
			}
		}
	}
	return dirs
}

// sharedDir is a temporary directory that executors of any user can get through.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cluster-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
