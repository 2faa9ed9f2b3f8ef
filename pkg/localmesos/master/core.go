package master

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/quota"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Distinct types keep the kinds of IDs apart.
type (
	frameworkID string
	agentID     string
	offerID     string
	taskID      string
	executorID  string
)

// core is the state of a master. All its methods run in the loop.
type core struct {
	options *Options
	post    func(func())
	started time.Time
	info    mesos.MasterInfo

	frameworks map[frameworkID]*framework
	completed  []*framework // oldest first
	agents     map[agentID]*agent
	agentOf    map[string]*agent // the registered agents by their PIDs
	// unreachable agents, by when they became so.
	unreachable map[agentID]time.Time
	gone        map[agentID]time.Time // agents that an operator has marked gone, by when
	// deactivated agents are not offered, and draining ones are to end their
	// tasks; an operator has said so.
	deactivated map[agentID]bool
	draining    map[agentID]*mesos.DrainInfo
	plan        plan
	// recovered agents were the former master's and are not back yet.
	recovered     map[agentID]mesos.AgentInfo
	recoveryTimer *timer
	pruner        *timer // forgets agents that are not there for long
	offers        map[offerID]*offer
	quotas        map[string]quota.QuotaConfig // by role
	weights       map[string]float64           // by role
	allocator     *allocator.Allocator
	metrics       metrics
	watchers      map[*watcher]bool

	nextFramework, nextAgent, nextOffer, nextTask, nextOperation int
	stopped                                                      bool
	changed                                                      bool          // what the registry holds has
	waiting                                                      []func(error) // for the registry to be stored
	ticker                                                       *timer
	allocationDue                                                map[agentID]bool // event-driven allocation
	allocateAll, allocationPosted                                bool
}

// Limits of what is remembered, as a real master's flags have them by default.
const (
	maxCompletedFrameworks = 50
	maxCompletedTasks      = 1000
	maxUnreachableTasks    = 1000
	heartbeatInterval      = 15 * time.Second
)

// framework is a framework that is subscribed, or may come back.
type framework struct {
	id   frameworkID
	info mesos.FrameworkInfo

	events    *wire.Events // nil while it is not connected
	streamID  string
	connected bool
	recovered bool // known from its agents only
	heartbeat *timer
	failover  *timer

	registered, reregistered, unregistered time.Time

	tasks       map[taskID]*task
	unreachable []*task
	finished    []*task // oldest first
	executors   map[agentID]map[executorID]*executor
	offers      map[offerID]*offer
	constraints *constraints
	operations  []*operation   // those with an ID
	counts      map[string]int // by the name of a metric
}

// agent is an agent that is registered.
type agent struct {
	id        agentID
	info      mesos.AgentInfo
	link      link.Agent
	pid       string
	version   string
	connected bool
	total     resource.Resources

	registered, reregistered time.Time
	drainStart               time.Time // zero unless it was told to drain

	tasks     map[frameworkID]map[taskID]*task
	executors map[frameworkID]map[executorID]*executor
	offers    map[offerID]*offer
	// operations are those that are not acknowledged yet.
	operations []*operation

	missedPings int
	ponged      bool
	pinger      *timer
}

// task is a task that was launched.
type task struct {
	seq  int // order of launch
	info mesos.Task
	// limits are not part of mesos-go's Task.
	limits    map[string]mesos.Value_Scalar
	resources resource.Resources
	freed     bool // its resources were given back
	killed    bool // its framework wants it to end, which its agent may not have heard
	// updateState and updateUUID are those of the last status that was sent to
	// the framework; the task's own state may be ahead of it.
	updateState mesos.TaskState
	updateUUID  []byte
}

type executor struct {
	agent     agentID
	info      mesos.ExecutorInfo
	resources resource.Resources
}

type offer struct {
	id        offerID
	framework frameworkID
	agent     agentID
	role      string
	resources resource.Resources
	timeout   *timer
}

func newCore(options *Options, post func(func())) *core {
	c := &core{
		options:     options,
		post:        post,
		started:     options.Clock.Now(),
		frameworks:  make(map[frameworkID]*framework),
		agents:      make(map[agentID]*agent),
		agentOf:     make(map[string]*agent),
		unreachable: make(map[agentID]time.Time),
		recovered:   make(map[agentID]mesos.AgentInfo),
		gone:        make(map[agentID]time.Time),
		deactivated: make(map[agentID]bool),
		draining:    make(map[agentID]*mesos.DrainInfo),
		plan:        newPlan(),
		offers:      make(map[offerID]*offer),
		quotas:      make(map[string]quota.QuotaConfig),
		weights:     make(map[string]float64),
		allocator: allocator.New(allocator.Options{
			Interval:       options.AllocationInterval,
			MinAllocatable: options.MinAllocatableResources,
			FilterGPUs:     true,

			FairSharingExcluded: options.FairSharingExcludedResources,
			Whitelist:           options.Whitelist,
			Region:              options.Domain.GetFaultDomain().GetRegion().Name,
		}),
		allocationDue: make(map[agentID]bool),
		watchers:      make(map[*watcher]bool),
	}
	c.metrics.init()
	c.setAddress(options.Listen)
	return c
}

// setAddress makes the master's description, once its port is known.
func (c *core) setAddress(address string) {
	host, portText, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(portText)
	hostname, version := c.options.Hostname, c.options.Version
	pid := "master@" + address
	c.changed = true
	c.info = mesos.MasterInfo{
		ID:       c.options.ID,
		Port:     new(uint32(port)),
		PID:      &pid,
		Hostname: &hostname,
		Version:  &version,
		Address:  &mesos.Address{Hostname: &hostname, IP: &host, Port: int32(port)},
		Domain:   c.options.Domain,
	}
	// The number of the IPv4 address in network byte order, read as if it were
	// little-endian.
	if ip := net.ParseIP(host).To4(); ip != nil {
		c.info.IP = uint32(ip[0]) | uint32(ip[1])<<8 | uint32(ip[2])<<16 | uint32(ip[3])<<24
	}
	for _, capability := range []mesos.MasterInfo_Capability_Type{
		mesos.MasterInfo_Capability_AGENT_UPDATE,
		mesos.MasterInfo_Capability_AGENT_DRAINING,
		quotaV2,
	} {
		c.info.Capabilities = append(c.info.Capabilities, mesos.MasterInfo_Capability{Type: capability})
	}
}

// quotaV2 is QUOTA_V2, which mesos-go lacks.
const quotaV2 mesos.MasterInfo_Capability_Type = 3

// start begins to allocate.
func (c *core) start() {
	c.ticker = c.after(c.options.AllocationInterval, func() {
		c.allocate()
		c.start()
	})
}

// stop ends timers and streams; frameworks see the end of their stream.
func (c *core) stop() {
	c.stopTimers()
	for _, f := range c.frameworks {
		if f.events != nil {
			f.events.Close()
		}
	}
	for w := range c.watchers {
		c.removeWatcher(w)
	}
}

// stopTimers has nothing happen by itself any more.
func (c *core) stopTimers() {
	c.stopped = true
	c.ticker.cancel()
	c.recoveryTimer.cancel()
	c.pruner.cancel()
	for _, f := range c.frameworks {
		f.heartbeat.cancel()
		f.failover.cancel()
	}
	for _, a := range c.agents {
		a.pinger.cancel()
	}
	for _, o := range c.offers {
		o.timeout.cancel()
	}
	for _, o := range c.plan.offers {
		o.timeout.cancel()
	}
}

func (c *core) now() time.Time { return c.options.Clock.Now() }

// sortedTasks returns tasks in order of launch.
func sortedTasks[K comparable](tasks map[K]*task) []*task {
	out := make([]*task, 0, len(tasks))
	for _, t := range tasks {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *task) int { return a.seq - b.seq })
	return out
}

// sortedFrameworks returns the frameworks in order of registration.
func (c *core) sortedFrameworks() []*framework {
	out := make([]*framework, 0, len(c.frameworks))
	for _, f := range c.frameworks {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *framework) int {
		if d := a.registered.Compare(b.registered); d != 0 {
			return d
		}
		return compare(a.id, b.id)
	})
	return out
}

// sortedAgents returns the agents in order of registration.
func (c *core) sortedAgents() []*agent {
	out := make([]*agent, 0, len(c.agents))
	for _, a := range c.agents {
		out = append(out, a)
	}
	sortAgents(out)
	return out
}

func sortAgents(agents []*agent) {
	slices.SortFunc(agents, func(a, b *agent) int {
		if d := a.registered.Compare(b.registered); d != 0 {
			return d
		}
		return compare(a.id, b.id)
	})
}

// sortedOffers returns offers in order of their numbers.
func sortedOffers(offers map[offerID]*offer) []*offer {
	out := make([]*offer, 0, len(offers))
	for _, o := range offers {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b *offer) int {
		if d := len(a.id) - len(b.id); d != 0 {
			return d
		}
		return compare(a.id, b.id)
	})
	return out
}

func compare[T ~string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (c *core) newFrameworkID() frameworkID {
	c.nextFramework++
	return frameworkID(fmt.Sprintf("%s-%04d", c.options.ID, c.nextFramework-1))
}

func (c *core) newAgentID() agentID {
	c.nextAgent++
	return agentID(fmt.Sprintf("%s-S%d", c.options.ID, c.nextAgent-1))
}

func (c *core) newOfferID() offerID {
	c.nextOffer++
	return offerID(fmt.Sprintf("%s-O%d", c.options.ID, c.nextOffer-1))
}

// send gives a framework an event, if it is connected.
func (f *framework) send(e *scheduler.Event) {
	if f.connected {
		f.countSent(e)
		f.events.Send(e)
	}
}
