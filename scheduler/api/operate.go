package api

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func (s *service) PlanJob(ctx context.Context, req *tandemv1.PlanJobRequest) (*tandemv1.PlanJobResponse, error) {
	job, err := accepted(req.GetJob())
	if err != nil {
		return nil, err
	}
	res := &tandemv1.PlanJobResponse{Job: job, Changed: true}
	if view, ok := s.server.opt.Reader.Job(job.GetId()); ok {
		res.Current = view.GetJob()
		res.Changed = view.GetJob().GetStopped() || !proto.Equal(view.GetJob().GetSpec(), job)
	}
	if res.Explanation, err = s.explain(ctx, core.Explain{JobID: job.GetId(), Job: job}); err != nil {
		return nil, err
	}
	return res, nil
}

func (s *service) RestartJob(ctx context.Context, req *tandemv1.RestartJobRequest) (*tandemv1.RestartJobResponse, error) {
	if err := idGiven(req.GetId()); err != nil {
		return nil, err
	}
	reply, err := s.do(ctx, core.Command{Restart: &core.Restart{
		JobID: req.GetId(), Slots: req.GetSlots(), ExpectedVersion: req.ExpectedVersion,
	}})
	if err != nil {
		return nil, err
	}
	return &tandemv1.RestartJobResponse{Version: reply.Version}, nil
}

func (s *service) RollbackJob(ctx context.Context, req *tandemv1.RollbackJobRequest) (*tandemv1.RollbackJobResponse, error) {
	if err := idGiven(req.GetId()); err != nil {
		return nil, err
	}
	reply, err := s.do(ctx, core.Command{Rollback: &core.Rollback{
		JobID: req.GetId(), Version: req.GetVersion(), ExpectedVersion: req.ExpectedVersion, Force: req.GetForce(),
	}})
	if err != nil {
		return nil, err
	}
	return &tandemv1.RollbackJobResponse{Version: reply.Version}, nil
}

var updateActions = map[tandemv1.UpdateAction]core.UpdateAction{
	tandemv1.UpdateAction_UPDATE_ACTION_PAUSE:   core.PauseUpdate,
	tandemv1.UpdateAction_UPDATE_ACTION_RESUME:  core.ResumeUpdate,
	tandemv1.UpdateAction_UPDATE_ACTION_PROMOTE: core.PromoteUpdate,
	tandemv1.UpdateAction_UPDATE_ACTION_ABORT:   core.AbortUpdate,
}

func (s *service) SteerUpdate(ctx context.Context, req *tandemv1.SteerUpdateRequest) (*tandemv1.SteerUpdateResponse, error) {
	if err := idGiven(req.GetId()); err != nil {
		return nil, err
	}
	action, ok := updateActions[req.GetAction()]
	if !ok {
		return nil, refusedFields("the request asks for no action", []jobspec.Problem{{Field: "action", Reason: "is required"}})
	}
	reply, err := s.do(ctx, core.Command{Update: &core.Update{
		JobID: req.GetId(), Action: action, ExpectedVersion: req.ExpectedVersion,
	}})
	if err != nil {
		return nil, err
	}
	return &tandemv1.SteerUpdateResponse{Version: reply.Version}, nil
}

func (s *service) RunJob(ctx context.Context, req *tandemv1.RunJobRequest) (*tandemv1.RunJobResponse, error) {
	if err := idGiven(req.GetId()); err != nil {
		return nil, err
	}
	reply, err := s.do(ctx, core.Command{Run: &core.Run{JobID: req.GetId(), ExpectedVersion: req.ExpectedVersion}})
	if err != nil {
		return nil, err
	}
	return &tandemv1.RunJobResponse{Version: reply.Version, RunId: reply.Run}, nil
}

func (s *service) ListAgents(ctx context.Context, req *tandemv1.ListAgentsRequest) (*tandemv1.ListAgentsResponse, error) {
	if err := checkMask(req.GetReadMask(), (&tandemv1.AgentView{}).ProtoReflect().Descriptor()); err != nil {
		return nil, err
	}
	all := slices.SortedFunc(maps.Values(s.agents(ctx)), func(a, b *tandemv1.AgentView) int { return cmp.Compare(agentKey(a), agentKey(b)) })
	part, next, err := ordered(all, req.GetPageSize(), req.GetPageToken(), agentKey)
	if err != nil {
		return nil, err
	}
	for _, a := range part {
		a.Standing = present.Standing(s.server.opt.Now(), a)
	}
	return &tandemv1.ListAgentsResponse{Agents: allMasked(part, req.GetReadMask()), NextPageToken: next}, nil
}

func (s *service) ListOffers(ctx context.Context, req *tandemv1.ListOffersRequest) (*tandemv1.ListOffersResponse, error) {
	if err := checkMask(req.GetReadMask(), (&tandemv1.OfferView{}).ProtoReflect().Descriptor()); err != nil {
		return nil, err
	}
	reply, err := s.do(ctx, core.Command{Offers: true})
	if err != nil {
		return nil, err
	}
	of, to := req.GetAgent(), req.GetRole()
	all := slices.DeleteFunc(reply.Offers, func(o *tandemv1.OfferView) bool {
		return of != "" && of != o.GetAgentId() && of != o.GetHostname() || to != "" && to != o.GetRole()
	})
	part, next, err := ordered(all, req.GetPageSize(), req.GetPageToken(), offerKey)
	if err != nil {
		return nil, err
	}
	for _, o := range part {
		o.Outcome = present.OfferOutcome(s.server.opt.Now(), o)
	}
	return &tandemv1.ListOffersResponse{Offers: allMasked(part, req.GetReadMask()), NextPageToken: next}, nil
}

// offerKey is an offer's place among all.
func offerKey(o *tandemv1.OfferView) string {
	return o.GetHostname() + "\x00" + o.GetAgentId() + "\x00" + o.GetRole()
}

// agents returns the agents that the caller may know of, by ID.
func (s *service) agents(ctx context.Context) map[string]*tandemv1.AgentView {
	agents := map[string]*tandemv1.AgentView{}
	for _, job := range s.server.opt.Reader.Jobs() {
		if !shown(ctx, job.GetSpec().GetId()) {
			continue
		}
		view, _ := s.server.opt.Reader.Job(job.GetSpec().GetId())
		for _, i := range view.GetInstances() {
			for _, a := range i.GetAttempts() {
				if a.GetEnded() == nil {
					count(agents, a)
				}
			}
		}
	}
	for id, r := range s.server.opt.Reader.Agents() {
		if agents[id] == nil {
			agents[id] = &tandemv1.AgentView{AgentId: id, Hostname: r.GetHostname()}
		}
		agents[id].Leaving = r
	}
	return agents
}

// agentKey is an agent's place among all.
func agentKey(a *tandemv1.AgentView) string { return a.GetHostname() + "\x00" + a.GetAgentId() }

func (s *service) DrainAgent(ctx context.Context, req *tandemv1.DrainAgentRequest) (*tandemv1.DrainAgentResponse, error) {
	if req.GetAgent() == "" {
		return nil, refusedFields("the request names no agent", []jobspec.Problem{{Field: "agent", Reason: "is required"}})
	}
	deadline := req.GetDeadline().AsDuration()
	if req.Deadline != nil && (deadline <= 0 || req.GetCancel()) {
		return nil, refusedFields("the request cannot be carried out", []jobspec.Problem{{
			Field: "deadline", Reason: "must be above 0, and absent where cancel is set",
		}})
	}
	reply, err := s.do(ctx, core.Command{Drain: &core.Drain{Agent: req.GetAgent(), Cancel: req.GetCancel(), Deadline: deadline, ExpectedVersion: req.ExpectedVersion}})
	if err != nil {
		return nil, err
	}
	return reply.Agent, nil
}

// count adds an attempt to what runs on its agent.
func count(agents map[string]*tandemv1.AgentView, a *tandemv1.AttemptRecord) {
	view := agents[a.GetAgentId()]
	if view == nil {
		view = &tandemv1.AgentView{AgentId: a.GetAgentId()}
		agents[a.GetAgentId()] = view
	}
	view.Hostname, view.Url = a.GetHostname(), a.GetAgentUrl()
	view.Attempts++
	if a.GetUnreachable() != nil {
		view.Unreachable++
	}
	for _, t := range a.GetTasks() {
		if !present.Ended(t) {
			view.Tasks++
		}
	}
	// Jobs come one after the other, in the order of their IDs.
	if n := len(view.Jobs); n == 0 || view.Jobs[n-1] != a.GetJobId() {
		view.Jobs = append(view.Jobs, a.GetJobId())
	}
}

func (s *service) Reconcile(ctx context.Context, _ *tandemv1.ReconcileRequest) (*tandemv1.ReconcileResponse, error) {
	reply, err := s.do(ctx, core.Command{Reconcile: true})
	if err != nil {
		return nil, err
	}
	return &tandemv1.ReconcileResponse{Tasks: reply.Tasks}, nil
}

func (s *service) TeardownFramework(ctx context.Context, req *tandemv1.TeardownFrameworkRequest) (*tandemv1.TeardownFrameworkResponse, error) {
	if name := s.server.opt.Reader.Framework().GetName(); req.GetName() != name {
		return nil, refusedFields("the framework is not torn down", []jobspec.Problem{{
			Field: "name", Reason: fmt.Sprintf("is %q, but this is the scheduler of framework %q", req.GetName(), name),
		}})
	}
	reply, err := s.do(ctx, core.Command{Teardown: true})
	if err != nil {
		return nil, err
	}
	return &tandemv1.TeardownFrameworkResponse{Tasks: reply.Tasks}, nil
}
