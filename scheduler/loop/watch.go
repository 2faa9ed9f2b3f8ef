package loop

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// The ends of a watch that its reader did not ask for.
var (
	// ErrSlowReader ends a watch whose reader did not keep up: changes are never
	// left out, and the loop never waits for a reader.
	ErrSlowReader = errors.New("the watch was ended: its reader was too slow to take every change; watch again")
	// ErrNotKept ends a watch that asked for changes of which some are not kept
	// any more, or have not been.
	ErrNotKept = errors.New("not every change since then is kept: the latest 8192 are, and none from before a restart; watch from the present instead")
	// ErrEnded ends watches, and answers commands, when the scheduler stops.
	ErrEnded = errors.New("the scheduler is stopping")
)

// watchBuffer is how many changes a reader may be behind: a change costs the
// buffer one pointer.
const watchBuffer = 1 << 14

// recentChanges is how many changes are kept for watches to resume. Each holds
// on to one record.
const recentChanges = 1 << 13

// watch is one reader. Its channel is closed to end it.
type watch struct {
	ask     *tandemv1.WatchRequest
	changes chan *tandemv1.WatchResponse
	// ended is why the channel was closed; set before it is.
	ended error
}

// wants reports whether the reader has asked for a change, which belongs to the
// job or to none.
func (w *watch) wants(job string, r *tandemv1.WatchResponse) bool {
	if !w.asksFor(job) {
		return false
	}
	switch r.GetChange().(type) {
	case *tandemv1.WatchResponse_Attempt:
		return w.wantsAttempts()
	case *tandemv1.WatchResponse_Instance, *tandemv1.WatchResponse_InstanceRemoved:
		return !w.ask.GetCountInstances()
	}
	return true
}

func (w *watch) asksFor(job string) bool {
	return w.ask.GetJobId() == "" || w.ask.GetJobId() == job
}

func (w *watch) wantsAttempts() bool {
	return !w.ask.GetWithoutAttempts() && !w.ask.GetCountInstances()
}

// Watch yields what is (or, with Since, what has changed since), then a response
// with snapshot_end, then every later change in order and without a gap, until
// ctx ends or the loop over it is left. With a job's ID it yields only what
// belongs to that job, which need not exist yet. It ends with one error, and a
// nil response, which is ErrSlowReader, ErrNotKept, ErrEnded or the context's.
func (v *View) Watch(ctx context.Context, ask *tandemv1.WatchRequest) iter.Seq2[*tandemv1.WatchResponse, error] {
	return func(yield func(*tandemv1.WatchResponse, error) bool) {
		w := &watch{ask: ask, changes: make(chan *tandemv1.WatchResponse, watchBuffer)}
		begin := v.begin
		if ask.Since != nil {
			begin = v.resume
		}
		snapshot, err := begin(w)
		if err != nil {
			yield(nil, err)
			return
		}
		defer v.leave(w)
		for _, r := range snapshot {
			if !yield(r, nil) {
				return
			}
		}
		for {
			select {
			case r, ok := <-w.changes:
				if !ok {
					yield(nil, w.ended)
					return
				}
				if !yield(r, nil) {
					return
				}
			case <-ctx.Done():
				yield(nil, context.Cause(ctx))
				return
			}
		}
	}
}

// begin returns what is, and has w told of everything from then on.
func (v *View) begin(w *watch) ([]*tandemv1.WatchResponse, error) {
	records, sequence, err := v.register(w)
	if err != nil {
		return nil, err
	}
	all := make([]*tandemv1.WatchResponse, 0, len(records)+1)
	for _, r := range records {
		all = append(all, tell(r))
	}
	all = append(all, &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_SnapshotEnd{SnapshotEnd: true}})
	for _, r := range all {
		r.Sequence = sequence
	}
	return all, nil
}

// resume returns what has changed since, and has w told of everything from then
// on.
func (v *View) resume(w *watch) ([]*tandemv1.WatchResponse, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return nil, ErrEnded
	}
	since := w.ask.GetSince()
	if since == 0 {
		since = v.sequence - uint64(v.recent.len())
	}
	missed := v.sequence - since
	if since > v.sequence || missed > uint64(v.recent.len()) {
		return nil, ErrNotKept
	}
	var all []*tandemv1.WatchResponse
	for c := range v.recent.last(int(missed)) {
		if w.wants(c.job, c.response) {
			all = append(all, c.response)
		}
	}
	if latest := int(w.ask.GetLatest()); latest > 0 && len(all) > latest {
		all = all[len(all)-latest:]
	}
	if w.ask.GetCountInstances() {
		for _, id := range v.watched(w) {
			all = append(all, v.countsOf(id))
		}
	}
	v.watches[w] = struct{}{}
	return append(all, &tandemv1.WatchResponse{
		Sequence: v.sequence, Change: &tandemv1.WatchResponse_SnapshotEnd{SnapshotEnd: true},
	}), nil
}

// watched returns the IDs of the jobs that are there and a reader has asked for.
func (v *View) watched(w *watch) []string {
	if id := w.ask.GetJobId(); id == "" {
		return slices.Sorted(maps.Keys(v.jobs))
	} else if v.jobs[id] != nil {
		return []string{id}
	}
	return nil
}

// register gathers what is, which is quick, and leaves the making of messages,
// which is not, to the reader's goroutine.
func (v *View) register(w *watch) (records []proto.Message, sequence uint64, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return nil, 0, ErrEnded
	}
	if w.ask.GetJobId() == "" {
		records = append(records, v.framework)
	}
	for _, id := range v.watched(w) {
		j := v.jobs[id]
		if j.record != nil {
			records = append(records, j.record)
		}
		if w.ask.GetCountInstances() {
			records = append(records, j.phases.of(id))
			continue
		}
		for _, i := range j.instances {
			if i.record != nil {
				records = append(records, i.record)
			}
			if !w.wantsAttempts() {
				continue
			}
			for _, a := range slices.Backward(i.attempts) {
				records = append(records, a)
			}
		}
	}
	v.watches[w] = struct{}{}
	return records, v.sequence, nil
}

// tell is how a record is told to watches. Those that the API has no word for,
// such as the framework's, whose content its view tells, give nil.
func tell(record proto.Message) *tandemv1.WatchResponse {
	switch r := record.(type) {
	case *tandemv1.JobRecord:
		return &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Job{Job: r}}
	case *tandemv1.InstanceRecord:
		return &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Instance{Instance: r}}
	case *tandemv1.AttemptRecord:
		return &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Attempt{Attempt: r}}
	case *tandemv1.InstanceCounts:
		return &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_InstanceCounts{InstanceCounts: r}}
	case *tandemv1.FrameworkView:
		return &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Framework{Framework: r}}
	}
	return nil
}

func (v *View) leave(w *watch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.watches, w)
}

// publish numbers a change of a job, or of none, and hands it to the watches
// that want it. v.mu is held.
func (v *View) publish(job string, r *tandemv1.WatchResponse) {
	v.sequence++
	r.Sequence = v.sequence
	v.recent.add(change{job, r})
	for w := range v.watches {
		if w.wants(job, r) {
			v.send(w, r)
		}
	}
}

// send hands a change to a watch, or ends that where it is too far behind.
func (v *View) send(w *watch, r *tandemv1.WatchResponse) {
	select {
	case w.changes <- r:
	default:
		v.cut.Add(1)
		v.finish(w, ErrSlowReader)
	}
}

// publishCounts hands the counts of the jobs, which have changed, to the watches
// that want them. They are not among the recent changes: a watch that goes on is told
// the present ones. v.mu is held.
func (v *View) publishCounts(jobs map[string]struct{}, now *timestamppb.Timestamp) {
	for id := range jobs {
		if v.jobs[id] == nil {
			continue
		}
		var r *tandemv1.WatchResponse
		for w := range v.watches {
			if !w.ask.GetCountInstances() || !w.asksFor(id) {
				continue
			}
			if r == nil {
				r = v.countsOf(id)
				r.Time = now
			}
			v.send(w, r)
		}
	}
}

// countsOf tells how many instances of a job, which is there, are in which phase.
func (v *View) countsOf(id string) *tandemv1.WatchResponse {
	r := tell(v.jobs[id].phases.of(id))
	r.Sequence = v.sequence
	return r
}

// end ends every watch, and refuses new ones.
func (v *View) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
	v.usage.end()
	for w := range v.watches {
		v.finish(w, ErrEnded)
	}
}

func (v *View) finish(w *watch, why error) {
	w.ended = why
	close(w.changes)
	delete(v.watches, w)
}

// change is a response with the job that it belongs to, or none.
type change struct {
	job      string
	response *tandemv1.WatchResponse
}

// recent is the latest changes, in a ring.
type recent struct {
	ring []change
	// next is where the next change goes once the ring is full.
	next int
}

func (r *recent) len() int { return len(r.ring) }

func (r *recent) add(c change) {
	if len(r.ring) < recentChanges {
		r.ring = append(r.ring, c)
		return
	}
	r.ring[r.next] = c
	r.next = (r.next + 1) % recentChanges
}

// last yields the last n changes, of which there must be so many, in order.
func (r *recent) last(n int) iter.Seq[change] {
	return func(yield func(change) bool) {
		for i := len(r.ring) - n; i < len(r.ring); i++ {
			if !yield(r.ring[(r.next+i)%len(r.ring)]) {
				return
			}
		}
	}
}
