package core_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// simScheduler is a scheduler's process: a core, a store and one connection.
type simScheduler struct {
	w      *world
	core   *core.Core
	store  map[state.Kind]map[string]saved
	stream *stream
	checks *checks
	ticks  int // counts plans, so that only the latest is carried out
	down   bool
	// program counts the versions of the executor.
	program int
	last    time.Time     // when the latest call arrives
	skew    time.Duration // of its clock
	// same counts the steps at one moment.
	at   time.Time
	same int
}

// clock is what the machine's clock shows.
func (s *simScheduler) clock() time.Time { return s.w.now.Add(s.skew) }

// saved is a record as it was when it was saved.
type saved struct {
	record proto.Message
	bytes  []byte
}

func newSimScheduler(w *world) *simScheduler {
	s := &simScheduler{w: w, store: map[state.Kind]map[string]saved{}}
	for _, k := range state.Kinds {
		s.store[k] = map[string]saved{}
	}
	s.checks = newChecks(s)
	s.core = core.New(w.config(w.seed, 0), state.Snapshot{})
	return s
}

func (s *simScheduler) connect() {
	if s.down || s.stream != nil {
		return
	}
	if !s.w.master.up {
		s.w.after(time.Second, s.connect)
		return
	}
	s.stream = &stream{}
	s.w.master.subscribe(s.stream, s.core.Wanted())
}

// streamEnded is called when the master's side is closed.
func (s *simScheduler) streamEnded(old *stream) {
	if s.stream != old {
		return
	}
	s.stream = nil
	if !s.down {
		s.w.after(s.w.upTo(100*time.Millisecond), func() {
			if s.stream == nil && !s.down {
				s.step(core.Disconnected{})
				s.w.after(s.w.upTo(3*time.Second), s.connect)
			}
		})
	}
}

// crash ends the process; what was saved starts the next.
func (s *simScheduler) crash() {
	if s.down {
		return
	}
	s.down = true
	s.ticks++
	s.w.after(s.w.upTo(20*time.Second), func() {
		s.down = false
		var snap state.Snapshot
		for _, k := range state.Kinds {
			for _, key := range sortedKeys(s.store[k]) {
				m, err := k.New()
				if err != nil {
					s.w.fail("%v", err)
				}
				if err := proto.Unmarshal(s.store[k][key].bytes, m); err != nil {
					s.w.fail("%v", err)
				}
				snap.Add(m)
			}
		}
		if s.w.chance(0.6) {
			s.program++ // it is another version that starts
		}
		s.core = core.New(s.w.config(s.w.seed+uint64(s.w.steps), s.program), snap)
		s.plan()
		s.connect()
	})
	if s.stream != nil {
		s.w.master.endStream()
		s.stream = nil
	}
}

// step hands an input to the core and carries out its effects, or crashes on
// the way.
func (s *simScheduler) step(in core.Input) {
	if s.down {
		return
	}
	s.w.steps++
	if s.at.Equal(s.w.now) {
		s.same++
	} else {
		s.at, s.same = s.w.now, 0
	}
	if s.same > 10000*s.w.scale {
		s.w.fail("the core wants to be woken at once, again and again")
	}
	if s.w.trace != nil {
		s.w.trace(fmt.Sprintf("%9.3f  in  %s", s.w.now.Sub(s.w.start).Seconds(), describeInput(in)))
	}
	e := s.core.Step(s.clock(), in)
	if s.w.trace != nil {
		for _, line := range describeEffects(e) {
			s.w.trace("              " + line)
		}
	}
	s.checks.effects(in, e)
	if s.w.faults() && s.w.chance(0.002) {
		s.w.note("crash before saving")
		s.crash()
		return
	}
	for _, c := range e.Save {
		if old, ok := s.store[c.Kind][c.Key.String()]; ok {
			s.checks.unchanged(c.Kind, c.Key.String(), old)
		}
		if c.Record == nil {
			delete(s.store[c.Kind], c.Key.String())
			continue
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.Record)
		if err != nil {
			s.w.fail("cannot save %s %s: %v", c.Kind, c.Key, err)
		}
		s.store[c.Kind][c.Key.String()] = saved{c.Record, b}
	}
	s.checks.saved(e)
	stop := -1
	if s.w.faults() && len(e.Calls) > 0 && s.w.chance(0.004) {
		stop = s.w.random.IntN(len(e.Calls))
	}
	for i, c := range e.Calls {
		if i == stop {
			s.w.note("crash before call %d of %d", i+1, len(e.Calls))
			s.crash()
			return
		}
		s.checks.called(c)
		s.send(c)
	}
	for _, r := range e.Replies {
		s.w.team.answered(r)
	}
	s.plan()
}

// send makes a call, which may fail on the way or seem to.
func (s *simScheduler) send(c *scheduler.Call) {
	stream, constraints := s.stream, s.core.Wanted().Constraints
	failed := func(uncertain bool) {
		s.w.after(s.w.latency(), func() {
			s.step(core.CallFailed{Call: c, Reason: "connection reset by peer", Uncertain: uncertain})
		})
	}
	if stream == nil {
		failed(false)
		return
	}
	lost, reported, uncertain := false, false, false
	if s.w.faults() && s.w.chance(0.02) {
		switch s.w.random.IntN(4) {
		case 0:
			lost, reported = true, true
		case 1:
			lost, reported, uncertain = true, true, true
		case 2:
			reported, uncertain = true, true
		case 3:
			lost = true // and nobody is told: the master has died with it
		}
	}
	at := s.w.now.Add(s.w.latency())
	if at.Before(s.last) {
		at = s.last
	}
	s.last = at
	s.w.at(at, func() {
		if s.w.master.stream == stream && !lost {
			s.w.master.call(c, constraints)
		}
		if lost && !reported {
			s.w.master.endStream()
		}
	})
	if reported {
		failed(uncertain)
	}
}

// plan has the core ticked when it wants to be.
func (s *simScheduler) plan() {
	s.ticks++
	n := s.ticks
	next, ok := s.core.Next()
	if !ok {
		return
	}
	if next = next.Add(-s.skew); next.Before(s.w.now) {
		next = s.w.now
	}
	s.w.at(next, func() {
		if n == s.ticks && !s.down {
			s.step(core.Ticked{})
		}
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sortStrings(keys)
	return keys
}

func short(s string) string { return strings.TrimPrefix(s, "TASK_") }
