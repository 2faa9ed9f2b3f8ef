package loop

import (
	"context"
	"errors"
	"time"

	"github.com/tandem-mesos/tandem/executor/core"
)

const (
	// prepareTime bounds how long a program may take to be fetched and tried.
	prepareTime = time.Minute
	// momentTime is the wait between two looks for a moment to be replaced at.
	momentTime = 50 * time.Millisecond
	// releaseTime bounds how long the end of the subscription may take.
	releaseTime = 5 * time.Second
)

// ErrLater is the error of a Suspend that may succeed in a moment.
var ErrLater = errors.New("workloads are being started or ended")

// Upgrader replaces this program by another, in the same process. Package app has
// it.
type Upgrader interface {
	// Prepare brings a program and tries it. It says whether that is the one that
	// runs already. The error is for a person.
	Prepare(ctx context.Context, p core.Prepare) (same bool, err error)
	// Suspend takes the hands off workloads, which must be all there are. After
	// an error, which may be ErrLater, nothing has changed.
	Suspend(all map[core.Run]Process) error
	// Rehearse returns what shows the prepared program the core's state and what was
	// suspended, and has it say whether it could go on with that. It may be called
	// after Resume, on another goroutine, and blocks.
	Rehearse(ctx context.Context, state core.State) (rehearse func() error, err error)
	// Replace has the prepared program go on with the core's state and what was
	// suspended. It returns only if that fails, with everything as before, but
	// suspended.
	Replace(state core.State) error
	// Resume takes Suspend back.
	Resume()
	// Dismiss gives the prepared program up.
	Dismiss()
}

// Adopted is what a program goes on with that has taken another's place.
type Adopted struct {
	State core.State
	// Written is when the state was written.
	Written time.Time
	// Open gives the tasks and, in the order of the argument, the processes of
	// those that run. Options.Open is not called then.
	Open func([]core.Running) (Tasks, []Process, error)
}

// adopt makes the core of a loop that takes another's place, and what belongs to
// it.
func (l *loop) adopt(a *Adopted) error {
	now := time.Now()
	c, err := core.Restore(now, a.Written, l.options.Core, a.State)
	if err != nil {
		return err
	}
	l.core = c
	running := c.Running()
	tasks, processes, err := a.Open(running)
	if err != nil {
		return err
	}
	l.tasks = tasks
	for i, r := range running {
		l.processes[r.Run] = processes[i]
	}
	for run, p := range l.processes {
		l.await(run, p)
	}
	return nil
}

// rehearsal is the last trial of a prepared program, which sees what it would go
// on with, in the background.
type rehearsal struct {
	over bool
	err  error
}

// prepare has another program brought and tried, in the background.
func (l *loop) prepare(p core.Prepare) {
	l.rehearsal = nil // One that is under way is of another program.
	if l.options.Upgrader == nil {
		go l.post(core.Prepared{Err: "this executor cannot replace itself"})
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(l.life, prepareTime)
		defer cancel()
		same, err := l.options.Upgrader.Prepare(ctx, p)
		l.post(core.Prepared{Same: same, Err: text(err)})
	}()
}

// replace has the prepared program take over, if this is the moment for it. It
// returns when it is not, or did not come to it.
func (l *loop) replace() (*core.End, error) {
	if !l.core.Replaceable() || l.rehearsal != nil && !l.rehearsal.over {
		return nil, nil
	}
	if l.rehearsal != nil && l.rehearsal.err != nil {
		return l.notReplaced(l.rehearsal.err)
	}
	switch err := l.options.Upgrader.Suspend(l.processes); {
	case errors.Is(err, ErrLater):
		return nil, nil
	case err != nil:
		return l.notReplaced(err)
	}
	if l.rehearsal == nil {
		err := l.rehearse()
		l.options.Upgrader.Resume()
		if err != nil {
			return l.notReplaced(err)
		}
		return nil, nil
	}
	end, err := l.release()
	if end != nil || err != nil {
		l.options.Upgrader.Resume()
		return end, err
	}
	if why := l.core.HalfDone(); why != "" || l.stream != nil {
		l.options.Upgrader.Resume()
		return nil, nil // There is another moment, or the core gives up.
	}
	state, err := l.core.State(time.Now())
	if err == nil {
		l.options.Log.Info("Handing over to the new program")
		err = l.options.Upgrader.Replace(state)
	}
	l.options.Upgrader.Resume()
	return l.notReplaced(err)
}

func (l *loop) notReplaced(err error) (*core.End, error) {
	return l.step(input{Input: core.NotReplaced{Err: text(err)}})
}

// rehearse begins the last trial of the prepared program. What it sees differs from
// what it will go on with by no more than what ends and is acknowledged meanwhile,
// for nothing is begun.
func (l *loop) rehearse() error {
	state, err := l.core.State(time.Now())
	if err != nil {
		return err
	}
	rehearse, err := l.options.Upgrader.Rehearse(l.life, state)
	if err != nil {
		return err
	}
	r := &rehearsal{}
	l.rehearsal = r
	go func() {
		err := rehearse()
		l.postWith(input{Input: core.Ticked{}, rehearsed: func() { r.over, r.err = true, err }})
	}()
	return nil
}

// release ends the subscription, and takes in what the agent has said on it.
func (l *loop) release() (*core.End, error) {
	l.stream.Close()
	late := time.NewTimer(releaseTime)
	defer late.Stop()
	for l.stream != nil {
		select {
		case in := <-l.inputs:
			if _, ok := in.Input.(core.Disconnected); ok {
				in.Input = core.Disconnected{Given: true}
			}
			if end, err := l.step(in); end != nil || err != nil {
				return end, err
			}
		case <-late.C:
			return nil, nil
		}
	}
	return nil, nil
}
