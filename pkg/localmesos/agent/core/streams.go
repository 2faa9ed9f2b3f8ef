package core

import (
	"container/heap"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// The first repetition of an unacknowledged update comes after retryMin, each
// later one after twice the time before it, up to retryMax
// (STATUS_UPDATE_RETRY_INTERVAL_MIN and _MAX in src/slave/constants.hpp).
const (
	retryMin = 10 * time.Second
	retryMax = 10 * time.Minute
)

// updateStreams is the agent's status update manager: for each task it sends
// one update at a time, repeats it until it is acknowledged, and then sends the
// next. What an agent has to find after its own death is kept by its callers, as
// they add and acknowledge.
type updateStreams struct {
	paused bool
	all    table[streamKey, *updateStream]
	// retries is a heap of the times at which something may have to be
	// repeated; an entry whose stream has another time by now is void.
	retries retryHeap
}

type streamKey struct {
	framework mesos.FrameworkID
	task      mesos.TaskID
}

// updateStream holds the updates of one task.
type updateStream struct {
	seen    []string // UUIDs received: few, so no map
	pending []link.StatusUpdate
	retryAt time.Time // zero while nothing is sent
	backoff time.Duration
}

func newUpdateStreams() updateStreams {
	return updateStreams{paused: true, all: newTable[streamKey, *updateStream]()}
}

// add takes an update, and says whether it is a new one, and whether it is to be
// forwarded now. A repeated update is dropped.
func (s *updateStreams) add(now time.Time, u link.StatusUpdate) (fresh, send bool) {
	key := streamKey{u.FrameworkID, u.Status.TaskID}
	stream, found := s.all.get(key)
	if !found {
		stream = &updateStream{}
		s.all.put(key, stream)
	}
	id := string(u.Status.UUID)
	if slices.Contains(stream.seen, id) {
		return false, false
	}
	stream.seen = append(stream.seen, id)
	stream.pending = append(stream.pending, u)
	if s.paused || len(stream.pending) > 1 {
		return true, false
	}
	s.send(stream, now, retryMin)
	return true, true
}

// send returns the oldest pending update, to be sent now and after the backoff
// again.
func (s *updateStreams) send(stream *updateStream, now time.Time, backoff time.Duration) link.StatusUpdate {
	stream.backoff = backoff
	stream.retryAt = now.Add(backoff)
	heap.Push(&s.retries, retry{stream.retryAt, stream})
	return stream.pending[0]
}

// acknowledge removes the oldest pending update of a task if the UUID is its.
// It returns the next one to forward, and whether the acknowledged one was
// terminal: then the stream ends, and what was pending behind it is dropped.
func (s *updateStreams) acknowledge(now time.Time, f mesos.FrameworkID, t mesos.TaskID, uuid []byte) (next *link.StatusUpdate, last, ok bool) {
	key := streamKey{f, t}
	stream, found := s.all.get(key)
	if !found || len(stream.pending) == 0 || string(stream.pending[0].Status.UUID) != string(uuid) {
		return nil, false, false
	}
	acked := stream.pending[0]
	if stream.pending = stream.pending[1:]; len(stream.pending) == 0 {
		stream.pending = nil // most tasks have none for most of their lives
	}
	stream.retryAt = time.Time{}
	if terminal(acked.Status.GetState()) {
		s.all.remove(key)
		return nil, true, true
	}
	if s.paused || len(stream.pending) == 0 {
		return nil, false, true
	}
	u := s.send(stream, now, retryMin)
	return &u, false, true
}

// due returns the updates that have to be repeated.
func (s *updateStreams) due(now time.Time) []link.StatusUpdate {
	var us []link.StatusUpdate
	for at := s.next(); due(at, now); at = s.next() {
		stream := heap.Pop(&s.retries).(retry).stream
		us = append(us, s.send(stream, now, min(2*stream.backoff, retryMax)))
	}
	return us
}

// next returns when an update has to be repeated, or the zero time.
func (s *updateStreams) next() time.Time {
	for len(s.retries) > 0 {
		if first := s.retries[0]; first.at.Equal(first.stream.retryAt) {
			return first.at
		}
		heap.Pop(&s.retries)
	}
	return time.Time{}
}

// pause stops sending; nobody is there to receive.
func (s *updateStreams) pause() {
	s.paused = true
	for _, stream := range s.all.all() {
		stream.retryAt = time.Time{}
	}
	s.retries = nil
}

// resume returns the oldest pending update of each task, to be sent again.
func (s *updateStreams) resume(now time.Time) []link.StatusUpdate {
	s.paused = false
	var us []link.StatusUpdate
	for _, stream := range s.all.all() {
		if len(stream.pending) > 0 {
			us = append(us, s.send(stream, now, retryMin))
		}
	}
	return us
}

// drop forgets a framework's updates.
func (s *updateStreams) drop(f mesos.FrameworkID) {
	for key, e := range s.all.values {
		if key.framework == f {
			e.value.retryAt = time.Time{}
			s.all.remove(key)
		}
	}
}

// retry is the time at which a stream repeats its update.
type retry struct {
	at     time.Time
	stream *updateStream
}

type retryHeap []retry

func (h retryHeap) Len() int           { return len(h) }
func (h retryHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h retryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *retryHeap) Push(x any)        { *h = append(*h, x.(retry)) }
func (h *retryHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// terminal says that a task in the state will not change any more. As in a real
// agent TASK_LOST, TASK_DROPPED and TASK_GONE count, TASK_UNREACHABLE and
// TASK_UNKNOWN do not.
func terminal(s mesos.TaskState) bool {
	switch s {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_ERROR,
		mesos.TASK_LOST, mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR:
		return true
	default:
		return false
	}
}
