package localmesos_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/resources"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos"
)

func needCgroups(t *testing.T, cluster *localmesos.Cluster) {
	t.Helper()
	if cluster.Agents()[0].Cgroups() == cgroup.None {
		t.Skip("there are no cgroups to be had here")
	}
}

func defaultExecutor(f *framework) mesos.ExecutorInfo {
	return mesos.ExecutorInfo{
		Type: mesos.ExecutorInfo_DEFAULT, ExecutorID: mesos.ExecutorID{Value: "default"}, FrameworkID: &f.id,
		Resources: []mesos.Resource{resources.NewCPUs(0.1).Resource, resources.NewMemory(32).Resource, resources.NewDisk(8).Resource},
	}
}

// groupsOf reads what a task has written of its own cgroups, by controller.
func groupsOf(t *testing.T, dir, task string) map[string]string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "agent-1/slaves/*/frameworks/*/executors/default/runs/latest/tasks", task, "stdout"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the output of %s is %v (%v)", task, found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]string{}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, controller := range strings.Split(fields[1], ",") {
			groups[controller] = fields[2]
		}
	}
	return groups
}

// Tasks of a group share their executor's limits, unless they ask for their own.
func TestCgroupsOfNestedContainers(t *testing.T) {
	for name, own := range map[string]bool{"shared": false, "own": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cluster := clusterIn(t, dir)
			needCgroups(t, cluster)
			f := subscribe(t, cluster)
			offer := f.offer()
			task := plain("t", "cat /proc/self/cgroup")
			task.AgentID = offer.AgentID
			if own {
				task.Container = &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), LinuxInfo: &mesos.LinuxInfo{ShareCgroups: new(false)}}
			}
			f.accept(offer, calls.OpLaunchGroup(defaultExecutor(f), task))
			s := f.ends("t", mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_FINISHED)
			id := s.GetContainerStatus().GetContainerID()
			outer := "/" + id.GetParent().GetValue()
			inner := outer + "/mesos/" + id.GetValue()
			groups := groupsOf(t, dir, "t")
			if v2, only := groups[""]; cluster.Agents()[0].Cgroups() == cgroup.V2 && only {
				if !strings.HasSuffix(v2, inner+"/leaf") {
					t.Errorf("the task is in %s, want %s", v2, inner+"/leaf")
				}
				return
			}
			if got := groups["freezer"]; !strings.HasSuffix(got, inner) {
				t.Errorf("the freezer's group is %s, want %s", got, inner)
			}
			want := outer
			if own {
				want = inner
			}
			for _, controller := range []string{"cpu", "memory", "pids"} {
				if got, there := groups[controller]; there && !strings.HasSuffix(got, want) {
					t.Errorf("the group of %s is %s, want %s", controller, got, want)
				}
			}
		})
	}
}

// A task that has used all of its own memory is killed alone, and its executor
// tells why.
func TestOutOfItsOwnMemory(t *testing.T) {
	cluster := clusterIn(t, t.TempDir())
	needCgroups(t, cluster)
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); cluster.Agents()[0].Cgroups() == cgroup.V2 && !strings.Contains(string(mounts), "memory_localevents") {
		t.Skip("here a cgroup that runs out of memory counts as all above it, as a real agent sees it, too")
	}
	f := subscribe(t, cluster)
	offer := f.offer()
	own := &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), LinuxInfo: &mesos.LinuxInfo{ShareCgroups: new(false)}}
	greedy := plain("greedy", "head -c 100m /dev/zero | tail; sleep 1000")
	greedy.AgentID, greedy.Container = offer.AgentID, own
	f.accept(offer, calls.OpLaunchGroup(defaultExecutor(f), greedy))
	s := f.ends("greedy", mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_FAILED)
	if s.GetReason() != mesos.REASON_CONTAINER_LIMITATION_MEMORY || s.GetSource() != mesos.SOURCE_EXECUTOR {
		t.Errorf("the task failed for %v, which %v tells", s.GetReason(), s.GetSource())
	}
	const begin = "Command terminated with signal Killed: Memory limit exceeded: "
	if !strings.HasPrefix(s.GetMessage(), begin) {
		t.Errorf("the message is %q, want it to begin with %q", s.GetMessage(), begin)
	}
	if got := s.GetLimitation().GetResources(); len(got) != 1 || got[0].GetName() != "mem" {
		t.Errorf("the limitation names %v", got)
	}
}

func TestContainersWithinStandaloneOnes(t *testing.T) {
	dir := t.TempDir()
	cluster := clusterIn(t, dir)
	call := func(body string, want int) string {
		t.Helper()
		r := agentCall(t, cluster, body, false)
		if r.StatusCode != want {
			t.Errorf("%s was answered with %s", body, r.Status)
		}
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	const outer, inner = `"container_id":{"value":"outer"}`, `"container_id":{"value":"inner","parent":{"value":"outer"}}`
	call(`{"type":"LAUNCH_CONTAINER","launch_container":{`+outer+`,"command":{"value":"sleep 1000"},"resources":[
		{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}},{"name":"mem","type":"SCALAR","scalar":{"value":32}}]}}`, http.StatusOK)
	call(`{"type":"LAUNCH_NESTED_CONTAINER","launch_nested_container":{`+inner+`,"command":{"value":"echo within; exit 7"}}}`, http.StatusOK)
	image := call(`{"type":"LAUNCH_NESTED_CONTAINER","launch_nested_container":{"container_id":{"value":"x","parent":{"value":"outer"}},
		"container":{"type":"MESOS","mesos":{"image":{"type":"DOCKER","docker":{"name":"busybox"}}}}}}`, http.StatusBadRequest)
	if image != "Unsupported container image type: DOCKER" {
		t.Errorf("an image was refused with %q", image)
	}
	docker := call(`{"type":"LAUNCH_NESTED_CONTAINER","launch_nested_container":{"container_id":{"value":"x","parent":{"value":"outer"}},
		"container":{"type":"DOCKER","docker":{"image":"busybox"}}}}`, http.StatusBadRequest)
	if docker != "The provided ContainerInfo is not supported" {
		t.Errorf("a container of Docker's was refused with %q", docker)
	}
	wait := `{"type":"WAIT_NESTED_CONTAINER","wait_nested_container":{` + inner + `}}`
	if got := call(wait, http.StatusOK); !strings.Contains(got, `"exit_status":1792`) {
		t.Errorf("the end of the inner container is %s", got)
	}
	wrote(t, filepath.Join(dir, "agent-1/containers/outer/containers/inner/stdout"), "within\n")
	call(`{"type":"KILL_CONTAINER","kill_container":{`+outer+`}}`, http.StatusOK)
	call(`{"type":"WAIT_CONTAINER","wait_container":{`+outer+`}}`, http.StatusOK)
	call(wait, http.StatusNotFound)
}

func TestContainersThatCannotBe(t *testing.T) {
	image := &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), Mesos: &mesos.ContainerInfo_MesosInfo{
		Image: &mesos.Image{Type: mesos.Image_DOCKER.Enum(), Docker: &mesos.Image_Docker{Name: "busybox"}},
	}}
	volume := &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), Volumes: []mesos.Volume{{
		ContainerPath: "v", Mode: mesos.RO.Enum(), Image: image.Mesos.Image,
	}}}
	docker := &mesos.ContainerInfo{Type: mesos.ContainerInfo_DOCKER.Enum(), Docker: &mesos.ContainerInfo_DockerInfo{Image: "busybox"}}
	for _, c := range []struct {
		name      string
		container *mesos.ContainerInfo
		reason    mesos.TaskStatus_Reason
		text      string
	}{
		{"image", image, mesos.REASON_CONTAINER_LAUNCH_FAILED, "Failed to launch container: Unsupported container image type: DOCKER"},
		{"image in a volume", volume, mesos.REASON_CONTAINER_LAUNCH_FAILED, "Failed to launch container: Unsupported container image type: DOCKER"},
		{"Docker's", docker, mesos.REASON_EXECUTOR_TERMINATED, "Abnormal executor termination: unknown container"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := clusterIn(t, t.TempDir())
			f := subscribe(t, cluster)
			offer := f.offer()
			task := plain("t", "true")
			task.AgentID, task.Container = offer.AgentID, c.container
			f.accept(offer, calls.OpLaunch(task))
			if s := f.update("t", mesos.TASK_FAILED); s.GetMessage() != c.text || s.GetReason() != c.reason {
				t.Errorf("the task failed for %v: %s", s.GetReason(), s.GetMessage())
			}
		})
	}
}

func TestCallsAboutContainersThatAreRefused(t *testing.T) {
	cluster := clusterIn(t, t.TempDir())
	const inner, deep = `"container_id":{"value":"i","parent":{"value":"o"}}`, `"container_id":{"value":"d","parent":{"value":"i","parent":{"value":"o"}}}`
	const own = `"container":{"type":"MESOS","linux_info":{"share_cgroups":false}}`
	for _, c := range []struct{ call, fields, want string }{
		{"launch_nested_container", `"container_id":{"value":".","parent":{"value":"o"}}`, "'launch_nested_container.container_id' is invalid: '.' is disallowed"},
		{"launch_nested_container", `"container_id":{"value":"a.b","parent":{"value":"o"}}`, "'launch_nested_container.container_id' is invalid: 'ContainerID.value' 'a.b' contains invalid characters"},
		{"kill_nested_container", `"container_id":{"value":"x","parent":{"value":""}}`, "'kill_nested_container.container_id' is invalid: 'ContainerID.parent' is invalid: ID must not be empty"},
		{"launch_nested_container", inner + `,"container":{"type":"DOCKER"}`, "'launch_nested_container.container' is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"},
		{"launch_nested_container", inner + `,"command":{"environment":{"variables":[{"name":"A"}]}}`, "'launch_nested_container.command' is invalid: Environment variable 'A' of type 'VALUE' must have a value set"},
		{"launch_nested_container", deep + "," + own, "'launch_nested_container' is invalid: containers nested at the second level or greater cannot set 'share_cgroups' to 'false'"},
		{"launch_nested_container_session", inner + "," + own, "'launch_nested_container_session.container.linux_info' is invalid: 'share_cgroups' cannot be set to 'false' for nested container sessions"},
		{"launch_container", deep + "," + own, "'launch_container' is invalid: containers nested at the second level or greater cannot set 'share_cgroups' to 'false'"},
		{"launch_container", `"container_id":{"value":"o"},"container":{"type":"MESOS","linux_info":{"share_cgroups":true}}`, "'launch_container' is invalid: containers without a parent cannot set 'share_cgroups' to 'true'"},
	} {
		r := agentCall(t, cluster, `{"type":"`+strings.ToUpper(c.call)+`","`+c.call+`":{`+c.fields+`}}`, false)
		text, err := io.ReadAll(r.Body)
		if want := "Failed to validate agent::Call: " + c.want; err != nil || r.StatusCode != http.StatusBadRequest || string(text) != want {
			t.Errorf("%s with %s is answered %s %q (%v), want %q", c.call, c.fields, r.Status, text, err, want)
		}
	}
}
