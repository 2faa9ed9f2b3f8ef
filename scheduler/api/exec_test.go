package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// dial calls back as an executor does, and returns the answer's status.
func dial(o *core.OpenSession) (net.Conn, *bufio.Reader, int, error) {
	u, err := url.Parse(o.Address)
	if err != nil {
		return nil, nil, 0, err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, nil, 0, err
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: tandem-exec\r\nAuthorization: Bearer %s\r\n\r\n", u.Path, u.Host, o.Token)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		conn.Close()
		return nil, nil, 0, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		conn.Close()
	}
	return conn, r, res.StatusCode, nil
}

// parrot is an executor whose commands say what they are told, until their input
// ends.
func parrot(o *core.OpenSession) error {
	conn, r, status, err := dial(o)
	if err != nil || status != http.StatusSwitchingProtocols {
		return fmt.Errorf("cannot call back: %d, %w", status, err)
	}
	go func() {
		defer conn.Close()
		say := func(m *tandemv1.ExecOutput) { _ = talk.WriteFrame(conn, m) }
		for {
			in := &tandemv1.ExecInput{}
			if talk.ReadFrame(r, in) != nil {
				return
			}
			switch {
			case in.GetCommand() != nil:
				say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Started{Started: true}})
				say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Alive{Alive: true}})
				say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Stderr{Stderr: []byte(strings.Join(in.GetCommand().Args, " "))}})
			case in.GetSignal() != "":
				say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_End{End: &tandemv1.ExecEnd{Signal: in.GetSignal()}}})
			case in.GetStdinEnd():
				say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_End{End: &tandemv1.ExecEnd{ExitCode: 3}}})
			case in.GetStdin() != nil:
				say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Stdout{Stdout: in.GetStdin()}})
			}
		}
	}()
	return nil
}

// execServer serves an API whose sessions are opened by the function.
func execServer(t *testing.T, open func(*core.OpenSession) error) (base string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opt := options(&commander{task: func(cmd core.Command) (core.Reply, error) {
		if err := open(cmd.OpenSession); err != nil {
			return core.Reply{}, err
		}
		return core.Reply{}, nil
	}}, &reader{})
	opt.CallBack = "http://" + l.Addr().String()
	return serveOn(t, opt, l)
}

type execStream = connect.BidiStreamForClientSimple[tandemv1.ExecTaskRequest, tandemv1.ExecTaskResponse]

// begin asks for a command beside a task.
func begin(t *testing.T, ctx context.Context, base string, args ...string) *execStream {
	t.Helper()
	stream, err := protocols(base)["gRPC"].ExecTask(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&tandemv1.ExecTaskRequest{TaskId: "words.0.1.count", Input: &tandemv1.ExecInput{
		Input: &tandemv1.ExecInput_Command{Command: &tandemv1.ExecCommand{Args: args, Stdin: true}},
	}})
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return stream
}

func hear(t *testing.T, stream *execStream) *tandemv1.ExecOutput {
	t.Helper()
	m, err := stream.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return m.GetOutput()
}

func TestExec(t *testing.T) {
	base, _ := execServer(t, parrot)
	stream := begin(t, t.Context(), base, "cat", "-n")
	if !hear(t, stream).GetStarted() || string(hear(t, stream).GetStderr()) != "cat -n" {
		t.Error("the command was not started")
	}
	input := func(m *tandemv1.ExecInput) {
		t.Helper()
		if err := stream.Send(&tandemv1.ExecTaskRequest{Input: m}); err != nil {
			t.Fatal(err)
		}
	}
	input(&tandemv1.ExecInput{Input: &tandemv1.ExecInput_Stdin{Stdin: []byte("hello")}})
	if m := hear(t, stream); string(m.GetStdout()) != "hello" {
		t.Errorf("got %v", m)
	}
	input(&tandemv1.ExecInput{Input: &tandemv1.ExecInput_StdinEnd{StdinEnd: true}})
	if m := hear(t, stream); m.GetEnd().GetExitCode() != 3 {
		t.Errorf("got %v", m)
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the call ends with %v", err)
	}
}

func TestExecIsRefused(t *testing.T) {
	base, _ := execServer(t, func(o *core.OpenSession) error {
		return &core.Refused{Code: core.Conflict, Reason: "the executor has not answered within 10s"}
	})
	stream := begin(t, t.Context(), base, "true")
	if _, err := stream.Receive(); connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "has not answered") {
		t.Errorf("got %v", err)
	}
	for _, args := range [][]string{nil, {""}, {"a\x00b"}, {strings.Repeat("x", 1<<16)}} {
		if _, err := begin(t, t.Context(), base, args...).Receive(); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%.10q: got %v", args, err)
		}
	}
	// An executor that answers, and does not call.
	base, _ = execServer(t, func(o *core.OpenSession) error { return nil })
	if _, err := begin(t, t.Context(), base, "true").Receive(); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("got %v", err)
	}
	// A server that does not know its own address.
	base, _ = serve(t, options(&commander{}, &reader{}))
	if _, err := begin(t, t.Context(), base, "true").Receive(); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("got %v", err)
	}
}

func TestExecEndsWithAnyOfThree(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(executor net.Conn, hangUp, stop func())
		want connect.Code
	}{
		{"executor", func(executor net.Conn, _, _ func()) { executor.Close() }, connect.CodeFailedPrecondition},
		{"caller", func(_ net.Conn, hangUp, _ func()) { hangUp() }, connect.CodeCanceled},
		{"scheduler", func(_ net.Conn, _, stop func()) { stop() }, connect.CodeUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			type call struct {
				net.Conn
				reader io.Reader // may hold what came behind the answer
			}
			executors := make(chan call, 1)
			base, stop := execServer(t, func(o *core.OpenSession) error {
				conn, reader, _, err := dial(o)
				executors <- call{conn, reader}
				return err
			})
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			stream := begin(t, ctx, base, "true")
			executor := <-executors
			defer executor.Close()
			if err := talk.ReadFrame(executor.reader, &tandemv1.ExecInput{}); err != nil {
				t.Fatal(err)
			}
			tt.end(executor, hangUp, stop)
			if _, err := stream.Receive(); connect.CodeOf(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if tt.name != "executor" {
				if err := executor.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
					t.Fatal(err)
				}
				if _, err := executor.reader.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("the executor's connection ends with %v", err)
				}
			}
		})
	}
}

func TestCallBackTakesTheTokenOnce(t *testing.T) {
	statuses := make(chan []int, 1)
	base, _ := execServer(t, func(o *core.OpenSession) error {
		var got []int
		for _, try := range []*core.OpenSession{
			{Address: o.Address, Token: o.Token + "x"},
			{Address: o.Address, Token: ""},
			{Address: strings.TrimRight(o.Address, "abcdefghijklmnopqrstuvwxyz234567") + "guess", Token: o.Token},
			o, o,
		} {
			conn, _, status, err := dial(try)
			if err != nil {
				t.Error(err)
				continue
			}
			defer conn.Close()
			got = append(got, status)
		}
		statuses <- got
		return &core.Refused{Code: core.Conflict, Reason: "that was all"}
	})
	stream := begin(t, t.Context(), base, "true")
	_, _ = stream.Receive()
	if got := fmt.Sprint(<-statuses); got != "[403 400 403 101 403]" {
		t.Errorf("the calls are answered %s", got)
	}
	res, err := http.Get(base + "/sessions/x")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("a browser is answered %s", res.Status)
	}
}
