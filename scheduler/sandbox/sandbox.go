// Package sandbox reads what tasks leave in their sandboxes, from the agents
// that hold them: whole files, their last lines, or what is added as it is
// added.
//
// A file and those that it was rotated to, name.1, name.2 and so on, are read as
// one, the oldest first. Agents tell files apart by their names alone; that one
// has got another's name is seen by the bytes before the place that reading has
// come to. A log in which these are the same in every file, such as one line
// repeated for ever, cannot be told from one that was not rotated.
//
// It must never keep anything on this machine, and knows no job: which task is
// asked for, and whether it still runs, its user says.
package sandbox

import (
	"context"
	"errors"
	"path"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// Files reads files of agents: *agentapi.Client.
type Files interface {
	ReadFile(ctx context.Context, agentURL, path string, offset, length int64) (data []byte, size int64, err error)
	ListFiles(ctx context.Context, agentURL, path string) ([]mesos.FileInfo, error)
}

// Place is where a task's directory is or, without TaskID, that of its executor.
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
	run := path.Join("/frameworks", p.FrameworkID, "executors", p.ExecutorID, "runs", "latest")
	if p.TaskID == "" {
		return path.Join(run, name), nil
	}
	return path.Join(run, "tasks", p.TaskID, name), nil
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
	Data []byte
	// Offset is where the data begin in the file that they are from.
	Offset int64
	// Before is given without data, and is what stands before the offset, at which
	// reading begins.
	Before []byte
	Note   string
}

// Position is where reading had come to. A file that is rotated meanwhile has another
// name, and is known by what was read of it.
type Position struct {
	Offset int64
	// Before is what was read before the offset: Mark bytes, or all.
	Before []byte
}

// Mark is how much a Position holds of what was read.
const Mark = 256

// Tail says what is read of a file.
type Tail struct {
	// Name is the file's, below the task's directory. What was rotated away from
	// it is read before it.
	Name string
	// Lines, when it is not nil, leaves out all but so many lines at the end.
	Lines *int
	// From, when it is not nil, goes on where reading had come to. It takes the place of
	// Lines.
	From *Position
	// Ended is closed when the task has ended, after which nothing is added to
	// the file. Nil reads what is there now, and does not wait for more.
	Ended <-chan struct{}
}
