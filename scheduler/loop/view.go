package loop

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// View is what readers are shown: everything that is durable, and how the
// scheduler stands with Mesos. The loop writes it; any number of goroutines may
// read it. A message that a View has given out is never changed again, and must
// not be changed by whoever got it.
type View struct {
	// What is below mu is guarded by it. The loop holds it for as long as it
	// takes to put a batch's records in place, readers for as long as it takes
	// to copy pointers.
	mu       sync.RWMutex
	sequence uint64
	// recent are the latest changes, the oldest first, for watches that go on
	// where an earlier one ended.
	recent    recent
	framework *tandemv1.FrameworkView
	jobs      map[string]*jobEntry
	agents    map[string]*tandemv1.AgentRecord
	volumes   map[string]*tandemv1.VolumeRecord
	watches   map[*watch]struct{}
	tally     tally
	ended     bool
	// course measures what is shown; a copy of another's state has none.
	course *course
	// cut counts the watches that were ended because their readers were slow.
	cut atomic.Uint64

	// usage has a lock of its own.
	usage usage
}

// jobEntry is a job with all that belongs to it. While the records of a
// snapshot or a batch are put in place, instances may come before their job.
type jobEntry struct {
	record *tandemv1.JobRecord
	// The newest first.
	versions []*tandemv1.VersionRecord
	// In the order of their slots.
	instances []*instanceEntry
	phases    phases
}

type instanceEntry struct {
	slot   int32
	record *tandemv1.InstanceRecord
	// The newest first.
	attempts []*tandemv1.AttemptRecord
}

// newView returns a view of what was saved. Its changes are numbered from first
// on.
func newView(saved state.Snapshot, framework *tandemv1.FrameworkView, first uint64) *View {
	v := &View{
		sequence:  first,
		framework: framework,
		jobs:      map[string]*jobEntry{},
		agents:    map[string]*tandemv1.AgentRecord{},
		volumes:   map[string]*tandemv1.VolumeRecord{},
		watches:   map[*watch]struct{}{},
		tally:     newTally(),
	}
	for _, r := range saved.Jobs {
		v.place(state.PutJob(r))
	}
	for _, r := range saved.Versions {
		v.place(state.PutVersion(r))
	}
	for _, r := range saved.Instances {
		v.place(state.PutInstance(r))
	}
	for _, r := range saved.Attempts {
		v.place(state.PutAttempt(r))
	}
	for _, r := range saved.Agents {
		v.place(state.PutAgent(r))
	}
	for _, r := range saved.Volumes {
		v.place(state.PutVolume(r))
	}
	return v
}

// Jobs returns all jobs in the order of their IDs.
func (v *View) Jobs() []*tandemv1.JobRecord {
	v.mu.RLock()
	defer v.mu.RUnlock()
	jobs := make([]*tandemv1.JobRecord, 0, len(v.jobs))
	for _, j := range v.jobs {
		if j.record != nil {
			jobs = append(jobs, j.record)
		}
	}
	slices.SortFunc(jobs, func(a, b *tandemv1.JobRecord) int { return cmp.Compare(a.Spec.Id, b.Spec.Id) })
	return jobs
}

// Job returns a job with its instances, in the order of their slots, and their
// attempts, the newest first. It reports false when there is no such job.
func (v *View) Job(id string) (*tandemv1.JobView, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	j, ok := v.jobs[id]
	if !ok || j.record == nil {
		return nil, false
	}
	view := &tandemv1.JobView{Job: j.record}
	for _, i := range j.instances {
		if i.record != nil {
			view.Instances = append(view.Instances, &tandemv1.InstanceView{
				Instance: i.record, Attempts: i.attempts,
			})
		}
	}
	return view, true
}

// Phases returns how many instances of a job are in which phase.
func (v *View) Phases(job string) *tandemv1.InstanceCounts {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if j, ok := v.jobs[job]; ok {
		return j.phases.of(job)
	}
	return &tandemv1.InstanceCounts{JobId: job}
}

// Versions returns the versions of a job that are kept, the newest first.
func (v *View) Versions(job string) []*tandemv1.VersionRecord {
	v.mu.RLock()
	defer v.mu.RUnlock()
	j, ok := v.jobs[job]
	if !ok {
		return nil
	}
	return j.versions
}

// Agents returns the agents that are to be left, with the reasons, by ID.
func (v *View) Agents() map[string]*tandemv1.AgentRecord {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return maps.Clone(v.agents)
}

// Volumes returns the persistent volumes, by job, instance, name and age.
func (v *View) Volumes() []*tandemv1.VolumeRecord {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.SortedFunc(maps.Values(v.volumes), func(a, b *tandemv1.VolumeRecord) int {
		return cmp.Or(cmp.Compare(a.JobId, b.JobId), cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(a.Id, b.Id))
	})
}

// Framework returns how the scheduler stands with Mesos.
func (v *View) Framework() *tandemv1.FrameworkView {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.framework
}

// show puts the changes of each step in place and passes them on to the watches.
func (v *View) show(steps [][]state.Change) {
	if len(steps) == 0 {
		return
	}
	now := timestamppb.Now()
	counted := map[string]struct{}{}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, step := range steps {
		v.arrange(step)
		for _, c := range step {
			v.place(c)
			r, job := response(c)
			if r == nil {
				continue
			}
			if c.Kind == state.KindInstance {
				counted[job] = struct{}{}
			}
			r.Time = now
			v.publish(job, r)
		}
	}
	v.publishCounts(counted, now)
}

// arrange puts the changes of one step, in which no key comes twice, in the
// order in which readers understand them best: a new job first; otherwise first
// what has happened to attempts, then what that made of their instances, and
// then of the job. Whoever waits for a job to finish then knows how it did.
func (v *View) arrange(step []state.Change) {
	rank := func(c state.Change) int {
		switch c.Kind {
		case state.KindAttempt:
			return 1
		case state.KindInstance:
			return 2
		case state.KindJob:
			if j, ok := v.jobs[c.ID]; c.Record != nil && (!ok || j.record == nil) {
				return 0
			}
		}
		return 3
	}
	slices.SortStableFunc(step, func(a, b state.Change) int { return cmp.Compare(rank(a), rank(b)) })
}

// showFramework replaces how the scheduler stands with Mesos. Watches hear of
// it when told is set: the good-neighbour figures alone are no news.
func (v *View) showFramework(f *tandemv1.FrameworkView, told bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.framework = f
	if told {
		r := tell(f)
		r.Time = timestamppb.Now()
		v.publish("", r)
	}
}

// response is how a change is told to watches, and the job that it belongs to.
// The removal of attempts, of which the newest few are kept, is not told.
func response(c state.Change) (*tandemv1.WatchResponse, string) {
	switch {
	case c.Record != nil:
		return tell(c.Record), c.ID
	case c.Kind == state.KindJob:
		return &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_JobRemoved{JobRemoved: c.ID}}, c.ID
	case c.Kind == state.KindInstance:
		return &tandemv1.WatchResponse{Change: &tandemv1.WatchResponse_InstanceRemoved{
			InstanceRemoved: &tandemv1.InstanceRemoved{JobId: c.ID, Slot: c.Slot},
		}}, c.ID
	}
	return nil, ""
}

// place puts one record where readers find it, or removes it.
func (v *View) place(c state.Change) {
	switch c.Kind {
	case state.KindAgent:
		if r, ok := c.Record.(*tandemv1.AgentRecord); ok {
			v.agents[c.ID] = r
		} else {
			delete(v.agents, c.ID)
		}
		return
	case state.KindVolume:
		if r, ok := c.Record.(*tandemv1.VolumeRecord); ok {
			v.volumes[c.ID] = r
		} else {
			delete(v.volumes, c.ID)
		}
		return
	case state.KindJob:
		j := v.job(c.ID)
		r, _ := c.Record.(*tandemv1.JobRecord)
		v.tally.job(j.record, r)
		j.record = r
	case state.KindVersion:
		j := v.job(c.ID)
		r, _ := c.Record.(*tandemv1.VersionRecord)
		j.versions = withVersion(j.versions, c.Number, r)
	case state.KindInstance:
		j := v.job(c.ID)
		i := j.instance(c.Slot)
		r, _ := c.Record.(*tandemv1.InstanceRecord)
		v.tally.instances.instance(i.record, r)
		j.phases.instance(i.record, r)
		if v.course != nil {
			v.course.instance(i.record, r)
		}
		i.record = r
	case state.KindAttempt:
		i := v.job(c.ID).instance(c.Slot)
		r, _ := c.Record.(*tandemv1.AttemptRecord)
		before := i.attempt(c.Number)
		v.tally.attempt(before, r)
		if v.course != nil {
			v.course.attempt(before, r)
		}
		i.attempts = withAttempt(i.attempts, c.Number, r)
	default:
		return
	}
	if c.Record == nil {
		v.tidy(c.ID, c.Slot)
	}
}

// withAttempt returns the attempts, the newest first, with the one of that
// number replaced, added or, when r is nil, left out. The slice that is given
// may be in the hands of readers and stays as it is.
func withAttempt(attempts []*tandemv1.AttemptRecord, number uint64, r *tandemv1.AttemptRecord) []*tandemv1.AttemptRecord {
	at, found := findAttempt(attempts, number)
	rest := attempts[at:]
	if found {
		rest = rest[1:]
	}
	if r == nil {
		return slices.Concat(attempts[:at], rest)
	}
	return slices.Concat(attempts[:at], []*tandemv1.AttemptRecord{r}, rest)
}

func findAttempt(attempts []*tandemv1.AttemptRecord, number uint64) (at int, found bool) {
	return slices.BinarySearchFunc(attempts, number, func(a *tandemv1.AttemptRecord, n uint64) int {
		return cmp.Compare(n, a.Attempt)
	})
}

// attempt returns the attempt of that number, or nil.
func (i *instanceEntry) attempt(number uint64) *tandemv1.AttemptRecord {
	if at, found := findAttempt(i.attempts, number); found {
		return i.attempts[at]
	}
	return nil
}

// withVersion is withAttempt for versions.
func withVersion(versions []*tandemv1.VersionRecord, number uint64, r *tandemv1.VersionRecord) []*tandemv1.VersionRecord {
	rest := slices.DeleteFunc(slices.Clone(versions), func(v *tandemv1.VersionRecord) bool { return v.Version == number })
	if r != nil {
		rest = append(rest, r)
		slices.SortFunc(rest, func(a, b *tandemv1.VersionRecord) int { return cmp.Compare(b.Version, a.Version) })
	}
	return rest
}

func (v *View) job(id string) *jobEntry {
	j, ok := v.jobs[id]
	if !ok {
		j = &jobEntry{phases: phases{}}
		v.jobs[id] = j
	}
	return j
}

// find returns where the instance of the slot stands, or is to stand.
func (j *jobEntry) find(slot int32) (at int, found bool) {
	return slices.BinarySearchFunc(j.instances, slot, func(i *instanceEntry, slot int32) int {
		return cmp.Compare(i.slot, slot)
	})
}

func (j *jobEntry) instance(slot int32) *instanceEntry {
	at, found := j.find(slot)
	if !found {
		j.instances = slices.Insert(j.instances, at, &instanceEntry{slot: slot})
	}
	return j.instances[at]
}

// tidy forgets the entries of a job and a slot that hold no record any more.
func (v *View) tidy(job string, slot int32) {
	j := v.job(job)
	if at, found := j.find(slot); found && j.instances[at].record == nil && len(j.instances[at].attempts) == 0 {
		j.instances = slices.Delete(j.instances, at, at+1)
	}
	if j.record == nil && len(j.instances) == 0 && len(j.versions) == 0 {
		delete(v.jobs, job)
	}
}
