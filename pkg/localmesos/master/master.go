package master

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/files"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/page"
	"github.com/tandem-mesos/tandem/pkg/localmesos/process"
)

var _ link.Master = (*Master)(nil)

// Master is an embedded Mesos master.
type Master struct {
	options Options
	core    *core // owned by the loop
	page    *page.Page
	handler http.Handler
	process *process.Process
	files   *files.Files // a real master shows its log by them; here there is none
	server  *http.Server

	done chan struct{} // closed when the loop has ended

	mu       sync.Mutex
	queue    []func() // commands, in order
	ready    chan struct{}
	stopping bool
	listener net.Listener
	thaw     chan struct{} // closed to end a freeze; nil when there is none
}

// New returns a master that is not yet served: agents can already register, and
// Handler can be used. Stop ends it.
func New(options Options) (*Master, error) {
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("cannot set up the master: %w", err)
	}
	if options.Registry == nil && options.RegistryFile != "" {
		var err error
		if options.Registry, err = readRegistry(options.RegistryFile); err != nil {
			return nil, fmt.Errorf("cannot set up the master: %w", err)
		}
	}
	m := &Master{
		options: options,
		page:    page.Must(pageText),
		ready:   make(chan struct{}, 1),
		done:    make(chan struct{}),
		files:   files.New(),
	}
	m.core = newCore(&m.options, m.post)
	m.process = process.New(process.Options{
		Clock: m.options.Clock, Guard: m.readwrite, Authorize: m.endpoint,
		Processes: []string{"allocator", "files", "master", "registrar(1)", "version"},
		Help:      []string{"allocator", "files", "logging", "master", "metrics", "profiler", "registrar(1)", "system", "version"},
	})
	m.handler = m.routes()
	m.server = &http.Server{
		Handler:                      m.handler,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(logWriter{m.options.Logger}, "", 0),
	}
	go m.loop()
	m.post(func() {
		m.core.recover(options.Registry)
		m.core.start()
		m.core.pruneRegularly()
	})
	return m, nil
}

// Start listens and serves until Stop.
func (m *Master) Start() error {
	listener, err := net.Listen("tcp", m.options.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen for the master: %w", err)
	}
	if m.options.Wrap != nil {
		listener = m.options.Wrap(listener)
	}
	m.mu.Lock()
	m.listener = listener
	m.mu.Unlock()
	address := listener.Addr().String()
	if err := m.do(func() error { m.core.setAddress(address); return nil }); err != nil {
		_ = listener.Close()
		return err
	}
	go func() {
		if err := m.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			m.options.Logger.WithError(err).Error("the master has stopped serving")
		}
	}()
	m.options.Logger.WithField("address", address).Info("the master is up")
	return nil
}

// Address returns host:port as it is served, or as it was asked for before
// Start.
func (m *Master) Address() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listener == nil {
		return m.options.Listen
	}
	return m.listener.Addr().String()
}

// URL returns the master's address as a URL.
func (m *Master) URL() string { return "http://" + m.Address() }

// Handler serves all endpoints of the master, for those who serve it themselves.
func (m *Master) Handler() http.Handler { return m.handler }

// Stop ends all streams, waits for the requests in flight until the context
// ends, and ends the loop. Messages of agents are ignored from then on.
func (m *Master) Stop(ctx context.Context) error {
	m.Thaw()
	m.mu.Lock()
	stopped := m.stopping
	m.mu.Unlock()
	if stopped {
		<-m.done
		return nil
	}
	_ = m.do(func() error { m.core.stop(); return nil })
	err := m.server.Shutdown(ctx)
	if err != nil {
		_ = m.server.Close()
		err = fmt.Errorf("cannot wait for the master's requests: %w", err)
	}
	m.mu.Lock()
	m.stopping = true
	m.wake()
	m.mu.Unlock()
	<-m.done
	return err
}

// post lets the loop run a command after those posted before. It never blocks;
// once the master is stopping it does nothing.
func (m *Master) post(command func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping {
		return
	}
	m.queue = append(m.queue, command)
	m.wake()
}

func (m *Master) wake() {
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

var errStopped = errors.New("the master has stopped")

// do lets the loop run a command and returns its error. What the command has
// changed in the registry is stored by then.
func (m *Master) do(command func() error) error {
	answer := make(chan error, 1)
	m.post(func() {
		err := command()
		m.core.onceStored(func(failed error) { answer <- cmp.Or(err, failed) })
	})
	select {
	case err := <-answer:
		return err
	case <-m.done:
		return errStopped
	}
}

func (m *Master) loop() {
	defer close(m.done)
	for range m.ready {
		m.mu.Lock()
		commands, stopping := m.queue, m.stopping
		m.queue = nil
		m.mu.Unlock()
		for _, command := range commands {
			command()
		}
		m.core.store()
		if stopping {
			return
		}
	}
}

// logWriter lets net/http complain to the logger.
type logWriter struct {
	to interface{ Debug(args ...any) }
}

func (w logWriter) Write(p []byte) (int, error) {
	w.to.Debug(string(p))
	return len(p), nil
}

// timer is a timer of the core: its function runs in the loop, unless stop was
// called before, be it in the meantime.
type timer struct {
	stop func()
}

// after starts a timer.
func (c *core) after(d time.Duration, f func()) *timer {
	stopped := false
	cancel := c.options.Clock.AfterFunc(d, func() {
		c.post(func() {
			if !stopped {
				f()
			}
		})
	})
	return &timer{stop: func() { stopped = true; cancel() }}
}

// cancel stops a timer that may be nil.
func (t *timer) cancel() {
	if t != nil {
		t.stop()
	}
}
