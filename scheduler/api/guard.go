package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/audit"
)

// guard lets calls pass whose callers have the right that the call's definition
// asks for, and records those that change something. It stands before every
// procedure, whichever protocol it is called by.
type guard struct {
	server *Server
	needs  map[string]*tandemv1.Needs
}

// allow returns why the caller may not make a call, or nil, and the jobs that
// the request names.
func (g *guard) allow(ctx context.Context, procedure string, request any) ([]string, error) {
	grant, need := access.Of(ctx), g.needs[procedure]
	message, ok := request.(proto.Message)
	if need == nil || !ok {
		return nil, refusedAs(connect.CodePermissionDenied, "NO_RIGHT", fmt.Errorf("nobody may call %s", procedure))
	}
	ids, err := named(message.ProtoReflect(), g.server.ownerOf)
	if err != nil {
		if !grant.MaySome(need.GetRight()) {
			return nil, denied(grant, need.GetRight(), "any job")
		}
		return nil, err
	}
	for _, id := range ids {
		if !grant.May(need.GetRight(), id) {
			return ids, denied(grant, need.GetRight(), "job "+id)
		}
	}
	switch {
	case need.GetScope() == tandemv1.Scope_SCOPE_ALL && !grant.MayAll(need.GetRight()):
		return ids, denied(grant, need.GetRight(), "all jobs")
	case len(ids) > 0:
		return ids, nil
	case !grant.MaySome(need.GetRight()):
		return nil, denied(grant, need.GetRight(), "any job")
	case need.GetScope() == tandemv1.Scope_SCOPE_NAMED && !grant.MayAll(need.GetRight()):
		return nil, refusedFields("the request names no job", []jobspec.Problem{{Field: "id", Reason: "is required"}})
	}
	return nil, nil
}

// read has a request say in messages alone what it is about. It fails when it cannot
// be read as what it should be.
func (g *guard) read(ctx context.Context, procedure string, request any) error {
	if err := unread(request); err != nil {
		return err
	}
	if _, ok := request.(filed); ok && !access.Of(ctx).MaySome(g.needs[procedure].GetRight()) {
		return nil // It is refused for that, and nothing is parsed for whom nobody knows.
	}
	return unfile(request)
}

// denied is the answer to who lacks a right.
func denied(grant *access.Grant, right tandemv1.Right, what string) error {
	do := access.Word(right)
	if right == tandemv1.Right_RIGHT_ADMIN {
		do = "administer"
	}
	if grant.Name == access.Anonymous {
		return refusedAs(connect.CodeUnauthenticated, "UNPROVEN", fmt.Errorf(
			"to %s %s, say who you are: with a token (tandem --token-file, or Authorization: Bearer), or a client certificate", do, what))
	}
	return refusedAs(connect.CodePermissionDenied, "NO_RIGHT", fmt.Errorf(
		"%s may not %s %s; the scheduler's file of rules says who may", grant.Name, do, what))
}

// also checks a right that only some requests of a procedure need.
func also(ctx context.Context, right tandemv1.Right, job string) error {
	if grant := access.Of(ctx); !grant.May(right, job) {
		return denied(grant, right, "job "+job)
	}
	return nil
}

// shown reports whether the caller may see a job.
func shown(ctx context.Context, job string) bool {
	return access.Of(ctx).May(tandemv1.Right_RIGHT_READ, job)
}

// WrapUnary guards a unary call.
func (g *guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		procedure := req.Spec().Procedure
		if err := g.read(ctx, procedure, req.Any()); err != nil {
			return nil, err
		}
		jobs, err := g.allow(ctx, procedure, req.Any())
		if !g.writes(procedure) {
			if err != nil {
				return nil, g.server.located(ctx, req.Any(), err)
			}
			res, err := next(ctx, req)
			return res, g.server.located(ctx, req.Any(), err)
		}
		entry := g.entry(ctx, procedure, jobs, req.Any())
		var res connect.AnyResponse
		if err == nil {
			ctx, err = keyed(ctx, req)
		}
		if err == nil {
			res, err = next(ctx, req)
		}
		if err == nil {
			if v, ok := res.Any().(interface{ GetVersion() uint64 }); ok && len(jobs) == 1 {
				after := v.GetVersion()
				entry.After = &after
			}
		}
		g.record(entry, err)
		return res, g.server.located(ctx, req.Any(), err)
	}
}

// WrapStreamingClient is not used on a server.
func (g *guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler guards a stream: every message that comes in, and for as
// long as it is open.
func (g *guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		guarded := &guardedConn{StreamingHandlerConn: conn, guard: g, ctx: ctx, cancel: cancel}
		err := next(context.WithValue(ctx, guardedKey{}, guarded), guarded)
		// A caller whose rights have ended is told that, and not what came of it.
		var refused *connect.Error
		if cause := context.Cause(ctx); err != nil && errors.As(cause, &refused) {
			err = refused
		}
		if guarded.entry != nil {
			g.record(*guarded.entry, err)
		}
		return g.server.located(ctx, guarded.request, err)
	}
}

type guardedKey struct{}

// detail adds to what is recorded of a stream when it ends. Only its handler may
// call it. The value must be a choice or a number, and no words of anybody's.
func detail(ctx context.Context, name, value string) {
	conn, ok := ctx.Value(guardedKey{}).(*guardedConn)
	if !ok || conn.entry == nil {
		return
	}
	if conn.entry.Details == nil {
		conn.entry.Details = map[string]string{}
	}
	conn.entry.Details[name] = value
}

// guardedConn is a stream whose messages are looked at before anybody sees them.
type guardedConn struct {
	connect.StreamingHandlerConn
	guard  *guard
	ctx    context.Context
	cancel context.CancelCauseFunc
	begun  bool
	// request is the first message.
	request any
	// entry is what is recorded when the stream ends; nil for one that only reads.
	entry *audit.Entry
}

// Receive receives a message that the caller may send, or fails.
func (c *guardedConn) Receive(msg any) error {
	if err := c.StreamingHandlerConn.Receive(msg); err != nil {
		return err
	}
	if err := unread(msg); err != nil {
		c.cancel(err)
		return err
	}
	procedure := c.Spec().Procedure
	// What follows the first message of a stream need not say again what it is about.
	if message, ok := msg.(proto.Message); c.begun && ok {
		if ids, err := named(message.ProtoReflect(), c.guard.server.ownerOf); err == nil && len(ids) == 0 {
			return nil
		}
	}
	jobs, err := c.guard.allow(c.ctx, procedure, msg)
	if err != nil {
		// Whatever comes of the call, its caller is told this.
		c.cancel(err)
	}
	if c.begun {
		return err
	}
	c.begun, c.request = true, msg
	if c.guard.writes(procedure) {
		entry := c.guard.entry(c.ctx, procedure, jobs, msg)
		c.entry = &entry
		if err == nil {
			entry.Result = "begun"
			c.guard.server.opt.Audit.Write(entry)
		}
	}
	if err != nil {
		return err
	}
	go c.hold(procedure, msg)
	return nil
}

// hold ends the stream when its caller's proof or right does not hold any more,
// until it ends by itself. One that leaves out what its caller may not see is
// ended when the rules change: what it has left out is not known any more.
func (c *guardedConn) hold(procedure string, request any) {
	grant := access.Of(c.ctx)
	var expired <-chan time.Time
	if !grant.Expires.IsZero() {
		timer := time.NewTimer(time.Until(grant.Expires))
		defer timer.Stop()
		expired = timer.C
	}
	partial := func() bool {
		return c.guard.needs[procedure].GetScope() == tandemv1.Scope_SCOPE_SHOWN && !grant.MayAll(tandemv1.Right_RIGHT_READ)
	}
	leavesOut := partial()
	for again := false; ; again = true {
		changed := grant.Changed()
		if err := grant.Check(); err != nil {
			c.cancel(refusedAs(connect.CodeUnauthenticated, "UNPROVEN", err))
			return
		}
		if _, err := c.guard.allow(c.ctx, procedure, request); err != nil {
			c.cancel(err)
			return
		}
		if again && (leavesOut || partial()) {
			c.cancel(errRulesChanged)
			return
		}
		select {
		case <-changed:
		case <-expired:
			c.cancel(errExpired)
			return
		case <-c.ctx.Done():
			return
		}
	}
}

var errTooFast = errors.New("too many requests from this client: try again in a second")

var (
	errExpired      = refusedAs(connect.CodeUnauthenticated, "UNPROVEN", errors.New("what proves who you are has expired"))
	errRulesChanged = refusedAs(connect.CodeAborted, "RULES_CHANGED", errors.New("who may see what has changed; ask again"))
)

// writes reports whether a procedure changes something.
func (g *guard) writes(procedure string) bool {
	return g.needs[procedure].GetRight() > tandemv1.Right_RIGHT_READ
}

// entry begins the record of a write.
func (g *guard) entry(ctx context.Context, procedure string, jobs []string, request any) audit.Entry {
	e := g.server.entry(ctx, procedure[len("/"+serviceName+"/"):])
	e.Jobs = jobs
	if message, ok := request.(proto.Message); ok {
		e.Details = choices(message.ProtoReflect())
	}
	if len(jobs) == 1 {
		before := uint64(0)
		if view, ok := g.server.opt.Reader.Job(jobs[0]); ok {
			before = view.GetJob().GetVersion()
		}
		e.Before = &before
	}
	return e
}

func (g *guard) record(e audit.Entry, err error) {
	e.Result = "ok"
	if err != nil {
		e.Result = connect.CodeOf(err).String()
	}
	g.server.opt.Audit.Write(e)
}

// entry begins the record of something that a request asks for.
func (s *Server) entry(ctx context.Context, call string) audit.Entry {
	return audit.Entry{Time: time.Now().UTC(), Who: access.Of(ctx).Name, From: from(ctx), Call: call}
}

type fromKey struct{}

// from is the address that a request came from.
func from(ctx context.Context) string {
	address, _ := ctx.Value(fromKey{}).(string)
	return address
}

// identify finds out who makes a request before anything else sees it, and whether
// they make too many. A proof that is wrong is refused, whatever the request asks
// for.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), fromKey{}, r.RemoteAddr)
		token, err := s.token(r)
		var grant *access.Grant
		if err == nil {
			grant, err = s.opt.Gate.Caller(ctx, token, r)
		}
		if err != nil {
			s.calls.unproven.Inc()
		}
		if !s.mayGoOn(grant, r) {
			s.calls.tooFast.Inc()
			w.Header().Set("Retry-After", "1")
			s.refuseHTTP(w, r, refusedAs(connect.CodeResourceExhausted, "TOO_FAST", errTooFast))
			return
		}
		if err != nil {
			s.refuseHTTP(w, r, refusedAs(connect.CodeUnauthenticated, "UNPROVEN", err))
			return
		}
		next.ServeHTTP(w, r.WithContext(access.With(ctx, grant)))
	})
}

// refuseHTTP refuses a request in the protocol that it is made in.
func (s *Server) refuseHTTP(w http.ResponseWriter, r *http.Request, err *connect.Error) {
	status := map[connect.Code]int{
		connect.CodeUnauthenticated: http.StatusUnauthorized, connect.CodePermissionDenied: http.StatusForbidden,
		connect.CodeResourceExhausted: http.StatusTooManyRequests,
	}[err.Code()]
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if s.refusals.IsSupported(r) {
		_ = s.refusals.Write(w, r, err)
		return
	}
	http.Error(w, err.Message(), status)
}

// require lets requests pass whose callers have a right for some job.
func (s *Server) require(right tandemv1.Right, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if grant := access.Of(r.Context()); !grant.MaySome(right) {
			var refused *connect.Error
			_ = errors.As(denied(grant, right, "any job"), &refused)
			s.refuseHTTP(w, r, refused)
			return
		}
		next(w, r)
	}
}

// rebound refuses requests for names that are not known to be this server's,
// when it is open to everybody who can connect: a page of another site could have
// its own name lead here, and its browser would take this server for that site.
func rebound(gate *access.Gate, names []string, next http.Handler) http.Handler {
	if !gate.Open() || names == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if net.ParseIP(host) == nil && host != "localhost" && !slices.Contains(names, host) {
			http.Error(w, fmt.Sprintf("this scheduler is not called %s: call it by its IP address, or name it with --advertise", host), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
