package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/checkpoint"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/sandbox"
)

// Recovery says what an agent does with what it, or its former process, has of
// frameworks that checkpoint.
type Recovery int

const (
	// RecoverNothing keeps nothing for the next process.
	RecoverNothing Recovery = iota
	// RecoverReconnect has the former process's executors come back.
	RecoverReconnect
	// RecoverCleanup ends the former process's executors; the agent never
	// registers.
	RecoverCleanup
)

// powerless is the boot ID of an agent that was stopped with all that it ran.
const powerless = "stopped"

// recall reads what the former process has kept; nil is for agents that keep
// nothing.
func (a *Agent) recall() (*checkpoint.State, error) {
	a.checkpoints = checkpoint.In(a.options.WorkDir)
	if !a.keeps() {
		return nil, nil
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	state, err := a.checkpoints.Read(boot, !a.options.Lenient)
	if err != nil {
		return nil, err
	}
	for _, err := range state.Errors {
		a.log.WithError(err).Warn("a checkpoint is passed over")
	}
	return state, nil
}

// listenAs opens the agent's port: where any will do, the former process's, for
// that is where executors look. Without executors it need not be that one.
func (a *Agent) listenAs(state *checkpoint.State) (net.Listener, error) {
	host, port, err := net.SplitHostPort(a.options.Listen)
	if err != nil || port != "0" || state == nil || state.Agent.ID == nil {
		return listen(a.options.Listen)
	}
	l, err := listenAgain(net.JoinHostPort(host, strconv.Itoa(int(state.Agent.GetPort()))))
	if err != nil && state.Rebooted {
		return listen(a.options.Listen)
	}
	return l, err
}

// keeps says whether there are checkpoints. What is played lives in the process
// and ends with it.
func (a *Agent) keeps() bool { return a.options.Recovery != RecoverNothing && a.options.Fake == nil }

// newCore makes the agent's core, from what the former process has kept if there
// is something.
func (a *Agent) newCore(config core.Config, state *checkpoint.State) error {
	config.Checkpoint = a.keeps()
	now := a.options.Clock.Now()
	if state == nil {
		a.core = core.New(now, config)
		return nil
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if err := a.reconfigured(state.Agent, config.Info); err != nil && !state.Rebooted {
		return err
	} else if err != nil {
		a.log.WithError(err).Warn("the machine was started anew: this becomes another agent")
		// Its resources are the machine's; operations are the agent's.
		state = &checkpoint.State{Saved: core.Saved{Resources: state.Resources}}
	}
	a.core, err = core.Recover(now, config, state.Saved, a.options.Recovery == RecoverCleanup)
	if err != nil {
		return err
	}
	a.discardSettled(now, state.Settled)
	for _, s := range state.Standalone {
		a.adoptStandalone(s)
	}
	a.clearOrphans(state.Saved)
	return a.checkpoints.Booted(boot)
}

// bootID tells this start of the machine from others.
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("cannot tell the machine's boot ID: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// reconfigured says why an agent that has become another must not go on under the
// same ID; or nothing.
func (a *Agent) reconfigured(before, now mesos.AgentInfo) error {
	if before.ID == nil {
		return nil
	}
	now.ID = before.ID
	if err := permitted(before, now, a.options.Reconfiguration); err != nil {
		return fmt.Errorf("%w; to start another agent remove %s", err, filepath.Join(a.options.WorkDir, "meta", "slaves", "latest"))
	}
	return nil
}

// keep puts a record on the disk.
func (a *Agent) keep(r core.Record) {
	if err := a.checkpoints.Write(r); err != nil {
		a.log.WithError(err).Error("an agent that starts now does not know what has changed")
	}
}

// forked keeps the process ID of an executor that has just been started.
func (a *Agent) forked(l core.Launch, pid int) {
	if !a.keeps() || !l.Checkpoint {
		return
	}
	run := core.Run{Agent: l.Agent, Framework: *l.Framework.ID, Executor: l.Executor.ExecutorID, Container: l.Container}
	if err := a.checkpoints.Forked(run, pid); err != nil {
		a.log.WithError(err).Error("an agent that starts now does not know an executor")
	}
}

// standaloneStarted keeps a standalone container.
func (a *Agent) standaloneStarted(c *mesosagent.Call_LaunchContainer, pid int) {
	if !a.keeps() {
		return
	}
	if err := a.checkpoints.Started(checkpoint.Standalone{Launch: *c, PID: pid}); err != nil {
		a.log.WithError(err).Error("an agent that starts now does not know a container")
	}
}

// standaloneEnded forgets one.
func (a *Agent) standaloneEnded(id string) {
	if !a.keeps() {
		return
	}
	if err := a.checkpoints.Ended(id); err != nil {
		a.log.WithError(err).Warn("the checkpoint of a container is left")
	}
}

// discardSettled has the sandboxes that the former process would have removed
// removed in time.
func (a *Agent) discardSettled(now time.Time, runs []core.Run) {
	for _, r := range runs {
		path := sandbox.Path{
			WorkDir: a.options.WorkDir, Agent: r.Agent.Value, Framework: r.Framework.Value,
			Executor: r.Executor.Value, Container: r.Container,
		}
		age := time.Duration(0)
		if info, err := os.Stat(path.Dir()); err == nil {
			age = now.Sub(info.ModTime())
		}
		a.discardPath(path, max(0, a.options.GCDelay-age))
	}
}

// removeCheckpoint removes what is kept of the run that a sandbox was of.
func (a *Agent) removeCheckpoint(p sandbox.Path) error {
	if !a.keeps() {
		return nil
	}
	return a.checkpoints.Remove(core.Run{
		Agent: mesos.AgentID{Value: p.Agent}, Framework: mesos.FrameworkID{Value: p.Framework},
		Executor: mesos.ExecutorID{Value: p.Executor}, Container: p.Container,
	})
}

// powerCut has the next process look for none of what was running.
func (a *Agent) powerCut() error {
	if !a.keeps() {
		return nil
	}
	return a.checkpoints.Booted(powerless)
}

var errReconfigured = errors.New("the agent is not the one that has kept its state here")
