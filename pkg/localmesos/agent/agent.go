package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/checkpoint"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/fetcher"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/files"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/switchboard"
	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/process"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Agent is an agent in this process. Its methods are safe for concurrent use.
type Agent struct {
	options Options
	log     logrus.FieldLogger
	schema  *wire.Schema
	ip      string
	port    int
	started time.Time

	runtime *container.Runtime
	fetcher *fetcher.Fetcher
	// checkpoints are used if keeps says so.
	checkpoints checkpoint.Dir
	files       *files.Files
	router      *wire.Router
	process     *process.Process

	// inputs are what happened, for the loop.
	inputs  *mailbox[func(now time.Time)]
	wake    chan struct{} // a token tells that a time has come
	quit    chan struct{} // closed to end the loop
	ended   chan struct{} // closed when the loop has ended
	workers sync.WaitGroup
	streams atomic.Uint64

	// What follows belongs to the loop.
	core       *core.Core
	containers map[string]*worker
	fakes      map[string]*fakeHost // the containers of an agent that runs nothing
	events     map[core.StreamID]eventStream
	boards     map[string]*switchboard.Switchboard // of the containers that have one
	nested     map[string]*nested                  // of the containers that there are
	stopTimer  func()
	timerAt    time.Time
	master     link.Master // nil for none
	masterName string      // the host of the master that it registered with
	down       bool        // the agent plays dead
	stopping   bool        // nothing is launched any more
	held       []func(now time.Time)
	discarded  map[string]discarded // the sandboxes that wait for their removal, by container
	gc         gcCounts

	// running says that Start was called, up that the executor API answers.
	running, up atomic.Bool
	// destroyErrors counts the containers that could not be removed.
	destroyErrors atomic.Uint64
	registered    chan struct{} // closed when a master has first given an ID

	// unlimited is why there are no cgroups though they were wanted.
	unlimited error

	mu     sync.Mutex // guards what follows
	server *server
	socket *server       // nil when there is no domain socket
	thaw   chan struct{} // closed to end a freeze; nil when there is none
	stop   sync.Once
}

var _ link.Agent = (*Agent)(nil)

// New prepares an agent and opens its port; nothing happens until Start. An
// agent that is not wanted after all has to be stopped, too.
func New(o Options) (*Agent, error) {
	p, err := o.validate()
	if err != nil {
		return nil, fmt.Errorf("cannot make an agent: %w", err)
	}
	a := &Agent{
		options:    o,
		log:        o.Logger,
		schema:     o.Schema,
		started:    o.Clock.Now(),
		inputs:     newMailbox[func(now time.Time)](),
		wake:       make(chan struct{}, 1),
		quit:       make(chan struct{}),
		ended:      make(chan struct{}),
		registered: make(chan struct{}),
		master:     o.Master,
		containers: map[string]*worker{},
		fakes:      map[string]*fakeHost{},
		events:     map[core.StreamID]eventStream{},
		boards:     map[string]*switchboard.Switchboard{},
		nested:     map[string]*nested{},
		discarded:  map[string]discarded{},
		stopTimer:  func() {},
		files:      files.New(),
	}
	if err := a.prepare(p); err != nil {
		return nil, fmt.Errorf("cannot make an agent: %w", err)
	}
	return a, nil
}

func (a *Agent) prepare(p parsed) error {
	o := &a.options
	if err := os.MkdirAll(o.WorkDir, 0o755); err != nil {
		return fmt.Errorf("cannot use work directory %s: %w", o.WorkDir, err)
	}
	resources, err := complete(p.resources, o.WorkDir)
	if err != nil {
		return err
	}
	resources = append(resources, o.Disks...)
	if a.schema == nil {
		if a.schema, err = wire.NewSchema(); err != nil {
			return err
		}
	}
	if a.runtime, err = a.newRuntime(); err != nil {
		return err
	}
	a.fetcher = a.newFetcher()
	state, err := a.recall()
	if err != nil {
		return errors.Join(err, a.runtime.Close())
	}
	listener, err := a.listenAs(state)
	if err != nil {
		return errors.Join(fmt.Errorf("cannot listen on %s: %w", o.Listen, err), a.runtime.Close())
	}
	address := listener.Addr().(*net.TCPAddr)
	a.ip, a.port = address.IP.String(), address.Port
	a.process = process.New(process.Options{
		Clock: a.options.Clock, Guard: a.readwrite, Authorize: a.endpoint,
		Processes: []string{"files", "slave(1)", "version"},
		Help:      []string{"files", "logging", "metrics", "profiler", "slave(1)", "system", "version"},
	})
	a.router = a.routes()
	a.server = a.newServer(listener)
	if err := a.listenSocket(); err != nil {
		return errors.Join(err, listener.Close(), a.runtime.Close())
	}
	port := int32(a.port)
	err = a.newCore(core.Config{
		Info: mesos.AgentInfo{
			Hostname:   o.Hostname,
			Port:       &port,
			Resources:  resources,
			Attributes: p.attributes,
			Domain:     o.Domain,
		},
		IP:                    a.ip,
		RegistrationTimeout:   o.ExecutorRegistrationTimeout,
		ReregistrationTimeout: o.ExecutorReregistrationTimeout,
		ShutdownGracePeriod:   o.ExecutorShutdownGracePeriod,
		CFS:                   o.CgroupsEnableCFS,
		NewContainerID:        uuid.NewString,
		NewUUID:               newUUID,
	}, state)
	if err != nil {
		return errors.Join(err, listener.Close(), a.runtime.Close())
	}
	return nil
}

// newRuntime chooses the isolation.
func (a *Agent) newRuntime() (*container.Runtime, error) {
	o := container.Options{Root: a.options.CgroupsRoot, CFS: a.options.CgroupsEnableCFS, Logger: a.log}
	if a.options.Isolation == IsolationNone || a.options.Fake != nil {
		o.Root = ""
		return container.New(o)
	}
	r, err := container.New(o)
	if err == nil || a.options.Isolation == IsolationCgroups {
		return r, err
	}
	a.log.WithError(err).Warn("executors run without limits, because there are no cgroups to be had here")
	a.unlimited = err
	o.Root = ""
	return container.New(o)
}

func newUUID() []byte {
	id := uuid.New()
	return id[:]
}

// Start registers the agent and serves its endpoints. It does not wait.
func (a *Agent) Start() {
	a.running.Store(true)
	a.inputs.post(func(time.Time) { a.watchQuotas() })
	go a.loop()
	a.up.Store(true)
	for _, s := range a.servers() {
		s.start()
	}
	a.poke()
}

// Address is where the agent listens: an IP and a port.
func (a *Agent) Address() string { return net.JoinHostPort(a.ip, strconv.Itoa(a.port)) }

// Ready is closed once a master has given the agent its ID.
func (a *Agent) Ready() <-chan struct{} { return a.registered }

// Unlimited says why executors run without limits under [IsolationAuto]; it is
// nil where they do not.
func (a *Agent) Unlimited() error { return a.unlimited }

// ID is the agent's ID, empty until a master gave one.
func (a *Agent) ID() mesos.AgentID {
	id, _ := ask(a, func(time.Time) mesos.AgentID { return a.core.AgentID() })
	return id
}

// pid is the agent's libprocess address.
func (a *Agent) pid() string { return "slave(1)@" + a.Address() }

// Cgroups says which cgroups the executors are in.
func (a *Agent) Cgroups() cgroup.Version { return a.runtime.Version() }

// Stop ends the agent like a power cut: its executors are killed at once, and
// the master only sees it go. Nothing is left of it but its work directory.
// The error says what could not be cleaned up.
func (a *Agent) Stop(ctx context.Context) error {
	var err error
	a.stop.Do(func() { err = a.end(ctx) })
	return err
}

func (a *Agent) end(ctx context.Context) error {
	var errs []error
	a.Thaw()
	if a.running.Load() {
		a.do(func(time.Time) {
			if a.master != nil && !a.down {
				a.master.AgentDisconnected(a.core.AgentID())
			}
			a.master, a.stopping = nil, true
			a.keepSandboxes()
			for _, w := range a.containers {
				w.destroy()
			}
			a.destroyStandalone()
		})
		errs = append(errs, a.wait(ctx, a.workers.Wait, "its executors"))
	}
	a.inputs.close()
	close(a.quit)
	if a.running.Load() {
		errs = append(errs, a.wait(ctx, func() { <-a.ended }, "its loop"))
	}
	a.mu.Lock()
	servers := a.servers()
	a.mu.Unlock()
	for _, s := range servers {
		errs = append(errs, a.wait(ctx, s.stop, "its endpoints"))
	}
	errs = append(errs, a.runtime.Close(), a.powerCut())
	return errors.Join(errs...)
}

// wait calls a function that blocks, and gives up at the context's end.
func (a *Agent) wait(ctx context.Context, f func(), what string) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot stop the agent on %s: %s did not end: %w", a.Address(), what, ctx.Err())
	}
}

func (a *Agent) sandboxPath(l core.Launch) sandbox.Path {
	return sandbox.Path{
		WorkDir:   a.options.WorkDir,
		Agent:     l.Agent.Value,
		Framework: l.Framework.ID.Value,
		Executor:  l.Executor.ExecutorID.Value,
		Container: l.Container,
	}
}
