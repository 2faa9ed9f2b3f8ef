package api_test

import (
	"context"
	"testing"

	"connectrpc.com/connect"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

func TestSingleTasksByEveryProtocol(t *testing.T) {
	var got []core.Command
	c := &commander{task: func(cmd core.Command) (core.Reply, error) {
		got = append(got, cmd)
		if cmd.KillTask != nil && cmd.KillTask.TaskID == "gone.0.1.web" {
			return core.Reply{}, &core.Refused{Code: core.NotFound, Reason: "there is no task gone.0.1.web"}
		}
		return core.Reply{LeftOut: 2}, nil
	}}
	r := &reader{samples: []*tandemv1.UsageSample{
		{TaskId: "words.0.1.count"}, {TaskId: "words.0.1.watch"}, {TaskId: "words_more.0.1.count"}, {TaskId: "no task"},
	}}
	base, stop := serve(t, options(c, r))
	for name, client := range protocols(base) {
		t.Run(name, func(t *testing.T) {
			got = nil
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if _, err := client.KillTask(ctx, &tandemv1.KillTaskRequest{TaskId: "words.0.1.count"}); err != nil {
				t.Error(err)
			}
			if _, err := client.SignalTask(ctx, &tandemv1.SignalTaskRequest{TaskId: "words.0.1.count", Signal: "SIGHUP", All: true}); err != nil {
				t.Error(err)
			}
			if len(got) != 2 || *got[0].KillTask != (core.KillTask{TaskID: "words.0.1.count"}) ||
				*got[1].SignalTask != (core.SignalTask{TaskID: "words.0.1.count", Signal: "SIGHUP", All: true}) {
				t.Errorf("the commands are %+v", got)
			}
			for _, tt := range []struct {
				call func() error
				want connect.Code
			}{
				{func() error {
					_, err := client.KillTask(ctx, &tandemv1.KillTaskRequest{TaskId: "gone.0.1.web"})
					return err
				}, connect.CodeNotFound},
				{func() error { _, err := client.KillTask(ctx, &tandemv1.KillTaskRequest{}); return err }, connect.CodeInvalidArgument},
				{func() error {
					_, err := client.SignalTask(ctx, &tandemv1.SignalTaskRequest{TaskId: "words.0.1.count", Signal: "HUP"})
					return err
				}, connect.CodeInvalidArgument},
				{func() error {
					stream, err := client.WatchUsage(ctx, &tandemv1.WatchUsageRequest{TaskId: "words.0.1.count", JobId: "/words"})
					if err != nil {
						return err
					}
					stream.Receive()
					return stream.Err()
				}, connect.CodeInvalidArgument},
			} {
				if err := tt.call(); connect.CodeOf(err) != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
			}
			for _, tt := range []struct {
				ask  *tandemv1.WatchUsageRequest
				want int
			}{
				{&tandemv1.WatchUsageRequest{TaskId: "words.0.1.count"}, 1},
				{&tandemv1.WatchUsageRequest{JobId: "/words"}, 2},
				{&tandemv1.WatchUsageRequest{}, 4},
				{&tandemv1.WatchUsageRequest{WithoutHistory: true}, 0},
			} {
				ctx, cancel := context.WithCancel(ctx)
				stream, err := client.WatchUsage(ctx, tt.ask)
				if err != nil || !stream.Receive() {
					t.Fatalf("%v: %v, %v", tt.ask, err, stream.Err())
				}
				if m := stream.Msg(); len(m.Samples) != tt.want || m.LeftOut != 2 {
					t.Errorf("%v: got %v, want %d samples", tt.ask, m, tt.want)
				}
				cancel()
			}
		})
	}
	// A watch ends when the server does.
	stream, err := protocols(base)["Connect"].WatchUsage(t.Context(), &tandemv1.WatchUsageRequest{})
	if err != nil || !stream.Receive() {
		t.Fatal(err, stream.Err())
	}
	stop()
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeUnavailable {
		t.Errorf("it ends with %v", stream.Err())
	}
}
