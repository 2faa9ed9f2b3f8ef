package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

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
	err := refusedAs(connect.CodeInvalidArgument, "INVALID_REQUEST", fmt.Errorf("%s: %s", what, strings.Join(lines, "; ")))
	for _, p := range problems {
		atFault(err, p.Field, p.Explain())
	}
	return err
}

// atFault adds to a refusal a field of the request and what is wrong with it.
func atFault(err *connect.Error, field, reason string) {
	if detail, detailErr := connect.NewErrorDetail(&tandemv1.Refusal{Field: field, Reason: reason}); detailErr == nil {
		err.AddDetail(detail)
	}
}

// notOffered is the reason of a refusal by a scheduler that was started without what
// is asked for.
const notOffered = "NOT_OFFERED"

// NoAnswer is the reason of a refusal where an executor may have done what it was
// asked for.
const NoAnswer = "NO_ANSWER"

// refusedAs returns an error with the reason for machines. A reason that was given
// out stays what it is.
func refusedAs(code connect.Code, reason string, why error) *connect.Error {
	err := connect.NewError(code, why)
	if detail, detailErr := connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: reason, Domain: "tandem"}); detailErr == nil {
		err.AddDetail(detail)
	}
	return err
}

func noJob(id string) error {
	return refusedAs(connect.CodeNotFound, "NOT_FOUND", fmt.Errorf("there is no job %s", id))
}

// refusal gives an error of the Commander or Reader its code, which stays the
// same from version to version:
//
//	not_found            there is no such job, task, agent or volume
//	aborted              the job has another version than the caller expects
//	failed_precondition  what is asked for does not go together with what is, or an
//	                     executor has not answered
//	out_of_range         a watch cannot go on where it is asked to
//	resource_exhausted   a watch was too slow to take every change
//	unauthenticated      the caller has to prove who they are
//	permission_denied    the caller lacks the right
//	unavailable          the scheduler is stopping, or no scheduler leads
//	canceled, deadline_exceeded   the caller's own doing
//	internal             anything else; the log says what
func (s *Server) refusal(err error) error {
	var refused *core.Refused
	var coded *connect.Error
	switch {
	case errors.As(err, &coded):
		return coded
	case errors.As(err, &refused):
		code, reason := connect.CodeFailedPrecondition, "CONFLICT"
		switch refused.Code {
		case core.OtherRequest:
			return errOtherRequest
		case core.NotFound:
			code, reason = connect.CodeNotFound, "NOT_FOUND"
		case core.StaleVersion:
			code, reason = connect.CodeAborted, "STALE_VERSION"
		case core.Unanswered:
			reason = NoAnswer
		case core.Conflict:
		}
		return refusedAs(code, reason, refused)
	case errors.Is(err, loop.ErrNotKept):
		return refusedAs(connect.CodeOutOfRange, "NOT_KEPT", err)
	case errors.Is(err, loop.ErrSlowReader):
		return refusedAs(connect.CodeResourceExhausted, "SLOW_READER", err)
	case errors.Is(err, loop.ErrEnded), errors.Is(err, errStopping):
		return refusedAs(connect.CodeUnavailable, "STOPPING", errStopping)
	case errors.Is(err, loop.ErrNoLeader):
		return refusedAs(connect.CodeUnavailable, "NO_LEADER", err)
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, err)
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, err)
	}
	s.opt.Log.WithError(err).Error("a call to the API failed")
	return refusedAs(connect.CodeInternal, "INTERNAL", errors.New("the scheduler could not do this; its log says why"))
}
