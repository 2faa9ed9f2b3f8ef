package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

func taskGiven(id string) error {
	if id == "" {
		return refusedFields("the request names no task", []jobspec.Problem{{Field: "taskId", Reason: "is required"}})
	}
	return nil
}

func (s *service) KillTask(ctx context.Context, req *tandemv1.KillTaskRequest) (*tandemv1.KillTaskResponse, error) {
	if err := taskGiven(req.GetTaskId()); err != nil {
		return nil, err
	}
	if _, err := s.do(ctx, core.Command{KillTask: &core.KillTask{TaskID: req.GetTaskId()}}); err != nil {
		return nil, err
	}
	return &tandemv1.KillTaskResponse{}, nil
}

func (s *service) SignalTask(ctx context.Context, req *tandemv1.SignalTaskRequest) (*tandemv1.SignalTaskResponse, error) {
	if err := taskGiven(req.GetTaskId()); err != nil {
		return nil, err
	}
	if unix.SignalNum(req.GetSignal()) == 0 {
		return nil, refusedFields("the request names no signal", []jobspec.Problem{{
			Field: "signal", Reason: fmt.Sprintf("%q is no signal's name; one such as SIGUSR1 is asked for", req.GetSignal()),
		}})
	}
	_, err := s.do(ctx, core.Command{SignalTask: &core.SignalTask{TaskID: req.GetTaskId(), Signal: req.GetSignal(), All: req.GetAll()}})
	if err != nil {
		return nil, err
	}
	return &tandemv1.SignalTaskResponse{}, nil
}

func (s *service) UpgradeExecutor(ctx context.Context, req *tandemv1.UpgradeExecutorRequest) (*tandemv1.UpgradeExecutorResponse, error) {
	if err := taskGiven(req.GetTaskId()); err != nil {
		return nil, err
	}
	if has, want := s.server.opt.Reader.Framework().GetExecutorDigest(), req.GetExpectedDigest(); want != "" && want != has {
		return nil, s.server.refusal(&core.Refused{Code: core.StaleVersion, Reason: fmt.Sprintf(
			"the scheduler's executor is program %s, not %s: look at what has changed and try again", has, want)})
	}
	reply, err := s.do(ctx, core.Command{Upgrade: &core.UpgradeExecutor{TaskID: req.GetTaskId()}})
	if err != nil {
		return nil, err
	}
	return &tandemv1.UpgradeExecutorResponse{
		Version: reply.Program, Changed: reply.Changed, Digest: s.server.opt.Reader.Framework().GetExecutorDigest(),
	}, nil
}

// measureAgain is how often a call that watches usage asks for it. The core asks
// executors much less often.
const measureAgain = talk.DefaultLease / 3

func (s *service) WatchUsage(ctx context.Context, req *tandemv1.WatchUsageRequest, stream *connect.ServerStream[tandemv1.WatchUsageResponse]) error {
	if req.GetTaskId() != "" && req.GetJobId() != "" {
		return refusedFields("the request names a task and a job",
			[]jobspec.Problem{{Field: "taskId", Reason: "excludes jobId"}})
	}
	ctx, cancel := s.endless(ctx)
	defer cancel()
	measure := core.Command{Measure: &core.Measure{TaskID: req.GetTaskId(), JobID: req.GetJobId()}}
	reply, err := s.do(ctx, measure)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() { end(s.keepMeasuring(ctx, measure)) }()

	wants := func(of string) bool {
		if access.Of(ctx).MayAll(tandemv1.Right_RIGHT_READ) {
			return true
		}
		name, ok := state.ParseTaskName(of)
		return ok && shown(ctx, name.Job)
	}
	if task := req.GetTaskId(); task != "" {
		wants = func(of string) bool { return of == task }
	} else if job := req.GetJobId(); job != "" {
		wants = func(of string) bool {
			name, ok := state.ParseTaskName(of)
			return ok && name.Job == job
		}
	}
	first := true
	for samples, err := range s.server.opt.Reader.Usage(ctx, wants) {
		if err != nil {
			return s.watchEnd(err)
		}
		res := &tandemv1.WatchUsageResponse{Samples: samples}
		if first {
			res.LeftOut, first = reply.LeftOut, false
			if req.GetWithoutHistory() {
				res.Samples = nil
			}
		}
		if err := stream.Send(res); err != nil {
			return err
		}
	}
	return nil
}

// keepMeasuring renews the lease of what is watched. It returns when there is
// nothing to measure any more, or ctx ends.
func (s *service) keepMeasuring(ctx context.Context, measure core.Command) error {
	ticker := time.NewTicker(measureAgain)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		if _, err := s.server.opt.Commander.Do(ctx, measure); err != nil {
			return err
		}
	}
}

// watchEnd is how a watch of usage ends: with the task, in the ordinary way.
func (s *service) watchEnd(err error) error {
	var refused *core.Refused
	if errors.As(err, &refused) {
		return refusedAs(connect.CodeFailedPrecondition, "CONFLICT", fmt.Errorf("there is nothing to measure any more: %w", refused))
	}
	return s.server.refusal(err)
}
