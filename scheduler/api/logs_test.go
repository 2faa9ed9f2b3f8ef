package api_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/mesos/agentapi"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// sandboxes are what agents hold: stdout by task, and the stderr of executors as that of
// "latest". An absent one is no file.
type sandboxes struct {
	mu    sync.Mutex
	files map[string]string
}

func (s *sandboxes) write(task, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[task] += text
}

func (s *sandboxes) ReadFile(_ context.Context, _, name string, offset, length int64) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, file := path.Base(path.Dir(name)), "stdout"
	if dir == "latest" {
		file = "stderr" // the executor's
	}
	content, ok := s.files[dir]
	if !ok || path.Base(name) != file {
		return nil, 0, agentapi.ErrNoFile
	}
	size := int64(len(content))
	from := min(offset, size)
	return []byte(content[from:min(size, from+length)]), size, nil
}

func (s *sandboxes) ListFiles(_ context.Context, _, name string) ([]mesos.FileInfo, error) {
	if in := path.Base(path.Dir(name)); in != "tasks" && in != "runs" {
		return nil, agentapi.ErrNoFile
	}
	file, dir := uint32(0o100644), uint32(0o040755)
	size := uint64(7)
	return []mesos.FileInfo{{Path: name + "/stdout", Mode: &file, Size_: &size}, {Path: name + "/data", Mode: &dir}}, nil
}

// told is a reader whose watches are told what the test says.
type told struct {
	reader
	changes chan *tandemv1.WatchResponse
}

func (r *told) Watch(ctx context.Context, _ *tandemv1.WatchRequest) iter.Seq2[*tandemv1.WatchResponse, error] {
	return func(yield func(*tandemv1.WatchResponse, error) bool) {
		for {
			select {
			case c := <-r.changes:
				if !yield(c, nil) {
					return
				}
			case <-ctx.Done():
				yield(nil, context.Cause(ctx))
				return
			}
		}
	}
}

func attempt(slot int32, number uint64, s tandemv1.TaskState) *tandemv1.AttemptRecord {
	id := fmt.Sprintf("words.%d.%d", slot, number)
	return &tandemv1.AttemptRecord{
		JobId: "/words", Slot: slot, Attempt: number, ExecutorId: id, Hostname: "agent1", AgentUrl: "http://10.0.0.1:5051",
		Tasks: []*tandemv1.TaskRecord{{TaskId: id + ".count", Workload: "count", State: s}},
	}
}

func attemptChange(a *tandemv1.AttemptRecord) *tandemv1.WatchResponse {
	return &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Attempt{Attempt: a}}
}

func instanceChange(slot int32, p tandemv1.InstancePhase) *tandemv1.WatchResponse {
	return &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_Instance{Instance: &tandemv1.InstanceRecord{JobId: "/words", Slot: slot, Phase: p}}}
}

var snapshotEnd = &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_SnapshotEnd{SnapshotEnd: true}}

// logsOf serves a job with two instances, the first of which is at its second
// attempt.
func logsOf(t *testing.T) (c *told, s *sandboxes, read func(*tandemv1.ReadLogRequest) *connect.ServerStreamForClient[tandemv1.ReadLogResponse], list func(task, path string) (*tandemv1.ListFilesResponse, error)) {
	r := &told{changes: make(chan *tandemv1.WatchResponse), reader: reader{
		framework: &tandemv1.FrameworkView{FrameworkId: "77a7fa47-0002"},
		jobs: []*tandemv1.JobView{{Job: &tandemv1.JobRecord{Spec: words()}, Instances: []*tandemv1.InstanceView{
			{Instance: &tandemv1.InstanceRecord{Slot: 0}, Attempts: []*tandemv1.AttemptRecord{
				attempt(0, 2, tandemv1.TaskState_TASK_RUNNING), attempt(0, 1, tandemv1.TaskState_TASK_FAILED)}},
			{Instance: &tandemv1.InstanceRecord{Slot: 1}, Attempts: []*tandemv1.AttemptRecord{attempt(1, 1, tandemv1.TaskState_TASK_STAGING)}},
		}}, {Job: &tandemv1.JobRecord{Spec: &tandemv1.Job{Id: "/idle"}}},
			{Job: &tandemv1.JobRecord{Spec: &tandemv1.Job{Id: "/nightly", Type: tandemv1.JobType_JOB_TYPE_CRON}}}},
	}}
	s = &sandboxes{files: map[string]string{"words.0.1.count": "old\n", "words.0.2.count": "one\ntwo\n"}}
	opt := options(&commander{}, &r.reader)
	opt.Reader, opt.Sandboxes = r, s
	base, _ := serve(t, opt)
	client := protocols(base)["Connect"]
	return r, s, func(req *tandemv1.ReadLogRequest) *connect.ServerStreamForClient[tandemv1.ReadLogResponse] {
			stream, err := client.ReadLog(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			return stream
		}, func(task, path string) (*tandemv1.ListFilesResponse, error) {
			// Page by page.
			all := &tandemv1.ListFilesResponse{}
			for ask := (&tandemv1.ListFilesRequest{TaskId: task, Path: path, PageSize: 1}); ; {
				res, err := client.ListFiles(t.Context(), ask)
				if err != nil {
					return nil, err
				}
				all.Files = append(all.Files, res.Files...)
				if ask.PageToken = res.GetNextPageToken(); ask.PageToken == "" {
					return all, nil
				}
			}
		}
}

// transcript is what a stream brings until its end.
func transcript(s *connect.ServerStreamForClient[tandemv1.ReadLogResponse]) string {
	var b strings.Builder
	for s.Receive() {
		if proto.Equal(s.Msg(), &tandemv1.ReadLogResponse{}) {
			continue // the call was heard
		}
		fmt.Fprintf(&b, "%s %q %s\n", s.Msg().TaskId, s.Msg().Data, s.Msg().Note)
	}
	if err := s.Err(); err != nil {
		var refused *connect.Error
		if errors.As(err, &refused) {
			fmt.Fprintf(&b, "%s: %s\n", refused.Code(), refused.Message())
		}
	}
	return b.String()
}

func TestLogs(t *testing.T) {
	_, _, read, list := logsOf(t)
	last := int32(1)
	for _, tt := range []struct {
		name string
		ask  *tandemv1.ReadLogRequest
		want string
	}{
		{"one task", &tandemv1.ReadLogRequest{TaskId: "words.0.1.count"}, "words.0.1.count \"old\\n\" \n"},
		{"its last line", &tandemv1.ReadLogRequest{TaskId: "words.0.2.count", TailLines: &last}, "words.0.2.count \"two\\n\" \n"},
		{"a job", &tandemv1.ReadLogRequest{JobId: "/words"}, "words.0.2.count \"one\\ntwo\\n\" \nwords.1.1.count \"\" there is no stdout\n"},
		{"no file", &tandemv1.ReadLogRequest{TaskId: "words.0.2.count", Path: "access.log"},
			"not_found: there is no access.log of task words.0.2.count: it has not been made yet, or the agent has removed the sandbox\n"},
		{"no task", &tandemv1.ReadLogRequest{TaskId: "words.0.7.count"}, "not_found: there is no task words.0.7.count, or not any more; did you mean words.0.2.count?\n"},
		{"no task's name", &tandemv1.ReadLogRequest{TaskId: "words"}, "not_found: there is no task words, or not any more; did you mean words.0.2.count?\n"},
		{"no job", &tandemv1.ReadLogRequest{JobId: "/gone"}, "not_found: there is no job /gone\n"},
		{"outside", &tandemv1.ReadLogRequest{JobId: "/words", Path: "../x"}, "invalid_argument: the path cannot be used: path: the path leads out of the task's directory\n"},
		{"a job without tasks", &tandemv1.ReadLogRequest{JobId: "/idle"}, " \"\" no task of job /idle has been started yet\n"},
		{"a cron job that has not run", &tandemv1.ReadLogRequest{JobId: "/nightly", Follow: true}, " \"\" job /nightly has not run yet\n"},
		{"fewer lines than none", &tandemv1.ReadLogRequest{JobId: "/words", TailLines: proto.Int32(-1)}, "invalid_argument: there are no such lines: tailLines: must not be negative\n"},
		{"neither", &tandemv1.ReadLogRequest{}, "invalid_argument: the request names no task or job, or both: taskId: one of taskId and jobId is required\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := transcript(read(tt.ask)); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
	files, err := list("words.0.2.count", "")
	if err != nil || len(files.Files) != 2 || files.Files[0].Name != "data" || files.Files[0].Mode != "drwxr-xr-x" || !files.Files[0].Directory || files.Files[1].Size != 7 {
		t.Errorf("the files are %v, %v", files, err)
	}
	if _, err := list("words.0.2.count", "data/nothing"); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

func TestFollowingAJobThroughARestart(t *testing.T) {
	r, s, read, _ := logsOf(t)
	stream := read(&tandemv1.ReadLogRequest{JobId: "/words", Follow: true})
	next := func(want string) {
		t.Helper()
		if !stream.Receive() {
			t.Fatalf("ended: %v", stream.Err())
		}
		if got := fmt.Sprintf("%s %q%s", stream.Msg().TaskId, stream.Msg().Data, stream.Msg().Note); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	const (
		failed   = tandemv1.TaskState_TASK_FAILED
		running  = tandemv1.TaskState_TASK_RUNNING
		finished = tandemv1.TaskState_TASK_FINISHED
	)
	r.changes <- instanceChange(0, tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING)
	r.changes <- attemptChange(attempt(0, 1, failed))
	r.changes <- attemptChange(attempt(0, 2, running))
	r.changes <- snapshotEnd
	next(` ""`) // it was heard
	next(`words.0.2.count "one\ntwo\n"`)
	s.write("words.0.2.count", "three\n")
	next(`words.0.2.count "three\n"`)
	// The next attempt's log comes when the last one's is complete.
	s.write("words.0.3.count", "again\n")
	r.changes <- attemptChange(attempt(0, 3, running))
	s.write("words.0.2.count", "last words\n")
	r.changes <- attemptChange(attempt(0, 2, failed))
	next(`words.0.2.count "last words\n"`)
	next(`words.0.3.count "again\n"`)
	r.changes <- attemptChange(attempt(0, 3, finished))
	r.changes <- instanceChange(0, tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED)
	if stream.Receive() || stream.Err() != nil {
		t.Errorf("did not end with the job: %v, %v", stream.Msg(), stream.Err())
	}
}

// TestFollowingIsResumed holds that a call goes on where another was broken off: what was
// written since comes, of attempts that were begun since, too, and nothing twice.
func TestFollowingIsResumed(t *testing.T) {
	r, s, read, _ := logsOf(t)
	s.write("words.0.2.count", "three\n")
	s.write("words.0.3.count", "again\n")
	none := int32(0)
	stream := read(&tandemv1.ReadLogRequest{JobId: "/words", Follow: true, TailLines: &none, Resume: []*tandemv1.LogPosition{
		{TaskId: "words.0.2.count", Offset: 8, Before: []byte("one\ntwo\n")},
	}})
	r.changes <- instanceChange(0, tandemv1.InstancePhase_INSTANCE_PHASE_FINISHED)
	r.changes <- attemptChange(attempt(0, 1, tandemv1.TaskState_TASK_FAILED))
	r.changes <- attemptChange(attempt(0, 2, tandemv1.TaskState_TASK_FAILED))
	r.changes <- attemptChange(attempt(0, 3, tandemv1.TaskState_TASK_FINISHED))
	r.changes <- snapshotEnd
	if got, want := transcript(stream), "words.0.2.count \"three\\n\" \nwords.0.3.count \"again\\n\" \n"; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for _, c := range []struct {
		ask  *tandemv1.ReadLogRequest
		want string
	}{
		{&tandemv1.ReadLogRequest{Resume: []*tandemv1.LogPosition{{TaskId: "x"}}}, "invalid_argument: there is nothing to resume: resume: is for a call that follows: set follow\n"},
		{&tandemv1.ReadLogRequest{Follow: true, Resume: []*tandemv1.LogPosition{{TaskId: "x", Offset: 9, Before: []byte("one")}}},
			"invalid_argument: the call cannot go on there: resume[0].offset: is not where before ends\n"},
		{&tandemv1.ReadLogRequest{Follow: true, Resume: []*tandemv1.LogPosition{{TaskId: "x", Offset: 900, Before: make([]byte, 257)}}},
			"invalid_argument: the call cannot go on there: resume[0].before: is longer than 256 bytes\n"},
	} {
		c.ask.JobId = "/words"
		if got := transcript(read(c.ask)); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestFollowingTooMuch(t *testing.T) {
	r, _, read, _ := logsOf(t)
	stream := read(&tandemv1.ReadLogRequest{JobId: "/words", Follow: true})
	r.changes <- instanceChange(0, tandemv1.InstancePhase_INSTANCE_PHASE_RUNNING)
	r.changes <- snapshotEnd
	for slot := range int32(101) {
		r.changes <- attemptChange(attempt(slot, 1, tandemv1.TaskState_TASK_RUNNING))
	}
	if got := transcript(stream); !strings.HasSuffix(got, "failed_precondition: more than 100 tasks of job /words run at once: name one of them\n") {
		t.Errorf("got %s", got)
	}
}

// TestLogsOfATaskThatNeverRan: why an executor did not come up stands in its own stderr,
// where the agent's fetcher has written it, and nowhere else.
func TestLogsOfATaskThatNeverRan(t *testing.T) {
	c, s, read, _ := logsOf(t)
	failed := c.jobs[0].Instances[1].Attempts[0].Tasks[0]
	failed.State, failed.Source = tandemv1.TaskState_TASK_FAILED, "AGENT"
	s.files["latest"] = "Failed to fetch: HTTP 404\n"
	told := "words.1.1.count \"\" the task never ran; this is the stderr of its executor, which its agent has written to as well\n" +
		"words.1.1.count \"Failed to fetch: HTTP 404\\n\" \n"
	for _, tt := range []struct {
		name string
		ask  *tandemv1.ReadLogRequest
		want string
	}{
		{"its stdout", &tandemv1.ReadLogRequest{TaskId: "words.1.1.count"}, told},
		{"its stderr", &tandemv1.ReadLogRequest{TaskId: "words.1.1.count", Path: "stderr"}, told},
		{"a job", &tandemv1.ReadLogRequest{JobId: "/words"}, "words.0.2.count \"one\\ntwo\\n\" \n" + told},
		{"another file", &tandemv1.ReadLogRequest{TaskId: "words.1.1.count", Path: "access.log"},
			"not_found: there is no access.log of task words.1.1.count: it has not been made yet, or the agent has removed the sandbox\n"},
		{"one that ran", &tandemv1.ReadLogRequest{TaskId: "words.0.2.count", Path: "stderr"},
			"not_found: there is no stderr of task words.0.2.count: it has not been made yet, or the agent has removed the sandbox\n"},
	} {
		if got := transcript(read(tt.ask)); got != tt.want {
			t.Errorf("%s: got\n%swant\n%s", tt.name, got, tt.want)
		}
	}
	c.jobs[0].Instances[1].Attempts[0].ExecutorId = "job.words.1"
	if got, want := transcript(read(&tandemv1.ReadLogRequest{TaskId: "words.1.1.count"})), "not_found"; !strings.HasPrefix(got, want) {
		t.Errorf("what a shared executor has written is shown: %s", got)
	}
}
