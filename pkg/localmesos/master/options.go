package master

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/clock"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/allocator"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master/registry"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Options are a master's settings. The zero value is usable; the defaults are
// those of a real master.
type Options struct {
	// Listen is the address to serve at, host:port; the port may be 0. The
	// default is 127.0.0.1:5050.
	Listen string
	// Hostname is what the master calls itself; by default its address.
	Hostname string
	// ID is the master's ID, which agents and frameworks derive theirs from; by
	// default a new UUID.
	ID string
	// Version is the version of Mesos that the master claims.
	Version string
	// AllocationInterval is the time between two allocations (default 1s).
	AllocationInterval time.Duration
	// OfferTimeout ends offers that are not used; 0 means never.
	OfferTimeout time.Duration
	// An agent that does not answer MaxAgentPingTimeouts pings, each within
	// AgentPingTimeout, is unreachable (default 5 times 15s).
	AgentPingTimeout     time.Duration
	MaxAgentPingTimeouts int
	// Registry is what the master before left; nil for none. Its agents are
	// unreachable if they are not back within AgentReregisterTimeout (default
	// 10m).
	Registry               *registry.Registry
	AgentReregisterTimeout time.Duration
	// RegistryFile is where the registry is stored, and read from if Registry
	// is nil, so that a master in a later process takes over. By default it is
	// in memory only.
	RegistryFile string
	// Every RegistryGCInterval (default 15m) unreachable and gone agents are
	// forgotten that have been so for longer than RegistryMaxAgentAge (default two
	// weeks), and the oldest where there are more than RegistryMaxAgentCount of
	// either (default 102400).
	RegistryGCInterval, RegistryMaxAgentAge time.Duration
	RegistryMaxAgentCount                   int
	// MinAllocatableResources lists alternatives: what holds none of them is
	// not offered (default cpus:0.01|mem:32). An empty list offers everything.
	MinAllocatableResources []allocator.Quantities
	// FairSharingExcludedResources names resources that do not count when agents
	// are shared out fairly.
	FairSharingExcludedResources []string
	// Whitelist, unless it is nil, are the host names of the agents that are
	// offered.
	Whitelist []string
	// Roles, unless it is nil, are all roles that there may be, beside the
	// default one.
	Roles []string
	// NoRootSubmissions refuses frameworks of the user root.
	NoRootSubmissions bool
	// Domain says where the master is. Agents in another region are offered to
	// those who know of regions; agents with a domain are ignored by a master
	// without one, and the others where RequireAgentDomain is set.
	Domain             *mesos.DomainInfo
	RequireAgentDomain bool
	// FrameworkCredentials are the secrets of the principals that schedulers
	// may authenticate as, with HTTP's Basic scheme. Without any, no scheduler
	// has to, as with a real master by default.
	FrameworkCredentials map[string]string
	// OperatorCredentials are the secrets of the principals that operators may
	// authenticate as, with HTTP's Basic scheme, wherever AuthenticateReadonly
	// (what only looks) or AuthenticateReadwrite (what changes something, and all
	// of the v1 API) wants them to.
	OperatorCredentials                         map[string]string
	AuthenticateReadonly, AuthenticateReadwrite bool
	// ACLs say what principals may do and see; nil lets everybody do
	// everything.
	ACLs *acl.Rules
	// Flags are shown at /flags beside those that the options imply.
	Flags map[string]string
	// Schema is shared with others to save time; by default a new one.
	Schema *wire.Schema
	// Wrap, if set, gets the listener once it is made, and returns the one to
	// serve on.
	Wrap func(net.Listener) net.Listener

	// Clock is the time; by default the real one.
	Clock clock.Clock
	// Logger takes what an operator should know; by default nothing is logged.
	Logger logrus.FieldLogger
}

// Defaults of a real master.
const (
	DefaultListen               = "127.0.0.1:5050"
	DefaultVersion              = "1.12.0"
	DefaultAllocationInterval   = time.Second
	DefaultAgentPingTimeout     = 15 * time.Second
	DefaultMaxAgentPingTimeouts = 5

	DefaultAgentReregisterTimeout = 10 * time.Minute

	DefaultRegistryGCInterval    = 15 * time.Minute
	DefaultRegistryMaxAgentAge   = 14 * 24 * time.Hour
	DefaultRegistryMaxAgentCount = 100 * 1024
)

// DefaultMinAllocatableResources is --min_allocatable_resources of a real
// master.
func DefaultMinAllocatableResources() []allocator.Quantities {
	return []allocator.Quantities{{"cpus": resource.Thousandths(0.01)}, {"mem": resource.Whole(32)}}
}

// validate fills in defaults and refuses what cannot work.
func (o *Options) validate() error {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("the address to listen at, %q, is not host:port: %w", o.Listen, err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("the address to listen at, %q, has no port from 0 to 65535", o.Listen)
	}
	if o.Hostname == "" {
		o.Hostname = host
	}
	if o.ID == "" {
		o.ID = uuid.NewString()
	}
	if o.Version == "" {
		o.Version = DefaultVersion
	}
	for _, d := range []struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{
		{"allocation interval", &o.AllocationInterval, DefaultAllocationInterval},
		{"agent ping timeout", &o.AgentPingTimeout, DefaultAgentPingTimeout},
		{"offer timeout", &o.OfferTimeout, 0},
		{"agent reregister timeout", &o.AgentReregisterTimeout, DefaultAgentReregisterTimeout},
		{"interval of the registry's garbage collection", &o.RegistryGCInterval, DefaultRegistryGCInterval},
		{"maximal age of agents in the registry", &o.RegistryMaxAgentAge, DefaultRegistryMaxAgentAge},
	} {
		if *d.value < 0 {
			return fmt.Errorf("the %s, %s, is negative", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	if o.MaxAgentPingTimeouts < 0 {
		return errors.New("the number of agent ping timeouts is negative")
	}
	if o.MaxAgentPingTimeouts == 0 {
		o.MaxAgentPingTimeouts = DefaultMaxAgentPingTimeouts
	}
	if o.RegistryMaxAgentCount < 0 {
		return errors.New("the maximal number of agents in the registry is negative")
	}
	if o.RegistryMaxAgentCount == 0 {
		o.RegistryMaxAgentCount = DefaultRegistryMaxAgentCount
	}
	if o.MinAllocatableResources == nil {
		o.MinAllocatableResources = DefaultMinAllocatableResources()
	}
	if err := wire.CheckOperators(o.OperatorCredentials, o.AuthenticateReadonly, o.AuthenticateReadwrite); err != nil {
		return err
	}
	if o.Schema == nil {
		if o.Schema, err = wire.NewSchema(); err != nil {
			return err
		}
	}
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	if o.Logger == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		o.Logger = silent
	}
	return nil
}
