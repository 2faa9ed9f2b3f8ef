package loop

import (
	"context"
	"runtime"

	"github.com/tandem-mesos/tandem/executor/core"
)

// perform begins effects, in their order.
func (l *loop) perform(e core.Effects) {
	if e.Subscribe != nil {
		l.subscribes <- e.Subscribe
	}
	for _, call := range e.Sends {
		l.sender.send(call)
	}
	if len(e.Sends) > 0 {
		runtime.Gosched() // It goes before everything else.
	}
	for _, n := range e.Notices {
		l.log(n)
	}
	for _, run := range e.StopFetches {
		if cancel, ok := l.fetches[run]; ok {
			cancel()
			delete(l.fetches, run)
		}
	}
	for _, run := range e.StopChecks {
		if k, ok := l.checks[run]; ok {
			k.cancel()
			delete(l.checks, run)
		}
	}
	for _, run := range e.Kills {
		if p := l.processes[run]; p != nil {
			p.Kill()
		}
	}
	for _, p := range e.PreStops {
		l.preStop(p)
	}
	for _, s := range e.Signals {
		l.signal(s)
	}
	for _, f := range e.Fetches {
		l.fetch(f)
	}
	if len(e.Starts) > 0 {
		l.options.Starting()
	}
	for _, s := range e.Starts {
		l.hands.Go(func() { l.start(s) })
	}
	for _, k := range e.Checks {
		l.check(k)
	}
	for _, run := range e.Disks {
		l.measureDisk(run)
	}
	l.measure(e.Measure)
	for _, d := range e.Deliveries {
		l.deliver(d)
	}
	for _, o := range e.Opens {
		l.open(o)
	}
	l.say(e.Says)
	if e.Dismiss {
		l.options.Upgrader.Dismiss()
	}
	if e.Prepare != nil {
		l.prepare(*e.Prepare)
	}
}

// fetch brings a task's files in the background.
func (l *loop) fetch(f core.Fetch) {
	ctx, cancel := context.WithCancel(l.life)
	l.fetches[f.Run] = cancel
	go func() {
		defer cancel()
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-ctx.Done():
			return
		}
		l.post(core.Fetched{Run: f.Run, Err: text(l.tasks.Fetch(ctx, f))})
	}()
}

// start runs a workload and sees it to its end. The news of the start comes
// before that of the end.
func (l *loop) start(s core.Start) {
	p, err := l.tasks.Start(l.life, s)
	if err != nil {
		l.post(core.Started{Run: s.Run, Err: text(err)})
		return
	}
	if !l.postWith(input{Input: core.Started{Run: s.Run, Warnings: p.Warnings()}, process: p}) {
		p.Kill()
		return
	}
	l.await(s.Run, p)
}

// await sees a workload to its end.
func (l *loop) await(run core.Run, p Process) {
	p.OnExit(func(exit core.Exit) { l.post(core.Exited{Run: run, Exit: exit}) })
}

func (l *loop) signal(s core.Signal) {
	p := l.processes[s.Run]
	if p == nil {
		return // Its end is on the way.
	}
	if err := p.Signal(s.Signal); err != nil {
		l.options.Log.WithError(err).Warnf("Cannot send %s to a workload", s.Signal)
	}
}

// preStop performs a task's hook before its first signal. It ends with the task.
func (l *loop) preStop(s core.PreStop) {
	p := l.processes[s.Run]
	if p == nil {
		return
	}
	ctx, cancel := context.WithCancel(l.life)
	l.hooks[s.Run] = cancel
	go func() {
		result := p.Check(ctx, core.Check{Run: s.Run, Kind: core.Hook, Spec: s.Spec, Timeout: s.Timeout})
		l.post(core.PreStopped{Run: s.Run, Spec: s.Spec, Result: result})
	}()
}

func (l *loop) check(k core.Check) {
	p := l.processes[k.Run]
	if p == nil {
		return
	}
	of, ok := l.checks[k.Run]
	if !ok {
		of.ctx, of.cancel = context.WithCancel(l.life)
		l.checks[k.Run] = of
	}
	go func() {
		result := p.Check(of.ctx, k)
		if of.ctx.Err() == nil { // Otherwise nobody waits for it.
			l.post(core.Checked{Run: k.Run, Kind: k.Kind, Seq: k.Seq, Result: result})
		}
	}()
}

// measureDisk looks through a task's directory, of few tasks at once: each takes a
// thread while the disk is slow.
func (l *loop) measureDisk(run core.Run) {
	p := l.processes[run]
	if p == nil {
		return
	}
	go func() {
		select {
		case l.disks <- struct{}{}:
			defer func() { <-l.disks }()
		case <-l.life.Done():
			return
		}
		used, err := p.Disk(l.life)
		l.post(core.DiskMeasured{Run: run, Used: used, Err: text(err)})
	}()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
