package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/api"
)

const defaultScheduler = "http://127.0.0.1:7070"

// client speaks with a scheduler.
type client struct {
	tandemv1connect.SchedulerServiceClient
	base string
	http *http.Client
	// inside says that the scheduler is in this process, so that it does not come
	// back once it has gone.
	inside bool
}

// explain turns an error of a call into what a person can act on.
func (c *client) explain(err error) error {
	var refused *connect.Error
	switch {
	case errors.Is(err, context.Canceled):
		return failed(exitInterrupted, "interrupted")
	case c.unreachable(err) != nil:
		return c.unreachable(err)
	case !errors.As(err, &refused):
		return err
	}
	switch refused.Code() {
	case connect.CodeUnimplemented, connect.CodeUnknown, connect.CodeInternal:
		if reason(refused) == "" {
			return c.stranger(refused.Message())
		}
		if refused.Code() == connect.CodeInternal {
			break
		}
		return failed(exitRefused, "%s", refused.Message())
	case connect.CodeInvalidArgument:
		if fields := refusals(refused); len(fields) > 0 {
			return &failure{status: exitUsage, lines: fields}
		}
		return failed(exitRefused, "%s", refused.Message())
	case connect.CodeUnavailable:
		return failed(exitUnreachable, "the scheduler at %s cannot answer now: %s", c.base, refused.Message())
	case connect.CodeNotFound, connect.CodeAborted, connect.CodeFailedPrecondition,
		connect.CodeOutOfRange, connect.CodeUnauthenticated, connect.CodePermissionDenied:
		return failed(exitRefused, "%s", refused.Message())
	}
	return failed(exitFailed, "the scheduler at %s: %s", c.base, refused.Message())
}

// unsure says of a call's error that the scheduler may have carried the call out
// all the same: it has not said that it did not.
func unsure(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	var refused *connect.Error
	if errors.As(err, &refused) && reason(refused) == api.NoAnswer {
		return true
	}
	switch connect.CodeOf(err) {
	case connect.CodeNotFound, connect.CodeAborted, connect.CodeFailedPrecondition, connect.CodeInvalidArgument, connect.CodeOutOfRange,
		connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.CodeUnimplemented, connect.CodeResourceExhausted:
		return false
	}
	return true
}

// stranger says that something else answers where a scheduler should.
func (c *client) stranger(answer string) error {
	secure := ""
	if rest, ok := strings.CutPrefix(c.base, "http://"); ok && strings.HasPrefix(answer, "400") {
		secure = "; one that speaks https would be https://" + rest
	}
	return failed(exitUnreachable, "what answers at %s is no Tandem scheduler: %s%s; set --scheduler or TANDEM_SCHEDULER", c.base, answer, secure)
}

// unreachable returns what to say of an error that kept a request from being
// answered at all, or nil for others.
func (c *client) unreachable(err error) error {
	const advice = `; is "tandem scheduler" running? set --scheduler or TANDEM_SCHEDULER`
	var op *net.OpError
	var dns *net.DNSError
	var tooLate interface{ Timeout() bool }
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		return failed(exitUnreachable, "the scheduler at %s does not prove who it is: %s; --tls-ca names the authority of its certificate", c.base, certificate.Err)
	case errors.As(err, &dns):
		return failed(exitUnreachable, "cannot reach the scheduler at %s: there is no host %s%s", c.base, dns.Name, advice)
	case errors.As(err, &op):
		cause := op.Err
		var sys *os.SyscallError
		if errors.As(cause, &sys) {
			cause = sys.Err
		}
		return failed(exitUnreachable, "cannot reach the scheduler at %s: %s%s", c.base, cause, advice)
	case errors.As(err, &tooLate) && tooLate.Timeout():
		return failed(exitUnreachable, "cannot reach the scheduler at %s: it does not answer%s", c.base, advice)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return failed(exitUnreachable, "the scheduler at %s has gone in the middle of an answer%s", c.base, advice)
	case strings.Contains(err.Error(), "malformed HTTP"), strings.Contains(err.Error(), "HTTP response to HTTPS"):
		return failed(exitUnreachable, "what answers at %s does not speak HTTP as asked; set --scheduler or TANDEM_SCHEDULER", c.base)
	}
	return nil
}

// reason returns what a refusal says to programs.
func reason(err *connect.Error) string {
	for _, d := range err.Details() {
		v, detailErr := d.Value()
		if info, ok := v.(*errdetails.ErrorInfo); ok && detailErr == nil {
			return info.GetReason()
		}
	}
	return ""
}

// refusals returns the fields at fault that an error names, one line each.
func refusals(err *connect.Error) []string {
	var lines []string
	for _, d := range err.Details() {
		v, detailErr := d.Value()
		if r, ok := v.(*tandemv1.Refusal); ok && detailErr == nil {
			lines = append(lines, fmt.Sprintf("%s: %s", r.GetField(), r.GetReason()))
		}
	}
	return lines
}
