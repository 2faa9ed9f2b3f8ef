package agent

import (
	"errors"
	"syscall"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

// discarded is a sandbox that waits for its removal.
type discarded struct {
	path sandbox.Path
	due  time.Time
	stop func() // cancels the removal
}

// gcCounts counts removals.
type gcCounts struct{ succeeded, failed uint64 }

// Constants of a real agent (--gc_disk_headroom, --disk_watch_interval).
const (
	diskHeadroom      = 0.1
	diskWatchInterval = time.Minute
)

// discard removes a sandbox when its time has come: GCDelay after its end, or
// earlier when the disk fills up.
func (a *Agent) discard(d core.Discard) {
	if a.options.Fake != nil {
		return // there is none
	}
	path := sandbox.Path{
		WorkDir: a.options.WorkDir, Agent: d.Agent.Value, Framework: d.Framework.Value,
		Executor: d.Executor.Value, Container: d.Container,
	}
	a.discardPath(path, a.options.GCDelay)
}

func (a *Agent) discardPath(path sandbox.Path, delay time.Duration) {
	a.discarded[path.Container] = discarded{
		path: path, due: a.options.Clock.Now().Add(delay),
		stop: a.options.Clock.AfterFunc(delay, func() {
			a.inputs.post(func(time.Time) { a.removeSandbox(path.Container) })
		}),
	}
	if len(a.discarded) == 1 {
		a.watchDisk()
	}
}

// removeSandbox removes the sandbox of a container that has one to be removed.
func (a *Agent) removeSandbox(container string) {
	d, there := a.discarded[container]
	if !there || a.stopping {
		return
	}
	d.stop()
	delete(a.discarded, container)
	a.workers.Go(func() { a.collect(d.path) })
}

// watchDisk looks from time to time how full the disk is, while there is something
// to remove.
func (a *Agent) watchDisk() {
	a.options.Clock.AfterFunc(diskWatchInterval, func() {
		a.inputs.post(func(now time.Time) {
			if a.stopping || len(a.discarded) == 0 {
				return
			}
			if used, err := a.options.DiskUsage(); err == nil {
				a.prune(now, used)
			}
			if len(a.discarded) > 0 {
				a.watchDisk()
			}
		})
	})
}

// prune removes the sandboxes that are older than the disk allows.
func (a *Agent) prune(now time.Time, used float64) {
	early := a.options.GCDelay - maxAge(a.options.GCDelay, used)
	for container, d := range a.discarded {
		if !d.due.After(now.Add(early)) {
			a.removeSandbox(container)
		}
	}
}

// maxAge is how long sandboxes are kept on a disk of which this part is used
// (Slave::age in src/slave/slave.cpp).
func maxAge(delay time.Duration, used float64) time.Duration {
	return time.Duration(float64(delay) * max(0, 1-diskHeadroom-used))
}

// diskUsage is the part of a file system that is used, from 0 to 1.
func diskUsage(dir string) (float64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil || s.Blocks == 0 {
		return 0, err
	}
	return float64(s.Blocks-s.Bfree) / float64(s.Blocks), nil
}

// keepSandboxes gives up all removals. It is the loop's.
func (a *Agent) keepSandboxes() {
	for _, d := range a.discarded {
		d.stop()
	}
}

// collect removes a sandbox, and the directories above that have nothing left in
// them.
func (a *Agent) collect(path sandbox.Path) {
	for _, name := range []string{path.Dir(), path.Latest(), path.Virtual()} {
		a.files.Detach(name, path.Dir())
	}
	err := errors.Join(sandbox.Remove(path), a.removeCheckpoint(path))
	if err != nil {
		a.log.WithError(err).WithField("sandbox", path.Dir()).Warn("cannot remove a sandbox")
	}
	a.inputs.post(func(time.Time) {
		if err != nil {
			a.gc.failed++
		} else {
			a.gc.succeeded++
		}
	})
}
