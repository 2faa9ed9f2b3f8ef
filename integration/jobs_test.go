package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestHello runs the first example as its reader would.
func TestHello(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	if r := s.tandem("validate", "../examples/hello.yaml"); r.status != 0 {
		t.Fatalf("tandem validate: %s", r)
	}
	if r := s.tandem("run", "--wait", "../examples/hello.yaml"); r.status != 0 {
		t.Fatalf("tandem run: %s", r)
	}
	job := s.job("/hello")
	if job.Job.Phase != tandemv1.JobPhase_JOB_PHASE_FINISHED || len(job.Instances) != 2 {
		t.Fatalf("the job is %s with %d instances", job.Job.Phase, len(job.Instances))
	}
	for _, i := range job.Instances {
		for _, task := range i.Attempts[0].Tasks {
			if task.State != tandemv1.TaskState_TASK_FINISHED || task.Report == nil || task.Report.ExitCode == nil || *task.Report.ExitCode != 0 {
				t.Errorf("task %s is %s, with report %v", task.TaskId, task.State, task.Report)
				continue
			}
			usage := task.Report.Usage
			if usage.GetWallTime().AsDuration() <= 0 || usage.GetCpuTime().AsDuration() <= 0 {
				t.Errorf("task %s has used no time: %v", task.TaskId, usage)
			}
			if usage.GetMemoryPeakBytes() == 0 {
				t.Errorf("task %s has used no memory: %v", task.TaskId, usage)
			}
			if left := processesOf(t, task.TaskId); len(left) > 0 {
				t.Errorf("task %s has finished, but processes %v live", task.TaskId, left)
			}
		}
	}
	if r := s.tandem("run", "--wait", "../examples/hello.yaml"); r.status != 0 || !strings.Contains(r.stdout, "no change") {
		t.Errorf("submitting it again: %s", r)
	}
}

// TestWeb runs the second example: a service that is healthy, answers, has a
// cgroup of its own below its executor's, and is gone when it is stopped.
func TestWeb(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	if r := s.tandem("run", "--wait", "../examples/web.yaml"); r.status != 0 {
		t.Fatalf("tandem run: %s", r)
	}
	const id = "web.0.1.search"
	task := s.awaitTask(id, func(task *tandemv1.TaskRecord) bool { return task.GetHealthy() })
	attempt := s.job("/web").Instances[0].Attempts[0]
	answer := get(t, "http://"+attempt.Hostname+":"+itoa(task.Ports["http"])+"/?word=prism")
	if !strings.Contains(answer, "Prism") {
		t.Errorf("the service answers %q", answer)
	}

	var cgroups map[string]string
	if os.Getuid() == 0 {
		pids := processesOf(t, id)
		if len(pids) == 0 {
			t.Fatal("no process of the task is there")
		}
		cgroups = cgroupsOf(t, pids[0])
	}
	// The executor's container has the cgroup above (v1) or around (v2).
	memory, v1 := cgroups["memory"]
	if v1 {
		if limit, err := os.ReadFile(filepath.Join(memory, "memory.limit_in_bytes")); err != nil || strings.TrimSpace(string(limit)) != itoa(48<<20) {
			t.Errorf("the memory limit of %s is %s (%v), not 48 MiB", memory, limit, err)
		}
		if !strings.Contains(filepath.Dir(memory), task.ContainerId) {
			t.Errorf("the task's cgroup %s is not below container %s", memory, task.ContainerId)
		}
	}

	if r := s.tandem("stop", "--wait", "/web"); r.status != 0 {
		t.Fatalf("tandem stop: %s", r)
	}
	s.awaitTask(id, inState(tandemv1.TaskState_TASK_KILLED))
	if left := processesOf(t, id); len(left) > 0 {
		t.Errorf("the job is stopped, but processes %v live", left)
	}
	// Where an agent isolates by more than the task is limited by, the task was in the
	// container's own cgroup there, which its agent removes.
	for controller, dir := range cgroups {
		if _, err := os.Stat(dir); err == nil && strings.Contains(filepath.Dir(dir), task.ContainerId) {
			t.Errorf("the job is stopped, but cgroup %s of %s is there", dir, controller)
		}
	}
	eventually(t, func() string {
		if f, _ := c.framework(t, s.framework().FrameworkId); len(f.Tasks) > 0 {
			return "the master still shows " + f.Tasks[0].ID
		}
		return ""
	})
}

// TestFrameworkPage looks at the framework as an operator finds it on Mesos's
// page, and follows its link.
func TestFrameworkPage(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c, "--principal", "team-a")
	f, ok := c.framework(t, s.framework().FrameworkId)
	if !ok || !f.Active || f.Name != s.name || f.Principal != "team-a" {
		t.Fatalf("the master shows %+v (%t)", f, ok)
	}
	if page := get(t, f.WebuiURL); !strings.Contains(page, "<title>Tandem</title>") {
		t.Errorf("the page at %s is not Tandem's:\n%s", f.WebuiURL, page)
	}
}

// TestEndings runs one job for each way that a workload can end.
func TestEndings(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	for _, test := range []struct {
		name, workload string
		state          tandemv1.TaskState
		reason         string
		message        string
		cgroups        bool
	}{
		{name: "exit-status", workload: `cmd: exit 3`,
			state: tandemv1.TaskState_TASK_FAILED, message: "exited with status 3"},
		{name: "signal", workload: `cmd: kill -USR1 $$`,
			state: tandemv1.TaskState_TASK_FAILED, message: "SIGUSR1"},
		{name: "no-such-program", workload: `args: [/no/such/program]`,
			state: tandemv1.TaskState_TASK_FAILED, message: "/no/such/program"},
		{name: "no-such-file", workload: `{cmd: "true", fetch: [{uri: "file:///no/such/file"}]}`,
			state: tandemv1.TaskState_TASK_FAILED, message: "/no/such/file"},
		{name: "too-long", workload: `{cmd: sleep 1000, maxRunTime: 100ms}`,
			state: tandemv1.TaskState_TASK_FAILED, reason: "MAX_COMPLETION_TIME_REACHED"},
		{name: "out-of-memory", workload: `{cmd: "tail -c 200m /dev/zero | tail -n 1", resources: {mem: 32}}`,
			state: tandemv1.TaskState_TASK_FAILED, reason: "CONTAINER_LIMITATION_MEMORY", message: "32 MiB", cgroups: true},
		{name: "daemon-left", workload: `cmd: "setsid sh -c 'sleep 1000 & sleep 1000' >/dev/null 2>&1 & exit 0"`,
			state: tandemv1.TaskState_TASK_FINISHED, cgroups: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.cgroups {
				needCgroups(t)
			}
			workload := test.workload
			if !strings.HasPrefix(workload, "{") {
				workload = "{" + workload + "}"
			}
			policy := ""
			if os.Getuid() != 0 {
				policy = ", limits: {policy: prefer}"
			}
			s.run("id: /" + test.name + "\ntype: batch\nworkloads:\n- {name: main" + policy + ", " + workload[1:] + "\n")
			id := test.name + ".0.1.main"
			task := s.awaitTask(id, terminal)
			if task.State != test.state || (test.reason != "" && task.Reason != test.reason) || !strings.Contains(task.Message, test.message) {
				t.Errorf("%s, reason %s: %s", task.State, task.Reason, task.Message)
			}
			if left := processesOf(t, id); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
		})
	}
}

// TestFailureEndsTheGroup holds that what fails takes its group with it, and
// nobody else's.
func TestFailureEndsTheGroup(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(prefer(`
id: /bystander
workloads:
- {name: main, cmd: exec sleep 1000}
`))
	s.awaitPhase("/bystander", tandemv1.JobPhase_JOB_PHASE_RUNNING)
	s.run(prefer(`
id: /pair
type: batch
workloads:
- {name: good, cmd: exec sleep 1000}
- {name: bad, cmd: sleep 0.2; exit 7}
`))
	s.awaitPhase("/pair", tandemv1.JobPhase_JOB_PHASE_FAILED)
	bad := s.awaitTask("pair.0.1.bad", terminal)
	good := s.awaitTask("pair.0.1.good", terminal)
	if bad.State != tandemv1.TaskState_TASK_FAILED || good.State != tandemv1.TaskState_TASK_KILLED {
		t.Errorf("bad is %s (%s), good is %s (%s)", bad.State, bad.Message, good.State, good.Message)
	}
	s.awaitTask("bystander.0.1.main", inState(tandemv1.TaskState_TASK_RUNNING))
}

// TestSchedulerIsKilled holds that a scheduler which is killed and started again
// is the same framework, and that its tasks have not noticed.
func TestSchedulerIsKilled(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(prefer(`
id: /steady
instances: 2
workloads:
- {name: main, cmd: exec sleep 1000}
`))
	s.awaitPhase("/steady", tandemv1.JobPhase_JOB_PHASE_RUNNING)
	before := append(processesOf(t, "steady.0.1.main"), processesOf(t, "steady.1.1.main")...)
	id := s.framework().FrameworkId

	s.stop(syscall.SIGKILL)
	s.start()
	if again := s.framework().FrameworkId; again != id {
		t.Fatalf("it was framework %s and came back as %s", id, again)
	}
	s.run(prefer(`
id: /later
type: batch
workloads:
- {name: main, cmd: "true"}
`))
	s.awaitPhase("/later", tandemv1.JobPhase_JOB_PHASE_FINISHED)
	job := s.awaitPhase("/steady", tandemv1.JobPhase_JOB_PHASE_RUNNING)
	for _, i := range job.Instances {
		if i.Instance.Attempt != 1 {
			t.Errorf("instance %d is at attempt %d", i.Instance.Slot, i.Instance.Attempt)
		}
	}
	after := append(processesOf(t, "steady.0.1.main"), processesOf(t, "steady.1.1.main")...)
	if len(before) != 2 || len(after) != 2 || before[0] != after[0] || before[1] != after[1] {
		t.Errorf("the processes were %v and are %v", before, after)
	}

	// The end of a task while nobody listens is heard of later.
	s.stop(syscall.SIGTERM)
	for _, pid := range after[:1] {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	s.start()
	s.awaitTask("steady.0.1.main", func(task *tandemv1.TaskRecord) bool {
		return task.State == tandemv1.TaskState_TASK_FAILED && strings.Contains(task.Message, "SIGKILL") && task.Report != nil
	})
	s.awaitTask("steady.0.2.main", inState(tandemv1.TaskState_TASK_RUNNING))
}

// TestGoodNeighbour holds that a scheduler without work takes no offers.
func TestGoodNeighbour(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	suppressed := func() string {
		if f := s.framework(); !f.Suppressed {
			return "offers are not suppressed"
		}
		return ""
	}
	eventually(t, suppressed)
	s.run(prefer(`
id: /once
type: batch
workloads:
- {name: main, cmd: "true"}
`))
	s.awaitPhase("/once", tandemv1.JobPhase_JOB_PHASE_FINISHED)
	eventually(t, suppressed)
	if f := s.framework(); f.OffersReceived != f.OffersDeclined+f.OffersUsed {
		t.Errorf("%d offers came, %d were declined and %d used", f.OffersReceived, f.OffersDeclined, f.OffersUsed)
	}
}

// TestTooLarge holds that a job which fits nowhere says so, and harms nobody.
func TestTooLarge(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(prefer(`
id: /huge
workloads:
- {name: main, cmd: sleep 1, resources: {cpus: 9999}}
`))
	eventually(t, func() string {
		i := s.job("/huge").Instances[0].Instance
		if i.Phase == tandemv1.InstancePhase_INSTANCE_PHASE_WAITING && strings.Contains(i.PhaseReason, "cpus") {
			return ""
		}
		return i.Phase.String() + ": " + i.PhaseReason
	})
	s.run(prefer(`
id: /small
type: batch
workloads:
- {name: main, cmd: "true"}
`))
	s.awaitPhase("/small", tandemv1.JobPhase_JOB_PHASE_FINISHED)
}
