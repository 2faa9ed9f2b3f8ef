package access

import (
	"context"
	"slices"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// The identities of callers by what they have proved, whoever they are.
const (
	Everyone  = "everyone"
	Anonymous = "anonymous"
)

// Caller is who makes a call.
type Caller struct {
	// Name is the caller's first identity, such as token:ci.
	Name string
	// Others are what else the caller is known as.
	Others []string
	// Expires is when the proof ceases to hold; zero for never.
	Expires time.Time
}

// anonymous is who has proved nothing.
var anonymous = Caller{Name: Anonymous}

// is reports whether an identity is one of the caller's.
func (c Caller) is(identity string) bool {
	return identity == c.Name || slices.Contains(c.Others, identity) ||
		identity == Everyone && c.Name != Anonymous
}

// Grant is a caller with the rules that hold for them. The methods are safe for
// concurrent use.
type Grant struct {
	Caller
	gate *Gate
	// prove makes the proof again, and returns why it does not hold any more.
	prove func() error
}

// May reports whether the caller has a right for a job as the rules are now.
func (g *Grant) May(right tandemv1.Right, job string) bool {
	return g.gate.rules().may(g.Caller, right, job)
}

// MaySome reports whether the caller has a right for any job at all.
func (g *Grant) MaySome(right tandemv1.Right) bool {
	return g.gate.rules().maySome(g.Caller, right)
}

// MayAll reports whether the caller has a right for every job.
func (g *Grant) MayAll(right tandemv1.Right) bool { return g.May(right, "/") }

// Check returns why the caller's proof does not hold any more, or nil. A call
// that goes on for long makes it whenever the Gate tells that something changed.
func (g *Grant) Check() error { return g.prove() }

// Changed returns a channel that is closed when tokens or rules are loaded anew.
func (g *Grant) Changed() <-chan struct{} { return g.gate.changes() }

type grantKey struct{}

// With returns a context that carries the grant.
func With(ctx context.Context, g *Grant) context.Context {
	return context.WithValue(ctx, grantKey{}, g)
}

// Of returns the grant that a context carries. Without one it is that of nobody,
// who may do nothing.
func Of(ctx context.Context) *Grant {
	if g, ok := ctx.Value(grantKey{}).(*Grant); ok {
		return g
	}
	return nobody
}

// nobody may do nothing.
var nobody = &Grant{Caller: anonymous, gate: &Gate{}, prove: func() error { return nil }}
