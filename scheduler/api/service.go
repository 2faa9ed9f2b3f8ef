package api

import (
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// service is tandem.v1.SchedulerService.
type service struct{ server *Server }

// do carries a command out, once where the call carries a key, and gives a refusal
// its code.
func (s *service) do(ctx context.Context, c core.Command) (core.Reply, error) {
	c.Request, _ = ctx.Value(requestKey{}).(*core.Request)
	reply, err := s.server.opt.Commander.Do(ctx, c)
	if err != nil {
		return reply, s.server.refusal(err)
	}
	return reply, nil
}

// accepted returns a copy of a job with every default written out, or says all
// that is wrong with it.
func accepted(given *tandemv1.Job) (*tandemv1.Job, error) {
	if given == nil {
		return nil, refusedFields("the request holds no job", []jobspec.Problem{{Field: "job", Reason: "is required"}})
	}
	job := proto.CloneOf(given)
	jobspec.Default(job)
	if problems := jobspec.Validate(job); len(problems) > 0 {
		return nil, refusedFields(fmt.Sprintf("job %s cannot be accepted", job.GetId()), problems)
	}
	return job, nil
}

func (s *service) SubmitJob(ctx context.Context, req *tandemv1.SubmitJobRequest) (*tandemv1.SubmitJobResponse, error) {
	job, err := accepted(req.GetJob())
	if err != nil {
		return nil, err
	}
	reply, err := s.do(ctx, core.Command{Submit: &core.Submit{Job: job, ExpectedVersion: req.ExpectedVersion, Force: req.GetForce()}})
	if err != nil {
		return nil, err
	}
	return &tandemv1.SubmitJobResponse{Version: reply.Version, Changed: reply.Changed}, nil
}

func (s *service) StopJob(ctx context.Context, req *tandemv1.StopJobRequest) (*tandemv1.StopJobResponse, error) {
	if err := idGiven(req.GetId()); err != nil {
		return nil, err
	}
	if req.GetPurge() {
		if err := also(ctx, tandemv1.Right_RIGHT_ADMIN, req.GetId()); err != nil {
			return nil, err
		}
	}
	reply, err := s.do(ctx, core.Command{Stop: &core.Stop{
		JobID: req.GetId(), Purge: req.GetPurge(), ExpectedVersion: req.ExpectedVersion,
	}})
	if err != nil {
		return nil, err
	}
	return &tandemv1.StopJobResponse{Version: reply.Version}, nil
}

func (s *service) GetJob(_ context.Context, req *tandemv1.GetJobRequest) (*tandemv1.GetJobResponse, error) {
	if err := idGiven(req.GetId()); err != nil {
		return nil, err
	}
	if err := checkMask(req.GetReadMask(), (&tandemv1.JobView{}).ProtoReflect().Descriptor()); err != nil {
		return nil, err
	}
	view, ok := s.server.opt.Reader.Job(req.GetId())
	if !ok {
		return nil, noJob(req.GetId())
	}
	file, err := jobspec.Marshal(view.GetJob().GetSpec())
	if err != nil {
		return nil, s.server.refusal(fmt.Errorf("cannot write job %s as a file: %w", req.GetId(), err))
	}
	instances, next, err := pageOfInstances(view.GetInstances(), req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	part := masked(&tandemv1.JobView{Job: view.GetJob(), Instances: instances}, req.GetReadMask())
	return &tandemv1.GetJobResponse{Job: part, JobFile: string(file), NextPageToken: next}, nil
}

func (s *service) ListVersions(_ context.Context, req *tandemv1.ListVersionsRequest) (*tandemv1.ListVersionsResponse, error) {
	if err := idGiven(req.GetId()); err != nil {
		return nil, err
	}
	if err := checkMask(req.GetReadMask(), (&tandemv1.VersionRecord{}).ProtoReflect().Descriptor()); err != nil {
		return nil, err
	}
	versions := s.server.opt.Reader.Versions(req.GetId())
	if len(versions) == 0 {
		return nil, noJob(req.GetId())
	}
	versions, next, err := pageOfVersions(versions, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &tandemv1.ListVersionsResponse{Versions: allMasked(versions, req.GetReadMask()), NextPageToken: next}, nil
}

func (s *service) ListJobs(ctx context.Context, req *tandemv1.ListJobsRequest) (*tandemv1.ListJobsResponse, error) {
	if err := checkMask(req.GetReadMask(), (&tandemv1.JobRecord{}).ProtoReflect().Descriptor()); err != nil {
		return nil, err
	}
	jobs := slices.DeleteFunc(s.server.opt.Reader.Jobs(), func(j *tandemv1.JobRecord) bool {
		id := j.GetSpec().GetId()
		return !shown(ctx, id) || !labelled(j.GetSpec(), req.GetLabels()) || !below(id, req.GetBelow())
	})
	jobs, next, err := pageOfJobs(jobs, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	res := &tandemv1.ListJobsResponse{Jobs: allMasked(jobs, req.GetReadMask()), NextPageToken: next}
	if req.GetCountInstances() {
		for _, j := range jobs {
			res.InstanceCounts = append(res.InstanceCounts, s.server.opt.Reader.Phases(j.GetSpec().GetId()))
		}
	}
	return res, nil
}

func (s *service) GetFramework(ctx context.Context, req *tandemv1.GetFrameworkRequest) (*tandemv1.GetFrameworkResponse, error) {
	res := &tandemv1.GetFrameworkResponse{Framework: s.server.opt.Reader.Framework()}
	if req.GetWithQuotas() && s.server.opt.Master != nil {
		var err error
		if res.Quotas, err = s.server.opt.Master.Quotas(ctx); err != nil {
			res.QuotasUnknown = err.Error()
		}
	}
	return res, nil
}

func (s *service) Watch(ctx context.Context, req *tandemv1.WatchRequest, stream *connect.ServerStream[tandemv1.WatchResponse]) error {
	if problem := latestOf(req); problem != "" {
		return refusedFields("there is no such watch", []jobspec.Problem{{Field: "latest", Reason: problem}})
	}
	ctx, cancel := s.endless(ctx)
	defer cancel()
	for change, err := range s.server.opt.Reader.Watch(ctx, req) {
		if err != nil {
			return s.server.refusal(err)
		}
		if job := jobOf(change); job != "" && !shown(ctx, job) {
			continue
		}
		if err := stream.Send(change); err != nil {
			return err
		}
	}
	return nil
}

// latestOf says what is wrong with how many changes a watch is to begin with.
func latestOf(req *tandemv1.WatchRequest) string {
	switch {
	case req.GetLatest() < 0:
		return "must not be negative"
	case req.GetLatest() > 0 && req.Since == nil:
		return "is for a watch that begins with changes: set since, to 0 for all that are kept"
	}
	return ""
}

// jobOf is the job that a change belongs to, or nothing.
func jobOf(change *tandemv1.WatchResponse) string {
	switch c := change.GetChange().(type) {
	case *tandemv1.WatchResponse_Job:
		return c.Job.GetSpec().GetId()
	case *tandemv1.WatchResponse_Instance:
		return c.Instance.GetJobId()
	case *tandemv1.WatchResponse_Attempt:
		return c.Attempt.GetJobId()
	case *tandemv1.WatchResponse_JobRemoved:
		return c.JobRemoved
	case *tandemv1.WatchResponse_InstanceRemoved:
		return c.InstanceRemoved.GetJobId()
	case *tandemv1.WatchResponse_InstanceCounts:
		return c.InstanceCounts.GetJobId()
	}
	return ""
}

// endless returns a context that ends with ctx, and when the server stops, for
// calls that would go on for ever.
func (s *service) endless(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	forget := context.AfterFunc(s.server.ending, func() { cancel(errStopping) })
	return ctx, func() {
		forget()
		cancel(nil)
	}
}

func idGiven(id string) error {
	if id == "" {
		return refusedFields("the request names no job", []jobspec.Problem{{Field: "id", Reason: "is required"}})
	}
	return nil
}
