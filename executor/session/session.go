// Package session calls a scheduler back and joins it with a command that runs
// beside a task: what a person types goes one way, what the command writes the
// other. proto/tandem/v1/talk.proto says how they speak.
//
// It must never decide whether there may be a session, nor run anything itself,
// and it leaves neither a connection nor a command behind.
package session

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

const (
	// dialTimeout bounds the way to the scheduler, which waits a little longer.
	dialTimeout = 8 * time.Second
	// keepAlive is how often each side shows that it is there, and silence how
	// long the other may keep quiet.
	keepAlive = 10 * time.Second
	silence   = 6 * keepAlive
	// drain is for how long output is still read when the command has ended:
	// somebody who left it may hold the other end.
	drain = time.Second
	// chunk is the most that one frame carries.
	chunk = 32 << 10
)

// Command is a command that runs.
type Command interface {
	// Stdin is nil where none was asked for.
	Stdin() io.WriteCloser
	// Stdout and Stderr end when nobody holds the other end. Stderr is nil with
	// a terminal.
	Stdout() Output
	Stderr() Output
	Resize(*tandemv1.TerminalSize) error
	Signal(unix.Signal) error
	// Kill ends the command and all that it has started. It returns at once.
	Kill()
	// Wait blocks until nothing is left of the command. It is called once.
	Wait() *tandemv1.ExecEnd
	// Close gives back what the command's ends of its files take.
	Close()
}

// Output is what a command writes.
type Output interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

// Options say what a session is.
type Options struct {
	// Address and Token are those of an OpenSession.
	Address, Token string
	// Start runs the command that the scheduler then names. Its error is a
	// sentence for a person.
	Start func(ctx context.Context, c *tandemv1.ExecCommand) (Command, error)
	// Joined is called once: with nil when the scheduler has been reached, or
	// with why not.
	Joined func(error)
}

// Run holds a session, until it is over or ctx ends, and says how it ended; it
// says nothing where it never began.
func Run(ctx context.Context, o Options) (how string) {
	conn, err := call(ctx, o.Address, o.Token)
	o.Joined(err)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &session{conn: conn, reader: bufio.NewReader(conn), lose: cancel}
	// A connection that was taken over heeds no context.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		stop()
		cancel(nil)
		_ = conn.Close()
	}()
	return s.hold(ctx, o.Start)
}

// call makes the connection.
func call(ctx context.Context, address, token string) (io.ReadWriteCloser, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTimeout, fmt.Errorf("no answer within %s", dialTimeout))
	defer cancel()
	unreached := func(err error) error {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		where := address
		if u, parseErr := url.Parse(address); parseErr == nil {
			where = u.Scheme + "://" + u.Host
		}
		return fmt.Errorf("the executor cannot reach the scheduler at %s from its agent: %w; "+
			"agents must reach the address that --advertise names", where, reason(err))
	}
	if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the scheduler's address to call back is none of http or https")
	}
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, address, nil)
	if err != nil {
		return nil, unreached(err)
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "tandem-exec")
	request.Header.Set("Authorization", "Bearer "+token)
	transport := &http.Transport{
		DisableKeepAlives: true,
		// HTTP/2 has no upgrades.
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: dialTimeout,
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, unreached(err)
	}
	conn, ok := response.Body.(io.ReadWriteCloser)
	if response.StatusCode != http.StatusSwitchingProtocols || !ok {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		_ = response.Body.Close()
		return nil, unreached(fmt.Errorf("it answers %s: %s", response.Status, strings.TrimSpace(string(said))))
	}
	return conn, nil
}

// reason is the part of a network error that says something.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// session is one that has begun.
type session struct {
	conn   io.ReadWriteCloser
	reader io.Reader
	// lose ends the session with a reason.
	lose context.CancelCauseFunc

	mu sync.Mutex // lets one goroutine write at a time
}

func (s *session) say(m *tandemv1.ExecOutput) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := talk.WriteFrame(s.conn, m); err != nil {
		s.lose(fmt.Errorf("the scheduler is gone: %w", reason(err)))
	}
}

func (s *session) problem(text string) {
	s.say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Problem{Problem: strings.ToValidUTF8(text, "\uFFFD")}})
}

// hold runs the command that the scheduler names, from its first frame to the
// end.
func (s *session) hold(ctx context.Context, start func(context.Context, *tandemv1.ExecCommand) (Command, error)) string {
	watch := time.AfterFunc(silence, func() { s.lose(errors.New("the scheduler has kept silent for too long")) })
	defer watch.Stop()
	first := &tandemv1.ExecInput{}
	if err := talk.ReadFrame(s.reader, first); err != nil {
		return "it named no command: " + why(ctx, err)
	}
	asked := first.GetCommand()
	if asked == nil || len(asked.Args) == 0 || asked.Args[0] == "" {
		s.problem("the session begins with no command")
		return "it named no command"
	}
	name := fmt.Sprintf("%q", asked.Args[0])
	command, err := start(ctx, asked)
	if err != nil {
		s.problem(err.Error())
		return err.Error()
	}
	defer command.Close()
	s.say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Started{Started: true}})

	stop := context.AfterFunc(ctx, command.Kill)
	defer stop()
	over := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() { s.keepAlive(over) })
	go s.listen(ctx, command, watch)
	var outputs sync.WaitGroup
	pump := func(from Output, frame func([]byte) *tandemv1.ExecOutput) {
		if from != nil {
			outputs.Go(func() { s.pump(from, frame) })
		}
	}
	pump(command.Stdout(), func(b []byte) *tandemv1.ExecOutput {
		return &tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Stdout{Stdout: b}}
	})
	pump(command.Stderr(), func(b []byte) *tandemv1.ExecOutput {
		return &tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Stderr{Stderr: b}}
	})
	end := command.Wait()
	for _, o := range []Output{command.Stdout(), command.Stderr()} {
		if o != nil {
			_ = o.SetReadDeadline(time.Now().Add(drain))
		}
	}
	outputs.Wait()
	close(over)
	helpers.Wait()
	s.say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_End{End: end}})
	if ctx.Err() != nil {
		return fmt.Sprintf("%s was ended: %v", name, context.Cause(ctx))
	}
	if end.Signal != "" {
		return fmt.Sprintf("%s was ended by %s", name, end.Signal)
	}
	return fmt.Sprintf("%s exited with status %d", name, end.ExitCode)
}

// why is the reason for which the session was ended, or else the error's.
func why(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return context.Cause(ctx).Error()
	}
	return reason(err).Error()
}

func (s *session) keepAlive(over <-chan struct{}) {
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	for {
		select {
		case <-over:
			return
		case <-ticker.C:
			s.say(&tandemv1.ExecOutput{Output: &tandemv1.ExecOutput_Alive{Alive: true}})
		}
	}
}

// pump passes on what a command writes.
func (s *session) pump(from io.Reader, frame func([]byte) *tandemv1.ExecOutput) {
	buffer := make([]byte, chunk)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			s.say(frame(buffer[:n]))
		}
		if err != nil { // A terminal that nobody holds any more ends with EIO.
			return
		}
	}
}

// listen does what frames ask for, until there are none. It ends with the
// connection, at the latest.
func (s *session) listen(ctx context.Context, command Command, watch *time.Timer) {
	input := make(chan []byte)
	defer close(input)
	go feed(command.Stdin(), input)
	for {
		in := &tandemv1.ExecInput{}
		if err := talk.ReadFrame(s.reader, in); err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the other side has hung up")
			}
			s.lose(reason(err))
			return
		}
		watch.Reset(silence)
		switch {
		case in.GetSize() != nil:
			_ = command.Resize(in.GetSize()) // It may have ended.
		case in.GetSignal() != "":
			if signal := unix.SignalNum(in.GetSignal()); signal != 0 {
				_ = command.Signal(signal)
			}
		case len(in.GetStdin()) > 0 || in.GetStdinEnd():
			// A command that does not read keeps all behind it waiting; the
			// other side may be well meanwhile.
			watch.Stop()
			select {
			case input <- in.GetStdin():
			case <-ctx.Done():
				return
			}
			watch.Reset(silence)
		}
	}
}

// feed writes a command's input, until it is closed or has no data: that is the
// input's end. What a command does not want is dropped.
func feed(to io.WriteCloser, from <-chan []byte) {
	if to != nil {
		defer to.Close()
	}
	open := to != nil
	for data := range from {
		switch {
		case !open:
		case len(data) == 0:
			open = false
			_ = to.Close()
		default:
			if _, err := to.Write(data); err != nil {
				open = false
			}
		}
	}
}
