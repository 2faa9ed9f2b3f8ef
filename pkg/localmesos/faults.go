package localmesos

import (
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/clock"
	"github.com/tandem-mesos/tandem/pkg/localmesos/fault"
)

// faults are what a cluster can be made to suffer.
type faults struct {
	// shifted is the cluster's clock, nil if the options brought one.
	shifted *clock.Shifted
	network *fault.Network
	master  fault.Connections
	agents  []*fault.Connections
}

// init puts the faults in between the parts that the options describe.
func (f *faults) init(o *Options) {
	if o.Master.Clock == nil {
		f.shifted = &clock.Shifted{}
		o.Master.Clock, o.Agent.Clock = f.shifted, f.shifted
	}
	f.network = fault.NewNetwork(o.Master.Clock)
	o.Master.Wrap = f.master.Listen
	f.agents = make([]*fault.Connections, max(0, o.Agents))
	for i := range f.agents {
		f.agents[i] = &fault.Connections{}
	}
}

// agent is the connections of the agent with this number, counted from 1.
func (f *faults) agent(number int) *fault.Connections { return f.agents[number-1] }

// Network is what lies between the master and the agents: rules for it lose,
// delay, double and reorder their messages.
func (c *Cluster) Network() *fault.Network { return c.faults.network }

// MasterConnections are those of schedulers and operators with the master.
func (c *Cluster) MasterConnections() *fault.Connections { return &c.faults.master }

// AgentConnections are those of executors and operators with the agent with this
// number, counted from 1.
func (c *Cluster) AgentConnections(number int) *fault.Connections { return c.faults.agent(number) }

// Advance makes a time pass for the master and the agents, in their order and
// almost at once; processes and schedulers do not notice. It blocks meanwhile. It
// does nothing for a cluster whose options brought a clock: put that forward.
func (c *Cluster) Advance(d time.Duration) {
	if c.faults.shifted != nil {
		c.faults.shifted.Advance(d)
	}
}

// FreezeMaster stops the master as SIGSTOP stops its process, until ThawMaster:
// nobody is answered and nothing is lost. It blocks until the master stands still.
func (c *Cluster) FreezeMaster() { c.Master().Freeze() }

// ThawMaster ends a freeze.
func (c *Cluster) ThawMaster() { c.Master().Thaw() }
