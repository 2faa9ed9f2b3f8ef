package core_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"
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
