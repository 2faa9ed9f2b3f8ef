package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

func noVolume(id string) error {
	return refusedAs(connect.CodeNotFound, "NOT_FOUND", fmt.Errorf("there is no volume %s", id))
}

// ownerOf returns the job that a volume belongs to, or false when there is no such
// volume.
func (s *Server) ownerOf(volume string) (string, bool) {
	for _, r := range s.opt.Reader.Volumes() {
		if r.GetId() == volume {
			return r.GetJobId(), true
		}
	}
	return "", false
}

func (s *service) ListVolumes(ctx context.Context, req *tandemv1.ListVolumesRequest) (*tandemv1.ListVolumesResponse, error) {
	if err := checkMask(req.GetReadMask(), (&tandemv1.VolumeRecord{}).ProtoReflect().Descriptor()); err != nil {
		return nil, err
	}
	var volumes []*tandemv1.VolumeRecord
	for _, r := range s.server.opt.Reader.Volumes() {
		if shown(ctx, r.GetJobId()) && (req.GetJobId() == "" || req.GetJobId() == r.GetJobId()) {
			volumes = append(volumes, r)
		}
	}
	slices.SortStableFunc(volumes, func(a, b *tandemv1.VolumeRecord) int { return strings.Compare(volumeKey(a), volumeKey(b)) })
	part, next, err := ordered(volumes, req.GetPageSize(), req.GetPageToken(), volumeKey)
	if err != nil {
		return nil, err
	}
	return &tandemv1.ListVolumesResponse{Volumes: allMasked(part, req.GetReadMask()), NextPageToken: next}, nil
}

// volumeKey is a volume's place among all: by job, instance, name and age.
func volumeKey(v *tandemv1.VolumeRecord) string {
	return fmt.Sprintf("%s\x00%010d\x00%s\x00%020d\x00%s", v.GetJobId(), v.GetSlot(), v.GetName(), v.GetAttempt(), v.GetId())
}

func (s *service) PurgeVolume(ctx context.Context, req *tandemv1.PurgeVolumeRequest) (*tandemv1.PurgeVolumeResponse, error) {
	if req.GetVolumeId() == "" {
		return nil, refusedFields("the request names no volume", []jobspec.Problem{{Field: "volumeId", Reason: "is required"}})
	}
	reply, err := s.do(ctx, core.Command{PurgeVolume: &core.PurgeVolume{
		ID: req.GetVolumeId(), Forget: req.GetForget(), ExpectedState: req.ExpectedState,
	}})
	if err != nil {
		return nil, err
	}
	return &tandemv1.PurgeVolumeResponse{Volume: reply.Volume}, nil
}
