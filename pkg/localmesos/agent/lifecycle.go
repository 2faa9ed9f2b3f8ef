package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
)

// Crash is the sudden death of the agent's process: its port closes, every
// connection breaks, and the master sees it go. Its executors run on, and wait
// for it if their framework checkpoints. It blocks until the port is closed.
func (a *Agent) Crash() {
	a.up.Store(false)
	a.do(func(time.Time) {
		a.down = true
		a.eachConversation((*conversation).lose)
		if a.master != nil {
			a.master.AgentDisconnected(a.core.AgentID())
		}
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.servers() {
		s.stop()
	}
}

// Recover starts a crashed agent again, at the same address, as with
// --recover=reconnect: executors come back, those that do not in time are
// killed, and then the agent registers again.
func (a *Agent) Recover() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	listener, err := listenAgain(a.Address())
	if err != nil {
		return fmt.Errorf("cannot start the agent again on %s: %w", a.Address(), err)
	}
	a.server = a.newServer(listener)
	if err := a.listenSocket(); err != nil {
		return errors.Join(fmt.Errorf("cannot start the agent again: %w", err), listener.Close())
	}
	for _, s := range a.servers() {
		s.start()
	}
	a.inputs.post(func(now time.Time) {
		a.core.Restart(now)
		a.fetcher.Clear()
		a.perform()
		a.down = false
		held := a.held
		a.held = nil
		for _, input := range held {
			input(now)
		}
		a.up.Store(true)
		a.eachConversation(func(c *conversation) { c.executor.Connected() })
	})
	return nil
}

// eachConversation visits the native executors whose containers are there.
func (a *Agent) eachConversation(visit func(*conversation)) {
	for _, w := range a.containers {
		if w.native != nil && w.running != nil {
			visit(&w.native.conversation)
		}
	}
	for _, h := range a.fakes {
		visit(&h.conversation)
	}
}

// Freeze stops the agent as SIGSTOP stops its process, until Thaw: whoever talks
// to it waits, and nothing is lost. It blocks until the agent stands still.
func (a *Agent) Freeze() {
	thaw := make(chan struct{})
	a.mu.Lock()
	frozen := a.thaw != nil
	if !frozen {
		a.thaw = thaw
	}
	a.mu.Unlock()
	if frozen {
		return
	}
	stands := make(chan struct{})
	if !a.inputs.post(func(time.Time) {
		close(stands)
		<-thaw
		// Timers that ran out meanwhile are first.
		a.core.Tick(a.options.Clock.Now())
	}) {
		return
	}
	select {
	case <-stands:
	case <-a.ended:
	}
}

// Thaw ends a freeze.
func (a *Agent) Thaw() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.thaw != nil {
		close(a.thaw)
		a.thaw = nil
	}
}

// Detect tells the agent of another master, with which it registers; nil means
// that there is none for now.
func (a *Agent) Detect(m link.Master) {
	a.inputs.post(func(now time.Time) {
		a.core.Disconnect(now)
		a.master = m
	})
}

// Unregister ends the agent for good, as SIGUSR1 does: its executors are shut
// down, with their grace period, and the master removes it.
func (a *Agent) Unregister() {
	a.receive(func(now time.Time) {
		a.core.Shutdown(now)
		a.perform()
		if a.master != nil {
			a.master.UnregisterAgent(a.core.AgentID())
		}
	})
}

// Retire unregisters the agent and waits until its executors have ended, which
// their grace period bounds. Stop is still to be called.
func (a *Agent) Retire(ctx context.Context) error {
	a.Unregister()
	a.do(func(time.Time) {}) // Unregister has taken effect.
	return a.wait(ctx, a.workers.Wait, "its executors")
}
