package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// controllers are those in which every side makes a cgroup for each task.
var controllers = []string{"cpu", "memory", "pids"}

// newContainer makes what an agent makes for an executor.
func newContainer(b *testing.B, id string) *cgroup.Group {
	b.Helper()
	host, err := cgroup.ReadHost()
	if err != nil {
		b.Fatal(err)
	}
	if host.Version != cgroup.V1 {
		b.Skip("needs cgroup v1")
	}
	group, err := host.Create(id, controllers...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := group.Kill(context.Background()); err != nil {
			b.Error(err)
		}
		if err := group.Remove(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return group
}

// enter returns the beginning of a shell command that puts the shell, and what
// it executes, into a group.
func enter(g *cgroup.Group) string {
	var script strings.Builder
	for _, d := range g.Dirs() {
		fmt.Fprintf(&script, "echo $$ > %s/cgroup.procs; ", d.Path)
	}
	return script.String()
}

// side is an executor, ours or another, that runs against an agent API.
type side struct {
	b         *testing.B
	agent     *agentAPI
	container *cgroup.Group
	sandbox   string
	process   *exec.Cmd
	started   time.Time
	tasks     int
}

var sides int

// startSide starts an executor, as an agent would, and whatever it is in a container of its
// own: the shell's moves into that take milliseconds. It does not wait for it.
func startSide(b *testing.B, program string, args ...string) *side {
	b.Helper()
	sides++
	id := fmt.Sprintf("tandem-bench-%d-%d", os.Getpid(), sides)
	s := &side{b: b, sandbox: b.TempDir(), container: newContainer(b, id)}
	if err := os.Chmod(filepath.Dir(s.sandbox), 0o755); err != nil {
		b.Fatal(err)
	}
	script := enter(s.container) + `exec "$0" "$@"`
	s.agent = newAgentAPI(b, id)
	address := s.agent.server.Listener.Addr().String()
	s.process = exec.Command("/bin/sh", append([]string{"-c", script, program}, args...)...)
	s.process.Dir = s.sandbox
	s.process.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"MESOS_FRAMEWORK_ID=framework-1", "MESOS_EXECUTOR_ID=api.0.1", "MESOS_SANDBOX=" + s.sandbox, "MESOS_DIRECTORY=" + s.sandbox,
		"MESOS_AGENT_ENDPOINT=" + address, "MESOS_SLAVE_PID=slave(1)@" + address, "MESOS_SLAVE_ID=agent-1",
		"MESOS_CHECKPOINT=1", "MESOS_RECOVERY_TIMEOUT=15mins", "MESOS_SUBSCRIPTION_BACKOFF_MAX=2secs",
		"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs",
	}
	log, err := os.Create(filepath.Join(s.sandbox, "stderr"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	s.process.Stderr = log
	s.started = time.Now()
	if err := s.process.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		s.stop()
		if b.Failed() {
			log, _ := os.ReadFile(filepath.Join(s.sandbox, "stderr"))
			b.Logf("the log of %s ends:\n%s", program, log[max(0, len(log)-4000):])
		}
	})
	return s
}

// stop ends the executor's process, and with the container all that it runs.
func (s *side) stop() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	if err := s.container.Kill(context.Background()); err != nil {
		s.b.Error(err)
	}
}

// ours and null start the executors that stay.
func ours(b *testing.B) *side { return startSide(b, built.executor, "-linger", "1h") }
func null(b *testing.B) *side { return startSide(b, built.null) }

// group makes a group of tasks that run a program.
func (s *side) group(n int, program string) []mesos.TaskInfo {
	settings, err := proto.Marshal(&tandemv1.TaskSettings{
		Magic: 0x746e646d, Essential: false, Limits: &tandemv1.Limits{Pids: proto.Int64(64)},
	})
	if err != nil {
		s.b.Fatal(err)
	}
	scalar := func(name string, value float64) mesos.Resource {
		return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: value}}
	}
	tasks := make([]mesos.TaskInfo, n)
	for i := range tasks {
		s.tasks++
		id := "bench.0." + strconv.Itoa(s.tasks) + ".work"
		tasks[i] = mesos.TaskInfo{
			Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: mesos.AgentID{Value: "agent-1"},
			Command:   &mesos.CommandInfo{Shell: proto.Bool(false), Value: proto.String(program)},
			Resources: []mesos.Resource{scalar("cpus", 0.01), scalar("mem", 32)},
			Data:      settings,
		}
	}
	return tasks
}

// run launches a group and waits until all of it has been reported to run. It
// returns how long that took for each, the quickest first.
func (s *side) run(tasks []mesos.TaskInfo) []time.Duration {
	s.b.Helper()
	wait := s.agent.expect(len(tasks), func(state mesos.TaskState) bool {
		return state == mesos.TASK_RUNNING || terminal(state)
	})
	s.agent.launch(tasks)
	wait(s.b)
	start := s.agent.since()
	var took []time.Duration
	for _, t := range tasks {
		seen := s.agent.of(t.TaskID.Value)
		if seen.running.IsZero() {
			s.b.Fatalf("task %s did not run: %s %q", t.TaskID.Value, seen.last.GetState(), seen.last.GetMessage())
		}
		took = append(took, seen.running.Sub(start))
	}
	slices.Sort(took)
	return took
}

// kill kills tasks without a grace, and waits until all have ended. It returns
// how long that took for each, the quickest first.
func (s *side) kill(tasks []mesos.TaskInfo) []time.Duration {
	s.b.Helper()
	wait := s.agent.expect(len(tasks), terminal)
	start := time.Now()
	for _, t := range tasks {
		s.agent.events <- &executor.Event{Type: executor.Event_KILL, Kill: &executor.Event_Kill{
			TaskID: t.TaskID, KillPolicy: &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{}},
		}}
	}
	wait(s.b)
	var took []time.Duration
	for _, t := range tasks {
		took = append(took, s.agent.of(t.TaskID.Value).ended.Sub(start))
	}
	slices.Sort(took)
	return took
}

// pid returns the process of a task of ours.
func (s *side) pid(task mesos.TaskInfo) int {
	s.b.Helper()
	for _, d := range s.container.Dirs() {
		data, err := os.ReadFile(filepath.Join(d.Path, "task-"+task.TaskID.Value, "cgroup.procs"))
		if err != nil {
			s.b.Fatal(err)
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			return pid
		}
	}
	s.b.Fatalf("task %s has no process", task.TaskID.Value)
	return 0
}
