package api

import (
	"context"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

func (s *service) ListVolumes(ctx context.Context, req *tandemv1.ListVolumesRequest) (*tandemv1.ListVolumesResponse, error) {
	res := &tandemv1.ListVolumesResponse{}
	for _, r := range s.server.opt.Reader.Volumes() {
		if shown(ctx, r.GetJobId()) && (req.GetJobId() == "" || req.GetJobId() == r.GetJobId()) {
			res.Volumes = append(res.Volumes, r)
		}
	}
	return res, nil
}

func (s *service) PurgeVolume(ctx context.Context, req *tandemv1.PurgeVolumeRequest) (*tandemv1.PurgeVolumeResponse, error) {
	if req.GetId() == "" {
		return nil, refusedFields("the request names no volume", []jobspec.Problem{{Field: "id", Reason: "is required"}})
	}
	reply, err := s.do(ctx, core.Command{PurgeVolume: &core.PurgeVolume{ID: req.GetId(), Forget: req.GetForget()}})
	if err != nil {
		return nil, err
	}
	return &tandemv1.PurgeVolumeResponse{Volume: reply.Volume}, nil
}
