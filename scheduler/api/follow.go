package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
	"github.com/tandem-mesos/tandem/scheduler/sandbox"
)

// orderPatience is how long the log of an attempt waits for the end of the one
// before it, which may be on an agent that cannot be reached.
const orderPatience = 5 * time.Second

// follower follows the logs of the tasks that are asked for, and of those that
// come after them. It is owned by the goroutine of run.
type follower struct {
	*logReader
	// complete says that all that was there before has come, of which before
	// holds what is to be followed, the oldest first.
	complete bool
	before   map[int32][]*tandemv1.AttemptRecord
	phases   map[int32]tandemv1.InstancePhase
	// started is the newest attempt of each instance that was begun with.
	started map[int32]uint64
	tails   map[string]*tail
	// last is the latest tail of each workload of each instance.
	last map[chain]*tail

	finished chan finishedTail
	wg       sync.WaitGroup
}

// chain is a workload of an instance, whose attempts follow each other.
type chain struct {
	slot     int32
	workload string
}

// tail is one file that is being followed.
type tail struct {
	// ended is closed when the task has ended, over when all of its file has
	// been read.
	ended, over chan struct{}
	closed      bool
}

func (t *tail) end() {
	if !t.closed {
		t.closed = true
		close(t.ended)
	}
}

type finishedTail struct {
	task string
	err  error
}

// follow reads until nothing more can come, ctx ends or the reader leaves.
func (l *logReader) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{
		logReader: l, before: map[int32][]*tandemv1.AttemptRecord{}, phases: map[int32]tandemv1.InstancePhase{},
		started: map[int32]uint64{}, tails: map[string]*tail{}, last: map[chain]*tail{}, finished: make(chan finishedTail),
	}
	defer f.wg.Wait()
	defer cancel()
	return f.run(ctx)
}

func (f *follower) run(ctx context.Context) error {
	changes, failed := make(chan *tandemv1.WatchResponse), make(chan error, 1)
	f.wg.Go(func() {
		for change, err := range f.service.server.opt.Reader.Watch(ctx, &tandemv1.WatchRequest{JobId: f.wanted.job}) {
			if err != nil {
				failed <- err
				return
			}
			select {
			case changes <- change:
			case <-ctx.Done():
				return
			}
		}
	})
	for !f.over() {
		select {
		case change := <-changes:
			if err := f.take(ctx, change); err != nil {
				return err
			}
		case done := <-f.finished:
			if err := f.finish(ctx, done); err != nil {
				return err
			}
		case err := <-failed:
			return f.service.server.refusal(err)
		}
	}
	return nil
}

// over says whether nothing more can come: no file is being read, and no
// instance is to run again.
func (f *follower) over() bool {
	if !f.complete || len(f.tails) > 0 {
		return false
	}
	for slot, phase := range f.phases {
		switch phase {
		case tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED, tandemv1.InstancePhase_INSTANCE_PHASE_FAILED,
			tandemv1.InstancePhase_INSTANCE_PHASE_STOPPED:
		default:
			if f.wanted.task == nil || f.wanted.task.Slot == slot {
				return false
			}
		}
	}
	return true
}

func (f *follower) take(ctx context.Context, change *tandemv1.WatchResponse) error {
	switch c := change.GetChange().(type) {
	case *tandemv1.WatchResponse_Instance:
		f.phases[c.Instance.GetSlot()] = c.Instance.GetPhase()
	case *tandemv1.WatchResponse_InstanceRemoved:
		delete(f.phases, c.InstanceRemoved.GetSlot())
	case *tandemv1.WatchResponse_JobRemoved:
		clear(f.phases)
		for _, t := range f.tails {
			t.end()
		}
	case *tandemv1.WatchResponse_Attempt:
		if !f.complete {
			slot := c.Attempt.GetSlot()
			if f.wanted.task == nil && !f.resumed(f.before[slot]) {
				f.before[slot] = nil
			}
			f.before[slot] = append(f.before[slot], c.Attempt)
			return nil
		}
		return f.attempt(ctx, c.Attempt, nil)
	case *tandemv1.WatchResponse_SnapshotEnd:
		f.complete = true
		for _, attempts := range f.before {
			for _, a := range attempts {
				lines := f.lines
				if f.wanted.task != nil && f.wanted.task.Attempt != a.GetAttempt() || a != attempts[0] && f.resumed(attempts) {
					lines = nil
				}
				if err := f.attempt(ctx, a, lines); err != nil {
					return err
				}
			}
		}
		f.before = nil
	}
	return nil
}

// resumed reports whether the first of an instance's attempts was being read before:
// then those after it have come since, and all is read of them.
func (f *follower) resumed(attempts []*tandemv1.AttemptRecord) bool {
	return len(attempts) > 0 && slices.ContainsFunc(attempts[0].GetTasks(), func(t *tandemv1.TaskRecord) bool { return f.resume[t.GetTaskId()] != nil })
}

// positions returns where a call is to go on, by task.
func positions(req *tandemv1.ReadLogRequest) (map[string]*sandbox.Position, error) {
	if len(req.GetResume()) > 0 && !req.GetFollow() {
		return nil, refusedFields("there is nothing to resume", []jobspec.Problem{{Field: "resume", Reason: "is for a call that follows: set follow"}})
	}
	all := make(map[string]*sandbox.Position, len(req.GetResume()))
	for i, p := range req.GetResume() {
		refuse := func(field, reason string) error {
			return refusedFields("the call cannot go on there", []jobspec.Problem{{Field: fmt.Sprintf("resume[%d].%s", i, field), Reason: reason}})
		}
		switch before := int64(len(p.GetBefore())); {
		case before > sandbox.Mark:
			return nil, refuse("before", fmt.Sprintf("is longer than %d bytes", sandbox.Mark))
		case p.GetOffset() < before, before < min(p.GetOffset(), sandbox.Mark):
			return nil, refuse("offset", "is not where before ends")
		}
		all[p.GetTaskId()] = &sandbox.Position{Offset: p.GetOffset(), Before: p.GetBefore()}
	}
	return all, nil
}

// attempt begins to read the files of a new attempt, and hears of the ends of
// one that is known.
func (f *follower) attempt(ctx context.Context, a *tandemv1.AttemptRecord, lines *int) error {
	for _, t := range a.GetTasks() {
		if !f.wanted.takes(a, t.GetWorkload()) {
			continue
		}
		if a.GetAttempt() > f.started[a.GetSlot()] {
			if len(f.tails) == maxTails {
				return refusedAs(connect.CodeFailedPrecondition, "CONFLICT", fmt.Errorf(
					"more than %d tasks of job %s run at once: name one of them", maxTails, f.wanted.job))
			}
			f.begin(ctx, logTask{a, t}, lines)
		}
		if known := f.tails[t.GetTaskId()]; known != nil && (present.Ended(t) || a.GetEnded() != nil) {
			known.end()
		}
	}
	f.started[a.GetSlot()] = max(f.started[a.GetSlot()], a.GetAttempt())
	return nil
}

func (f *follower) begin(ctx context.Context, t logTask, lines *int) {
	key := chain{t.attempt.GetSlot(), t.task.GetWorkload()}
	before, mine := f.last[key], &tail{ended: make(chan struct{}), over: make(chan struct{})}
	f.last[key], f.tails[t.task.GetTaskId()] = mine, mine
	f.wg.Go(func() {
		if before != nil {
			patience := time.NewTimer(orderPatience)
			defer patience.Stop()
			select {
			case <-before.over:
			case <-patience.C:
			case <-ctx.Done():
			}
		}
		err := f.read(ctx, t, lines, mine.ended)
		close(mine.over)
		select {
		case f.finished <- finishedTail{t.task.GetTaskId(), err}:
		case <-ctx.Done():
		}
	})
}

// finish takes in that a file has been read to its end, or cannot be.
func (f *follower) finish(ctx context.Context, done finishedTail) error {
	delete(f.tails, done.task)
	switch {
	case done.err == nil:
		return nil
	case ctx.Err() != nil || errors.Is(done.err, sandbox.ErrOutside):
		return f.service.unread(ctx, done.task, f.file, done.err)
	}
	return f.send(&tandemv1.ReadLogResponse{TaskId: done.task, Note: note(f.file, done.err)})
}
