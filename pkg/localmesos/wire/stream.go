package wire

import (
	"context"
	"net/http"
	"sync"
)

// Events is the queue of one event stream, between whoever decides what
// happens and the connection that it is told on. It is unbounded, so that
// nobody waits for a slow client. The zero value is ready.
type Events struct {
	mu     sync.Mutex
	queue  []Message
	closed bool
	// ready holds a token while there is something new to see; made on demand.
	ready chan struct{}
}

func (e *Events) signal() chan struct{} {
	if e.ready == nil {
		e.ready = make(chan struct{}, 1)
	}
	return e.ready
}

// Send enqueues an event, which must not be changed any more. After Close it
// does nothing. It never blocks and is safe for concurrent use.
func (e *Events) Send(m Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.queue = append(e.queue, m)
	e.wake()
}

// Close ends the stream once all that was sent before is written.
func (e *Events) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.wake()
}

func (e *Events) wake() {
	select {
	case e.signal() <- struct{}{}:
	default:
	}
}

// take waits for events and returns all there are, or none at the end.
func (e *Events) take(ctx context.Context) []Message {
	for {
		e.mu.Lock()
		events, closed, ready := e.queue, e.closed, e.signal()
		e.queue = nil
		e.mu.Unlock()
		if len(events) > 0 || closed {
			return events
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil
		}
	}
}

// ServeEvents answers a request with a stream of the events as RecordIO, until
// the queue is closed and empty, the client goes, or the request's context
// ends. streamID is the header of that name; empty for none. It returns the
// error that kept an event from being written, if any.
func (s *Schema) ServeEvents(w http.ResponseWriter, r *http.Request, media MediaType, streamID string, e *Events) error {
	if streamID != "" {
		w.Header().Set(StreamIDHeader, streamID)
	}
	w.Header().Set("Content-Type", string(media))
	return s.ServeRecords(w, r, media, e)
}

// enough is how many bytes of records are written at once at least, if there are as
// many: for few calls, and little memory.
const enough = 64 << 10

// ServeRecords is ServeEvents for an answer whose headers are set.
func (s *Schema) ServeRecords(w http.ResponseWriter, r *http.Request, media MediaType, e *Events) error {
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w).Flush
	if err := flush(); err != nil {
		return err
	}
	var buf []byte
	for {
		events := e.take(r.Context())
		if len(events) == 0 {
			return nil
		}
		for i, event := range events {
			record, err := s.Encode(media, event)
			if err != nil {
				return err
			}
			if buf = AppendRecord(buf, record); len(buf) < enough && i < len(events)-1 {
				continue
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		if err := flush(); err != nil {
			return err
		}
	}
}
