package schedulerapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/recordio"
)

// Why a subscription was given up from this side.
var (
	errSilent  = errors.New("no event and no heartbeat came for too long")
	errChanged = errors.New("another master leads now")
	errClosed  = errors.New("the subscription was closed")
)

// Stream is one subscription. Next is for one goroutine, Send for another; the
// other methods may be called by any.
type Stream struct {
	master  string
	cancel  context.CancelCauseFunc
	ctx     context.Context
	body    io.Closer
	records *recordio.Reader
	calls   *pipeline

	// missed is the multiple of the heartbeat interval after which the stream
	// counts as dead, and silence that time; 0 when the master sends no
	// heartbeats.
	missed  int
	silence time.Duration
}

// stream makes a Stream of a master's answer to SUBSCRIBE.
func (c *Client) stream(
	ctx context.Context, cancel context.CancelCauseFunc, at *url.URL, header http.Header, r *http.Response, changed <-chan struct{},
) (*Stream, error) {
	if r.StatusCode != http.StatusOK {
		return nil, answered(at.Host, r.StatusCode, textOf(r.Body))
	}
	id := r.Header.Get(streamHeader)
	if t := r.Header.Get("Content-Type"); t != mediaType || id == "" {
		return nil, &Error{Kind: Refused, Master: at.Host, Status: r.StatusCode,
			Text: fmt.Sprintf("it answers with %q and the stream ID %q, and so is not a Mesos master", t, id)}
	}
	header = header.Clone()
	header.Set(streamHeader, id)
	s := &Stream{
		master:  at.Host,
		cancel:  cancel,
		ctx:     ctx,
		body:    r.Body,
		records: recordio.NewReader(r.Body),
		calls:   newPipeline(c.opt, at, header),
		missed:  c.opt.MissedHeartbeats,
		// Until SUBSCRIBED tells the interval; it comes at once.
		silence: c.opt.AnswerTimeout,
	}
	if changed != nil {
		go func() {
			select {
			case <-changed:
				cancel(errChanged)
			case <-ctx.Done():
			}
		}()
	}
	return s, nil
}

// Master returns the address of the master, host:port.
func (s *Stream) Master() string { return s.master }

// Next blocks until the next event. An error, of type *Error, is the end of the
// subscription, if only because no event has come for several heartbeat
// intervals, or the master has said that it knows the subscription no more.
func (s *Stream) Next() (*scheduler.Event, error) {
	// The time that the caller takes for an event is not the master's silence.
	var silent *time.Timer
	if s.silence > 0 {
		silent = time.AfterFunc(s.silence, func() { s.cancel(errSilent) })
	}
	record, err := s.records.Next()
	if silent != nil {
		silent.Stop()
	}
	if err != nil {
		if cause := context.Cause(s.ctx); cause != nil {
			err = cause
		}
		return nil, s.lost(err)
	}
	e, err := Decode(record)
	if err != nil {
		return nil, s.lost(fmt.Errorf("an event that cannot be read: %w", err))
	}
	if e.Type == scheduler.Event_SUBSCRIBED {
		interval := e.GetSubscribed().GetHeartbeatIntervalSeconds()
		s.silence = time.Duration(float64(s.missed) * interval * float64(time.Second))
	}
	return e, nil
}

func (s *Stream) lost(err error) error {
	return &Error{Kind: Unavailable, Master: s.master, Err: &lostError{err}}
}

// lostError marks the end of a subscription, beside failures to subscribe.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// Send makes calls within the subscription, in their order and all on their way
// together, and returns what became of each: nil when the master has taken it.
// Only ctx, or the master's taking too long for an answer, breaks it off. Calls
// from different goroutines are not mixed. framework_id is the caller's to set.
//
// That the master has taken a call says nothing of its effect: an invalid launch
// comes back as an update.
func (s *Stream) Send(ctx context.Context, calls []*scheduler.Call) []error {
	errs := s.calls.send(ctx, calls)
	for _, err := range errs {
		if forgotten(err) {
			s.cancel(fmt.Errorf("the master knows it no more: %w", err))
			break
		}
	}
	return errs
}

// Constrain says which offer constraints go with calls of UPDATE_FRAMEWORK from
// now on, as package constraint encodes them; none takes away those that the
// master has. It is for the goroutine that calls Send.
func (s *Stream) Constrain(constraints []byte) { s.calls.constraints = constraints }

// forgotten reports whether a master's answer to a call shows that the
// subscription is over, whatever its stream looks like from here.
func forgotten(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case http.StatusTemporaryRedirect, http.StatusServiceUnavailable:
		return true
	case http.StatusForbidden:
		return e.Text == "Framework is not subscribed"
	case http.StatusBadRequest:
		return e.Text == "Framework cannot be found" || strings.HasPrefix(e.Text, "The stream ID ")
	}
	return false
}

// Close ends the subscription and breaks calls off. The framework stays
// registered for its failover timeout. Closing twice is harmless.
func (s *Stream) Close() {
	s.cancel(errClosed)
	s.body.Close()
	s.calls.close()
}
