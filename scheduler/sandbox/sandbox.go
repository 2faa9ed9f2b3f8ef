// Package sandbox reads what tasks leave in their sandboxes, from the agents
// that hold them: whole files, their last lines, or what is added as it is
// added.
//
// It must never keep anything on this machine, and knows no job: which task is
// asked for, and whether it still runs, its user says.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/mesos/agentapi"
)

// Files reads files of agents: *agentapi.Client.
type Files interface {
	ReadFile(ctx context.Context, agentURL, path string, offset, length int64) (data []byte, size int64, err error)
	ListFiles(ctx context.Context, agentURL, path string) ([]mesos.FileInfo, error)
}

// Place is where a task's directory is.
type Place struct {
	AgentURL                        string
	FrameworkID, ExecutorID, TaskID string
}

// ErrOutside refuses a path that leads out of a task's directory.
var ErrOutside = errors.New("the path leads out of the task's directory")

// file returns the name under which the agent shows a file of the task. Agents
// show the latest run of an executor under a name made of IDs, so that nobody
// needs to know their work directories; other runs, of which Tandem's executors
// have none, they show by their paths only. Tandem's executor gives each task a
// directory below tasks.
func (p Place) file(name string) (string, error) {
	if path.IsAbs(name) || path.Clean(name) == ".." || strings.HasPrefix(path.Clean(name), "../") || strings.ContainsRune(name, 0) {
		return "", ErrOutside
	}
	return path.Join("/frameworks", p.FrameworkID, "executors", p.ExecutorID, "runs", "latest", "tasks", p.TaskID, name), nil
}

// List returns what is in a directory of the task, "." being its own, by name.
// Paths in it are full ones, as the agent gives them.
func List(ctx context.Context, files Files, at Place, dir string) ([]mesos.FileInfo, error) {
	name, err := at.file(dir)
	if err != nil {
		return nil, err
	}
	return files.ListFiles(ctx, at.AgentURL, name)
}

// Piece is some of a file, or a word about it for a person.
type Piece struct {
	Data   []byte
	Offset int64
	Note   string
}

// Tail says what is read of a file.
type Tail struct {
	// Name is the file's, below the task's directory.
	Name string
	// Lines, when it is not nil, leaves out all but so many lines at the end.
	Lines *int
	// Ended is closed when the task has ended, after which nothing is added to
	// the file. Nil reads what is there now, and does not wait for more.
	Ended <-chan struct{}
}

const (
	// piece is how much is asked for at once, in bytes: the most that an agent
	// gives.
	piece = 64 << 10
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
	if t.Lines != nil {
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
	offset      int64
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
// that does not answer it tells once.
func (r *reader) retrying(ctx context.Context, try func() error) error {
	wait, told := retryFirst, false
	for {
		over := r.over()
		err := try()
		switch {
		case err == nil, over, ctx.Err() != nil:
			return err
		case errors.Is(err, agentapi.ErrNoFile):
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

// skip sets the offset to where the last so many lines begin. A last line
// without an end counts.
func (r *reader) skip(ctx context.Context, lines int) error {
	_, size, err := r.files.ReadFile(ctx, r.agent, r.name, farBeyond, 0)
	if err != nil {
		return err
	}
	r.offset = size
	if lines <= 0 {
		return nil
	}
	for end := size; end > 0; {
		start := max(0, end-piece)
		data, _, err := r.files.ReadFile(ctx, r.agent, r.name, start, end-start)
		if err != nil {
			return err
		}
		for i := len(data) - 1; i >= 0; i-- {
			if data[i] != '\n' || start+int64(i) == size-1 {
				continue
			}
			if lines--; lines == 0 {
				r.offset = start + int64(i) + 1
				return nil
			}
		}
		end = start
	}
	r.offset = 0
	return nil
}

// follow emits what is there from the offset on, and then what is added.
func (r *reader) follow(ctx context.Context) error {
	wait := pollFirst
	for {
		// What is written before the end is there to be read after it.
		over := r.over()
		var data []byte
		var size int64
		err := r.retrying(ctx, func() (err error) {
			data, size, err = r.files.ReadFile(ctx, r.agent, r.name, r.offset, piece)
			return err
		})
		switch {
		case err != nil:
			return err
		case size < r.offset:
			if err := r.emit(Piece{Note: "the file has begun anew"}); err != nil {
				return err
			}
			r.offset = 0
			continue
		case len(data) > 0:
			if err := r.emit(Piece{Data: data, Offset: r.offset}); err != nil {
				return err
			}
			r.offset += int64(len(data))
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
