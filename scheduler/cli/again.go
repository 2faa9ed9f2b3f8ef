package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"connectrpc.com/connect"

	"github.com/tandem-mesos/tandem/scheduler/api"
)

const (
	// defaultRetry is longer than it takes until another scheduler leads.
	defaultRetry = 20 * time.Second
	// respite is the wait before a call is made again.
	respite = 250 * time.Millisecond
)

// insistent asks again for what was not answered, as while a scheduler is
// restarted or another takes over. Each write goes under a key of its own, so that
// it is carried out once, whatever was lost. One that could not be sent at all
// fails at once: then no scheduler may be there.
type insistent struct {
	// retry bounds for how long.
	retry time.Duration
	// say is where a person hears of it; nil for nowhere.
	say func() io.Writer
}

func (i *insistent) wrap(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		if req.Spec().IdempotencyLevel == connect.IdempotencyNoSideEffects {
			return next(ctx, req)
		}
		req.Header().Set(api.KeyHeader, rand.Text())
		began := time.Now()
		for sent := false; ; sent = true {
			res, err := next(ctx, req)
			if !unanswered(err, sent) || time.Since(began) >= i.retry {
				return res, err
			}
			if !sent && i.say != nil {
				fmt.Fprintln(i.say(), "note: the scheduler has not answered, and is asked again")
			}
			wait := time.NewTimer(respite)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return res, err
			}
		}
	}
}

// unanswered reports whether a call may have an answer yet. Sent says that one was
// sent before.
func unanswered(err error, sent bool) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return sent
	}
	return err != nil && (connect.CodeOf(err) == connect.CodeUnavailable || errors.Is(err, io.ErrUnexpectedEOF))
}
