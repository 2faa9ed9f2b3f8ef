package cli_test

import (
	"context"
	"iter"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// converse carries out commands about single tasks: api.0.1.web is the only one
// that runs.
func converse(c core.Command) (core.Reply, error) {
	task := ""
	switch {
	case c.KillTask != nil:
		task = c.KillTask.TaskID
	case c.SignalTask != nil:
		task = c.SignalTask.TaskID
		if c.SignalTask.Signal == "SIGSTOP" {
			return core.Reply{}, &core.Refused{Code: core.Conflict, Reason: "the executor may not signal the task's processes"}
		}
	case c.Measure != nil:
		if task = c.Measure.TaskID; task == "" {
			return core.Reply{LeftOut: 3}, nil
		}
	default:
		return core.Reply{}, &core.Refused{Code: core.Conflict, Reason: "this fake does not do that"}
	}
	if task != "api.0.1.web" {
		return core.Reply{}, &core.Refused{Code: core.NotFound, Reason: "there is no task " + task + ", or not any more"}
	}
	return core.Reply{}, nil
}

// Usage shows two tasks, the second of an executor that knows little.
func (f *fake) Usage(_ context.Context, wants func(string) bool) iter.Seq2[[]*tandemv1.UsageSample, error] {
	return func(yield func([]*tandemv1.UsageSample, error) bool) {
		for i := range 2 {
			at := timestamppb.New(noon.Add(time.Duration(2*i) * time.Second))
			all := []*tandemv1.UsageSample{
				{
					TaskId: "api.0.1.web", Time: at,
					Usage: &tandemv1.Usage{
						Source: "cgroup-v2", CpuTime: durationpb.New(time.Duration(i+3) * time.Second), ThrottledTime: durationpb.New(time.Duration(i) * 100 * time.Millisecond),
						MemoryBytes: proto.Uint64(48 << 20), MemoryLimitBytes: proto.Uint64(64 << 20),
					},
					Pids: proto.Uint64(7), IoReadBytes: proto.Uint64(uint64(i) << 20), IoWrittenBytes: proto.Uint64(0),
					CpuPressure: &tandemv1.Pressure{Some: 12.5}, MemoryPressure: &tandemv1.Pressure{}, IoPressure: &tandemv1.Pressure{Some: 0.3},
				},
				{TaskId: "api.1.1.web", Time: at, Usage: &tandemv1.Usage{Source: "rusage"}},
			}
			var some []*tandemv1.UsageSample
			for _, s := range all {
				if wants(s.TaskId) && strings.HasPrefix(s.TaskId, "api") {
					some = append(some, s)
				}
			}
			if !yield(some, nil) {
				return
			}
		}
		yield(nil, &core.Refused{Code: core.Conflict, Reason: "the task has ended"})
	}
}
