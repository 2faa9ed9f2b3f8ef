package loop

import (
	"context"

	"github.com/tandem-mesos/tandem/scheduler/core"
)

// Submit is Do of a Submit.
func (l *Loop) Submit(ctx context.Context, s core.Submit) (core.Reply, error) {
	return l.Do(ctx, core.Command{Submit: &s})
}

// Stop is Do of a Stop. It returns long before the job's tasks have ended.
func (l *Loop) Stop(ctx context.Context, s core.Stop) (core.Reply, error) {
	return l.Do(ctx, core.Command{Stop: &s})
}

// Do has a command carried out, and returns when its outcome is durable. Jobs in
// it must have been validated and have every default written out; its ID is
// filled in. The error is a *core.Refused when the command was refused, ErrEnded
// when the scheduler is stopping, and the context's when ctx ended first: then
// the command may still be carried out.
func (l *Loop) Do(ctx context.Context, c core.Command) (core.Reply, error) {
	answer := make(chan core.Reply, 1)
	select {
	case l.inputs <- input{core: c, answer: answer}:
	case <-l.ended:
		return core.Reply{}, ErrEnded
	case <-ctx.Done():
		return core.Reply{}, context.Cause(ctx)
	}
	select {
	case r := <-answer:
		return outcome(r)
	case <-l.ended:
		// The last batch may have answered.
		select {
		case r := <-answer:
			return outcome(r)
		default:
			return core.Reply{}, ErrEnded
		}
	case <-ctx.Done():
		return core.Reply{}, context.Cause(ctx)
	}
}

func outcome(r core.Reply) (core.Reply, error) {
	if r.Refused != nil {
		return r, r.Refused
	}
	return r, nil
}
