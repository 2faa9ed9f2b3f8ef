// Package switchboard connects a container's standard streams with its sandbox's
// files and with the clients that attach to it, as a real agent's I/O
// switchboard does (src/slave/containerizer/mesos/io/switchboard.cpp). It knows
// nothing of containers and of HTTP, and never drops what a container writes
// while a client is slow.
package switchboard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/creack/pty"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Switchboard has the streams of one container. It is safe for concurrent use.
type Switchboard struct {
	// Stdin, Stdout and Stderr are for the container's processes. They are one
	// terminal if it has one.
	Stdin, Stdout, Stderr *os.File

	tty     bool
	input   *os.File // what clients write to
	sources []*os.File
	begin   chan struct{} // closed when output is to be read
	once    sync.Once
	copying sync.WaitGroup
	done    chan struct{}

	mu      sync.Mutex // guards what follows
	outputs map[*wire.Events]struct{}
	ended   bool
	taken   bool // somebody gives the input
	shut    bool // the input is closed
}

// New makes a switchboard that copies output to the writers. With a TTY there is
// a terminal, and all of its output is stdout's. With patient, nothing is read
// before the first client is there.
func New(tty *mesos.TTYInfo, stdout, stderr io.Writer, patient bool) (*Switchboard, error) {
	s := &Switchboard{
		tty: tty != nil, begin: make(chan struct{}), done: make(chan struct{}), outputs: map[*wire.Events]struct{}{},
	}
	if !patient {
		close(s.begin)
		s.once.Do(func() {})
	}
	if tty != nil {
		master, slave, err := pty.Open()
		if err != nil {
			return nil, fmt.Errorf("cannot open a terminal: %w", err)
		}
		s.Stdin, s.Stdout, s.Stderr = slave, slave, slave
		s.input, s.sources = master, []*os.File{master}
		if size := tty.WindowSize; size != nil {
			if err := s.Resize(size.Rows, size.Columns); err != nil {
				return nil, errors.Join(err, master.Close(), slave.Close())
			}
		}
		s.copy(master, stdout, mesosagent.ProcessIO_Data_STDOUT)
	} else if err := s.pipes(stdout, stderr); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Switchboard) pipes(stdout, stderr io.Writer) error {
	var files [6]*os.File
	for i := 0; i < len(files); i += 2 {
		var err error
		if files[i], files[i+1], err = os.Pipe(); err != nil {
			err = fmt.Errorf("cannot make a pipe: %w", err)
			for _, f := range files[:i] {
				err = errors.Join(err, f.Close())
			}
			return err
		}
	}
	s.Stdin, s.input = files[0], files[1]
	s.Stdout, s.Stderr = files[3], files[5]
	s.sources = []*os.File{files[2], files[4]}
	s.copy(files[2], stdout, mesosagent.ProcessIO_Data_STDOUT)
	s.copy(files[4], stderr, mesosagent.ProcessIO_Data_STDERR)
	return nil
}

// copy hands on what a stream brings, until nobody can write to it any more.
func (s *Switchboard) copy(from io.Reader, to io.Writer, stream mesosagent.ProcessIO_Data_Type) {
	s.copying.Go(func() {
		<-s.begin
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				_, _ = to.Write(buf[:n]) // a sandbox that takes no more is its owner's business
				s.tell(stream, append([]byte(nil), buf[:n]...))
			}
			if err != nil { // EOF, or EIO from a terminal that is shut
				return
			}
		}
	})
}

func (s *Switchboard) tell(stream mesosagent.ProcessIO_Data_Type, data []byte) {
	message := &mesosagent.ProcessIO{
		Type: mesosagent.ProcessIO_DATA,
		Data: &mesosagent.ProcessIO_Data{Type: stream, Data: data},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for events := range s.outputs {
		events.Send(message)
	}
}

// Attach returns the output from now on, until Detach or the container's end.
func (s *Switchboard) Attach() *wire.Events {
	events := &wire.Events{}
	s.mu.Lock()
	if s.ended {
		events.Close()
	} else {
		s.outputs[events] = struct{}{}
	}
	s.mu.Unlock()
	s.start()
	return events
}

func (s *Switchboard) start() { s.once.Do(func() { close(s.begin) }) }

// Detach ends what Attach began.
func (s *Switchboard) Detach(events *wire.Events) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.outputs, events)
}

// Take makes the caller the only one to give input, until Leave; false means
// that another does.
func (s *Switchboard) Take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken {
		return false
	}
	s.taken = true
	return true
}

// Leave lets another give the input.
func (s *Switchboard) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = false
}

// Write gives input; it blocks until the container takes it. Nothing at all is
// the end of the input, unless there is a terminal.
func (s *Switchboard) Write(data []byte) error {
	if len(data) == 0 {
		if !s.tty {
			s.shutInput()
		}
		return nil
	}
	_, err := s.input.Write(data)
	return err
}

func (s *Switchboard) shutInput() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shut {
		s.shut = true
		_ = s.input.Close() // nothing is buffered
	}
}

// Resize tells the terminal how large its window is.
func (s *Switchboard) Resize(rows, columns uint32) error {
	return pty.Setsize(s.input, &pty.Winsize{Rows: uint16(rows), Cols: uint16(columns)})
}

// Done is closed when no more output can come.
func (s *Switchboard) Done() <-chan struct{} { return s.done }

// Close is called once nothing is left of the container: it closes the
// container's ends, waits until all output is handed on, and ends the clients'.
func (s *Switchboard) Close() {
	for i, f := range []*os.File{s.Stdin, s.Stdout, s.Stderr} {
		if i == 0 || !s.tty {
			_ = f.Close()
		}
	}
	s.start()
	// What has escaped from the container may hold a stream open for ever.
	stop := time.AfterFunc(patience, s.cut)
	s.copying.Wait()
	stop.Stop()
	s.mu.Lock()
	s.ended = true
	for events := range s.outputs {
		events.Close()
	}
	s.mu.Unlock()
	s.shutInput()
	s.cut()
	close(s.done)
}

// patience is how long Close waits for output that may never end.
const patience = time.Second

func (s *Switchboard) cut() {
	for _, f := range s.sources {
		_ = f.Close() // it may be closed already
	}
}
