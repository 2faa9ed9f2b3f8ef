package detect

import (
	"context"
	"sync"
)

// Leader is the master to try next.
type Leader struct {
	// Address is host:port.
	Address string
	// Changed is closed when another master is known to lead; nil when that
	// cannot be known.
	Changed <-chan struct{}
	// Doubt is why another may lead by now, for a person who hears that this one
	// does not answer; nil where nothing speaks against it.
	Doubt error
}

// List detects the leader among known masters by asking one after another:
// each of them answers for itself or names the leader. The zero value of a List
// is not usable. It may be used by several goroutines.
type List struct {
	masters []string

	// mu guards next, the index of the master to try next.
	mu   sync.Mutex
	next int
}

// NewList returns a List of the masters' addresses, of which there must be one
// at least.
func NewList(masters []string) *List { return &List{masters: masters} }

// Leader returns the next master, round and round. It never blocks or fails.
func (l *List) Leader(context.Context) (Leader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.masters[l.next%len(l.masters)]
	l.next++
	return Leader{Address: m}, nil
}

// Close does nothing, and returns nil.
func (l *List) Close() error { return nil }
