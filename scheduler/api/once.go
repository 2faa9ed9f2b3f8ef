package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/scheduler/access"
)

const (
	// keyHeader names a write, so that it is done once however often it is sent.
	keyHeader = "Idempotency-Key"
	// maxKeys bounds how many keys are kept; the oldest gives way.
	maxKeys = 10_000
	maxKey  = 128
)

// once does writes that carry a key once. Those that fail are forgotten: trying
// again may go better.
type once struct {
	mu    sync.Mutex
	byKey map[string]*outcome
	// order are the keys, the oldest first.
	order []string
}

// outcome is what became of a write. Done is closed once the rest is known.
type outcome struct {
	request [sha256.Size]byte
	done    chan struct{}
	res     connect.AnyResponse
	err     error
}

var errOtherRequest = refusedFields("the write was not done", []jobspec.Problem{{
	Field: keyHeader, Reason: "was used for another request already: give each write a key of its own",
}})

// do does a write, or returns what became of it when it was done before.
func (o *once) do(ctx context.Context, req connect.AnyRequest, next connect.UnaryFunc) (connect.AnyResponse, error) {
	key := req.Header().Get(keyHeader)
	if key == "" {
		return next(ctx, req)
	}
	message, ok := req.Any().(proto.Message)
	if !ok || len(key) > maxKey {
		return nil, refusedFields("the write was not done", []jobspec.Problem{{Field: keyHeader, Reason: "has at most 128 characters"}})
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, connect.NewError(connect.CodeInternal, errors.New("the request cannot be told from others"))
	}
	// What others have chosen as a key is nobody else's concern.
	key = access.Of(ctx).Name + "\x00" + req.Spec().Procedure + "\x00" + key
	mine, first := o.begin(key, sha256.Sum256(content))
	if mine.request != sha256.Sum256(content) {
		return nil, errOtherRequest
	}
	if !first {
		select {
		case <-mine.done:
			return mine.res, mine.err
		case <-ctx.Done():
			return nil, connect.NewError(connect.CodeCanceled, context.Cause(ctx))
		}
	}
	mine.res, mine.err = next(ctx, req)
	if mine.err != nil {
		o.forget(key)
	} else {
		// They are made when they are first asked for, which two may do at once.
		mine.res.Header()
		mine.res.Trailer()
	}
	close(mine.done)
	return mine.res, mine.err
}

func (o *once) begin(key string, request [sha256.Size]byte) (it *outcome, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if it := o.byKey[key]; it != nil {
		return it, false
	}
	if len(o.order) >= maxKeys {
		delete(o.byKey, o.order[0])
		o.order = o.order[1:]
	}
	it = &outcome{request: request, done: make(chan struct{})}
	o.byKey[key] = it
	o.order = append(o.order, key)
	return it, true
}

// forget lets a key be used anew. Its place in the order may come to stand for a
// later use, which then gives way a little early.
func (o *once) forget(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byKey, key)
}
