package agent

import (
	"maps"
	"slices"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/checkpoint"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

// adopt takes a container of the agent's former process over. One whose executor
// nobody ever started is unknown to a real agent's containerizer.
func (a *Agent) adopt(e core.Adopt) {
	if e.PID == 0 {
		a.inputs.post(func(now time.Time) {
			a.core.Exited(now, e.Launch.Container, core.Ending{Status: int32(container.StatusNone), Unknown: true})
		})
		return
	}
	a.employ(a.newWorker(e.Launch), func(w *worker) { w.adopt(e.PID) })
}

// adopt is run for a container that is there already.
func (w *worker) adopt(pid int) {
	defer w.destroy()
	path := w.agent.sandboxPath(w.launch)
	w.attach(path)
	w.end(w.adoptIn(path, pid))
}

func (w *worker) adoptIn(path sandbox.Path, pid int) core.Ending {
	none := core.Ending{Status: int32(container.StatusNone)}
	owner, err := sandbox.OwnerOf(w.user())
	if err != nil {
		// The machine has changed; the container is destroyed as an orphan.
		w.agent.log.WithError(err).WithField("container", w.id()).Error("cannot adopt a container")
		return none
	}
	w.owner, w.env = owner, w.agent.environment(w.launch, path.Dir())
	w.linked = w.wanted(w.launch.Volumes)
	c, err := w.agent.runtime.Adopt(w.id(), pid, w.launch.Limits)
	if err != nil {
		w.agent.log.WithError(err).Error("a container is lost")
		return none
	}
	return w.watch(c, path.Dir(), owner, func() {})
}

// adoptStandalone takes a standalone container over. It is called before the loop
// runs.
func (a *Agent) adoptStandalone(s checkpoint.Standalone) {
	n := newStandalone(s.Launch.ContainerID)
	dir, owner, err := sandbox.Standalone(a.options.WorkDir, n.id.Value, s.Launch.Command.GetUser())
	if err != nil {
		a.log.WithError(err).WithField("container", n.id.Value).Error("cannot adopt a container")
		a.standaloneEnded(n.id.Value)
		return
	}
	a.describe(n, &s.Launch, dir, owner)
	c, err := a.runtime.Adopt(n.id.Value, s.PID, n.spec.Limits)
	if err != nil {
		a.log.WithError(err).Error("a container is lost")
		a.standaloneEnded(n.id.Value)
		return
	}
	n.process = signaled{c}
	close(n.ready)
	a.nested[n.id.Value] = n
	a.workers.Add(1)
	go a.awaitStandalone(n, c, func() {})
}

// clearOrphans kills the containers that an earlier process has left and that
// nobody knows of.
func (a *Agent) clearOrphans(saved core.Saved) {
	known := slices.Collect(maps.Keys(a.nested))
	for _, f := range saved.Frameworks {
		for _, e := range f.Executors {
			if e.PID != 0 {
				known = append(known, e.Container)
			}
		}
	}
	for _, id := range a.runtime.Orphans(known...) {
		a.workers.Go(func() {
			if err := a.runtime.Clear(id); err != nil {
				a.log.WithError(err).Warn("an orphan is left")
			}
		})
	}
}
