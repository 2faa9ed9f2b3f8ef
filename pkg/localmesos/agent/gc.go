package agent

import (
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

// discard removes a sandbox when its time has come. A real agent also removes
// them earlier when the disk is full; this one goes by the time alone.
func (a *Agent) discard(d core.Discard) {
	if a.options.Fake != nil {
		return // there is none
	}
	path := sandbox.Path{
		WorkDir: a.options.WorkDir, Agent: d.Agent.Value, Framework: d.Framework.Value,
		Executor: d.Executor.Value, Container: d.Container,
	}
	a.discarded[d.Container] = a.options.Clock.AfterFunc(a.options.GCDelay, func() {
		a.inputs.post(func(time.Time) {
			delete(a.discarded, d.Container)
			if a.stopping {
				return
			}
			a.workers.Go(func() { a.collect(path) })
		})
	})
}

// collect removes a sandbox, and the directories above that have nothing left in
// them.
func (a *Agent) collect(path sandbox.Path) {
	for _, name := range []string{path.Dir(), path.Latest(), path.Virtual()} {
		a.files.Detach(name, path.Dir())
	}
	if err := sandbox.Remove(path); err != nil {
		a.log.WithError(err).WithField("sandbox", path.Dir()).Warn("cannot remove a sandbox")
	}
}
