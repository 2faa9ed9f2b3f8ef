// Package app puts an executor together and runs it.
//
//	  the agent
//	     │  events          ▲  calls
//	     ▼                  │
//	┌──────────────────────────────┐
//	│ executorapi.Client           │  pkg/mesos/executorapi: one connection for
//	└──────────────────────────────┘  the events, a few for the calls
//	     │                  ▲
//	     ▼                  │
//	┌──────────────────────────────┐  inputs   ┌───────────────┐
//	│ loop                         │ ────────> │ core          │ decides, and
//	│ one goroutine                │ <──────── │ (pure)        │ does nothing
//	└──────────────────────────────┘  effects  └───────────────┘
//	     │ fetch, start, signal,     ▲
//	     │ kill, check               │ exits, results
//	     ▼                           │
//	┌──────────────────────────────┐  ┌─ pkg/fetch: files into the sandbox
//	│ task.Tasks                   │ ─┼─ check: HTTP and TCP checks
//	└──────────────────────────────┘  └─ workload.Launcher ─> pkg/cgroup
//
// It holds no logic of its own: [Run] is one straight line.
package app

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/core"
	"github.com/tandem-mesos/tandem/executor/footprint"
	"github.com/tandem-mesos/tandem/executor/guard"
	"github.com/tandem-mesos/tandem/executor/handover"
	"github.com/tandem-mesos/tandem/executor/loop"
	"github.com/tandem-mesos/tandem/executor/spawn"
	"github.com/tandem-mesos/tandem/executor/task"
	"github.com/tandem-mesos/tandem/executor/workload"
	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/mesos/executorapi"
)

// Run runs an executor until it has nothing left to do, its agent is gone for
// good, or ctx ends. See [loop.Run] for what the error means.
func Run(ctx context.Context, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	client, err := executorapi.New(executorapi.Options{
		Endpoint: o.AgentEndpoint,
		Socket:   o.DomainSocket,
		AgentPID: o.AgentPID,
		TLS:      o.TLS,
		Token:    o.Token,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := spawn.Calm(); err != nil {
		o.Log.Debugf("Starts take more of the processors than they could: %v", err)
	}
	small := footprint.New()
	defer small.Stop()
	m := &machine{options: o}
	defer m.close()
	var adopted *loop.Adopted
	if o.Adopt != nil {
		state, err := handover.Read(o.Adopt)
		_ = o.Adopt.Close() // It is in memory.
		if err != nil {
			return err
		}
		clock, err := handover.Now()
		if err != nil {
			return err
		}
		adopted = m.adopt(state)
		adopted.Written = state.Written(time.Now(), clock)
	}
	o.Log.Infof("Executor %s of framework %s, with the agent at %s", o.ExecutorID, o.FrameworkID, client.URL())
	return loop.Run(ctx, loop.Options{
		Core:     o.core(),
		Agent:    agent{client},
		Open:     m.open,
		Upgrader: &upgrader{machine: m},
		Adopted:  adopted,
		Starting: small.Starting,
		Backoff:  o.Backoff,
		Log:      o.Log,
	})
}

func (o Options) core() core.Config {
	quick := quickStart
	if o.Starting {
		quick = 0
	}
	return core.Config{
		ExecutorID:      mesos.ExecutorID{Value: o.ExecutorID},
		FrameworkID:     mesos.FrameworkID{Value: o.FrameworkID},
		Checkpoint:      o.Checkpoint,
		RecoveryTimeout: o.RecoveryTimeout,
		ShutdownGrace:   o.ShutdownGrace,
		Linger:          o.Linger,
		Starts:          starts(),
		HeadStart:       headStart,
		QuickStart:      quick,
		Version:         o.Version,
		NewUUID:         func() [16]byte { return uuid.New() },
	}
}

// starts keeps all processors at work while some starts wait for others, and is four
// at least, so that one that hangs is no matter.
func starts() int { return min(max(4, 2*runtime.GOMAXPROCS(0)), 32) }

// headStart is many times what a start takes, and nothing to those that wait when
// one hangs.
const headStart = 10 * time.Millisecond

// quickStart is what nobody who looks at states notices, and far more than a start
// takes on a busy machine.
const quickStart = 100 * time.Millisecond

// closeTimeout is how long the end waits for the last check commands to be
// gone.
const closeTimeout = time.Second

// machine is what the executor has of its machine, once an agent has said where
// it is.
type machine struct {
	options   Options
	container *cgroup.Container
	launcher  *workload.Launcher
	place     place
	// program is the SHA-256 of this program, where the one before it has said it.
	program string
}

// place is what an agent says of where its executor is.
type place struct{ ContainerID, Hostname, User string }

// open finds the container that the agent has put the executor into, and runs
// tasks in it.
func (m *machine) open(where *executor.Event_Subscribed) (loop.Tasks, error) {
	tasks, err := m.start(place{where.ContainerID.GetValue(), where.AgentInfo.Hostname, where.FrameworkInfo.User}, 0, nil)
	if err != nil {
		return nil, err
	}
	return tasks, nil
}

// start runs tasks at a place, those of the program before this one to begin with,
// which held the directory in a delegated subtree by a descriptor.
func (m *machine) start(where place, held int, adopt []workload.State) (*runner, error) {
	o := m.options
	container, none := openContainer(where.ContainerID, o.Subtree, held)
	kernel := task.Kernel{Memory: machineMemory()}
	if container != nil {
		kernel.Version, kernel.BoundsSwap = container.Version(), container.BoundsSwap()
		o.Log.Infof("Tasks get cgroups (%s) below %s", kernel.Version, container)
	}
	options := workload.Options{Container: container, NoContainer: none, Mark: markOf(o, where), Adopt: adopt, Log: o.Log}
	switch {
	case container == nil:
		options.Guard = guard.NewSessions(options.Mark)
	case len(container.Delegated()) > 0 && held == 0: // The guard outlasts upgrades.
		if err := guard.OfCgroup(container.Delegated()...); err != nil {
			o.Log.Warnf("Tasks would outlive an executor that is killed: %v", err)
		}
	}
	launcher, err := workload.New(options)
	if err != nil {
		return nil, err
	}
	m.container, m.launcher, m.place = container, launcher, where
	tasks, err := task.New(task.Options{
		Sandbox:     o.Sandbox,
		Cache:       o.Cache,
		FrameworkID: o.FrameworkID,
		Hostname:    where.Hostname,
		IP:          ownIP(o),
		User:        where.User,
		Launcher:    launcher,
		Kernel:      kernel,
	})
	if err != nil {
		return nil, err
	}
	return &runner{tasks}, nil
}

// markOf tells what this executor has started from what all others have.
func markOf(o Options, where place) string {
	return "TANDEM_PROCESS_OF=" + strings.Join([]string{o.FrameworkID, o.ExecutorID, where.ContainerID}, "/")
}

// machineMemory returns the machine's memory in bytes, or 0.
func machineMemory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}

func openContainer(id, subtree string, held int) (*cgroup.Container, error) {
	host, err := cgroup.ReadHost()
	if err != nil {
		return nil, err
	}
	self, err := cgroup.ReadMembership(0)
	if err != nil {
		return nil, err
	}
	return cgroup.OpenContainer(cgroup.ContainerOptions{Host: host, Self: self, ID: id, Subtree: subtree, Held: held})
}

// close removes what is left on the machine. A workload that cannot be killed
// does not hold it up: the agent destroys the container.
func (m *machine) close() {
	if m.launcher == nil {
		return
	}
	closed := make(chan struct{})
	go func() {
		m.launcher.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
		m.options.Log.Warn("Leaving workloads behind that do not end")
		return
	}
	if m.container == nil {
		return
	}
	if err := m.container.Close(); err != nil {
		m.options.Log.Warn(err.Error())
	}
}

// agent is the client as the loop wants it.
type agent struct{ *executorapi.Client }

func (a agent) Subscribe(ctx context.Context, call *executor.Call) (loop.Stream, error) {
	stream, err := a.Client.Subscribe(ctx, call)
	if err != nil {
		return nil, err
	}
	return stream, nil
}

// runner is the tasks as the loop wants them.
type runner struct{ *task.Tasks }

func (r runner) Start(ctx context.Context, s core.Start) (loop.Process, error) {
	p, err := r.Tasks.Start(ctx, s)
	if err != nil {
		return nil, err
	}
	return p, nil
}
