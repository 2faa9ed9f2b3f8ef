package app

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-mesos/tandem/pkg/mesos/agentapi"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/store"
)

// copies answer readers of a standby while nobody leads. A server is made of a
// copy when somebody asks, and serves until the state is another one.
type copies struct {
	opt      Options
	door     *door
	proof    *credential
	follower *store.Follower

	// mu guards what is below.
	mu     sync.Mutex
	copied store.Copy
	// server is of copied, and age says how old that is.
	server *api.Server
	age    string
}

// latest is api.StandbyOptions.Copy.
func (c *copies) latest() (*api.Server, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil && c.follower.Same(c.copied) {
		return c.server, c.age, nil
	}
	copied, err := c.follower.Copy()
	if err != nil {
		return nil, "", err
	}
	age := fmt.Sprintf("no scheduler leads now; this is what was saved last, at %s at the latest", copied.Read.UTC().Format(time.RFC3339))
	view := loop.NewCopy(copied.Snapshot, &tandemv1.FrameworkView{
		Name: c.opt.Name, Roles: c.opt.Roles, Principal: c.opt.Principal, Problem: age,
	})
	own := prometheus.NewRegistry()
	server, err := api.New(api.Options{
		Commander: view, Reader: view, Gate: c.door.gate, Audit: c.door.writes,
		Limits:    api.Limits{Rate: c.opt.Access.RateLimit},
		Sandboxes: agentapi.New(agentapi.Options{Credential: c.proof.agent, TLS: c.proof.mesosTLS()}),
		Log:       c.opt.Log.WithField("component", "api"), Registerer: own, Gatherer: own,
	})
	if err != nil {
		return nil, "", err
	}
	c.copied, c.server, c.age = copied, server, age
	return server, age, nil
}

// copiedAt is when the state was last seen to change, in seconds since 1970.
func (c *copies) copiedAt() float64 {
	at := c.follower.Changed()
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}
