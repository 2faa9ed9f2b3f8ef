package core

import (
	"time"

	"github.com/tandem-mesos/tandem/pkg/schedule"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// phaseCount is one more than the highest InstancePhase.
const phaseCount = int(crashLooping) + 1

// job is one job with all that belongs to it.
type job struct {
	rec      *tandemv1.JobRecord
	edited   uint64     // the step that made rec
	versions []*version // ascending; the last one is what was asked for last
	// instances by slot. A slot is nil when its instance is gone.
	instances []*instance
	present   int // instances that are not nil
	// phases counts the instances in each phase.
	phases [phaseCount]int
	// unavailable counts the wanted instances that do not serve; see assess.
	unavailable int
	// outdated are the instances that may run an older group than the current
	// one, in the order of their replacement.
	outdated []*instance
	// spread is where live attempts are, if a version's rules count them; it
	// knows the agents of generation spreadSeen.
	spread     *match.Spread
	spreadSeen uint64
	// serving counts the canaries that serve.
	serving int
	// broken is why the update that is under way has failed, until that is
	// acted upon.
	broken string
	// timer fires when an update has made no progress for too long, or a cron
	// job's next run is due.
	timer timer
	// failure is the instance that the job's phase_reason speaks of.
	failure *instance
	// runs are those of a cron job that are kept, the oldest first, and runOf is
	// the cron job of a run.
	runs  []*job
	runOf *job
	// onAgent are the instances of a daemon job by their agent.
	onAgent map[string]*instance
	// moves counts the instances that change agents.
	moves   int
	balance *balance // keeps the job even, or nil
	touched bool     // is in Core.touched
}

func (j *job) daemon() bool      { return j.rec.Spec.Type == tandemv1.JobType_JOB_TYPE_DAEMON }
func (j *job) cron() bool        { return j.rec.Spec.Type == tandemv1.JobType_JOB_TYPE_CRON }
func (j *job) id() string        { return j.rec.Spec.Id }
func (j *job) current() *version { return j.versions[len(j.versions)-1] }

// endless reports whether instances are to run until the job is stopped.
func (j *job) endless() bool {
	t := j.rec.Spec.Type
	return t == tandemv1.JobType_JOB_TYPE_SERVICE || t == tandemv1.JobType_JOB_TYPE_DAEMON
}

// total is how many instances the job is to have, canaries included.
func (j *job) total() int {
	if !j.daemon() && j.updating() && j.rec.Update.Reverts == 0 && !j.rec.Stopped {
		return j.count() + int(j.rec.Spec.GetUpdate().GetCanary())
	}
	return j.count()
}

// count is how many instances the job is to have beside canaries.
func (j *job) count() int {
	if j.rec.Stopped {
		return 0
	}
	switch j.rec.Spec.Type {
	case tandemv1.JobType_JOB_TYPE_DAEMON:
		return len(j.instances) // whoever has a slot is wanted
	case tandemv1.JobType_JOB_TYPE_CRON:
		return 0 // its runs are jobs of their own
	}
	return int(j.rec.Spec.GetInstances())
}

func (j *job) version(number uint64) *version {
	for i := len(j.versions) - 1; i >= 0; i-- {
		if j.versions[i].number == number {
			return j.versions[i]
		}
	}
	return nil
}

// version is one version of a job, made ready for matching and launching.
type version struct {
	job    *job
	number uint64
	spec   *tandemv1.Job
	rec    *tandemv1.VersionRecord
	// group is the number of the oldest version that is kept whose instances
	// need not be replaced to become this version's.
	group    uint64
	need     match.Need
	rules    *match.Rules
	launch   *launchPlan        // made at the first launch
	schedule *schedule.Schedule // of a cron job
	waiting  waitList
	queued   bool // is in Core.queue
	// secretive says that the group names secrets.
	secretive bool
	// why is the last summary of why instances wait, and whyAt when it was made.
	why   string
	whyAt time.Time
}

// instance is one numbered copy of a job's group.
type instance struct {
	// What every update looks at comes first, for with many tasks it is in no
	// cache: so it takes one line of memory, and not three.
	job    *job
	rec    *tandemv1.InstanceRecord
	edited uint64
	// live is the attempt that makes the instance what it is. old are those
	// that were replaced while their agent was unreachable, and may come back.
	live *attempt
	// next is to take the place of live when it serves, in a move.
	next   *attempt
	move   *move // under way, or nil
	slot   int32
	short  bool // counts as unavailable
	serves bool // with the current group, for long enough

	old []*attempt
	// ended are the latest attempts that are over, the newest last.
	ended []*attempt
	// timer fires when the restart delay has passed or the instance has been
	// up for the update's minHealthyTime.
	timer timer
	// waitsIn is the version in whose list it waits, at waitsAt.
	waitsIn *version
	waitsAt int
	tied    string // the agent that it waits for, where its volumes are
}

// attempt is one launch of an instance.
type attempt struct {
	instance *instance
	version  *version // nil when it is not kept any more
	rec      *tandemv1.AttemptRecord
	edited   uint64
	open     int // tasks that are not terminal
	// unanswered has a bit for each task that the master owes a word about.
	unanswered uint64
	killAt     int64 // when the next KILL is due
	kills      int   // that were sent
	asks       int   // questions since the last launch or subscription
	askAt      int64 // when the next is due
	shared     *sharedExecutor
	timer      timer
	// measuredUntil is until when its executor was asked for samples.
	measuredUntil int64
	host          *host // while it is not over
	hostAt        int   // in host.attempts
	uncounted     bool  // is not in the job's spread
	// doubtful says that its launch may never have reached the master, and that
	// nothing was heard of it since.
	doubtful bool
}

func (a *attempt) over() bool { return a.rec.Ended != nil }

// value tells a Spread where the attempt is.
func (a *attempt) value(attribute string) (string, bool) {
	if attribute == "@hostname" {
		return a.rec.Hostname, a.rec.Hostname != ""
	}
	v, ok := a.rec.Attributes[attribute]
	return v, ok
}

// taskRef finds a task by its ID.
type taskRef struct {
	attempt *attempt
	index   int
}

// findTask finds a task by its ID, which says whose it is: what is kept here of a
// task is all on the way, and an index of all IDs would be another place to look
// at, and a tenth of the memory.
func (c *Core) findTask(id string) (taskRef, bool) {
	var name [128]byte
	job, slot, number, workload, ok := state.CutTaskName(name[:0], id)
	if !ok {
		return taskRef{}, false
	}
	j := c.jobs[string(job)]
	if j == nil || int(slot) >= len(j.instances) || j.instances[slot] == nil {
		return taskRef{}, false
	}
	a := j.instances[slot].attempt(number)
	if a == nil {
		return taskRef{}, false
	}
	for i, t := range a.rec.Tasks {
		if t.Workload == workload {
			return taskRef{a, i}, true
		}
	}
	return taskRef{}, false
}

// attempt returns the attempt with a number, if it is kept.
func (in *instance) attempt(number uint64) *attempt {
	// Besides saving a search, this has the record fetched while the attempt is: an
	// update needs both, and with many tasks waits for each.
	if number > in.rec.Attempt {
		return nil
	}
	for _, a := range [...]*attempt{in.live, in.next} {
		if a != nil && a.rec.Attempt == number {
			return a
		}
	}
	for _, list := range [...][]*attempt{in.old, in.ended} {
		for _, a := range list {
			if a.rec.Attempt == number {
				return a
			}
		}
	}
	return nil
}

// waitList is a queue that elements may leave from the middle.
type waitList struct {
	list  []*instance
	head  int
	count int
}

func (w *waitList) push(in *instance) {
	in.waitsAt = len(w.list)
	w.list = append(w.list, in)
	w.count++
}

// pop returns nil when nothing waits.
func (w *waitList) pop() *instance {
	for w.head < len(w.list) {
		in := w.list[w.head]
		w.list[w.head] = nil
		w.head++
		if in != nil {
			w.count--
			if w.count == 0 {
				w.list, w.head = w.list[:0], 0
			}
			return in
		}
	}
	return nil
}

func (w *waitList) remove(in *instance) {
	w.list[in.waitsAt] = nil
	w.count--
	if w.count == 0 {
		w.list, w.head = w.list[:0], 0
	} else if len(w.list) > 64 && w.count < len(w.list)/4 {
		kept := w.list[:0]
		for _, other := range w.list {
			if other != nil {
				other.waitsAt = len(kept)
				kept = append(kept, other)
			}
		}
		clear(w.list[len(kept):])
		w.list, w.head = kept, 0
	}
}

// first returns up to n of those that wait, the longest waiting first.
func (w *waitList) first(n int) []*instance {
	var out []*instance
	for _, in := range w.list[w.head:] {
		if in != nil && len(out) < n {
			out = append(out, in)
		}
		if len(out) == n {
			break
		}
	}
	return out
}
