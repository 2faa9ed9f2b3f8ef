package ui_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tandem-mesos/tandem/integration/browser"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// sample is what a task uses at a time: half a processor, and of memory more
// and more. On cgroup v1 the kernel tells less.
func sample(task string, at time.Time, second int, v2 bool) *tandemv1.UsageSample {
	s := &tandemv1.UsageSample{
		TaskId: task, Time: timestamppb.New(at.Add(time.Duration(second) * time.Second)),
		Usage: &tandemv1.Usage{
			CpuTime: durationpb.New(time.Duration(second) * time.Second / 2), ThrottledTime: durationpb.New(time.Duration(second) * time.Second / 10),
			MemoryBytes: proto.Uint64(uint64(100+second) << 20), MemoryLimitBytes: proto.Uint64(320 << 20),
		},
		Pids: proto.Uint64(7), PidsLimit: proto.Uint64(200),
	}
	if v2 {
		s.IoReadBytes, s.IoWrittenBytes = proto.Uint64(uint64(second)<<20), proto.Uint64(uint64(second)<<10)
		s.CpuPressure, s.MemoryPressure, s.IoPressure = &tandemv1.Pressure{Some: 12.5 + float64(second%20)}, &tandemv1.Pressure{Some: 1.5}, &tandemv1.Pressure{}
	}
	return s
}

func TestUsageAsCharts(t *testing.T) {
	base, save, c := serve(t, team(5), "ready\n")
	p := browser.Open(t, base, "/tasks/payments_api.0.1.web")
	p.AwaitText("main", "waiting for the first samples")
	begin := time.Now().Add(-2 * time.Minute)
	for second := 0; second <= 60; second += 2 {
		c.samples = append(c.samples, sample("payments_api.0.1.web", begin, second, true), sample("payments_api.1.1.web", begin, 2*second, false))
	}
	save()
	label := func(n int) string {
		return browser.Value[string](p, fmt.Sprintf(`document.querySelectorAll(".chart svg")[%d].getAttribute("aria-label") ?? ""`, n))
	}
	p.AwaitText("main", "7 processes and threads of 200; held back by its cpu limit 10% of the time")
	for n, want := range []string{
		"Processors in the last five minutes. Now 0.5 of 1; at most 0.5.",
		"Memory in the last five minutes. Now 160 MiB of 320 MiB; at most 160 MiB.",
		"Block devices in the last five minutes. Now read 1 MiB/s, written 1 KiB/s; at most 1 MiB/s.",
		"Pressure: time in which processes waited in the last five minutes. Now cpu 12.5%, memory 1.5%, io 0%; at most 30.5%.",
	} {
		if got := label(n); got != want {
			t.Errorf("chart %d says %q, want %q", n, got, want)
		}
	}
	// A line for each figure, with as many points as there are samples; where one
	// is missing for long the line is broken.
	points := `[...document.querySelectorAll(".chart svg")].map((e) => [...e.querySelectorAll(".line")].map((l) => l.getAttribute("d").split(/[ML]/).length - 1).join(" ")).join(", ")`
	if got := browser.Value[string](p, points); got != "30, 31, 30 30, 31 31 31" {
		t.Errorf("the lines have %s points", got)
	}
	c.samples = append(c.samples, sample("payments_api.0.1.web", begin, 100, true), sample("payments_api.0.1.web", begin, 102, true))
	save()
	p.Await(`[...document.querySelectorAll(".chart .line")].every((e) => e.getAttribute("d").split("M").length === 3)`)
	if *shots != "" {
		for scheme, dark := range map[string]bool{"light": false, "dark": true} {
			p.Shoot(filepath.Join(*shots, "usage-"+scheme+".png"), dark)
		}
	}

	// What a kernel does not tell is said.
	p.Goto("/tasks/payments_api.1.1.web")
	p.AwaitText("main", "the kernel measures it for cgroup v2 only")
	p.AwaitText("main", "on cgroup v1 this takes the agent's blkio isolator")
	if got := label(1); !strings.Contains(got, "220 MiB of 320 MiB") {
		t.Errorf("the memory is %q", got)
	}

	// Of a task that has ended its report says more.
	save(state.PutAttempt(attemptRecord("/payments/api", 1, tandemv1.TaskState_TASK_FAILED, "")))
	p.AwaitText("main", "Peak memory")
	p.Await(`document.querySelector(".charts").closest("section").hidden`)
}
