package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// located adds to the refusal of a request the field that names what is not there, and
// what it may have meant of what its caller may see, or the field that expects what is
// not so. Other errors stay as they are.
func (s *Server) located(ctx context.Context, request any, err error) error {
	var refused *connect.Error
	message, ok := request.(proto.Message)
	if !ok || !errors.As(err, &refused) {
		return err
	}
	field, meant := "", ""
	switch refused.Code() {
	case connect.CodeNotFound:
		field, meant = s.missing(ctx, message)
	case connect.CodeAborted:
		field = expecting(message)
	}
	if field == "" {
		return err
	}
	why := refused.Unwrap()
	if meant != "" {
		why = fmt.Errorf("%w; did you mean %s?", why, meant)
	}
	better := connect.NewError(refused.Code(), why)
	for _, d := range refused.Details() {
		better.AddDetail(d)
	}
	atFault(better, field, why.Error())
	return better
}

// missing returns the field of a request that names what is not there, and what it may
// have meant, or nothing.
func (s *Server) missing(ctx context.Context, request proto.Message) (field, meant string) {
	switch r := request.(type) {
	case *tandemv1.DrainAgentRequest:
		return "agent", s.nearestAgent(ctx, r.GetAgent())
	case *tandemv1.PurgeVolumeRequest:
		return "volumeId", s.nearestVolume(ctx, r.GetVolumeId())
	case interface{ GetTaskId() string }:
		if id := r.GetTaskId(); id != "" && !s.hasTask(id) {
			return "taskId", s.nearestTask(ctx, id)
		}
	}
	m := request.ProtoReflect()
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		if namingOf(fd) != namesJob || fd.IsList() {
			continue
		}
		id := m.Get(fd).String()
		if _, ok := s.opt.Reader.Job(id); id != "" && !ok {
			return fd.JSONName(), s.nearestJob(ctx, id)
		}
	}
	// What the request is about is there, and something of it is not.
	switch r := request.(type) {
	case *tandemv1.RollbackJobRequest:
		return "version", ""
	case *tandemv1.RestartJobRequest:
		return "slots", ""
	case *tandemv1.ReadLogRequest, *tandemv1.ListFilesRequest:
		return "path", ""
	case interface{ GetTaskId() string }:
		if r.GetTaskId() != "" {
			return "taskId", ""
		}
	}
	return "", ""
}

// hasTask reports whether there is a task, or has been one that is still known.
func (s *Server) hasTask(id string) bool {
	name, ok := state.ParseTaskName(id)
	if !ok {
		return false
	}
	job, _ := s.opt.Reader.Job(name.Job)
	for _, i := range job.GetInstances() {
		if i.GetInstance().GetSlot() != name.Slot {
			continue
		}
		for _, a := range i.GetAttempts() {
			for _, t := range a.GetTasks() {
				if t.GetTaskId() == id {
					return true
				}
			}
		}
	}
	return false
}

// expecting returns the field by which a request says what it was made against, or
// nothing.
func expecting(request proto.Message) string {
	fields := request.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if fd := fields.Get(i); strings.HasPrefix(string(fd.Name()), "expected_") {
			return fd.JSONName()
		}
	}
	return ""
}
