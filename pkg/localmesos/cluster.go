package localmesos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/registry"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Options are what a cluster is made of. The zero value is usable: one agent,
// free ports, and a directory that is removed at the end.
type Options struct {
	// Agents is how many agents there are; 0 means 1, a negative number none.
	Agents int
	// Dir is where the agents' work directories are made, named agent-1 and
	// so on. They stay. Empty means a temporary directory, which is removed
	// by Stop. With Agent.Recovery it has what a cluster of another process needs
	// to go on with, the master's registry included.
	Dir string
	// Master is the master's settings. An empty Listen means any free port.
	Master master.Options
	// Agent is what the agents have in common. Each gets its own work
	// directory, cgroups and, unless Resources names ports, range of ports;
	// Listen must leave the port open if there are several.
	Agent agent.Options
	// EachAgent, if set, may change the options of the agent with this
	// number, counted from 1.
	EachAgent func(number int, o *agent.Options)
}

// validate fills in defaults and refuses what cannot work.
func (o *Options) validate() error {
	if o.Agents == 0 {
		o.Agents = 1
	}
	if o.Agent.Master != nil || o.Agent.WorkDir != "" {
		return errors.New("the agents' master and work directory are the cluster's own business: leave them empty")
	}
	if o.Agent.Recovery != agent.RecoverNothing {
		if o.Dir == "" {
			return errors.New("agents cannot recover from a directory that is removed: give one")
		}
		if o.Master.RegistryFile == "" {
			o.Master.RegistryFile = filepath.Join(o.Dir, "registry")
		}
	}
	if o.Agents > 1 && o.Agent.Listen != "" && !strings.HasSuffix(o.Agent.Listen, ":0") {
		return fmt.Errorf("%d agents cannot all listen on %s: give port 0", o.Agents, o.Agent.Listen)
	}
	if o.Master.Listen == "" {
		o.Master.Listen = "127.0.0.1:0"
	}
	if o.Master.Wrap != nil || o.Agent.Wrap != nil {
		return errors.New("the listeners are the cluster's own business: leave Wrap empty")
	}
	if o.Master.Clock == nil && o.Agent.Clock != nil {
		o.Master.Clock = o.Agent.Clock
	}
	if o.Agent.Clock == nil && o.Master.Clock != nil {
		o.Agent.Clock = o.Master.Clock
	}
	return nil
}

// Cluster is a master and its agents.
type Cluster struct {
	options Options
	dir     string
	own     bool   // dir was made here and goes again
	cgroups string // below which each agent has its own
	agents  []*agent.Agent
	leader  leader // tells agents where the master is
	faults  faults

	mu     sync.Mutex // guards what follows
	master *master.Master
	left   *registry.Registry // by a master that was killed
}

// Start starts a cluster and waits until all its agents have registered, or
// until the context ends; then nothing is left of it. The context has no say
// once Start has returned.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("cannot start the cluster: %w", err)
	}
	removeStale(o.Agent.Isolation)
	c := &Cluster{options: o, dir: o.Dir, cgroups: ownName() + uuid.NewString()[:8]}
	if o.Agent.Recovery != agent.RecoverNothing {
		name, err := lastingName(o.Dir)
		if err != nil {
			return nil, fmt.Errorf("cannot start the cluster: %w", err)
		}
		c.cgroups = name
	}
	c.faults.init(&c.options)
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start the cluster: %w", err), c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.makeDir(); err != nil {
		return err
	}
	if c.options.Master.Schema == nil {
		schema, err := wire.NewSchema()
		if err != nil {
			return err
		}
		c.options.Master.Schema = schema
	}
	if err := c.startMaster(c.options.Master); err != nil {
		return err
	}
	for number := 1; number <= c.options.Agents; number++ {
		if err := c.addAgent(number); err != nil {
			return fmt.Errorf("agent %d of %d: %w", number, c.options.Agents, err)
		}
	}
	if c.options.Agent.Recovery == agent.RecoverCleanup {
		return nil // they never register
	}
	for _, a := range c.agents {
		select {
		case <-a.Ready():
		case <-ctx.Done():
			return fmt.Errorf("the agents did not all register in time: %w", ctx.Err())
		}
	}
	return nil
}

func (c *Cluster) startMaster(o master.Options) error {
	m, err := master.New(o)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.master = m
	c.mu.Unlock()
	if err := m.Start(); err != nil {
		return err
	}
	c.leader.current.Store(m)
	return nil
}

// makeDir makes the directory for the agents. Executors of other users must be
// able to get through it.
func (c *Cluster) makeDir() error {
	if c.dir != "" {
		if err := os.MkdirAll(c.dir, 0o755); err != nil {
			return fmt.Errorf("cannot make a directory for the agents: %w", err)
		}
		return nil
	}
	dir, err := os.MkdirTemp("", ownName())
	if err != nil {
		return fmt.Errorf("cannot make a directory for the agents: %w", err)
	}
	c.dir, c.own = dir, true
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make a directory for the agents: %w", err)
	}
	return nil
}

func (c *Cluster) addAgent(number int) error {
	o := c.options.Agent
	o.Master = c.faults.network.Master(number, &c.leader)
	o.Wrap = c.faults.agent(number).Listen
	if o.Schema == nil {
		o.Schema = c.options.Master.Schema
	}
	if o.Logger == nil {
		o.Logger = c.options.Master.Logger
	}
	if o.Logger != nil {
		o.Logger = o.Logger.WithField("agent", number)
	}
	o.WorkDir = filepath.Join(c.dir, fmt.Sprintf("agent-%d", number))
	if o.CgroupsRoot == "" {
		o.CgroupsRoot = c.cgroups
	}
	o.CgroupsRoot = fmt.Sprintf("%s/agent-%d", o.CgroupsRoot, number)
	if !strings.Contains(o.Resources, "ports") {
		o.Resources = strings.TrimSuffix(o.Resources, ";") + ";" + ports(number, c.options.Agents)
	}
	if c.options.EachAgent != nil {
		c.options.EachAgent(number, &o)
	}
	a, err := agent.New(o)
	if err != nil {
		return err
	}
	c.agents = append(c.agents, a)
	a.Start()
	return nil
}

// The ports that agents offer start where a real agent's do. All agents of a
// machine share its ports, so each gets a range of its own.
const (
	firstPort    = 31000
	lastPort     = 60999
	portsOfAgent = 1000
)

func ports(number, agents int) string {
	each := max(1, min(portsOfAgent, (lastPort-firstPort+1)/agents))
	begin := firstPort + (number-1)*each
	return fmt.Sprintf("ports:[%d-%d]", begin, begin+each-1)
}

// URL is the master's address as a URL, without a path.
func (c *Cluster) URL() string { return c.Master().URL() }

// Master is the cluster's master: the present one or, while there is none, the
// one before.
func (c *Cluster) Master() *master.Master {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.master
}

// KillMaster ends the master as kill -9 does: its port closes and every
// connection breaks. Agents notice when no ping has come for too long (AgentPingTimeout
// times MaxAgentPingTimeouts), and tasks run on.
func (c *Cluster) KillMaster() {
	c.leader.current.Store(nil)
	registry := c.Master().Kill()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = registry
}

// StartMaster starts a new master, with an ID of its own, at the address and
// with the registry of the one that was killed.
func (c *Cluster) StartMaster() error {
	o := c.options.Master
	o.Listen, o.ID = c.Master().Address(), ""
	c.mu.Lock()
	o.Registry = c.left
	c.mu.Unlock()
	// A process that this one is about to start may still hold the port, until it
	// has become another program.
	const patience, pause = time.Second, 5 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		err := c.startMaster(o)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || waited >= patience {
			return fmt.Errorf("cannot start the master again: %w", err)
		}
		_ = c.Master().Stop(context.Background()) // it never served
		time.Sleep(pause)
	}
}

// Agents are the cluster's agents, in the order of their numbers.
func (c *Cluster) Agents() []*agent.Agent { return c.agents }

// Retire ends what runs in order: every executor is told to shut down and has
// its grace period, as on an agent that an operator retires. Stop is still to be
// called.
func (c *Cluster) Retire(ctx context.Context) error {
	return c.eachAgent(func(a *agent.Agent) error { return a.Retire(ctx) })
}

// eachAgent does something with all agents at once.
func (c *Cluster) eachAgent(do func(*agent.Agent) error) error {
	errs := make([]error, len(c.agents))
	var busy sync.WaitGroup
	for i, a := range c.agents {
		busy.Go(func() { errs[i] = do(a) })
	}
	busy.Wait()
	return errors.Join(errs...)
}

// Stop ends the agents with all that runs on them, and then the master. It
// waits until nothing is left, or until the context ends. The error says what
// could not be cleaned up.
func (c *Cluster) Stop(ctx context.Context) error {
	errs := []error{c.eachAgent(func(a *agent.Agent) error { return a.Stop(ctx) })}
	if m := c.Master(); m != nil {
		errs = append(errs, m.Stop(ctx))
	}
	if c.own {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	if c.options.Agent.Recovery != agent.RecoverNothing {
		// An earlier process may have had more agents.
		container.RemoveStale(func(name string) bool { return name == c.cgroups })
	}
	return errors.Join(errs...)
}
