package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/pkg/mesos/agentapi"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
	"github.com/tandem-mesos/tandem/scheduler/sandbox"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// maxTails bounds how many files one call reads at the same time: each costs
// the agents a request or two a second.
const maxTails = 100

// wantedLogs are the tasks that a call reads files of.
type wantedLogs struct {
	job string
	// task is nil for a whole job; otherwise it is the task, and with follow
	// what comes after it in the same instance.
	task *state.TaskName
}

// askedFor returns which tasks a request names.
func askedFor(req *tandemv1.ReadLogRequest) (wantedLogs, error) {
	if (req.GetTaskId() == "") == (req.GetJobId() == "") {
		return wantedLogs{}, refusedFields("the request names no task or job, or both",
			[]jobspec.Problem{{Field: "taskId", Reason: "one of taskId and jobId is required"}})
	}
	if req.GetJobId() != "" {
		return wantedLogs{job: req.GetJobId()}, nil
	}
	name, ok := state.ParseTaskName(req.GetTaskId())
	if !ok {
		return wantedLogs{}, noTask(req.GetTaskId())
	}
	return wantedLogs{job: name.Job, task: &name}, nil
}

func noTask(id string) error {
	return refusedAs(connect.CodeNotFound, "NOT_FOUND", fmt.Errorf("there is no task %s, or not any more", id))
}

// takes says whether an attempt's task of a workload is asked for.
func (w wantedLogs) takes(a *tandemv1.AttemptRecord, workload string) bool {
	return w.task == nil || w.task.Slot == a.GetSlot() && w.task.Workload == workload && w.task.Attempt <= a.GetAttempt()
}

// logTask is a task with its attempt.
type logTask struct {
	attempt *tandemv1.AttemptRecord
	task    *tandemv1.TaskRecord
}

// find returns the tasks that are asked for as things stand: the named one, or
// those of each instance's newest attempt.
func (s *service) find(w wantedLogs) ([]logTask, error) {
	view, ok := s.server.opt.Reader.Job(w.job)
	if !ok {
		if w.task != nil {
			return nil, noTask(w.task.String())
		}
		return nil, noJob(w.job)
	}
	var found []logTask
	for _, i := range view.GetInstances() {
		for n, a := range i.GetAttempts() {
			if w.task == nil && n > 0 || w.task != nil && w.task.Attempt != a.GetAttempt() {
				continue
			}
			for _, t := range a.GetTasks() {
				if w.takes(a, t.GetWorkload()) {
					found = append(found, logTask{a, t})
				}
			}
		}
	}
	if w.task != nil && len(found) == 0 {
		return nil, noTask(w.task.String())
	}
	return found, nil
}

// place returns where a task's directory is.
func (s *service) place(t logTask) sandbox.Place {
	url := t.attempt.GetAgentUrl()
	if url == "" {
		// The port that agents have unless they are told another.
		url = "http://" + t.attempt.GetHostname() + ":5051"
	}
	return sandbox.Place{
		AgentURL:    url,
		FrameworkID: s.server.opt.Reader.Framework().GetFrameworkId(),
		ExecutorID:  t.attempt.GetExecutorId(), TaskID: t.task.GetTaskId(),
	}
}

func (s *service) ListFiles(ctx context.Context, req *tandemv1.ListFilesRequest) (*tandemv1.ListFilesResponse, error) {
	if err := checkMask(req.GetReadMask(), (&tandemv1.FileInfo{}).ProtoReflect().Descriptor()); err != nil {
		return nil, err
	}
	name, ok := state.ParseTaskName(req.GetTaskId())
	if !ok {
		return nil, noTask(req.GetTaskId())
	}
	found, err := s.find(wantedLogs{name.Job, &name})
	if err != nil {
		return nil, err
	}
	if s.server.opt.Sandboxes == nil {
		return nil, errNoSandboxes
	}
	infos, err := sandbox.List(ctx, s.server.opt.Sandboxes, s.place(found[0]), cmp.Or(req.GetPath(), "."))
	if err != nil {
		return nil, s.unread(ctx, req.GetTaskId(), cmp.Or(req.GetPath(), "directory"), err)
	}
	var all []*tandemv1.FileInfo
	for _, i := range infos {
		mode := fileMode(i.GetMode())
		file := &tandemv1.FileInfo{
			Name: path.Base(i.GetPath()), Size: int64(i.GetSize_()), Mode: mode.String(), User: i.GetUID(), Directory: mode.IsDir(),
		}
		if i.Mtime != nil {
			file.Modified = timestamppb.New(time.Unix(0, i.Mtime.Nanoseconds))
		}
		all = append(all, file)
	}
	slices.SortFunc(all, func(a, b *tandemv1.FileInfo) int { return cmp.Compare(a.GetName(), b.GetName()) })
	part, next, err := ordered(all, req.GetPageSize(), req.GetPageToken(), (*tandemv1.FileInfo).GetName)
	if err != nil {
		return nil, err
	}
	return &tandemv1.ListFilesResponse{Files: allMasked(part, req.GetReadMask()), NextPageToken: next}, nil
}

// fileMode reads a file's mode as stat(2) gives it.
func fileMode(stat uint32) fs.FileMode {
	mode := fs.FileMode(stat & 0o777)
	switch stat & unix.S_IFMT {
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	}
	return mode
}

var errNoSandboxes = refusedAs(connect.CodeUnimplemented, notOffered, errors.New("this scheduler reads no sandboxes"))

// unread is why a file of a task could not be read.
func (s *service) unread(ctx context.Context, task, file string, err error) error {
	switch {
	case ctx.Err() != nil:
		return s.server.refusal(context.Cause(ctx))
	case errors.Is(err, agentapi.ErrNoFile):
		return refusedAs(connect.CodeNotFound, "NOT_FOUND", fmt.Errorf(
			"there is no %s of task %s: it has not been made yet, or the agent has removed the sandbox", file, task))
	case errors.Is(err, sandbox.ErrOutside):
		return refusedFields("the path cannot be used", []jobspec.Problem{{Field: "path", Reason: err.Error()}})
	}
	// The scheduler is well; it is the agent that does not answer.
	return refusedAs(connect.CodeFailedPrecondition, "NOT_READ", fmt.Errorf("cannot read %s of task %s: %w", file, task, err))
}

func (s *service) ReadLog(ctx context.Context, req *tandemv1.ReadLogRequest, stream *connect.ServerStream[tandemv1.ReadLogResponse]) error {
	w, err := askedFor(req)
	if err != nil {
		return err
	}
	found, err := s.find(w)
	if err != nil {
		return err
	}
	if req.GetTailLines() < 0 {
		return refusedFields("there are no such lines", []jobspec.Problem{{Field: "tailLines", Reason: "must not be negative"}})
	}
	if s.server.opt.Sandboxes == nil {
		return errNoSandboxes
	}
	ctx, cancel := s.endless(ctx)
	defer cancel()
	l := &logReader{service: s, wanted: w, file: cmp.Or(req.GetPath(), "stdout"), stream: stream}
	if req.TailLines != nil {
		lines := int(req.GetTailLines())
		l.lines = &lines
	}
	if l.resume, err = positions(req); err != nil {
		return err
	}
	if req.GetFollow() {
		// Empty, so that the caller knows that it was heard.
		if err := l.send(&tandemv1.ReadLogResponse{}); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		runs, note := s.without(w.job)
		if err := l.send(&tandemv1.ReadLogResponse{Note: note}); err != nil || runs {
			return err
		}
	}
	if req.GetFollow() {
		return l.follow(ctx)
	}
	for _, t := range found {
		err := l.read(ctx, t, l.lines, nil)
		if errors.Is(err, agentapi.ErrNoFile) && t.neverRan() && (l.file == "stdout" || l.file == "stderr") {
			err = l.readExecutor(ctx, t)
		}
		if err != nil && (w.task != nil || ctx.Err() != nil || errors.Is(err, sandbox.ErrOutside)) {
			return s.unread(ctx, t.task.GetTaskId(), l.file, err)
		}
		if err != nil {
			if err := l.send(&tandemv1.ReadLogResponse{TaskId: t.task.GetTaskId(), Note: note(l.file, err)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// neverRan reports whether a task ended by its agent's word before its executor had
// said anything of it. It is false where the executor is shared: others' jobs are named
// in what that writes.
func (t logTask) neverRan() bool {
	own := strings.HasPrefix(t.task.GetTaskId(), t.attempt.GetExecutorId()+".")
	return own && t.task.GetStarted() == nil && t.task.GetSource() == "AGENT" && present.Ended(t.task)
}

// without says of a job that has no tasks why, and whether it has runs instead.
func (s *service) without(job string) (runs bool, note string) {
	view, _ := s.server.opt.Reader.Job(job)
	if view.GetJob().GetSpec().GetType() != tandemv1.JobType_JOB_TYPE_CRON {
		return false, fmt.Sprintf("no task of job %s has been started yet", job)
	}
	latest := ""
	for _, j := range s.server.opt.Reader.Jobs() {
		if id := j.GetSpec().GetId(); strings.HasPrefix(id, job+"/") {
			latest = id // They are named by their times.
		}
	}
	if latest == "" {
		return true, fmt.Sprintf("job %s has not run yet", job)
	}
	return true, fmt.Sprintf("each run of job %s is a job of its own; the latest is %s", job, latest)
}

// note is why a file could not be read, where it is one of several.
func note(file string, err error) string {
	if errors.Is(err, agentapi.ErrNoFile) {
		return "there is no " + file
	}
	return err.Error()
}

// logReader reads one file of each task that is asked for into a stream.
type logReader struct {
	service *service
	wanted  wantedLogs
	file    string
	// lines is how many are shown of what was there before; nil means all.
	lines *int
	// resume is where to go on, by task.
	resume map[string]*sandbox.Position
	// mu lets one goroutine send at a time.
	mu     sync.Mutex
	stream *connect.ServerStream[tandemv1.ReadLogResponse]
}

func (l *logReader) send(r *tandemv1.ReadLogResponse) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream.Send(r)
}

func (l *logReader) read(ctx context.Context, t logTask, lines *int, ended <-chan struct{}) error {
	tail := sandbox.Tail{Name: l.file, Lines: lines, From: l.resume[t.task.GetTaskId()], Ended: ended}
	return sandbox.Read(ctx, l.service.server.opt.Sandboxes, l.service.place(t), tail, func(p sandbox.Piece) error {
		return l.send(&tandemv1.ReadLogResponse{TaskId: t.task.GetTaskId(), Data: p.Data, Offset: p.Offset, Before: p.Before, Note: p.Note})
	})
}

// readExecutor reads, in place of what a task has written that never ran, what the
// agent's fetcher and the executor have: there stands why the executor did not come up.
func (l *logReader) readExecutor(ctx context.Context, t logTask) error {
	at := l.service.place(t)
	at.TaskID = ""
	told := false
	return sandbox.Read(ctx, l.service.server.opt.Sandboxes, at, sandbox.Tail{Name: "stderr", Lines: l.lines}, func(p sandbox.Piece) error {
		if !told {
			told = true
			note := "the task never ran; this is the stderr of its executor, which its agent has written to as well"
			if err := l.send(&tandemv1.ReadLogResponse{TaskId: t.task.GetTaskId(), Note: note}); err != nil {
				return err
			}
		}
		return l.send(&tandemv1.ReadLogResponse{TaskId: t.task.GetTaskId(), Data: p.Data, Note: p.Note})
	})
}
