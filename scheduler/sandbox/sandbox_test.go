package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/mesos/agentapi"
	"github.com/tandem-mesos/tandem/scheduler/sandbox"
)

const (
	stdout = "/frameworks/77a7fa47-0002/executors/web.0.1/runs/latest/tasks/web.0.1.http/stdout"
	// pieces is the most that an agent gives at once.
	pieces = 64 << 10
)

var web = sandbox.Place{AgentURL: "http://10.0.0.5:5051", FrameworkID: "77a7fa47-0002", ExecutorID: "web.0.1", TaskID: "web.0.1.http"}

// agent has one file, or is out of reach.
type agent struct {
	mu    sync.Mutex
	file  *string
	err   error
	reads int
}

func (a *agent) set(content string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.file, a.err = &content, nil
}

func (a *agent) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *agent) ReadFile(ctx context.Context, url, path string, offset, length int64) ([]byte, int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reads++
	switch {
	case ctx.Err() != nil:
		return nil, 0, ctx.Err()
	case a.err != nil:
		return nil, 0, a.err
	case a.file == nil || url != web.AgentURL || path != stdout:
		return nil, 0, agentapi.ErrNoFile
	}
	size := int64(len(*a.file))
	from := min(offset, size)
	return []byte((*a.file)[from:min(size, from+min(length, pieces))]), size, nil
}

func (a *agent) ListFiles(context.Context, string, string) ([]mesos.FileInfo, error) { return nil, nil }

// text is what was read, with notes in brackets.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *text) add(p sandbox.Piece) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Note != "" {
		fmt.Fprintf(&s.b, "[%s]", p.Note)
	}
	s.b.Write(p.Data)
	return nil
}

func (s *text) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.b.Reset()
	return s.b.String()
}

func TestReadingWhatIsThere(t *testing.T) {
	long := strings.Repeat("a line of some length\n", 10_000)
	for _, tt := range []struct {
		name, content string
		lines         int // -1: all
		want          string
	}{
		{"all", "one\ntwo\n", -1, "one\ntwo\n"},
		{"nothing", "", -1, ""},
		{"more than an agent gives at once", long, -1, long},
		{"the last line", "one\ntwo\n", 1, "two\n"},
		{"a last line without end counts", "one\ntwo", 1, "two"},
		{"more lines than there are", "one\ntwo\n", 5, "one\ntwo\n"},
		{"no line", "one\ntwo\n", 0, ""},
		{"empty lines", "one\n\n\n", 2, "\n\n"},
		{"lines that begin in another piece", long, 5000, long[len(long)/2:]},
		{"one line over several pieces", "a\n" + strings.Repeat("b", 3*pieces), 1, strings.Repeat("b", 3*pieces)},
		{"bytes that are no UTF-8", "\xff\xfe\n", -1, "\xff\xfe\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, got := &agent{}, &text{}
			a.set(tt.content)
			tail := sandbox.Tail{Name: "stdout"}
			if tt.lines >= 0 {
				tail.Lines = &tt.lines
			}
			if err := sandbox.Read(t.Context(), a, web, tail, got.add); err != nil {
				t.Fatal(err)
			}
			if got := got.take(); got != tt.want {
				t.Errorf("got %d bytes %.40q, want %d bytes %.40q", len(got), got, len(tt.want), tt.want)
			}
		})
	}
}

func TestPathsOutsideAreRefused(t *testing.T) {
	for _, name := range []string{"..", "../stdout", "a/../../b", "/etc/passwd", "a\x00b"} {
		err := sandbox.Read(t.Context(), &agent{}, web, sandbox.Tail{Name: name}, (&text{}).add)
		if !errors.Is(err, sandbox.ErrOutside) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, got, ended, done := &agent{}, &text{}, make(chan struct{}), make(chan error, 1)
		go func() { done <- sandbox.Read(t.Context(), a, web, sandbox.Tail{Name: "stdout", Ended: ended}, got.add) }()
		expect := func(when, want string) {
			t.Helper()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if s := got.take(); s != want {
				t.Errorf("%s: got %q, want %q", when, s, want)
			}
		}
		expect("before the workload has started", "")
		a.set("one\n")
		expect("after it has", "one\n")
		a.set("one\ntwo\n")
		expect("when it grows", "two\n")
		a.fail(errors.New("cannot reach the agent: connection refused"))
		expect("when its agent is away", "[cannot reach the agent: connection refused; trying again]")
		a.set("one\ntwo\nthree\n")
		expect("when it is back", "three\n")
		a.set("new\n")
		expect("when the file is cut", "[the file has begun anew]new\n")
		a.mu.Lock()
		a.reads = 0
		a.mu.Unlock()
		expect("when nothing happens", "")
		if a.reads > 20 {
			t.Errorf("an idle file was asked for %d times in 30 seconds", a.reads)
		}
		a.set("new\nlast\n")
		close(ended)
		if err := <-done; err != nil || got.take() != "last\n" {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestFollowingWhatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		time.AfterFunc(time.Minute, func() { close(ended) })
		err := sandbox.Read(t.Context(), &agent{}, web, sandbox.Tail{Name: "stdout", Ended: ended}, (&text{}).add)
		if !errors.Is(err, agentapi.ErrNoFile) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		err = sandbox.Read(ctx, &agent{}, web, sandbox.Tail{Name: "stdout", Ended: make(chan struct{})}, (&text{}).add)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
