package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/mesos/masterapi"
	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// home sees to it that a state is used with the cluster that it belongs to. It is
// asked before every subscription, by one goroutine, and looks until it knows.
type home struct {
	origin   loop.Origin
	detector detector
	masters  *masterapi.Client
	log      logrus.FieldLogger
	known    bool
}

func newHome(opt Options, proof *credential, saved state.Snapshot, d detector) *home {
	return &home{
		origin: loop.OriginOf(saved), detector: d, log: opt.Log,
		masters: masterapi.New(masterapi.Options{Credential: proof.agent, TLS: proof.mesosTLS()}),
		known:   opt.NewCluster || saved.Framework.GetFrameworkId() == "",
	}
}

// check returns a *loop.HopelessError when the state is another cluster's. A
// master that does not let this scheduler look is believed to be the right one.
func (h *home) check(ctx context.Context) error {
	if h.known {
		return nil
	}
	leader, err := h.detector.Leader(ctx)
	if err != nil {
		return err
	}
	known, err := h.ids(ctx, leader.Address)
	switch {
	case errors.Is(err, masterapi.ErrForbidden):
		h.log.Infof("whether the state belongs to the master's cluster is not known: %v", err)
		h.known = true
		return nil
	case err != nil:
		return &schedulerapi.Error{Kind: schedulerapi.Unavailable, Master: leader.Address, Err: err}
	}
	if err := h.origin.Foreign(known); err != nil {
		return &loop.HopelessError{Err: fmt.Errorf("not subscribed with the master at %s: %w", leader.Address, err)}
	}
	h.known = true
	return nil
}

// ids returns those that the master knows. Of frameworks there are few, and
// agents, of which there may be many, are asked for only if these do not tell.
func (h *home) ids(ctx context.Context, master string) ([]string, error) {
	frameworks, err := h.masters.Frameworks(ctx, master)
	if err != nil || h.origin.Recognizes(frameworks) {
		return frameworks, err
	}
	agents, err := h.masters.Agents(ctx, master)
	return append(frameworks, agents...), err
}
