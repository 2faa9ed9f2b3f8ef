package loop

import (
	"context"

	"github.com/tandem-mesos/tandem/scheduler/core"
)

// Submit makes a job be as its spec says, and returns when that is durable. The
// spec must have been validated and have every default written out. The error
// is a *core.Refused when the command was refused, ErrEnded when the scheduler
// is stopping, and the context's when ctx ended first: then the command may
// still be carried out, and it does no harm to repeat it.
func (l *Loop) Submit(ctx context.Context, s core.Submit) (core.Reply, error) {
	return l.command(ctx, core.Command{Submit: &s})
}

// Stop ends a job's tasks, and returns when that is durable, though most of
// them will then still run. Its errors are those of Submit.
func (l *Loop) Stop(ctx context.Context, s core.Stop) (core.Reply, error) {
	return l.command(ctx, core.Command{Stop: &s})
}

func (l *Loop) command(ctx context.Context, c core.Command) (core.Reply, error) {
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
