package integration

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// TestTalk: what a person asks of a running task reaches its executor by MESSAGE,
// through the master and the agent, and so does the answer.
func TestTalk(t *testing.T) {
	c := startMesos(t)
	s := startScheduler(t, c)
	s.run(prefer(`
id: /listener
restart: {delay: 100ms}
workloads:
- name: main
  cmd: 'trap "echo hup" HUP; trap "echo usr1" USR1; echo ready; sh -c "trap \"echo child\" USR1; while :; do sleep 0.05; done" & while :; do wait; done'
  resources: {cpus: 0.1, mem: 32}
`))
	const id = "listener.0.1.main"
	s.awaitTask(id, inState(tandemv1.TaskState_TASK_RUNNING))
	said := func(line string) {
		t.Helper()
		eventually(t, func() string {
			if r := s.tandem("logs", id); !strings.Contains(r.stdout, line+"\n") {
				return "the task has not said " + line + ": " + r.String()
			}
			return ""
		})
	}
	said("ready")
	tandem := func(status int, want string, args ...string) result {
		t.Helper()
		r := s.tandem(args...)
		if r.status != status || !strings.Contains(r.stdout+r.stderr, want) {
			t.Fatalf("tandem %s: %s\nwant status %d and %q", strings.Join(args, " "), r, status, want)
		}
		return r
	}
	tandem(0, "SIGHUP delivered to the main process", "signal", id, "HUP")
	said("hup")
	tandem(0, "SIGUSR1 delivered to all processes", "signal", "--all", id, "SIGUSR1")
	said("usr1")
	said("child")
	tandem(4, "there is no task listener.0.9.main", "signal", "listener.0.9.main", "HUP")

	var usage tandemv1.WatchUsageResponse
	looked := tandem(0, "", "stats", "-o", "json", "/listener")
	if err := protojson.Unmarshal(json.RawMessage(looked.stdout), &usage); err != nil {
		t.Fatalf("cannot read %s: %v", looked.stdout, err)
	}
	if len(usage.Samples) != 2 || usage.Samples[0].TaskId != id {
		t.Fatalf("the task was not measured twice: %s", looked)
	}
	from, to := usage.Samples[0], usage.Samples[1]
	if !to.Time.AsTime().After(from.Time.AsTime()) || to.Usage.GetWallTime().AsDuration() <= from.Usage.GetWallTime().AsDuration() {
		t.Errorf("time stands still between the samples: %s", looked)
	}
	if to.Usage.Source != "rusage" {
		if to.Usage.GetMemoryBytes() == 0 || to.Usage.CpuTime.AsDuration() < from.Usage.CpuTime.AsDuration() {
			t.Errorf("it uses nothing: %s", looked)
		}
		tandem(0, id, "stats")
	}

	// To the restart policy somebody else has killed the task.
	tandem(0, "TASK_KILLED", "kill", "--wait", id)
	s.awaitTask("listener.0.2.main", inState(tandemv1.TaskState_TASK_RUNNING))
	tandem(4, "has ended", "kill", id)
	tandem(4, "has ended", "signal", id, "HUP")
}
