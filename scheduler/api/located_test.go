package api_test

import (
	"context"
	"errors"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// TestARefusalNamesItsField: whatever is not there, or not as expected, is named by
// the field that asked for it, with what the text says of it.
func TestARefusalNamesItsField(t *testing.T) {
	type client = tandemv1connect.SchedulerServiceClient
	r := teams()
	r.jobs[1].Instances = []*tandemv1.InstanceView{{
		Instance: &tandemv1.InstanceRecord{JobId: "/team/words"},
		Attempts: []*tandemv1.AttemptRecord{{JobId: "/team/words", Attempt: 3, AgentId: "S1", Tasks: []*tandemv1.TaskRecord{{TaskId: "team_words.0.3.count", Workload: "count"}}}},
	}}
	for name, tt := range map[string]struct {
		code  core.Code
		field string
		call  func(context.Context, client) error
	}{
		"a job": {core.NotFound, "id", func(ctx context.Context, c client) error {
			_, err := c.StopJob(ctx, &tandemv1.StopJobRequest{Id: "/gone"})
			return err
		}},
		"a job that is read": {core.NotFound, "id", func(ctx context.Context, c client) error {
			_, err := c.ListVersions(ctx, &tandemv1.ListVersionsRequest{Id: "/gone"})
			return err
		}},
		"a job of usage": {core.NotFound, "jobId", func(ctx context.Context, c client) error {
			s, err := c.WatchUsage(ctx, &tandemv1.WatchUsageRequest{JobId: "/gone"})
			return drain(s, err)
		}},
		"a version": {core.NotFound, "version", func(ctx context.Context, c client) error {
			_, err := c.RollbackJob(ctx, &tandemv1.RollbackJobRequest{Id: "/team/words", Version: 99})
			return err
		}},
		"an instance": {core.NotFound, "slots", func(ctx context.Context, c client) error {
			_, err := c.RestartJob(ctx, &tandemv1.RestartJobRequest{Id: "/team/words", Slots: []int32{9}})
			return err
		}},
		"a task": {core.NotFound, "taskId", func(ctx context.Context, c client) error {
			_, err := c.KillTask(ctx, &tandemv1.KillTaskRequest{TaskId: "team_words.0.9.count"})
			return err
		}},
		"a task that has just gone": {core.NotFound, "taskId", func(ctx context.Context, c client) error {
			_, err := c.KillTask(ctx, &tandemv1.KillTaskRequest{TaskId: "team_words.0.3.count"})
			return err
		}},
		"no task's ID": {core.NotFound, "taskId", func(ctx context.Context, c client) error {
			_, err := c.KillTask(ctx, &tandemv1.KillTaskRequest{TaskId: "count"})
			return err
		}},
		"a log's task": {core.NotFound, "taskId", func(ctx context.Context, c client) error {
			s, err := c.ReadLog(ctx, &tandemv1.ReadLogRequest{TaskId: "team_words.0.9.count"})
			return drain(s, err)
		}},
		"an agent": {core.NotFound, "agent", func(ctx context.Context, c client) error {
			_, err := c.DrainAgent(ctx, &tandemv1.DrainAgentRequest{Agent: "agent9"})
			return err
		}},
		"a volume": {core.NotFound, "volumeId", func(ctx context.Context, c client) error {
			_, err := c.PurgeVolume(ctx, &tandemv1.PurgeVolumeRequest{VolumeId: "team_words.0.9.data.fw"})
			return err
		}},
		"a job's version": {core.StaleVersion, "expectedVersion", func(ctx context.Context, c client) error {
			_, err := c.SubmitJob(ctx, &tandemv1.SubmitJobRequest{Job: team("/team/words"), ExpectedVersion: proto.Uint64(3)})
			return err
		}},
		"a volume's state": {core.StaleVersion, "expectedState", func(ctx context.Context, c client) error {
			_, err := c.PurgeVolume(ctx, &tandemv1.PurgeVolumeRequest{VolumeId: "team_words.0.1.data.fw", ExpectedState: tandemv1.VolumeState_VOLUME_STATE_LOST.Enum()})
			return err
		}},
		"a program": {core.StaleVersion, "expectedDigest", func(ctx context.Context, c client) error {
			_, err := c.UpgradeExecutor(ctx, &tandemv1.UpgradeExecutorRequest{TaskId: "team_words.0.3.count", ExpectedDigest: "0123456789ab"})
			return err
		}},
		"what is no field's fault": {core.Conflict, "", func(ctx context.Context, c client) error {
			_, err := c.StopJob(ctx, &tandemv1.StopJobRequest{Id: "/team/words"})
			return err
		}},
	} {
		opt := options(&commander{}, r)
		opt.Commander = refusing{tt.code}
		base, _ := serve(t, opt)
		for protocol, c := range protocols(base) {
			var refused *connect.Error
			if !errors.As(tt.call(t.Context(), c), &refused) {
				t.Errorf("%s over %s was not refused", name, protocol)
				continue
			}
			var fields []*tandemv1.Refusal
			for _, d := range refused.Details() {
				if v, err := d.Value(); err == nil {
					if f, ok := v.(*tandemv1.Refusal); ok {
						fields = append(fields, f)
					}
				}
			}
			switch {
			case tt.field == "" && len(fields) == 0:
			case len(fields) != 1 || fields[0].Field != tt.field || fields[0].Reason != refused.Message():
				t.Errorf("%s over %s: %v names %v, want %s", name, protocol, refused, fields, tt.field)
			}
		}
	}
}

// refusing refuses every command.
type refusing struct{ code core.Code }

func (r refusing) Do(context.Context, core.Command) (core.Reply, error) {
	return core.Reply{}, &core.Refused{Code: r.code, Reason: "it is not so"}
}
