package session_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/session"
	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// echo is a command that writes what it reads, twice on its standard error, and
// ends with its input or when it is killed.
type echo struct {
	in            *os.File // its end
	stdin         *os.File
	stdout, error *os.File
	writeOut      *os.File
	writeErr      *os.File
	killed        chan struct{}
	once          sync.Once
	signals       chan unix.Signal
	sizes         chan string
	closed        chan struct{}
}

func newEcho(t *testing.T) *echo {
	e := &echo{killed: make(chan struct{}), closed: make(chan struct{}), signals: make(chan unix.Signal, 1), sizes: make(chan string, 1)}
	for _, pipe := range []struct{ r, w **os.File }{{&e.in, &e.stdin}, {&e.stdout, &e.writeOut}, {&e.error, &e.writeErr}} {
		var err error
		if *pipe.r, *pipe.w, err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func (e *echo) Stdin() io.WriteCloser      { return e.stdin }
func (e *echo) Stdout() session.Output     { return e.stdout }
func (e *echo) Stderr() session.Output     { return e.error }
func (e *echo) Kill()                      { e.once.Do(func() { close(e.killed); e.in.Close() }) }
func (e *echo) Signal(s unix.Signal) error { e.signals <- s; return nil }
func (e *echo) Resize(s *tandemv1.TerminalSize) error {
	e.sizes <- fmt.Sprintf("%dx%d", s.Width, s.Height)
	return nil
}

func (e *echo) Wait() *tandemv1.ExecEnd {
	lines := bufio.NewScanner(e.in)
	for lines.Scan() {
		fmt.Fprintln(e.writeOut, lines.Text())
		fmt.Fprintln(e.writeErr, lines.Text(), lines.Text())
	}
	select {
	case <-e.killed:
		return &tandemv1.ExecEnd{Signal: "SIGKILL"}
	default:
		return &tandemv1.ExecEnd{ExitCode: 5}
	}
}

func (e *echo) Close() {
	for _, f := range []*os.File{e.in, e.stdin, e.stdout, e.error, e.writeOut, e.writeErr} {
		f.Close()
	}
	close(e.closed)
}

// scheduler takes calls and hands over their connections.
func scheduler(t *testing.T) (address string, calls <-chan net.Conn) {
	conns := make(chan net.Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "tandem-exec" || r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tandem-exec\r\n\r\n")
		conns <- conn
	}))
	t.Cleanup(server.Close)
	return server.URL + "/sessions/1", conns
}

func input(t *testing.T, conn net.Conn, m *tandemv1.ExecInput) {
	t.Helper()
	if err := talk.WriteFrame(conn, m); err != nil {
		t.Fatal(err)
	}
}

func output(t *testing.T, conn net.Conn) *tandemv1.ExecOutput {
	t.Helper()
	m := &tandemv1.ExecOutput{}
	if err := talk.ReadFrame(conn, m); err != nil {
		t.Fatal(err)
	}
	return m
}

var cat = &tandemv1.ExecInput{Input: &tandemv1.ExecInput_Command{Command: &tandemv1.ExecCommand{Args: []string{"cat"}, Stdin: true}}}

// begin runs a session up to the start of its command.
func begin(t *testing.T, ctx context.Context) (conn net.Conn, e *echo, over <-chan string) {
	t.Helper()
	address, calls := scheduler(t)
	e = newEcho(t)
	ends := make(chan string, 1)
	go func() {
		ends <- session.Run(ctx, session.Options{
			Address: address, Token: "secret",
			Start: func(_ context.Context, c *tandemv1.ExecCommand) (session.Command, error) {
				if c.Args[0] != "cat" {
					e.Close()
					return nil, errors.New("there is no such program")
				}
				return e, nil
			},
			Joined: func(err error) {
				if err != nil {
					t.Errorf("not joined: %v", err)
				}
			},
		})
	}()
	conn = <-calls
	t.Cleanup(func() { conn.Close() })
	return conn, e, ends
}

func TestSession(t *testing.T) {
	conn, e, over := begin(t, t.Context())
	input(t, conn, cat)
	if !output(t, conn).GetStarted() {
		t.Error("the command has not started")
	}
	input(t, conn, &tandemv1.ExecInput{Input: &tandemv1.ExecInput_Size{Size: &tandemv1.TerminalSize{Width: 80, Height: 25}}})
	input(t, conn, &tandemv1.ExecInput{Input: &tandemv1.ExecInput_Signal{Signal: "SIGNONSENSE"}})
	input(t, conn, &tandemv1.ExecInput{Input: &tandemv1.ExecInput_Signal{Signal: "SIGHUP"}})
	if size, signal := <-e.sizes, <-e.signals; size != "80x25" || signal != unix.SIGHUP {
		t.Errorf("got a size of %s and %s", size, signal)
	}
	input(t, conn, &tandemv1.ExecInput{Input: &tandemv1.ExecInput_Stdin{Stdin: []byte("hello\n")}})
	said := map[string]string{}
	for range 2 {
		m := output(t, conn)
		said["out"] += string(m.GetStdout())
		said["err"] += string(m.GetStderr())
	}
	if said["out"] != "hello\n" || said["err"] != "hello hello\n" {
		t.Errorf("it says %q", said)
	}
	input(t, conn, &tandemv1.ExecInput{Input: &tandemv1.ExecInput_StdinEnd{StdinEnd: true}})
	if end := output(t, conn).GetEnd(); end.GetExitCode() != 5 || end.GetSignal() != "" {
		t.Errorf("it ends with %v", end)
	}
	if how := <-over; how != `"cat" exited with status 5` {
		t.Errorf("the session ended: %s", how)
	}
	<-e.closed
}

func TestSessionEndsWithTheConnection(t *testing.T) {
	conn, e, over := begin(t, t.Context())
	input(t, conn, cat)
	output(t, conn)
	conn.Close()
	if how := <-over; how != `"cat" was ended: the other side has hung up` {
		t.Errorf("the session ended: %s", how)
	}
	<-e.killed
	<-e.closed
}

func TestSessionEndsWithTheExecutor(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	conn, e, over := begin(t, ctx)
	input(t, conn, cat)
	output(t, conn)
	cancel(errors.New("the executor ends"))
	if how := <-over; how != `"cat" was ended: the executor ends` {
		t.Errorf("the session ended: %s", how)
	}
	<-e.closed
}

func TestSessionWithoutCommand(t *testing.T) {
	for name, tt := range map[string]struct {
		first *tandemv1.ExecInput
		want  string
	}{
		"none":     {&tandemv1.ExecInput{Input: &tandemv1.ExecInput_StdinEnd{StdinEnd: true}}, "the session begins with no command"},
		"unknown":  {&tandemv1.ExecInput{Input: &tandemv1.ExecInput_Command{Command: &tandemv1.ExecCommand{Args: []string{"dog"}}}}, "there is no such program"},
		"nameless": {&tandemv1.ExecInput{Input: &tandemv1.ExecInput_Command{Command: &tandemv1.ExecCommand{Args: []string{""}}}}, "the session begins with no command"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, e, over := begin(t, t.Context())
			input(t, conn, tt.first)
			if problem := output(t, conn).GetProblem(); problem != tt.want {
				t.Errorf("it says %q, want %q", problem, tt.want)
			}
			<-over
			if name != "unknown" {
				e.Close()
			}
		})
	}
}

func TestSchedulerThatIsNotReached(t *testing.T) {
	address, _ := scheduler(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	for _, tt := range []struct{ address, token, want string }{
		{address, "guess", "it answers 403 Forbidden: who are you?"},
		{"http://" + nobody + "/sessions/secret", "secret", "the executor cannot reach the scheduler at http://" + nobody + " from its agent: connect: connection refused"},
		{"ftp://x/", "secret", "none of http or https"},
		{"http://[", "secret", "none of http or https"},
	} {
		var joined error
		how := session.Run(t.Context(), session.Options{Address: tt.address, Token: tt.token, Joined: func(err error) { joined = err }})
		if how != "" || joined == nil || !strings.Contains(joined.Error(), tt.want) {
			t.Errorf("%s: %q, %v, want %q", tt.address, how, joined, tt.want)
		}
		if joined != nil && strings.Contains(joined.Error(), "/sessions/") {
			t.Errorf("it tells the session's name: %v", joined)
		}
	}
}
