package conform

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// flow is one connection with what has come on it.
type flow struct {
	cancel context.CancelFunc // nil when an executor made it
	owner  *executor
	id     int
	path   string
	stream bool
	quiet  bool // nothing was recorded of its events
	head   *head
	body   []byte
	whole  bool // the body is there
	events []event
	ended  string
}

type event struct {
	kind string
	body []byte
	task string
	at   time.Time
}

// arrived takes a new executor.
func (p *player) arrived(e *executor, l *look) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.executors[e.id] = e
	p.looks[e.id] = append(p.looks[e.id], l)
	p.wake()
}

// told takes what an executor's connections say.
func (p *player) told(e *executor, id int, r report) {
	p.received(fmt.Sprintf("executor %s #%d", e.id, id), r)
}

func (p *player) received(stream string, r report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.flows[stream]
	if f == nil {
		return
	}
	switch {
	case r.Head != nil:
		f.head, f.stream = r.Head, r.Head.IsStream
	case r.Record != nil:
		f.events = append(f.events, p.newEvent(r.Record))
	case r.Body != nil || (f.head != nil && !f.stream):
		f.body, f.whole, f.ended = r.Body, true, r.End
	default:
		f.ended = r.End
	}
	p.wake()
}

func (p *player) newEvent(record []byte) event {
	e := event{body: p.stage.eventJSON(record), at: p.clock.Now()}
	var is struct {
		Type   string
		Update struct {
			Status struct {
				TaskID struct{ Value string } `json:"task_id"`
			}
		}
		Acknowledged struct {
			TaskID struct{ Value string } `json:"task_id"`
		}
	}
	if err := json.Unmarshal(e.body, &is); err == nil {
		e.kind, e.task = is.Type, is.Update.Status.TaskID.Value+is.Acknowledged.TaskID.Value
	}
	return e
}

func (p *player) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// wait waits until ready, which is called with mu held, is true; at first with
// a clock that stands, and then, if flow says so, with one that goes on for as
// long as is tolerable.
func (p *player) wait(patience time.Duration, flow bool, ready func() bool) bool {
	if p.missed >= missesToGiveUp {
		patience = min(patience, littlePatience)
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	if p.waitUntil(deadline.C, ready) {
		return true
	}
	if !flow {
		p.missed++
		return false
	}
	for end := p.clock.Now().Add(tolerance + time.Second); p.clock.Now().Before(end); {
		p.clock.advance(p.clock.Now().Add(5*lookEvery), p.settle)
		if p.waitUntil(time.After(lookEvery), ready) {
			return true
		}
	}
	p.missed++
	return false
}

func (p *player) waitUntil(end <-chan time.Time, ready func() bool) bool {
	for {
		p.mu.Lock()
		ok := ready()
		p.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-p.changed:
		case <-end:
			return false
		}
	}
}

// floating events come when the clock says so, and others when messages
// arrive: which of two such is first is not compared.
func floating(kind string) bool { return kind == "OFFERS" || kind == "HEARTBEAT" }

// take takes the event that is the recorded one's counterpart off the stream:
// the next, but for floating ones, and for what other tasks' updates bring.
func (p *player) take(f *flow, recorded event) *event {
	best := -1
	for i, e := range f.events {
		switch {
		case e.kind == recorded.kind && e.task == recorded.task:
			if best < 0 {
				best = i
			}
			if recorded.kind != "OFFERS" {
				return f.remove(best)
			}
			// Of several offers the one that fits.
			if len(p.names.compare(recorded.body, e.body, false)) == 0 {
				return f.remove(i)
			}
		case floating(recorded.kind), floating(e.kind):
		case recorded.kind == e.kind && recorded.task != "":
		default:
			return nil
		}
	}
	if best >= 0 {
		return f.remove(best)
	}
	return nil
}

func (f *flow) remove(i int) *event {
	e := f.events[i]
	f.events = append(f.events[:i:i], f.events[i+1:]...)
	return &e
}

// nothingLeft reports the events that nobody expected. Floating ones may be
// expected yet, unless this is the end.
func (p *player) nothingLeft(l *Line, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for stream, f := range p.flows {
		for i := 0; i < len(f.events); i++ {
			e := f.events[i]
			if f.quiet || (floating(e.kind) && !all) || e.kind == "SHUTDOWN" {
				continue
			}
			p.result.Differences = append(p.result.Differences, Difference{
				p.scenario.Name, l, fmt.Sprintf("event %s: recorded nothing, replayed %s on %s", e.kind, brief(json.RawMessage(e.body)), stream),
			})
			f.remove(i)
			i--
		}
	}
}
