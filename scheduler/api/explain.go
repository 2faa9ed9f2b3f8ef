package api

import (
	"context"
	"slices"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

func (s *service) ExplainJob(ctx context.Context, req *tandemv1.ExplainJobRequest) (*tandemv1.ExplainJobResponse, error) {
	if err := idGiven(req.GetId()); err != nil {
		return nil, err
	}
	x, err := s.explain(ctx, core.Explain{JobID: req.GetId()})
	if err != nil {
		return nil, err
	}
	return &tandemv1.ExplainJobResponse{Explanation: x}, nil
}

// explain has the core explain, and says why offers that were asked for do not come.
func (s *service) explain(ctx context.Context, e core.Explain) (*tandemv1.Explanation, error) {
	x, err := s.explainWithMaster(ctx, e)
	if x.GetSilentSince() != nil {
		x.Silence = present.Silence(x)
	}
	return x, err
}

// explainWithMaster has the core explain, and where something waits once more, with
// what the master says of the quotas and of agents that seem to have room.
func (s *service) explainWithMaster(ctx context.Context, e core.Explain) (*tandemv1.Explanation, error) {
	reply, err := s.do(ctx, core.Command{Explain: &e})
	if err != nil {
		return nil, err
	}
	x := reply.Explanation
	if s.server.opt.Master == nil || x.GetWaiting() == 0 {
		return x, nil
	}
	var room []string
	for _, a := range x.GetAgents() {
		if len(a.GetObstacles()) == 0 || slices.Contains(x.GetPlaces(), a.GetHostname()) {
			room = append(room, a.GetAgentId())
		}
	}
	withheld, err := s.server.opt.Master.Withheld(ctx, room)
	if err != nil {
		x.QuotasUnknown = err.Error()
		return x, nil
	}
	e.Withheld = &withheld
	if reply, err = s.do(ctx, core.Command{Explain: &e}); err != nil {
		return nil, err
	}
	return reply.Explanation, nil
}
