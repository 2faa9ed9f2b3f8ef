package agent

import "sync"

// mailbox is an unbounded queue with one reader: whoever posts never waits.
type mailbox[T any] struct {
	mu     sync.Mutex
	items  []T
	closed bool
	// ready holds a token while there may be something to take.
	ready chan struct{}
}

func newMailbox[T any]() *mailbox[T] {
	return &mailbox[T]{ready: make(chan struct{}, 1)}
}

// post adds an item, and says whether the box still took it.
func (m *mailbox[T]) post(item T) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.items = append(m.items, item)
	select {
	case m.ready <- struct{}{}:
	default:
	}
	return true
}

// take returns all items.
func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	return items
}

// close makes later posts do nothing.
func (m *mailbox[T]) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}
