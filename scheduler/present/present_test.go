package present_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func TestReports(t *testing.T) {
	exited := &tandemv1.TaskRecord{
		State: tandemv1.TaskState_TASK_FAILED, Reason: "COMMAND_EXECUTOR_FAILED", Message: "Command exited\nwith status 3\x1b[0m",
		Report: &tandemv1.TaskReport{ExitCode: proto.Int32(3), Usage: &tandemv1.Usage{
			WallTime: durationpb.New(1523456 * time.Microsecond), CpuTime: durationpb.New(12345 * time.Microsecond),
			MemoryPeakBytes: proto.Uint64(13 << 19), MemoryLimitBytes: proto.Uint64(32 << 20),
		}},
	}
	killed := &tandemv1.TaskRecord{
		State: tandemv1.TaskState_TASK_FAILED, Reason: "CONTAINER_LIMITATION_MEMORY", Message: "out of memory", Healthy: proto.Bool(true),
		Report: &tandemv1.TaskReport{Signal: proto.Int32(9), Usage: &tandemv1.Usage{MemoryPeakBytes: proto.Uint64(1 << 30)}},
	}
	running := &tandemv1.TaskRecord{
		State: tandemv1.TaskState_TASK_RUNNING, Healthy: proto.Bool(false), Ports: map[string]int32{"http": 31000, "admin": 31001},
	}
	for _, tt := range []struct{ name, got, want string }{
		{"exit status", present.Exit(exited), "3"},
		{"message", present.Why(exited), "Command exited with status 3[0m"},
		{"wall time", present.WallTime(exited), "1.52s"},
		{"processor time", present.CPUTime(exited), "12ms"},
		{"memory against a limit", present.PeakMemory(exited), "6.5 MiB of 32 MiB"},
		{"signal", present.Exit(killed), "SIGKILL"},
		{"reason", present.Why(killed), "CONTAINER_LIMITATION_MEMORY: out of memory"},
		{"memory without a limit", present.PeakMemory(killed), "1 GiB"},
		{"health of the dead", present.Health(killed), ""},
		{"health", present.Health(running), "unhealthy"},
		{"restarts", present.Health(&tandemv1.TaskRecord{Healthy: proto.Bool(false), Report: &tandemv1.TaskReport{Restarts: 2}}), "unhealthy, 2 restarts"},
		{"readiness", present.Health(&tandemv1.TaskRecord{Healthy: proto.Bool(true), Ready: proto.Bool(false)}), "healthy, not ready"},
		{"an update", present.Update(&tandemv1.UpdateRecord{
			Phase: tandemv1.UpdatePhase_UPDATE_PHASE_PAUSED, FromVersion: 1, Version: 2, Failures: 1, Reason: "it was paused",
		}), "PAUSED from version 1 to version 2, 1 failure: it was paused"},
		{"an update that is done", present.Update(&tandemv1.UpdateRecord{Phase: tandemv1.UpdatePhase_UPDATE_PHASE_DONE, Version: 2}), ""},
		{"an update that was gone back from", present.Update(&tandemv1.UpdateRecord{
			Phase: tandemv1.UpdatePhase_UPDATE_PHASE_DONE, Version: 3, FromVersion: 1, Reverts: 2, Reason: "going back, for version 2 has failed: exit 1",
		}), "version 3 in place of version 2: going back, for version 2 has failed: exit 1"},
		{"no report", present.Exit(running) + present.WallTime(running) + present.PeakMemory(running), ""},
		{"ports", present.Ports("agent1", running)[0] + " " + present.Ports("agent1", running)[1], "admin=agent1:31001 http=agent1:31000"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestStanding(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(d)) }
	for _, tt := range []struct {
		attempts int32
		leaving  *tandemv1.AgentRecord
		want     string
	}{
		{1, nil, "reachable"},
		{1, &tandemv1.AgentRecord{OperatorDrain: in(-time.Minute), Drain: &tandemv1.Drain{}}, "drained by an operator"},
		{1, &tandemv1.AgentRecord{Drain: &tandemv1.Drain{Started: in(0)}}, "draining"},
		{1, &tandemv1.AgentRecord{Drain: &tandemv1.Drain{Deadline: in(5 * time.Minute)}}, "draining, ends in 5m"},
		{0, &tandemv1.AgentRecord{Drain: &tandemv1.Drain{Deadline: in(5 * time.Minute)}}, "drained"},
		{1, &tandemv1.AgentRecord{Maintenance: &tandemv1.Maintenance{Start: in(time.Hour)}}, "maintenance in 1h"},
		{1, &tandemv1.AgentRecord{Maintenance: &tandemv1.Maintenance{Start: in(-time.Hour)}}, "in maintenance"},
	} {
		if got := present.Standing(now, &tandemv1.AgentView{Attempts: tt.attempts, Leaving: tt.leaving}); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.leaving, got, tt.want)
		}
	}
	if got := present.Standing(now, &tandemv1.AgentView{Attempts: 2, Unreachable: 1}); got != "unreachable" {
		t.Errorf("an agent that is away is %q", got)
	}
}

func TestSince(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for want, ago := range map[string]time.Duration{
		"0s": -time.Second, "59s": 59 * time.Second, "3m": 200 * time.Second, "47h": 47 * time.Hour, "2d": 48 * time.Hour,
	} {
		if got := present.Since(now, now.Add(-ago)); got != want {
			t.Errorf("%s ago: got %s, want %s", ago, got, want)
		}
	}
}

func TestInstances(t *testing.T) {
	counted := func(running, finished, waiting int32) *tandemv1.InstanceCounts {
		return &tandemv1.InstanceCounts{Phases: []*tandemv1.PhaseCount{
			{Phase: tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING, Count: running},
			{Phase: tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED, Count: finished},
			{Phase: tandemv1.InstancePhase_INSTANCE_PHASE_WAITING, Count: waiting},
		}}
	}
	daemon, cron := &tandemv1.Job{Type: tandemv1.JobType_JOB_TYPE_DAEMON}, &tandemv1.Job{Type: tandemv1.JobType_JOB_TYPE_CRON, Instances: proto.Int32(1)}
	three := &tandemv1.Job{Instances: proto.Int32(3)}
	for want, got := range map[string]string{
		"2/3": present.Instances(three, counted(1, 1, 1)),
		"4/3": present.Instances(three, counted(4, 0, 0)),
		// A scheduler that is older does not count.
		"3":   present.Instances(three, nil),
		"1/2": present.Instances(daemon, counted(1, 0, 1)),
		"":    present.Instances(cron, counted(0, 0, 0)) + present.Instances(daemon, nil),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestInstanceWhy(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(phase tandemv1.InstancePhase, after time.Duration, why string) string {
		return present.InstanceWhy(now, &tandemv1.InstanceRecord{Phase: phase, PhaseReason: why, NotBefore: timestamppb.New(now.Add(after))})
	}
	const backoff = tandemv1.InstancePhase_INSTANCE_PHASE_BACKOFF
	for want, got := range map[string]string{
		"again in 34s: main failed": at(backoff, 34*time.Second, "main failed"),
		"again in 2m":               at(backoff, 2*time.Minute, ""),
		"main failed":               at(backoff, -time.Second, "main failed"),
		"waiting for an offer":      at(tandemv1.InstancePhase_INSTANCE_PHASE_WAITING, time.Minute, "waiting for an offer"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
