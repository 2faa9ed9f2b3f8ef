package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// TestWhatIsNotThereWasMeantToBe: a refusal says what the caller probably meant,
// and nothing that they may not know of.
func TestWhatIsNotThereWasMeantToBe(t *testing.T) {
	type client = tandemv1connect.SchedulerServiceClient
	r := teams()
	r.jobs[1].Instances = []*tandemv1.InstanceView{{
		Instance: &tandemv1.InstanceRecord{JobId: "/team/words", Slot: 0},
		Attempts: []*tandemv1.AttemptRecord{
			{JobId: "/team/words", Attempt: 3, AgentId: "S1", Hostname: "agent1.example", Tasks: []*tandemv1.TaskRecord{{TaskId: "team_words.0.3.count", Workload: "count"}}},
			{JobId: "/team/words", Attempt: 2, Tasks: []*tandemv1.TaskRecord{{TaskId: "team_words.0.2.count", Workload: "count"}}},
		},
	}}
	r.jobs = append(r.jobs, &tandemv1.JobView{Job: &tandemv1.JobRecord{Spec: &tandemv1.Job{Id: "/team/web"}}})
	gone := func(what string) (core.Reply, error) {
		return core.Reply{}, &core.Refused{Code: core.NotFound, Reason: "there is no " + what}
	}
	c := &commander{
		stop: func(s core.Stop) (core.Reply, error) { return gone("job " + s.JobID) },
		task: func(cmd core.Command) (core.Reply, error) {
			switch {
			case cmd.Drain != nil:
				return gone("agent " + cmd.Drain.Agent)
			case cmd.KillTask != nil:
				return gone("task " + cmd.KillTask.TaskID)
			}
			return gone("such thing")
		},
	}
	get := func(id string) func(context.Context, client) error {
		return func(ctx context.Context, c client) error {
			_, err := c.GetJob(ctx, &tandemv1.GetJobRequest{Id: id})
			return err
		}
	}
	kill := func(id string) func(context.Context, client) error {
		return func(ctx context.Context, c client) error {
			_, err := c.KillTask(ctx, &tandemv1.KillTaskRequest{TaskId: id})
			return err
		}
	}
	logs := func(id string) func(context.Context, client) error {
		return func(ctx context.Context, c client) error {
			s, err := c.ReadLog(ctx, &tandemv1.ReadLogRequest{TaskId: id, Path: "access.log"})
			if err != nil {
				return err
			}
			for s.Receive() {
			}
			return s.Err()
		}
	}
	for _, tt := range []struct {
		name, meant string
		call        func(context.Context, client) error
	}{
		{"a slip", "/team/words", get("/team/wrods")},
		{"a path's end", "/team/words", get("/words")},
		{"another path", "/team/words", get("/teams/words")},
		{"another case", "/team/words", get("/Team/Words")},
		{"nothing alike", "", get("/nothing/of/the/kind")},
		{"a short name", "", get("/x")},
		{"another short name below the same path", "", get("/team/big")},
		{"a write", "/team/words", func(ctx context.Context, c client) error {
			_, err := c.StopJob(ctx, &tandemv1.StopJobRequest{Id: "/team/word"})
			return err
		}},
		{"an earlier attempt", "team_words.0.3.count", kill("team_words.0.1.count")},
		{"a task that is kept", "", kill("team_words.0.2.count")},
		{"a task's job", "team_words.0.3.count", kill("team_wrods.0.3.count")},
		{"a task's workload", "team_words.0.3.count", kill("team_words.0.3.coutn")},
		{"a job for a task", "team_words.0.3.count", kill("/team/words")},
		{"an instance for a task", "team_words.0.3.count", kill("team_words.0")},
		{"an instance that is not there", "", kill("team_words.7")},
		{"a job without tasks", "", kill("other")},
		{"a stream", "team_words.0.3.count", logs("team_words.0.9.count")},
		{"a hostname", "agent1.example", func(ctx context.Context, c client) error {
			_, err := c.DrainAgent(ctx, &tandemv1.DrainAgentRequest{Agent: "agnet1.example"})
			return err
		}},
		{"another hostname of a kind", "", func(ctx context.Context, c client) error {
			_, err := c.DrainAgent(ctx, &tandemv1.DrainAgentRequest{Agent: "agent2.example"})
			return err
		}},
		{"a volume", "team_words.0.1.data.fw", func(ctx context.Context, c client) error {
			_, err := c.PurgeVolume(ctx, &tandemv1.PurgeVolumeRequest{VolumeId: "team_words.0.1.date.fw"})
			return err
		}},
	} {
		opt := options(c, r)
		base, _ := serve(t, opt)
		for protocol, c := range protocols(base) {
			err := tt.call(t.Context(), c)
			_, meant, _ := strings.Cut(fmt.Sprint(err), "; did you mean ")
			if connect.CodeOf(err) != connect.CodeNotFound || strings.TrimSuffix(meant, "?") != tt.meant {
				t.Errorf("%s over %s: %v, want %q", tt.name, protocol, err, tt.meant)
			}
		}
	}

	opt, _, _ := guarded(t, c, r)
	base, _ := serve(t, opt)
	for id, want := range map[string]string{"/team/wrods": "/team/words", "/team/other": ""} {
		_, meant, _ := strings.Cut(fmt.Sprint(get(id)(t.Context(), as(base, "planted-reader")["gRPC"])), "; did you mean ")
		if strings.TrimSuffix(meant, "?") != want {
			t.Errorf("who may read /team/* is told %q of %s, want %q", meant, id, want)
		}
	}
}
