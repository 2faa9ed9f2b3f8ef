package fault

import (
	"slices"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/clock"
)

// Message is a message between the master and an agent, as far as a rule may
// want to know it.
type Message struct {
	// Name is that of the method of link.Master or link.Agent that takes the
	// message, such as StatusUpdate, RunTask or Ping.
	Name string
	// Agent is the agent's number, counted from 1, and AgentID its ID, empty
	// until the master has given one.
	Agent   int
	AgentID mesos.AgentID
	// What follows is empty where the message does not have it.
	Framework mesos.FrameworkID
	Executor  mesos.ExecutorID
	Task      mesos.TaskID
	// State is that of a StatusUpdate.
	State mesos.TaskState
}

// Action is what becomes of a message. The zero value lets it pass.
type Action struct {
	// Drop loses it.
	Drop bool
	// Delay holds it up, by the cluster's clock. Later messages overtake it.
	Delay time.Duration
	// Copies is how often it arrives in addition.
	Copies int
}

// Rule says what becomes of a message. It is never called twice at once, and
// must not block, nor ask an agent or the master for anything: they wait for it.
type Rule func(Message) Action

// Network is what lies between a master and its agents.
type Network struct {
	clock clock.Clock

	mu    sync.Mutex
	rules []*Rule
}

// NewNetwork returns a network without faults; delays take their time from the
// clock.
func NewNetwork(c clock.Clock) *Network { return &Network{clock: c} }

// Add puts a rule in force until it is removed. Of several the first that does
// not let a message pass holds.
func (n *Network) Add(r Rule) (remove func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules = append(n.rules, &r)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.rules = slices.DeleteFunc(n.rules, func(other *Rule) bool { return other == &r })
	}
}

func (n *Network) action(m Message) Action {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.rules {
		if a := (*r)(m); a != (Action{}) {
			return a
		}
	}
	return Action{}
}

// carry delivers a message as the rules have it.
func (n *Network) carry(m Message, deliver func()) {
	a := n.action(m)
	if a.Drop {
		return
	}
	for range 1 + a.Copies {
		if a.Delay > 0 {
			n.clock.AfterFunc(a.Delay, deliver)
		} else {
			deliver()
		}
	}
}
