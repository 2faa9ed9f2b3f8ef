package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Core is one scheduler's mind. The zero value is not usable; see New.
type Core struct {
	cfg    Config
	random *rand.Rand

	step   uint64    // counts the calls of Step
	now    time.Time // never runs backwards
	stamp  *timestamppb.Timestamp
	timers timers
	// resuming: what is found now has been so before.
	resuming bool

	framework  *tandemv1.FrameworkRecord
	subscribed bool
	tearing    bool // the framework down
	farewell   *farewell
	// subscription counts them, so that what belongs to one is told from the next.
	subscription uint64
	jobs         map[string]*job
	daemons      []*job // that are not stopped
	agents       *agents
	offers       offerState
	reconcile    reconcileState
	strays       map[string]*stray
	secrets      map[string]bool // that are held
	shared       map[shareKey]*sharedExecutor
	askings      map[uint64]*asking // by request
	hosts        map[string]*host   // by agent
	left         []*host            // that are to be left
	gpus         bool               // some job asks for graphics processors
	volumes      volumes
	taken        takenRequests
	withheld     withheld

	// What the current step has touched, in the order in which it did.
	frameworkEdited bool
	touched         []*job
	instances       []*instance
	attempts        []*attempt
	editedHosts     []*host
	review          []*host        // to be looked at when the step ends
	save            []state.Change // versions and whatever is removed, and in the end all
	calls           callLists
	called          []*scheduler.Call // in the end: all of calls
	replies         []Reply
	show            []Notice
	samples         []*tandemv1.UsageSample
}

// callLists are the calls of one step by what they are for, in the order in
// which they are made. Launches come first, for somebody waits for them.
type callLists struct {
	offers, acknowledge, kill, reconcile, demand, talk []*scheduler.Call
}

// New returns a core that goes on from what was saved. An empty snapshot is a
// new scheduler. It keeps the snapshot's records and never changes them. The
// configuration must be valid (Config.Validate).
func New(cfg Config, saved state.Snapshot) *Core {
	c := &Core{
		cfg:    cfg.withDefaults(),
		random: rand.New(rand.NewPCG(cfg.Seed, 0)),
		jobs:   map[string]*job{},
		agents: newAgents(),
		strays: map[string]*stray{},
		shared: map[shareKey]*sharedExecutor{},

		askings: map[uint64]*asking{},
		hosts:   map[string]*host{},
		volumes: newVolumes(),
		taken:   newTakenRequests(),
	}
	c.withheld.agents = map[string]string{}
	c.offers.timer.owner = fireFunc((*Core).reviveDue)
	c.offers.shape.timer.owner = fireFunc((*Core).reviveDue)
	c.reconcile.timer.owner = fireFunc((*Core).reconcileDue)
	c.restore(saved)
	return c
}

// Step takes in what has happened and says what is to be done about it. The
// time should not run backwards; where it does, the core's own time stands
// still until it is caught up with. Timers that are due fire first. The lists of
// Effects.Save and Calls are the core's, and good until the next Step; what stands in
// them is not.
func (c *Core) Step(now time.Time, in Input) Effects {
	c.step++
	c.save, c.called = clearList(c.save), clearList(c.called)
	if now.After(c.now) {
		c.now, c.stamp = now, timestamppb.New(now)
	}
	if c.step == 1 {
		c.resume()
	}
	left := bound(len(c.timers.heap))
	for t := c.timers.due(c.now.UnixNano()); t != nil; t = c.timers.due(c.now.UnixNano()) {
		t.owner.fired(c)
		left.count("timers fire")
	}
	switch in := in.(type) {
	case Subscribed:
		c.onSubscribed(in)
	case Disconnected:
		c.onDisconnected()
	case Offers:
		c.onOffers(in.Offers)
	case InverseOffers:
		c.onInverseOffers(in.Offers)
	case InverseRescinded:
		c.onInverseRescinded(in.OfferID)
	case Rescinded:
		// No offer is ever held, so that none can be taken back.
	case Updated:
		c.onUpdate(in.Status)
	case OperationUpdated:
		c.onOperation(&in.Status)
	case Failed:
		c.onFailed(in)
	case CallFailed:
		c.onCallFailed(in)
	case Told:
		c.onTold(in)
	case Command:
		c.onCommand(in)
	case SecretsHeld:
		c.onSecretsHeld(in)
	case Ticked:
	default:
		panic(fmt.Sprintf("core: unknown input %T", in))
	}
	return c.effects()
}

// Next returns when a Ticked is due, and false when nothing waits for time to
// pass. It may have changed after every Step. Before the first Step a Ticked is
// due at once.
func (c *Core) Next() (time.Time, bool) {
	if c.step == 0 {
		return time.Time{}, true
	}
	return c.timers.next()
}

// effects ends a step: it settles what the step has touched and collects what
// is to be done.
func (c *Core) effects() Effects {
	c.endWhenLanded()
	left := bound(len(c.jobs) + len(c.hosts))
	for i := 0; i < len(c.touched) || len(c.review) > 0; { // both grow meanwhile
		left.count("jobs and agents are looked at")
		if i == len(c.touched) {
			c.reviewHosts()
			continue
		}
		j := c.touched[i]
		j.touched = false
		c.finishJob(j)
		i++
	}
	c.saveHosts()
	c.saveVolumes()
	c.demand()
	c.saveEdited()
	c.flushReconcile()
	c.orderCalls()
	e := Effects{Save: c.save, Calls: c.called, Replies: c.replies, Show: c.show, Samples: c.samples}
	c.touched, c.instances, c.attempts = clearList(c.touched), clearList(c.instances), clearList(c.attempts)
	c.replies, c.show, c.samples = nil, nil, nil
	return e
}

// saveEdited saves the records that the step has changed.
func (c *Core) saveEdited() {
	if c.frameworkEdited {
		c.frameworkEdited = false
		c.save = append(c.save, state.PutFramework(c.framework))
	}
	c.save = slices.Grow(c.save, len(c.touched)+len(c.instances)+len(c.attempts))
	for _, j := range c.touched {
		if j.edited == c.step && c.jobs[j.id()] == j {
			j.edited = 0 // a job may have been touched twice
			c.save = append(c.save, state.PutJob(j.rec))
		}
	}
	for _, in := range c.instances {
		if in.edited == c.step {
			c.save = append(c.save, state.PutInstance(in.rec))
		}
	}
	for _, a := range c.attempts {
		if a.edited == c.step {
			c.save = append(c.save, state.PutAttempt(a.rec))
		}
	}
}

// orderCalls puts the step's calls into the order in which they are made.
func (c *Core) orderCalls() {
	l := &c.calls
	for _, list := range [...]*[]*scheduler.Call{&l.offers, &l.acknowledge, &l.kill, &l.reconcile, &l.demand, &l.talk} {
		if len(*list) > 0 {
			c.called = append(c.called, *list...)
			*list = clearList(*list)
		}
	}
}

// bounded counts down how often something of a step may still repeat.
type bounded int

// bound allows far more repetitions than so many things ever ask for.
func bound(things int) bounded { return bounded(1000 + 100*things) }

// count panics where a step would not end: a scheduler that ends, and says why,
// is better than one that stands still.
func (b *bounded) count(what string) {
	if *b--; *b < 0 {
		panic("core: " + what + " without end in one step")
	}
}

// clearList empties a list and keeps its room, unless that is large.
func clearList[T any](list []T) []T {
	if cap(list) > 4096 {
		return nil
	}
	clear(list)
	return list[:0]
}

// touch has the job looked at when the step ends.
func (c *Core) touch(j *job) {
	if !j.touched {
		j.touched = true
		c.touched = append(c.touched, j)
	}
}

// editJob returns the job's record to be changed in this step. So do the others
// below for theirs: a record that an earlier step has saved is copied first.
func (c *Core) editJob(j *job) *tandemv1.JobRecord {
	if j.edited != c.step {
		j.rec, j.edited = state.CopyJob(j.rec), c.step
		c.touch(j)
	}
	return j.rec
}

func (c *Core) editInstance(in *instance) *tandemv1.InstanceRecord {
	if in.edited != c.step {
		in.rec, in.edited = state.CopyInstance(in.rec), c.step
		c.instances = append(c.instances, in)
	}
	return in.rec
}

func (c *Core) editAttempt(a *attempt) *tandemv1.AttemptRecord {
	if a.edited != c.step {
		a.rec, a.edited = state.CopyAttempt(a.rec), c.step
		c.attempts = append(c.attempts, a)
	}
	return a.rec
}

func (c *Core) editTask(a *attempt, i int) *tandemv1.TaskRecord {
	if a.edited != c.step && len(a.rec.Tasks) == 1 {
		a.rec, a.edited = state.CopyAttemptOfOne(a.rec), c.step
		c.attempts = append(c.attempts, a)
		return a.rec.Tasks[0]
	}
	rec := c.editAttempt(a)
	rec.Tasks[i] = state.CopyTask(rec.Tasks[i])
	return rec.Tasks[i]
}

// notice adds a line for the log, about the job or nil. What else it is about is
// set in what it returns, before the next notice.
func (c *Core) notice(level NoticeLevel, j *job, format string, args ...any) *Notice {
	n := Notice{Level: level, Text: fmt.Sprintf(format, args...)}
	if j != nil {
		n.Job = j.id()
	}
	c.show = append(c.show, n)
	return &c.show[len(c.show)-1]
}

// noticeInstance is notice for one instance.
func (c *Core) noticeInstance(level NoticeLevel, in *instance, format string, args ...any) *Notice {
	n := c.notice(level, in.job, format, args...)
	n.OfInstance, n.Slot = true, in.slot
	return n
}

// noticeAttempt is notice for one attempt.
func (c *Core) noticeAttempt(level NoticeLevel, a *attempt, format string, args ...any) *Notice {
	n := c.noticeInstance(level, a.instance, format, args...)
	n.about(a)
	return n
}

// about names the attempt that a notice of its instance is about. Nil is none.
func (n *Notice) about(a *attempt) {
	if a != nil {
		n.Attempt, n.Agent = a.rec.Attempt, a.rec.AgentId
	}
}

// jitter returns a duration from d to a tenth more.
func (c *Core) jitter(d time.Duration) time.Duration {
	if d < 10 {
		return d
	}
	return d + time.Duration(c.random.Int64N(int64(d)/10+1))
}

func (c *Core) frameworkID() *mesos.FrameworkID {
	return &mesos.FrameworkID{Value: c.framework.GetFrameworkId()}
}
