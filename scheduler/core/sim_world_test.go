package core_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// world is a whole cluster on one clock, moved by one source of random numbers.
type world struct {
	seed   uint64
	scale  int    // how many times as large as the smallest
	role   string // the framework's
	random *rand.Rand
	start  time.Time
	now    time.Time
	calm   time.Time // no more faults and no more wishes after this
	events eventHeap
	order  uint64
	master *simMaster
	agents []*simAgent
	links  map[*simAgent]time.Time // when the last message of each arrives
	sched  *simScheduler
	team   *team
	uuids  int
	steps  int
	trace  func(string) // or nil
}

// broken is what a failed check panics with.
type broken string

func (w *world) fail(format string, args ...any) { panic(broken(fmt.Sprintf(format, args...))) }

type event struct {
	at    time.Time
	order uint64
	do    func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (w *world) at(t time.Time, do func()) {
	w.order++
	heap.Push(&w.events, event{t, w.order, do})
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

func (w *world) chance(p float64) bool { return w.random.Float64() < p }

func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(d) + 1))
}

func (w *world) faults() bool { return w.now.Before(w.calm) }

func (w *world) latency() time.Duration {
	if w.faults() && w.chance(0.02) {
		return w.upTo(5 * time.Second)
	}
	return w.upTo(5 * time.Millisecond)
}

// message passes between the master and an agent, in order, unless the agent is
// cut off.
func (w *world) message(a *simAgent, do func()) {
	if a.cut || a.dead {
		return
	}
	at := w.now.Add(w.latency())
	if last := w.links[a]; at.Before(last) {
		at = last
	}
	w.links[a] = at
	w.at(at, func() {
		if !a.cut && !a.dead {
			do()
		}
	})
}

// newWorld makes a world of a few agents, or with a scale of so many times as many,
// and as many instances.
func newWorld(seed uint64, scale int, length time.Duration) *world {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := &world{
		seed: seed, scale: scale, role: roleOf(seed), random: rand.New(rand.NewPCG(seed, 7)), start: start, now: start, calm: start.Add(length),
		links: map[*simAgent]time.Time{},
	}
	w.master = newSimMaster(w)
	w.sched = newSimScheduler(w)
	w.team = &team{w: w, asked: map[string]*wish{}, purged: map[string]bool{}}
	for i := range (3 + w.random.IntN(6)) * scale {
		a := &simAgent{
			w: w, id: fmt.Sprintf("S%d", i), host: fmt.Sprintf("host%d", i), rack: fmt.Sprintf("r%d", i%3),
			total: agentResources(w, 8+w.random.IntN(8)), tasks: map[string]*simTask{},
			written: map[string]bool{}, operations: map[string]bool{}, programs: map[string][]string{},
		}
		a.operators = operators(a.total)
		w.agents = append(w.agents, a)
		w.after(w.upTo(5*time.Second), a.reconnect)
	}
	w.every(time.Second, w.master.allocate)
	w.every(time.Second, w.master.inverseOffers)
	w.every(time.Second, w.sched.checks.notNarrowed)
	w.every(time.Second, func() {
		for _, a := range w.agents {
			a.reconnect()
		}
	})
	if seed%3 == 1 {
		w.after(w.upTo(5*time.Minute), w.quotas)
		w.at(w.calm, w.quotas)
	}
	w.after(0, w.sched.connect)
	w.after(w.upTo(10*time.Second), w.team.wishes)
	w.after(w.upTo(10*time.Second), w.mischief)
	return w
}

func (w *world) every(d time.Duration, do func()) {
	w.after(d, func() {
		do()
		w.every(d, do)
	})
}

// run lets the world go on until a time.
func (w *world) run(until time.Time) {
	for len(w.events) > 0 && !w.events[0].at.After(until) {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

// mischief makes one thing go wrong, and plans the next.
func (w *world) mischief() {
	if !w.faults() {
		return
	}
	w.after(w.upTo(40*time.Second), w.mischief)
	// In a large world a whole rack goes, or a part of one.
	struck := 1
	if w.scale > 1 {
		struck += w.random.IntN(w.scale)
	}
	a := w.agents[w.random.IntN(len(w.agents))]
	switch n := w.random.IntN(100); {
	case n < 15:
		w.note("the stream breaks")
		w.master.endStream()
	case n < 25:
		w.note("the scheduler crashes")
		w.sched.crash()
	case n < 32:
		w.note("the master fails over")
		if w.master.up {
			w.master.failover()
		}
	case n < 55:
		for ; struck > 0; struck-- {
			w.cutOff(a)
			a = w.agents[w.random.IntN(len(w.agents))]
		}
	case n < 58:
		for ; struck > 0; struck-- {
			w.killAgent(a)
			a = w.agents[w.random.IntN(len(w.agents))]
		}
	case n < 70:
		w.note("an offer is rescinded")
		w.master.rescind()
	case n < 76:
		w.plan(a)
	case n < 79:
		w.sched.skew += w.upTo(10*time.Minute) - 5*time.Minute
		w.note("the scheduler's clock is set, to be wrong by %s", w.sched.skew)
		w.sched.plan()
	case n < 83:
		// A task that no record knows of appears, as after a lost store.
		if !a.dead && !a.cut {
			w.note("a stray appears on %s", a.id)
			a.stray()
		}
	default:
		if tasks := a.running(); len(tasks) > 0 && !a.dead {
			t := tasks[w.random.IntN(len(tasks))]
			if t.group.started {
				w.note("the executor of %s dies", t.id)
				a.executorDies(t.group.executor)
			}
		}
	}
}

// cutOff lets no message of an agent pass for a while.
func (w *world) cutOff(a *simAgent) {
	if a.cut || a.dead {
		return
	}
	d := w.upTo(3 * time.Minute)
	if w.chance(0.3) {
		d = w.upTo(30 * time.Minute)
	}
	w.note("agent %s is cut off for %s", a.id, d)
	a.cut = true
	w.after(75*time.Second, func() {
		if a.cut && !a.dead {
			w.master.loses(a.id, unreachableAgent)
		}
	})
	w.after(d, func() {
		a.cut = false
		if known := w.master.agents[a.id]; known != nil && known.state == registered && !a.dead {
			// Nobody has noticed, but the connection broke, and both sides
			// compare what they know.
			w.master.registers(a)
		}
	})
}

func (w *world) killAgent(a *simAgent) {
	if w.alive() <= 3*w.scale || a.dead {
		return
	}
	w.note("agent %s dies", a.id)
	a.die()
	w.after(75*time.Second, func() { w.master.loses(a.id, unreachableAgent) })
	if w.chance(0.5) {
		w.after(3*time.Minute, func() { w.master.loses(a.id, gone) })
	}
}

func (w *world) alive() int {
	n := 0
	for _, a := range w.agents {
		if !a.dead {
			n++
		}
	}
	return n
}

func (w *world) note(format string, args ...any) {
	if w.trace != nil {
		w.trace(fmt.Sprintf("%9.3f ---- %s", w.now.Sub(w.start).Seconds(), fmt.Sprintf(format, args...)))
	}
}

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
		if old, ok := s.store[c.Kind][c.Key]; ok {
			s.checks.unchanged(c.Kind, c.Key, old)
		}
		if c.Record == nil {
			delete(s.store[c.Kind], c.Key)
			continue
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.Record)
		if err != nil {
			s.w.fail("cannot save %s %s: %v", c.Kind, c.Key, err)
		}
		s.store[c.Kind][c.Key] = saved{c.Record, b}
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
