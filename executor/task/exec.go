package task

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/executor/session"
	"github.com/tandem-mesos/tandem/executor/workload"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Attach calls the scheduler back and runs the command that it names beside the
// workload. It blocks until that is over, and says how it ended; joined is called
// once, when the scheduler has been reached or cannot be.
func (p *Process) Attach(ctx context.Context, o core.Open, joined func(error)) (how string) {
	return session.Run(ctx, session.Options{
		Address: o.Address, Token: o.Token, Joined: joined,
		Start: func(ctx context.Context, c *tandemv1.ExecCommand) (session.Command, error) {
			command, err := p.exec(ctx, c)
			if err != nil {
				return nil, err
			}
			return command, nil
		},
	})
}

// attached is a command that runs beside a workload. With a terminal there is
// one file for all.
type attached struct {
	guest                 *workload.Process
	stdin, stdout, stderr *os.File
	terminal              bool
}

// exec runs a command as the workload's user, in its environment, directory and
// cgroup.
func (p *Process) exec(ctx context.Context, c *tandemv1.ExecCommand) (*attached, error) {
	spec := p.spec
	spec.ID = fmt.Sprintf("%s exec %s", p.spec.ID, strings.ToLower(rand.Text()))
	spec.Shell, spec.Path, spec.Args = "", "", c.Args
	spec.Stdout, spec.Stderr, spec.Limits = "", "", nil
	if c.Terminal && c.Term != "" {
		spec.Env = slices.DeleteFunc(slices.Clone(spec.Env), func(e string) bool { return strings.HasPrefix(e, "TERM=") })
		spec.Env = append(spec.Env, "TERM="+c.Term)
	}
	k := &attached{terminal: c.Terminal}
	var theirs [3]*os.File
	var err error
	if c.Terminal {
		theirs, err = k.openTerminal(c, &spec, p.process)
	} else {
		theirs, err = k.openPipes(c)
	}
	defer closeFiles(theirs[:])
	if err == nil {
		k.guest, err = p.process.Join(ctx, workload.Guest{Spec: spec, Files: theirs, Terminal: c.Terminal})
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// openTerminal makes a terminal. The command's end belongs to its user.
func (k *attached) openTerminal(c *tandemv1.ExecCommand, spec *workload.Spec, beside *workload.Process) (theirs [3]*os.File, err error) {
	owner, err := spec.Identity()
	if err != nil {
		return theirs, err
	}
	open := pty.Open
	if spec.View.Root != nil {
		open = beside.Terminal
	}
	ours, tty, err := open()
	if err != nil {
		return theirs, fmt.Errorf("cannot make a terminal: %w", err)
	}
	k.stdin, k.stdout = ours, ours
	theirs[0] = tty
	if owner != nil {
		if err := tty.Chown(owner.UID, owner.GID); err != nil {
			return theirs, fmt.Errorf("cannot give the terminal to its user: %w", err)
		}
	}
	if err := k.Resize(c.GetSize()); err != nil {
		return theirs, fmt.Errorf("cannot set the terminal's size: %w", err)
	}
	theirs[1], theirs[2] = tty, tty
	return theirs, forProgram(tty)
}

// openPipes makes a pipe for each file. Without a standard input there is an
// empty one.
func (k *attached) openPipes(c *tandemv1.ExecCommand) (theirs [3]*os.File, err error) {
	if c.Stdin {
		theirs[0], k.stdin, err = os.Pipe()
	} else {
		theirs[0], err = os.Open(os.DevNull)
	}
	if err != nil {
		return theirs, fmt.Errorf("cannot make its standard input: %w", err)
	}
	for i, ours := range []**os.File{&k.stdout, &k.stderr} {
		if *ours, theirs[i+1], err = os.Pipe(); err != nil {
			return theirs, fmt.Errorf("cannot make a pipe: %w", err)
		}
	}
	return theirs, forProgram(theirs[:]...)
}

// forProgram makes files such as programs expect: their reads and writes wait.
func forProgram(files ...*os.File) error {
	for _, f := range files {
		if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
			return fmt.Errorf("cannot make a file ready for it: %w", err)
		}
	}
	return nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close() // A terminal is there three times.
		}
	}
}

// endOfInput is what ends the input that is read from a terminal.
const endOfInput = "\x04"

// terminalInput is the writing end of a terminal, which is not closed before
// its reading end is.
type terminalInput struct{ *os.File }

func (t terminalInput) Close() error {
	_, err := t.WriteString(endOfInput)
	return err
}

func (k *attached) Stdin() io.WriteCloser {
	switch {
	case k.stdin == nil:
		return nil
	case k.terminal:
		return terminalInput{k.stdin}
	default:
		return k.stdin
	}
}

func (k *attached) Stdout() session.Output { return k.stdout }

func (k *attached) Stderr() session.Output {
	if k.stderr == nil {
		return nil // and not a nil file in an Output that is not nil
	}
	return k.stderr
}

func (k *attached) Resize(size *tandemv1.TerminalSize) error {
	const most = 1<<16 - 1
	if !k.terminal || size.GetWidth() == 0 || size.GetHeight() == 0 {
		return nil
	}
	return pty.Setsize(k.stdin, &pty.Winsize{Cols: uint16(min(size.Width, most)), Rows: uint16(min(size.Height, most))})
}

func (k *attached) Signal(signal unix.Signal) error {
	err := k.guest.SignalGroup(signal)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func (k *attached) Kill() { k.guest.Kill() }

func (k *attached) Wait() *tandemv1.ExecEnd {
	exit := <-k.guest.Exit()
	if s := exit.Status.Signal; s != 0 {
		name := unix.SignalName(s)
		if name == "" {
			name = fmt.Sprintf("signal %d", int(s))
		}
		return &tandemv1.ExecEnd{Signal: name}
	}
	return &tandemv1.ExecEnd{ExitCode: int32(exit.Status.Code)}
}

func (k *attached) Close() {
	closeFiles([]*os.File{k.stdin, k.stdout, k.stderr})
}
