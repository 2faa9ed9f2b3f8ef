package agent

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// executorAPI serves the v1 executor API. The checks, their order and their
// texts are those of Http::executor in src/slave/http.cpp.
func (a *Agent) executorAPI(w http.ResponseWriter, r *http.Request) error {
	if !a.up.Load() {
		return wire.Unavailable("Agent has not finished recovery")
	}
	claims, err := a.authenticate(r)
	if err != nil {
		return err
	}
	call := &executor.Call{}
	there, err := a.schema.ReadCall(r, call)
	if err != nil {
		return err
	}
	if text := invalid(call, there); text != "" {
		return wire.BadRequest("Failed to validate Executor::Call: %s", text)
	}
	if err := a.permit(claims, call); err != nil {
		return err
	}
	switch call.Type {
	case executor.Call_SUBSCRIBE:
		return a.subscribe(w, r, call)
	case executor.Call_HEARTBEAT:
		// Answered before anybody looks at its IDs, which may be made up.
		wire.WriteEmpty(w, http.StatusAccepted)
		return nil
	}
	refused, ok := ask(a, func(now time.Time) *core.Refusal { return a.core.Call(now, call) })
	if err := refusal(refused, ok); err != nil {
		return err
	}
	wire.WriteEmpty(w, http.StatusAccepted)
	return nil
}

func (a *Agent) subscribe(w http.ResponseWriter, r *http.Request, call *executor.Call) error {
	media, err := wire.Accept(r)
	if err != nil {
		return err
	}
	events := &wire.Events{}
	id := core.StreamID(a.streams.Add(1))
	refused, ok := ask(a, func(now time.Time) *core.Refusal {
		a.events[id] = events
		refused := a.core.Subscribe(now, call, id)
		if refused != nil {
			delete(a.events, id)
		}
		return refused
	})
	if err := refusal(refused, ok); err != nil {
		return err
	}
	if err := a.schema.ServeEvents(w, r, media, "", events); err != nil {
		a.log.WithError(err).WithField("executor", call.ExecutorID.Value).Debug("an executor's stream ended")
	}
	// The executor went away; it is not told of anything until it subscribes
	// again, and nobody but itself minds.
	a.inputs.post(func(time.Time) { a.hangup(id) })
	return nil
}

// do has the loop do something and waits for it. It returns false if the agent
// has ended.
func (a *Agent) do(something func(now time.Time)) bool {
	done := make(chan struct{})
	if !a.inputs.post(func(now time.Time) {
		defer close(done)
		something(now)
	}) {
		return false
	}
	select {
	case <-done:
		return true
	case <-a.ended:
		return false
	}
}

// ask has the loop answer a question. It returns false if the agent has ended
// or plays dead.
func ask[T any](a *Agent, question func(now time.Time) T) (answer T, ok bool) {
	alive := false
	ok = a.do(func(now time.Time) {
		if alive = !a.down; alive {
			answer = question(now)
		}
	})
	return answer, ok && alive
}

func refusal(r *core.Refusal, answered bool) error {
	switch {
	case !answered:
		return wire.Unavailable("Agent has not finished recovery")
	case r != nil:
		return &wire.Error{Status: r.Status, Text: r.Text}
	default:
		return nil
	}
}

// invalid says what is wrong with a call, or nothing (validateExecutorCall in
// src/common/validation.cpp).
func invalid(call *executor.Call, there wire.Presence) string {
	if !there.Has("type") {
		return "Expecting 'type' to be present"
	}
	switch call.Type {
	case executor.Call_SUBSCRIBE:
		if call.Subscribe == nil {
			return "Expecting 'subscribe' to be present"
		}
	case executor.Call_UPDATE:
		if call.Update == nil {
			return "Expecting 'update' to be present"
		}
		return invalidUpdate(call, there)
	case executor.Call_MESSAGE:
		if call.Message == nil {
			return "Expecting 'message' to be present"
		}
	}
	return ""
}

func invalidUpdate(call *executor.Call, there wire.Presence) string {
	s := call.Update.Status
	sender := "executor " + call.ExecutorID.Value + " of framework " + call.FrameworkID.Value
	switch {
	case !there.Has("update", "status", "uuid"):
		return "Expecting 'uuid' to be present"
	case !validUUID(s.UUID):
		return "Not a valid UUID"
	case s.ExecutorID != nil && *s.ExecutorID != call.ExecutorID:
		return "ExecutorID in Call: " + call.ExecutorID.Value +
			" does not match ExecutorID in TaskStatus: " + s.ExecutorID.Value
	case s.Source == nil || *s.Source != mesos.SOURCE_EXECUTOR:
		return "Received Call from " + sender + " with invalid source, expecting 'SOURCE_EXECUTOR'"
	case s.GetState() == mesos.TASK_STAGING:
		return "Received TASK_STAGING from " + sender + " which is not allowed"
	case s.CheckStatus != nil:
		return invalidCheckStatus(s.CheckStatus)
	default:
		return ""
	}
}

// invalidCheckStatus says what is wrong with what a check found, or nothing.
func invalidCheckStatus(s *mesos.CheckStatusInfo) string {
	switch {
	case s.Type == nil:
		return "CheckStatusInfo must specify 'type'"
	case *s.Type == mesos.CheckInfo_COMMAND && s.Command == nil:
		return "Expecting 'command' to be set for COMMAND check's status"
	case *s.Type == mesos.CheckInfo_HTTP && s.HTTP == nil:
		return "Expecting 'http' to be set for HTTP check's status"
	case *s.Type == mesos.CheckInfo_TCP && s.TCP == nil:
		return "Expecting 'tcp' to be set for TCP check's status"
	case *s.Type == mesos.CheckInfo_UNKNOWN:
		return "'UNKNOWN' is not a valid check's status type"
	}
	return ""
}

// validUUID says whether the bytes are a UUID of a known version. As
// boost::uuids::uuid::version, which a real agent asks, it does not look at the
// variant.
func validUUID(b []byte) bool {
	id, err := uuid.FromBytes(b)
	return err == nil && id.Version() >= 1 && id.Version() <= 5
}
