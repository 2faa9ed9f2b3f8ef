package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

const (
	// execIdle ends a session in which nothing was typed or written for so long.
	execIdle = time.Hour
	// execAlive is how often an executor is shown that its scheduler is there,
	// and execSilence how long it may keep quiet itself.
	execAlive   = 10 * time.Second
	execSilence = 6 * execAlive
	// maxCommand bounds a command's arguments, in bytes.
	maxCommand = 32 << 10
)

var (
	errExecIdle = fmt.Errorf("nothing was typed or written for %s: the session is over", execIdle)
	errNoExec   = refusedAs(connect.CodeUnimplemented, notOffered, errors.New("this scheduler joins no sessions"))
)

// ExecTask joins two streams: the caller's and the one that the task's executor
// opens when it is asked to.
func (s *service) ExecTask(ctx context.Context, stream *connect.BidiStream[tandemv1.ExecTaskRequest, tandemv1.ExecTaskResponse]) error {
	if s.server.opt.CallBack == "" {
		return errNoExec
	}
	first, err := stream.Receive()
	if err != nil {
		return refusedFields("the call names no command", []jobspec.Problem{{Field: "input.command", Reason: "is required"}})
	}
	command := first.GetInput().GetCommand()
	if err := execGiven(first.GetTaskId(), command); err != nil {
		return err
	}
	ctx, cancel := s.endless(ctx)
	defer cancel()
	expected, token, end, err := s.server.sessions.expect()
	if err != nil {
		return refusedAs(connect.CodeResourceExhausted, "TOO_MANY", err)
	}
	defer end()
	asked := make(chan error, 1)
	go func() {
		_, err := s.server.opt.Commander.Do(ctx, core.Command{OpenSession: &core.OpenSession{
			TaskID: first.GetTaskId(), Address: s.server.opt.CallBack + sessionPath + expected.name, Token: token,
		}})
		asked <- err
	}()
	conn, err := expected.await(ctx, asked)
	if err != nil {
		return s.server.refusal(execRefusal(err))
	}
	how, err := joinStreams(ctx, stream, conn, first.GetInput())
	detail(ctx, "end", how)
	if err != nil {
		return s.server.refusal(execRefusal(err))
	}
	return nil
}

func execGiven(task string, command *tandemv1.ExecCommand) error {
	if err := taskGiven(task); err != nil {
		return err
	}
	size := 0
	for _, a := range command.GetArgs() {
		size += len(a) + 1
	}
	field, reason := "input.command.args", ""
	switch {
	case size == 0 || command.Args[0] == "":
		reason = "a command is required"
	case size > maxCommand:
		reason = fmt.Sprintf("the command is too long: it has %d bytes, and may have %d", size, maxCommand)
	case strings.ContainsRune(strings.Join(command.Args, ""), 0):
		reason = "a command cannot have a zero byte"
	case len(command.Term) > 64 || strings.ContainsAny(command.Term, "=\x00"):
		field, reason = "input.command.term", "is no kind of terminal"
	default:
		return nil
	}
	return refusedFields("the command cannot be run", []jobspec.Problem{{Field: field, Reason: reason}})
}

// execRefusal makes what kept a session from being joined, or ended it, a
// refusal that its caller is told; others pass.
func execRefusal(err error) error {
	var refused *core.Refused
	if errors.As(err, &refused) || errors.Is(err, errStopping) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &core.Refused{Code: core.Conflict, Reason: err.Error()}
}

// joinStreams passes on what comes from either side, until the command has
// ended, and says how it did. An error is for the caller.
func joinStreams(ctx context.Context, stream *connect.BidiStream[tandemv1.ExecTaskRequest, tandemv1.ExecTaskResponse], conn *execConn, first *tandemv1.ExecInput) (how string, err error) {
	ctx, lose := context.WithCancelCause(ctx)
	idle := time.AfterFunc(execIdle, func() { lose(errExecIdle) })
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		idle.Stop()
		stop()
		lose(nil)
		_ = conn.Close()
	}()
	in := &execInputs{conn: conn}
	if err := in.send(first); err != nil {
		return "its executor was lost at once", errors.New("the connection with the executor was lost at once")
	}
	go func() { lose(in.alive(ctx)) }()
	go func() {
		for {
			m, err := stream.Receive()
			switch {
			case errors.Is(err, io.EOF):
				// The caller has nothing more to say. Its input has ended long
				// ago, or it would have said so.
				return
			case err != nil:
				lose(errors.New("the caller has gone"))
				return
			}
			idle.Reset(execIdle)
			if m.GetInput().GetCommand() != nil {
				continue // There is one already.
			}
			if err := in.send(m.GetInput()); err != nil {
				return // The other direction says so.
			}
		}
	}()
	for {
		out := &tandemv1.ExecOutput{}
		_ = conn.SetReadDeadline(time.Now().Add(execSilence))
		if err := talk.ReadFrame(conn, out); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			} else {
				err = errors.New("the executor has gone: the task has ended with it, or its agent cannot be reached any more")
			}
			return err.Error(), err
		}
		if out.GetAlive() {
			continue
		}
		idle.Reset(execIdle)
		if err := stream.Send(&tandemv1.ExecTaskResponse{Output: out}); err != nil {
			return "the caller has gone", err
		}
		switch {
		case out.GetEnd() != nil && out.GetEnd().GetSignal() != "":
			return "ended by " + out.GetEnd().GetSignal(), nil
		case out.GetEnd() != nil:
			return fmt.Sprintf("exit status %d", out.GetEnd().GetExitCode()), nil
		case out.GetProblem() != "":
			// Its caller is told the problem, which may repeat the command.
			return "not run", nil
		}
	}
}

// execInputs writes to an executor, one frame at a time.
type execInputs struct {
	mu   sync.Mutex // lets one goroutine write at a time
	conn *execConn
}

func (i *execInputs) send(m *tandemv1.ExecInput) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return talk.WriteFrame(i.conn, m)
}

// alive shows that the scheduler is there, until ctx ends or the connection is
// lost.
func (i *execInputs) alive(ctx context.Context) error {
	ticker := time.NewTicker(execAlive)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		if err := i.send(&tandemv1.ExecInput{Input: &tandemv1.ExecInput_Alive{Alive: true}}); err != nil {
			return errors.New("the executor has gone")
		}
	}
}
