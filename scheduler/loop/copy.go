package loop

import (
	"context"
	"errors"
	"iter"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// ErrNoLeader ends what a Copy cannot go on with.
var ErrNoLeader = errors.New("no scheduler leads now; try again")

// Copy is a View of what another scheduler has saved, for readers while no
// scheduler leads. Nothing changes in it: a watch ends after what is.
type Copy struct{ view *View }

// NewCopy returns a copy of what was saved, for a framework as it stands.
func NewCopy(saved state.Snapshot, framework *tandemv1.FrameworkView) *Copy {
	framework.FrameworkId = saved.Framework.GetFrameworkId()
	return &Copy{newView(saved, framework, uint64(time.Now().UnixMicro()))}
}

// Jobs is View.Jobs.
func (c *Copy) Jobs() []*tandemv1.JobRecord { return c.view.Jobs() }

// Job is View.Job.
func (c *Copy) Job(id string) (*tandemv1.JobView, bool) { return c.view.Job(id) }

// Phases is View.Phases.
func (c *Copy) Phases(job string) *tandemv1.InstanceCounts { return c.view.Phases(job) }

// Versions is View.Versions.
func (c *Copy) Versions(job string) []*tandemv1.VersionRecord { return c.view.Versions(job) }

// Agents is View.Agents.
func (c *Copy) Agents() map[string]*tandemv1.AgentRecord { return c.view.Agents() }

// Volumes is View.Volumes.
func (c *Copy) Volumes() []*tandemv1.VolumeRecord { return c.view.Volumes() }

// Framework is View.Framework.
func (c *Copy) Framework() *tandemv1.FrameworkView { return c.view.Framework() }

// Counts is View.Counts.
func (c *Copy) Counts() Counts { return c.view.Counts() }

// Do carries nothing out.
func (c *Copy) Do(context.Context, core.Command) (core.Reply, error) {
	return core.Reply{}, ErrNoLeader
}

// Watch is View.Watch, and ends with ErrNoLeader after the response with
// snapshot_end. No watch can go on in a copy.
func (c *Copy) Watch(_ context.Context, ask *tandemv1.WatchRequest) iter.Seq2[*tandemv1.WatchResponse, error] {
	return func(yield func(*tandemv1.WatchResponse, error) bool) {
		if ask.Since != nil {
			yield(nil, ErrNotKept)
			return
		}
		w := &watch{ask: ask}
		snapshot, err := c.view.begin(w)
		c.view.leave(w)
		for _, r := range snapshot {
			if !yield(r, nil) {
				return
			}
		}
		if err == nil {
			err = ErrNoLeader
		}
		yield(nil, err)
	}
}

// Usage ends with ErrNoLeader: samples are kept by the scheduler that asked for
// them.
func (c *Copy) Usage(context.Context, func(task string) bool) iter.Seq2[[]*tandemv1.UsageSample, error] {
	return func(yield func([]*tandemv1.UsageSample, error) bool) { yield(nil, ErrNoLeader) }
}
