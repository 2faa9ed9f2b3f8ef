package schedulerapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// Kind says what is known of a call that failed.
type Kind int

// The kinds of failure.
const (
	// Unavailable: the call has had no effect, and may work later or with
	// another master.
	Unavailable Kind = iota + 1
	// Refused: a master has looked at the call and will not have it. The same
	// call will be refused again, unless something else changes.
	Refused
	// Uncertain: the call may have had its effect or not.
	Uncertain
)

// Error is why a call failed. All errors of this package that come from calls
// are of this type.
type Error struct {
	Kind Kind
	// Master is the master's address, host:port; empty when none was found.
	Master string
	// Status is that of the answer; 0 when there was none.
	Status int
	// Text is what the master said.
	Text string
	// Err is what went wrong on the way; nil when the master answered.
	Err error
	// Doubt is why another master may lead by now; nil where nothing says so.
	Doubt error
}

// Error returns one line for a person, without a password.
func (e *Error) Error() string {
	if e.Doubt != nil {
		return e.text() + "; " + e.Doubt.Error()
	}
	return e.text()
}

func (e *Error) text() string {
	var lost *lostError
	switch {
	case e.Master == "":
		return brief(e.Err)
	case errors.As(e.Err, &lost):
		return fmt.Sprintf("the subscription with the master at %s ended: %s", e.Master, brief(lost.err))
	case e.Err != nil && e.Kind == Uncertain:
		return fmt.Sprintf("lost the connection to the master at %s before it answered: %s", e.Master, brief(e.Err))
	case e.Err != nil:
		return fmt.Sprintf("cannot reach the master at %s: %s", e.Master, brief(e.Err))
	case e.Status == http.StatusUnauthorized:
		return fmt.Sprintf("the master at %s does not accept the principal and secret of this scheduler (401)", e.Master)
	case e.Status == http.StatusNotFound:
		return fmt.Sprintf("what answers at %s is not a Mesos master (404: %s)", e.Master, e.Text)
	case e.Kind == Refused:
		return fmt.Sprintf("the master at %s refuses the call (%d): %s", e.Master, e.Status, e.Text)
	default:
		return fmt.Sprintf("the master at %s cannot take the call now (%d): %s", e.Master, e.Status, e.Text)
	}
}

// Unwrap returns what went wrong on the way.
func (e *Error) Unwrap() error { return e.Err }

// answered classes an answer that is not the one hoped for. 5xx answers other
// than 503, which a real master gives before it looks at a call, may come from
// something between here and the master that has passed the call on.
func answered(master string, status int, text string) *Error {
	e := &Error{Kind: Refused, Master: master, Status: status, Text: text}
	switch {
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		e.Kind = Unavailable
	case status == http.StatusTemporaryRedirect:
		e.Kind, e.Text = Unavailable, "it does not lead"
	case status >= 500:
		e.Kind = Uncertain
	}
	return e
}

// brief is an error for a person: without the addresses that net adds, of which
// one changes with every attempt.
func brief(err error) string {
	if err == nil {
		return "no reason given"
	}
	var sys *os.SyscallError
	var dns *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &sys):
		return sys.Err.Error()
	case errors.As(err, &dns):
		return fmt.Sprintf("no address is known for the host %q: %s", dns.Name, dns.Err)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection was closed"
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer in time"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	var in *url.Error
	if errors.As(err, &in) {
		return in.Err.Error()
	}
	return err.Error()
}

// textOf is the text of a short answer as one line.
func textOf(body io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(body, 4096))
	return strings.Join(strings.Fields(string(b)), " ")
}
