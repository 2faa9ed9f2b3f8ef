package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
)

var errStopping = errors.New("the scheduler is stopping")

// refusedFields returns an invalid_argument whose details hold one Refusal for
// each problem. The text names them too, for clients that do not read details.
func refusedFields(what string, problems []jobspec.Problem) error {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.String()
	}
	err := connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s: %s", what, strings.Join(lines, "; ")))
	for _, p := range problems {
		detail, detailErr := connect.NewErrorDetail(&tandemv1.Refusal{Field: p.Field, Reason: p.Explain()})
		if detailErr == nil {
			err.AddDetail(detail)
		}
	}
	return err
}

// refusal gives an error of the Commander or Reader its code, which stays the
// same from version to version:
//
//	not_found            there is no such job
//	aborted              the job has another version than the caller expects
//	failed_precondition  what is asked for does not go together with what is
//	out_of_range         a watch cannot go on where it is asked to
//	resource_exhausted   a watch was too slow to take every change
//	unauthenticated      the caller has to prove who they are
//	permission_denied    the caller lacks the right
//	unavailable          the scheduler is stopping
//	canceled, deadline_exceeded   the caller's own doing
//	internal             anything else; the log says what
func (s *Server) refusal(err error) error {
	var refused *core.Refused
	var coded *connect.Error
	switch {
	case errors.As(err, &coded):
		return coded
	case errors.As(err, &refused):
		code := connect.CodeFailedPrecondition
		switch refused.Code {
		case core.NotFound:
			code = connect.CodeNotFound
		case core.StaleVersion:
			code = connect.CodeAborted
		case core.Conflict:
		}
		return connect.NewError(code, refused)
	case errors.Is(err, loop.ErrNotKept):
		return connect.NewError(connect.CodeOutOfRange, err)
	case errors.Is(err, loop.ErrSlowReader):
		return connect.NewError(connect.CodeResourceExhausted, err)
	case errors.Is(err, loop.ErrEnded), errors.Is(err, errStopping):
		return connect.NewError(connect.CodeUnavailable, errStopping)
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, err)
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, err)
	}
	s.opt.Log.WithError(err).Error("a call to the API failed")
	return connect.NewError(connect.CodeInternal, errors.New("the scheduler could not do this; its log says why"))
}
