package api

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// service is tandem.v1.SchedulerService.
type service struct {
	tandemv1connect.UnimplementedSchedulerServiceHandler
	server *Server
}

func (s *service) SubmitJob(ctx context.Context, req *tandemv1.SubmitJobRequest) (*tandemv1.SubmitJobResponse, error) {
	if req.GetJob() == nil {
		return nil, refusedFields("the request holds no job", []jobspec.Problem{{Field: "job", Reason: "is required"}})
	}
	job := proto.CloneOf(req.GetJob())
	jobspec.Default(job)
	if problems := jobspec.Validate(job); len(problems) > 0 {
		return nil, refusedFields(fmt.Sprintf("job %s cannot be accepted", job.GetId()), problems)
	}
	reply, err := s.server.opt.Commander.Submit(ctx, core.Submit{Job: job, ExpectedVersion: req.ExpectedVersion})
	if err != nil {
		return nil, s.server.refusal(err)
	}
	return &tandemv1.SubmitJobResponse{Version: reply.Version, Changed: reply.Changed}, nil
}

func (s *service) StopJob(ctx context.Context, req *tandemv1.StopJobRequest) (*tandemv1.StopJobResponse, error) {
	if err := idGiven(req.GetId()); err != nil {
		return nil, err
	}
	reply, err := s.server.opt.Commander.Stop(ctx, core.Stop{
		JobID: req.GetId(), Purge: req.GetPurge(), ExpectedVersion: req.ExpectedVersion,
	})
	if err != nil {
		return nil, s.server.refusal(err)
	}
	return &tandemv1.StopJobResponse{Version: reply.Version}, nil
}

func (s *service) GetJob(_ context.Context, req *tandemv1.GetJobRequest) (*tandemv1.GetJobResponse, error) {
	if err := idGiven(req.GetId()); err != nil {
		return nil, err
	}
	view, ok := s.server.opt.Reader.Job(req.GetId())
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no job %s", req.GetId()))
	}
	return &tandemv1.GetJobResponse{Job: view}, nil
}

func (s *service) ListJobs(context.Context, *tandemv1.ListJobsRequest) (*tandemv1.ListJobsResponse, error) {
	return &tandemv1.ListJobsResponse{Jobs: s.server.opt.Reader.Jobs()}, nil
}

func (s *service) GetFramework(context.Context, *tandemv1.GetFrameworkRequest) (*tandemv1.GetFrameworkResponse, error) {
	return &tandemv1.GetFrameworkResponse{Framework: s.server.opt.Reader.Framework()}, nil
}

func (s *service) Watch(ctx context.Context, req *tandemv1.WatchRequest, stream *connect.ServerStream[tandemv1.WatchResponse]) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.server.ending, func() { cancel(errStopping) })()
	for change, err := range s.server.opt.Reader.Watch(ctx, req.GetJobId()) {
		if err != nil {
			return s.server.refusal(err)
		}
		if err := stream.Send(change); err != nil {
			return err
		}
	}
	return nil
}

func idGiven(id string) error {
	if id == "" {
		return refusedFields("the request names no job", []jobspec.Problem{{Field: "id", Reason: "is required"}})
	}
	return nil
}
