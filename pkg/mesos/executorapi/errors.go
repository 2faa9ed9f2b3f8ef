package executorapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// Error is an agent's refusal of a call.
type Error struct {
	Call executor.Call_Type
	// Status is the HTTP status, Text the body in one line.
	Status int
	Text   string
}

// Error says what was refused, how and why.
func (e *Error) Error() string {
	text := e.Text
	if text == "" {
		text = http.StatusText(e.Status)
	}
	return fmt.Sprintf("the agent answers %s with %d: %s", e.Call, e.Status, text)
}

// Class is what a failure means for a decision.
type Class int

// The classes of failures.
const (
	// Transient: the same call may succeed later. The agent is away, starting
	// (404 before its routes are there, 503 until it has recovered) or in
	// trouble.
	Transient Class = iota
	// NotSubscribed: subscribe first. An agent that has restarted says so to
	// other calls.
	NotSubscribed
	// Gone: the agent does not know this executor or its framework, and never
	// will again.
	Gone
	// Forbidden: the agent does not accept who this executor says it is.
	Forbidden
	// Invalid: the call itself is wrong, and stays so.
	Invalid
)

// Permanent says whether trying again is in vain.
func (c Class) Permanent() bool { return c == Gone || c == Forbidden || c == Invalid }

// ClassOf classes an error of Send, Subscribe or Next. What is not an answer of
// the agent's, such as a connection that breaks, is transient.
func ClassOf(err error) Class {
	var refusal *Error
	if !errors.As(err, &refusal) {
		return Transient
	}
	switch {
	case refusal.Status == http.StatusBadRequest && strings.HasSuffix(refusal.Text, "cannot be found"):
		return Gone
	case refusal.Status == http.StatusForbidden && refusal.Text == "Executor is not subscribed":
		return NotSubscribed
	case refusal.Status == http.StatusUnauthorized, refusal.Status == http.StatusForbidden:
		return Forbidden
	case refusal.Status == http.StatusNotFound, refusal.Status >= 500, refusal.Status == http.StatusTooManyRequests:
		return Transient
	default:
		return Invalid
	}
}
