package agent_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
