package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

const (
	// KeyHeader names a write, so that it is done once however often it is sent;
	// see core.Request.
	KeyHeader = "Idempotency-Key"
	// maxKey bounds a key, in bytes. Keys are saved.
	maxKey = 128
)

var (
	errKey = refusedFields("the write was not done", []jobspec.Problem{{
		Field: KeyHeader, Reason: "has up to 128 printable characters of ASCII",
	}})
	errOtherRequest = refusedFields("the write was not done", []jobspec.Problem{{
		Field: KeyHeader, Reason: "was used for another request already: give each write a key of its own",
	}})
)

type requestKey struct{}

// keyed returns a context by which a command says under which key it was asked for,
// if the call has one.
func keyed(ctx context.Context, req connect.AnyRequest) (context.Context, error) {
	key := req.Header().Get(KeyHeader)
	if key == "" {
		return ctx, nil
	}
	message, ok := req.Any().(proto.Message)
	if !ok || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ctx, errKey
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return ctx, refusedAs(connect.CodeInternal, "INTERNAL", errors.New("the request cannot be told from others"))
	}
	sum := sha256.Sum256(content)
	// A certificate may name somebody in any bytes, and what is saved is text.
	caller := strings.ToValidUTF8(access.Of(ctx).Name, "\uFFFD")
	return context.WithValue(ctx, requestKey{}, &core.Request{
		Caller: caller, Call: strings.TrimPrefix(req.Spec().Procedure, "/"+serviceName+"/"), Key: key, SHA256: sum[:],
	}), nil
}
