package loop

import (
	"errors"
	"io"
	"math/rand/v2"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/pkg/mesos/executorapi"
)

// connect keeps the executor subscribed, until the loop ends or the agent will
// never have it.
func (l *loop) connect() {
	for l.post(core.Subscribing{}) {
		var call *executor.Call
		select {
		case call = <-l.subscribes:
		case <-l.life.Done():
			return
		}
		err := l.subscription(call)
		if l.life.Err() != nil {
			return
		}
		if executorapi.ClassOf(err).Permanent() {
			l.post(core.Rejected{Reason: err.Error()})
			return
		}
		l.post(core.Disconnected{Reason: reason(err)})
		wait := time.NewTimer(rand.N(l.options.Backoff))
		select {
		case <-wait.C:
		case <-l.life.Done():
			wait.Stop()
			return
		}
	}
}

func reason(err error) string {
	if errors.Is(err, io.EOF) {
		return "the agent ended the connection"
	}
	return err.Error()
}

// subscription subscribes once and passes on the events. It returns when the
// stream has ended, with the reason.
func (l *loop) subscription(call *executor.Call) error {
	stream, err := l.options.Agent.Subscribe(l.life, call)
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		event, err := stream.Next()
		if err != nil {
			return err
		}
		in := input{Input: l.inputOf(event)}
		if _, ok := in.Input.(core.Subscribed); ok {
			in.stream = stream
		}
		if in.Input != nil && !l.postWith(in) {
			return l.life.Err()
		}
	}
}

// inputOf translates an event. Those of types that are unknown, or whose
// message is missing, are nothing.
func (l *loop) inputOf(event *executor.Event) core.Input {
	switch {
	case event.Type == executor.Event_SUBSCRIBED && event.Subscribed != nil:
		return core.Subscribed{Event: event.Subscribed}
	case event.Type == executor.Event_LAUNCH && event.Launch != nil:
		return core.Launched{Tasks: []mesos.TaskInfo{event.Launch.Task}}
	case event.Type == executor.Event_LAUNCH_GROUP && event.LaunchGroup != nil:
		return core.Launched{Tasks: event.LaunchGroup.TaskGroup.Tasks}
	case event.Type == executor.Event_KILL && event.Kill != nil:
		return core.KillAsked{TaskID: event.Kill.TaskID, Policy: event.Kill.KillPolicy}
	case event.Type == executor.Event_ACKNOWLEDGED && event.Acknowledged != nil:
		return core.Acknowledged{UUID: event.Acknowledged.UUID}
	case event.Type == executor.Event_MESSAGE && event.Message != nil:
		return core.Message{Data: event.Message.Data}
	case event.Type == executor.Event_SHUTDOWN:
		return core.Shutdown{Reason: "the agent asked for it"}
	case event.Type == executor.Event_ERROR && event.Error != nil:
		l.options.Log.Warn("The agent says: " + event.Error.Message)
		return nil
	default:
		return nil
	}
}
