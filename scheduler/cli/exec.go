package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

type execFlags struct {
	scheduler       connection
	stdin, terminal bool
}

func newExec(sys *System) *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "exec [-it] TASK [-- COMMAND [ARGUMENT...]]",
		Short: "Run a command, or a shell, beside a running task",
		Long: `Runs a command beside a running task: in its cgroup, under its limits, as its user, in its
directory and with its environment. -i passes on the standard input, -t gives the command a
terminal; a shell wants both, and without a command there is one: sh, with -i, and with -t
where the standard input is a terminal. The command and all that it has started end with
this one, and with the task. What it uses counts against the task's limits: where the kernel
has to kill for want of memory, it may take the task.

The exit status is the command's, or 128 and the number of the signal that ended it.
Interrupted without a terminal, it passes SIGINT on to the command.`,
		Example: `  tandem exec payments_api.2.7.web     # a shell
  tandem exec payments_api.2.7.web -- cat /proc/self/cgroup
  tandem exec -i payments_api.2.7.web -- tar xf - <files.tar`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			command := args[1:]
			if len(command) > 0 && command[0] == "--" {
				command = command[1:]
			}
			if len(command) == 0 {
				command, f.stdin = []string{"sh"}, true
				f.terminal = f.terminal || sys.RawTerminal != nil
			}
			return execute(cmd.Context(), sys, &f, args[0], command)
		},
	}
	schedulerFlag(cmd, &f.scheduler)
	flags := cmd.Flags()
	// What follows the task is the command's.
	flags.SetInterspersed(false)
	flags.BoolVarP(&f.stdin, "stdin", "i", false, "pass on the standard input")
	flags.BoolVarP(&f.terminal, "tty", "t", false, "give the command a terminal")
	return cmd
}

// lastWord is how long a command may take to end that was interrupted.
const lastWord = 5 * time.Second

// execution is a command that runs elsewhere.
type execution struct {
	sys    *System
	client *client
	stream *connect.BidiStreamForClientSimple[tandemv1.ExecTaskRequest, tandemv1.ExecTaskResponse]
	mu     sync.Mutex // lets one goroutine send at a time
}

func execute(ctx context.Context, sys *System, f *execFlags, task string, args []string) error {
	c, err := newDuplexClient(f.scheduler)
	if err != nil {
		return err
	}
	if f.terminal && sys.RawTerminal == nil {
		return failed(exitUsage, "-t needs a terminal, and the standard input is none")
	}
	command := &tandemv1.ExecCommand{Args: args, Terminal: f.terminal, Stdin: f.stdin}
	if f.terminal {
		command.Size = sizeOf(sys)
		command.Term, _ = sys.Getenv("TERM")
	}
	// An interruption is for the command, and ends the stream only when that
	// does not end.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stream, err := c.ExecTask(life)
	if err != nil {
		return c.explain(err)
	}
	e := &execution{sys: sys, client: c, stream: stream}
	begin := &tandemv1.ExecTaskRequest{TaskId: task, Input: &tandemv1.ExecInput{Input: &tandemv1.ExecInput_Command{Command: command}}}
	if err := e.stream.Send(begin); err != nil && !errors.Is(err, io.EOF) {
		return c.explain(err)
	}
	stop := context.AfterFunc(ctx, func() {
		e.send(&tandemv1.ExecInput{Input: &tandemv1.ExecInput_Signal{Signal: "SIGINT"}})
		timer := time.AfterFunc(lastWord, end)
		context.AfterFunc(life, func() { timer.Stop() })
	})
	defer stop()
	return e.hear(ctx, life, f)
}

func (e *execution) send(in *tandemv1.ExecInput) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stream.Send(&tandemv1.ExecTaskRequest{Input: in}) == nil
}

// hear passes on what the command writes, until it has ended.
func (e *execution) hear(ctx, life context.Context, f *execFlags) error {
	restore := func() {}
	defer func() { restore() }()
	began := false
	for {
		m, err := e.stream.Receive()
		switch {
		case err != nil && ctx.Err() != nil:
			return failed(exitInterrupted, "interrupted")
		case errors.Is(err, io.EOF):
			return failed(exitFailed, "the scheduler has ended the session without a word")
		case err != nil && began && e.client.isAway(err):
			return failed(exitUnreachable, "the command was ended with its session, which goes through the scheduler: %s", e.client.explain(err))
		case err != nil:
			return e.client.explain(err)
		}
		out := m.GetOutput()
		switch {
		case out.GetStarted():
			began = true
			if f.terminal {
				if restore, err = e.sys.RawTerminal(); err != nil {
					restore = func() {}
					return failed(exitUsage, "-t needs a terminal: %s", err)
				}
				go e.resize(life)
			}
			if f.stdin {
				go e.feed()
			}
		case out.GetStdout() != nil:
			_, err = e.sys.Stdout.Write(out.GetStdout())
		case out.GetStderr() != nil:
			_, err = e.sys.Stderr.Write(out.GetStderr())
		case out.GetProblem() != "":
			return failed(exitRefused, "%s", out.GetProblem())
		case out.GetEnd() != nil:
			restore()
			restore = func() {}
			return endOf(out.GetEnd())
		}
		if err != nil {
			return fmt.Errorf("cannot write: %w", err)
		}
	}
}

// endOf is a command's end as this one's.
func endOf(end *tandemv1.ExecEnd) error {
	if end.GetSignal() != "" {
		return failed(128+signalNumber(end.GetSignal()), "the command was ended by %s", end.GetSignal())
	}
	if end.GetExitCode() == 0 {
		return nil
	}
	return &failure{status: int(end.GetExitCode())}
}

// feed passes on the standard input. It is left behind where the command ends
// first.
func (e *execution) feed() {
	buffer := make([]byte, 16<<10)
	for {
		n, err := e.sys.Stdin.Read(buffer)
		if n > 0 && !e.send(&tandemv1.ExecInput{Input: &tandemv1.ExecInput_Stdin{Stdin: buffer[:n]}}) {
			return
		}
		if err != nil {
			e.send(&tandemv1.ExecInput{Input: &tandemv1.ExecInput_StdinEnd{StdinEnd: true}})
			return
		}
	}
}

// resize passes on the sizes that the terminal takes.
func (e *execution) resize(ctx context.Context) {
	for range e.sys.Resized(ctx) {
		if size := sizeOf(e.sys); size != nil && !e.send(&tandemv1.ExecInput{Input: &tandemv1.ExecInput_Size{Size: size}}) {
			return
		}
	}
}

func sizeOf(sys *System) *tandemv1.TerminalSize {
	width, height, ok := sys.TerminalSize()
	if !ok || width <= 0 || height <= 0 {
		return nil
	}
	return &tandemv1.TerminalSize{Width: uint32(width), Height: uint32(height)}
}
