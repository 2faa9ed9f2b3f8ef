package loop

import (
	"context"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/executor/core"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

const (
	// maxSaying is how many messages to the scheduler may be under way; more
	// are dropped, for whoever says so much is not listened to.
	maxSaying = 32
	// sayTimeout is how long the agent may take over one.
	sayTimeout = 10 * time.Second
)

// measure reads what workloads use, in the background: each costs about a dozen
// small files.
func (l *loop) measure(runs []core.Run) {
	if len(runs) == 0 {
		return
	}
	processes := make([]Process, 0, len(runs))
	for _, run := range runs {
		if p := l.processes[run]; p != nil {
			processes = append(processes, p)
		}
	}
	go func() {
		samples := make([]*tandemv1.UsageSample, 0, len(processes))
		for _, p := range processes {
			// One that ends meanwhile reports its usage with its end.
			if s, err := p.Sample(); err == nil {
				samples = append(samples, s)
			}
		}
		l.post(core.Measured{Samples: samples})
	}()
}

// deliver sends a signal that somebody asked for.
func (l *loop) deliver(d core.Deliver) {
	what := unix.SignalName(d.Signal) + " was sent to the main process"
	if d.All {
		what = unix.SignalName(d.Signal) + " was sent to all processes"
	}
	p := l.processes[d.Run]
	go func() {
		done := core.Done{Request: d.Request, What: what, Err: "the task has ended"}
		if p != nil {
			done.Task = p.Task()
			done.Err = text(p.Deliver(d.Signal, d.All))
		}
		if done.Err != "" {
			done.What = unix.SignalName(d.Signal) + " was not sent"
		}
		l.post(done)
	}()
}

// say makes calls of MESSAGE, each once.
func (l *loop) say(calls []*executor.Call) {
	for _, call := range calls {
		select {
		case l.saying <- struct{}{}:
		default:
			l.options.Log.Debug("Dropped a message to the scheduler: too many are under way")
			continue
		}
		go func() {
			defer func() { <-l.saying }()
			ctx, cancel := context.WithTimeout(l.life, sayTimeout)
			defer cancel()
			if err := l.options.Agent.Send(ctx, call); err != nil {
				l.options.Log.WithError(err).Debug("A message to the scheduler did not get through")
			}
		}()
	}
}

// open has a process call the scheduler back. The session ends with the process,
// and with the loop.
func (l *loop) open(o core.Open) {
	p := l.processes[o.Run]
	go func() {
		done := core.Done{Request: o.Request, Task: o.Task, What: "a session was opened"}
		if p == nil {
			done.What, done.Err = "no session was opened", "the task has ended"
			if l.post(done) {
				l.post(core.Closed{Task: o.Task})
			}
			return
		}
		how := p.Attach(l.life, o, func(err error) {
			if err != nil {
				done.What, done.Err = "no session was opened", err.Error()
			}
			l.post(done)
		})
		l.post(core.Closed{Task: o.Task, How: how})
	}()
}
