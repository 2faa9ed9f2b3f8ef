package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-mesos/tandem/pkg/mesos/agentapi"
)

const (
	// piece is how much is asked for at once, in bytes: the most that an agent
	// gives.
	piece = 64 << 10
	// tries is how often something is looked at that a rotation may have hidden.
	tries = 3
	// farBeyond is an offset behind the end of every file: an agent answers it
	// with the file's size alone.
	farBeyond = 1 << 62
	// A file that does not grow is asked for after pollFirst, and then less and
	// less often until pollLast.
	pollFirst = 200 * time.Millisecond
	pollLast  = 2 * time.Second
	// An agent that does not answer is asked again after so long.
	retryFirst = time.Second
	retryLast  = 15 * time.Second
)

// Read hands pieces of a file to emit, in order, until the file has ended, emit
// fails or ctx ends; with Ended, a file that is not there yet or cannot be read
// is waited for. It returns agentapi.ErrNoFile when there is no such file.
func Read(ctx context.Context, files Files, at Place, t Tail, emit func(Piece) error) error {
	name, err := at.file(t.Name)
	if err != nil {
		return err
	}
	r := &reader{files: files, agent: at.AgentURL, name: name, ended: t.Ended, emit: emit}
	switch {
	case t.From != nil:
		// Whether it is still this file is seen by the first look at it.
		r.offset, r.seen = t.From.Offset, t.From.Before
	case t.Lines != nil:
		err = r.retrying(ctx, func() error { return r.skip(ctx, *t.Lines) })
		if err != nil {
			return err
		}
	}
	return r.follow(ctx)
}

type reader struct {
	files       Files
	agent, name string
	ended       <-chan struct{}
	emit        func(Piece) error

	// number is the file that reading has come to: 0 for the live one, 1 for
	// the one before it.
	number int
	offset int64
	// seen is what is before the offset in this file. While it is empty nothing has been
	// read, and reading begins with the oldest file.
	seen []byte
}

// over says whether there is nothing to wait for.
func (r *reader) over() bool {
	if r.ended == nil {
		return true
	}
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// pause waits for a time, or until the task ends.
func (r *reader) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// retrying tries something again while it fails and the task runs. Of an agent
// that does not answer it tells once. That a file has gone from which something
// was read, or has moved, is for the caller.
func (r *reader) retrying(ctx context.Context, try func() error) error {
	wait, told := retryFirst, false
	for {
		over := r.over()
		err := try()
		gone := errors.Is(err, agentapi.ErrNoFile)
		switch {
		case err == nil, over, ctx.Err() != nil, gone && len(r.seen) > 0, errors.Is(err, errMoved):
			return err
		case gone:
			// Its workload has not started yet.
			if err := r.pause(ctx, pollLast); err != nil {
				return err
			}
			continue
		case !told:
			told = true
			if err := r.emit(Piece{Note: fmt.Sprintf("%s; trying again", err)}); err != nil {
				return err
			}
		}
		if err := r.pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, retryLast)
	}
}

// file returns the name of a file of the series.
func (r *reader) file(number int) string {
	if number == 0 {
		return r.name
	}
	return fmt.Sprintf("%s.%d", r.name, number)
}

// read reads a file of the series. In the midst of a rotation there is no live
// one for a moment, which is less than the way to the agent.
func (r *reader) read(ctx context.Context, number int, offset, length int64) (data []byte, size int64, err error) {
	for try := 1; ; try++ {
		data, size, err = r.files.ReadFile(ctx, r.agent, r.file(number), offset, length)
		if number > 0 || try == tries || !errors.Is(err, agentapi.ErrNoFile) {
			return data, size, err
		}
		if older, failure := r.oldest(ctx); failure != nil || older == 0 {
			return data, size, err
		}
	}
}

// oldest returns the number of the oldest file. Where one is missing in between
// a rotation is under way.
func (r *reader) oldest(ctx context.Context) (int, error) {
	for try := 1; ; try++ {
		all, err := r.files.ListFiles(ctx, r.agent, path.Dir(r.name))
		if err != nil {
			return 0, err
		}
		there := make(map[int]bool, len(all))
		for _, f := range all {
			suffix, ok := strings.CutPrefix(path.Base(f.Path), path.Base(r.name)+".")
			// stdout.01 is no file of the series: nothing would be found at stdout.1.
			if number, err := strconv.Atoi(suffix); ok && err == nil && number > 0 && suffix == strconv.Itoa(number) {
				there[number] = true
			}
		}
		n := 0
		for there[n+1] {
			n++
		}
		if n == len(there) || try == tries {
			return n, nil
		}
	}
}

// skip goes to where the last so many lines begin. A last line without an end
// counts.
func (r *reader) skip(ctx context.Context, lines int) error {
	oldest, err := r.oldest(ctx)
	if err != nil {
		return err
	}
	last := true // the last byte of all is still to come; it ends the last line, or should
	for number := 0; ; number++ {
		_, size, err := r.read(ctx, number, farBeyond, 0)
		if number > 0 && errors.Is(err, agentapi.ErrNoFile) {
			return nil // It has gone meanwhile.
		}
		if err != nil {
			return err
		}
		if number == 0 && lines <= 0 {
			return r.begin(ctx, number, size)
		}
		for end := size; end > 0; {
			start := max(0, end-piece)
			data, _, err := r.read(ctx, number, start, end-start)
			if err != nil {
				return err
			}
			for i := len(data) - 1; i >= 0; i-- {
				if data[i] == '\n' && !last {
					if lines--; lines == 0 {
						return r.begin(ctx, number, start+int64(i)+1)
					}
				}
				last = false
			}
			end = start
		}
		if number == oldest {
			return nil // With all that there is.
		}
	}
}

// begin sets the place to read from.
func (r *reader) begin(ctx context.Context, number int, offset int64) error {
	from := max(0, offset-Mark)
	seen, _, err := r.read(ctx, number, from, offset-from)
	if err != nil {
		return err
	}
	r.number, r.offset, r.seen = number, from+int64(len(seen)), seen
	if r.ended == nil {
		return nil
	}
	return r.emit(Piece{Offset: r.offset, Before: seen})
}

// follow emits what is there from the present place on, and then what is added.
func (r *reader) follow(ctx context.Context) error {
	wait := pollFirst
	for {
		// What is written before the end is there to be read after it.
		over := r.over()
		var data []byte
		err := r.retrying(ctx, func() (err error) {
			data, err = r.next(ctx)
			return err
		})
		switch {
		case errors.Is(err, errMoved) && len(r.seen) == 0:
			continue
		case errors.Is(err, agentapi.ErrNoFile) && len(r.seen) > 0, errors.Is(err, errMoved):
			if err := r.retrying(ctx, func() error { return r.locate(ctx) }); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case len(data) > 0:
			if err := r.emit(Piece{Data: data, Offset: r.offset - int64(len(data))}); err != nil {
				return err
			}
			wait = pollFirst
			continue
		case over:
			return nil
		}
		if err := r.pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, pollLast)
	}
}

// errMoved says that a file is not the one any more that was read.
var errMoved = errors.New("the file has another name by now")

// next reads what follows, and goes on by as much. Without data there is nothing
// yet.
func (r *reader) next(ctx context.Context) ([]byte, error) {
	if len(r.seen) == 0 {
		return r.first(ctx)
	}
	data, err := r.same(ctx)
	if err != nil || len(data) > 0 || r.number == 0 {
		return r.advance(data), err
	}
	// This file is complete. Others are the next by their names only as long as
	// this one has kept its own.
	for number := r.number - 1; ; number-- {
		data, _, err := r.read(ctx, number, 0, piece)
		if err != nil {
			return nil, err
		}
		if len(data) == 0 && number > 0 {
			continue
		}
		if rest, err := r.same(ctx); err != nil || len(rest) > 0 {
			return r.advance(rest), err
		}
		if len(data) > 0 {
			r.number, r.offset, r.seen = number, 0, nil
		}
		return r.advance(data), nil
	}
}

// first reads the beginning of the oldest file that has one.
func (r *reader) first(ctx context.Context) ([]byte, error) {
	oldest, err := r.oldest(ctx)
	if err != nil {
		return nil, err
	}
	for number := oldest; ; number-- {
		data, _, err := r.read(ctx, number, 0, piece)
		if number > 0 && errors.Is(err, agentapi.ErrNoFile) {
			return nil, errMoved
		}
		if err != nil {
			return nil, err
		}
		if len(data) == 0 && number > 0 {
			continue
		}
		if now, err := r.oldest(ctx); err != nil || now != oldest {
			return nil, cmp.Or(err, errMoved)
		}
		r.number, r.offset = number, 0
		return r.advance(data), nil
	}
}

func (r *reader) advance(data []byte) []byte {
	r.offset += int64(len(data))
	r.seen = append(r.seen, data...)
	r.seen = bytes.Clone(r.seen[max(0, len(r.seen)-Mark):])
	return data
}

// same reads on in the present file, or says that it is another.
func (r *reader) same(ctx context.Context) ([]byte, error) {
	again := int64(len(r.seen))
	data, _, err := r.read(ctx, r.number, r.offset-again, again+piece)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(data, r.seen)
	if !ok {
		return nil, errMoved
	}
	return rest, nil
}

// locate finds the file that was read by another name. If it is gone reading
// begins with the oldest that there is.
func (r *reader) locate(ctx context.Context) error {
	// While this looks, the file may move on, and only in this direction.
	for r.number = 0; ; r.number++ {
		_, err := r.same(ctx)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errMoved), errors.Is(err, agentapi.ErrNoFile) && r.number == 0:
			continue // In the midst of a rotation there is no live file.
		case !errors.Is(err, agentapi.ErrNoFile):
			return err
		}
		note := "the file has begun anew"
		if r.number > 1 {
			note = "a part of the log was rotated away before it could be read"
		}
		r.number, r.offset, r.seen = 0, 0, nil
		return r.emit(Piece{Note: note})
	}
}
