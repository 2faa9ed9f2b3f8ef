package core

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// An instance of a job with volumes is tied to the agent where they are: it is
// launched there, with them among its executor's resources, or not at all. Mesos
// lends a volume to one executor at a time and offers it when that has ended, so
// that an attempt which is launched with what was offered is alone with it,
// whatever became of the one before. A volume outlives its instance and its job;
// it is destroyed only when somebody asks for that, or when it is certain that no
// workload has ever run with it.

// The states of volumes, shorter.
const (
	creatingVolume = tandemv1.VolumeState_VOLUME_STATE_CREATING
	readyVolume    = tandemv1.VolumeState_VOLUME_STATE_READY
	purgingVolume  = tandemv1.VolumeState_VOLUME_STATE_PURGING
	lostVolume     = tandemv1.VolumeState_VOLUME_STATE_LOST
)

// volume is one persistent volume.
type volume struct {
	rec    *tandemv1.VolumeRecord
	edited uint64
	growth growth
}

// volumeKey says what a volume is to a job. Several may have the same, of which
// the newest counts.
type volumeKey struct {
	job  string
	slot int32
	name string
}

// volumes are all that are known.
type volumes struct {
	byID map[string]*volume
	// of are in the order in which they were made.
	of map[volumeKey][]*volume
	on map[string][]*volume // by agent
	// tied are the instances that wait for an agent, by its ID.
	tied    map[string][]*instance
	purging int
	edited  []*volume
	// feedback says that the master tells what becomes of an operation that has
	// an ID.
	feedback bool
}

func newVolumes() volumes {
	return volumes{
		byID: map[string]*volume{}, of: map[volumeKey][]*volume{},
		on: map[string][]*volume{}, tied: map[string][]*instance{},
	}
}

func keyOf(r *tandemv1.VolumeRecord) volumeKey { return volumeKey{r.JobId, r.Slot, r.Name} }

// addVolume puts a volume among those that are known. One that is new is saved
// by editVolume.
func (c *Core) addVolume(r *tandemv1.VolumeRecord) *volume {
	v, k := &volume{rec: r}, keyOf(r)
	c.volumes.byID[r.Id] = v
	list := append(c.volumes.of[k], v)
	slices.SortStableFunc(list, func(a, b *volume) int { return cmp.Compare(a.rec.Attempt, b.rec.Attempt) })
	c.volumes.of[k] = list
	c.volumes.on[r.AgentId] = append(c.volumes.on[r.AgentId], v)
	if r.State == purgingVolume {
		c.volumes.purging++
	}
	return v
}

func (c *Core) newVolume(r *tandemv1.VolumeRecord) *volume {
	v := c.addVolume(r)
	v.edited = c.step
	c.volumes.edited = append(c.volumes.edited, v)
	return v
}

func (c *Core) editVolume(v *volume) *tandemv1.VolumeRecord {
	if v.edited != c.step {
		v.rec, v.edited = state.CopyVolume(v.rec), c.step
		c.volumes.edited = append(c.volumes.edited, v)
	}
	return v.rec
}

func (c *Core) setVolume(v *volume, s tandemv1.VolumeState, reason string) {
	if v.rec.State == s && v.rec.Reason == reason {
		return
	}
	if v.rec.State == purgingVolume {
		c.volumes.purging--
	}
	r := c.editVolume(v)
	r.State, r.Reason = s, reason
	r.Seen = r.Seen || s == readyVolume
	if s == purgingVolume {
		c.volumes.purging++
		c.offers.newWork = true // it is destroyed out of an offer
		c.offers.shape.stale = true
	}
}

// forgetVolume is for one that is known not to be there.
func (c *Core) forgetVolume(v *volume) {
	is := func(other *volume) bool { return other == v }
	r, k := v.rec, keyOf(v.rec)
	delete(c.volumes.byID, r.Id)
	if c.volumes.of[k] = slices.DeleteFunc(c.volumes.of[k], is); len(c.volumes.of[k]) == 0 {
		delete(c.volumes.of, k)
	}
	if c.volumes.on[r.AgentId] = slices.DeleteFunc(c.volumes.on[r.AgentId], is); len(c.volumes.on[r.AgentId]) == 0 {
		delete(c.volumes.on, r.AgentId)
	}
	if r.State == purgingVolume {
		c.volumes.purging--
	}
	v.edited = 0
	c.save = append(c.save, state.PutVolume(r).Removal())
	c.retie(v)
}

// saveVolumes saves what the step has changed of volumes.
func (c *Core) saveVolumes() {
	for _, v := range c.volumes.edited {
		if v.edited == c.step {
			v.edited = 0 // it may stand there twice
			c.save = append(c.save, state.PutVolume(v.rec))
		}
	}
	c.volumes.edited = clearList(c.volumes.edited)
}

// bound returns the volume that the instance is to have under a name, or nil
// when it is to get a new one.
func (c *Core) bound(in *instance, want *tandemv1.Volume) *volume {
	for _, v := range slices.Backward(c.volumes.of[volumeKey{in.job.id(), in.slot, want.Name}]) {
		switch {
		case v.rec.State == purgingVolume:
		case v.rec.State == lostVolume && want.WhenLost == tandemv1.WhenLost_WHEN_LOST_REPLACE:
		default:
			return v
		}
	}
	return nil
}

// home returns a volume that ties the instance to its agent, or nil. apart is
// another one that ties it to another agent.
func (c *Core) home(in *instance, v *version) (first, apart *volume) {
	for _, want := range v.spec.Volumes {
		b := c.bound(in, want)
		switch {
		case b == nil:
		case first == nil:
			first = b
		case b.rec.AgentId != first.rec.AgentId:
			apart = b
		}
	}
	return first, apart
}

// awaits says what a tied instance waits for, or nothing for one that is not
// tied.
func (c *Core) awaits(in *instance, v *version) string {
	first, apart := c.home(in, v)
	switch {
	case first == nil:
		return ""
	case apart != nil:
		return fmt.Sprintf("its volume %s is on agent %s and its volume %s on agent %s: purge one of them, %s or %s",
			first.rec.Name, first.rec.Hostname, apart.rec.Name, apart.rec.Hostname, first.rec.Id, apart.rec.Id)
	case c.foreign(first):
		return fmt.Sprintf("its volume %s is kept for role %s, which is not ours any more: start the scheduler with that role, or purge the volume with --forget (%s)",
			first.rec.Name, first.rec.Role, first.rec.Id)
	case first.rec.State == lostVolume:
		return fmt.Sprintf("its volume %s was on agent %s, which is gone: purge it for a new one (%s)",
			first.rec.Name, first.rec.Hostname, first.rec.Id)
	}
	return fmt.Sprintf("waiting for an offer of agent %s, where its volume %s is", first.rec.Hostname, first.rec.Name)
}

// foreign reports whether a volume is reserved for a role that nothing is offered
// to any more.
func (c *Core) foreign(v *volume) bool { return !slices.Contains(c.cfg.Roles, v.rec.Role) }

// tie lets an instance wait for its agent, and reports false for one that may go
// anywhere. One whose volume is lost waits for a person and wants no offers.
func (c *Core) tie(in *instance, v *version) bool {
	first, apart := c.home(in, v)
	if first == nil {
		return false
	}
	if first.rec.State == lostVolume || apart != nil || c.foreign(first) {
		in.tied = none
		return true
	}
	in.tied = first.rec.AgentId
	c.volumes.tied[in.tied] = append(c.volumes.tied[in.tied], in)
	c.offers.waiting++
	c.offers.shape.stale = true
	return true
}

// none is the agent of instances that wait for a person.
const none = "none"

func (c *Core) untie(in *instance) {
	if in.tied != none {
		list := slices.DeleteFunc(c.volumes.tied[in.tied], func(other *instance) bool { return other == in })
		if c.volumes.tied[in.tied] = list; len(list) == 0 {
			delete(c.volumes.tied, in.tied)
		}
		c.offers.waiting--
		c.offers.shape.stale = true
	}
	in.tied, in.waitsIn = "", nil
}

// retie has an idle instance wait for what it is to wait for now that one of its
// volumes has changed.
func (c *Core) retie(v *volume) {
	if in := c.holder(v); in != nil && in.live == nil && in.waitsIn != nil {
		c.dequeue(in)
		c.settle(in)
	}
}

// holder returns the instance that the volume belongs to, or nil when that is not
// there any more.
func (c *Core) holder(v *volume) *instance {
	j := c.jobs[v.rec.JobId]
	if j == nil || int(v.rec.Slot) >= len(j.instances) {
		return nil
	}
	return j.instances[v.rec.Slot]
}

// noticeVolume is notice for one volume.
func (c *Core) noticeVolume(level NoticeLevel, v *volume, format string, args ...any) {
	n := c.notice(level, nil, format, args...)
	n.Job, n.OfInstance, n.Slot, n.Agent = v.rec.JobId, true, v.rec.Slot, v.rec.AgentId
}

// user returns the attempt that has the volume and is not over, or nil.
func (c *Core) user(v *volume) *attempt {
	in := c.holder(v)
	if in == nil {
		return nil
	}
	for _, a := range in.open() {
		if slices.Contains(a.rec.Volumes, v.rec.Id) {
			return a
		}
	}
	return nil
}

// rooted reports whether the attempt stays on its agent as long as it can: it
// serves the agent, or its volumes are there.
func (a *attempt) rooted() bool {
	return a.instance.job.daemon() || a.instance.job.endless() && len(a.rec.Volumes) > 0
}

// placeTied gives each agent offered the instances that are tied to it. They
// come before all others, for they can go nowhere else.
func (c *Core) placeTied(pools []pool, candidates []match.Agent) {
	if len(c.volumes.tied) == 0 {
		return
	}
	for i := range pools {
		p := &pools[i]
		if !p.ours {
			continue
		}
		for _, in := range slices.Clone(c.volumes.tied[p.agent.id]) {
			c.placeOne(in, p, &candidates[i])
		}
	}
}

func (c *Core) placeOne(in *instance, p *pool, candidate *match.Agent) {
	v := in.waitsIn
	if c.lacking(v) != "" {
		return
	}
	r := match.Request{Need: c.boundNeed(in, v), Rules: v.rules, Spread: c.spread(in.job), Count: 1}
	first := ""
	for _, want := range v.spec.Volumes {
		b := c.bound(in, want)
		switch {
		case b == nil:
			continue
		case b.rec.Role != p.role:
			return // another of the agent's offers has it
		case p.volumes[b.rec.Id] == nil:
			c.tellTied(in, fmt.Sprintf("its volume %s is on agent %s, which does not offer it: something may still use it",
				want.Name, b.rec.Hostname))
			return
		}
		first = cmp.Or(first, want.Name)
	}
	if why := c.growVolumes(in, v, p, candidate); why != "" {
		c.tellTied(in, why)
		return
	}
	ports, ok := match.Put(candidate, &r)
	if !ok {
		why := fmt.Sprintf("its volume %s is on agent %s, which ", first, p.agent.place.Hostname)
		c.tellTied(in, why+match.Against(candidate, &r))
		return
	}
	c.dequeue(in)
	p.placed = append(p.placed, in)
	p.ports = append(p.ports, ports)
}

// tellTied says why a tied instance goes on waiting.
func (c *Core) tellTied(in *instance, why string) {
	if in.move != nil {
		in.move.told = why
		c.settle(in)
		return
	}
	c.setPhase(in, waiting, why)
}

// explainTied explains a job of which nothing waits but instances that are tied
// to agents, and reports false for any other.
func (c *Core) explainTied(j *job, r match.Request, x *tandemv1.Explanation) bool {
	var first *instance
	for _, in := range j.instances {
		if in != nil && in.tied != "" {
			first = cmp.Or(first, in)
			x.Waiting++
		}
	}
	if first == nil || r.Count > 0 {
		return false
	}
	x.Summary = fmt.Sprintf("instance %d: %s", first.slot, first.rec.PhaseReason)
	r.Need = c.boundNeed(first, first.waitsIn)
	x.Needs = needs(&r.Need)
	home, _ := c.home(first, first.waitsIn)
	if home == nil {
		return true
	}
	seen, agents := c.seenAgents()
	for i := range agents[:min(len(agents), explainedAgents)] {
		lacks := []match.Lack{{What: "its volume " + home.rec.Name + " is on agent " + home.rec.Hostname}}
		if seen[i].id == home.rec.AgentId {
			lacks = match.Explain(&agents[i], &r)
			x.Nearest = seen[i].place.Hostname
		}
		x.Agents = append(x.Agents, explainedAgent(seen[i], lacks))
	}
	return true
}

// volumesStarted takes in that an attempt's tasks have been with the agent: its
// volumes are there, and may hold something.
func (c *Core) volumesStarted(a *attempt, s *mesos.TaskStatus) {
	switch s.GetState() {
	case mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING, mesos.TASK_FINISHED, mesos.TASK_FAILED:
	case mesos.TASK_KILLED:
		if s.GetSource() == mesos.SOURCE_MASTER {
			return // before it was launched
		}
	default:
		return
	}
	for _, id := range a.rec.Volumes {
		if v := c.volumes.byID[id]; v != nil && v.rec.State == creatingVolume {
			c.setVolume(v, readyVolume, "")
		}
	}
}

// volumesLeft takes in that an attempt is over. A volume that was made for it and
// that no workload can have written to is given up, for it may not even be there.
func (c *Core) volumesLeft(a *attempt) {
	if len(a.rec.Volumes) == 0 {
		return
	}
	never, gone := true, false
	for _, t := range a.rec.Tasks {
		never = never && (t.State == tandemv1.TaskState_TASK_ERROR || t.State == tandemv1.TaskState_TASK_DROPPED)
		gone = gone || t.State == tandemv1.TaskState_TASK_GONE_BY_OPERATOR
	}
	if gone {
		c.volumesLost(a.rec.AgentId)
		return
	}
	for _, id := range a.rec.Volumes {
		v := c.volumes.byID[id]
		if never && v != nil && v.rec.State == creatingVolume && v.rec.Attempt == a.rec.Attempt {
			c.setVolume(v, purgingVolume, cmp.Or(v.rec.Reason, "nothing has run with it"))
		}
	}
}

// volumesLost takes in that an operator vouches for an agent's end.
func (c *Core) volumesLost(agent string) {
	for _, v := range slices.Clone(c.volumes.on[agent]) {
		switch {
		case v.rec.State == lostVolume:
		case v.rec.State == purgingVolume, !v.rec.Seen:
			c.forgetVolume(v)
		default:
			c.setVolume(v, lostVolume, "agent "+v.rec.Hostname+" is gone for good")
			c.noticeVolume(Warn, v, "volume %s is lost: agent %s is gone for good", v.rec.Id, v.rec.Hostname)
			c.retie(v)
		}
	}
}

// stateWord is a volume's state as people are shown it.
func stateWord(s tandemv1.VolumeState) string { return strings.TrimPrefix(s.String(), "VOLUME_STATE_") }

// purgeVolume has a volume destroyed, or forgotten.
func (c *Core) purgeVolume(p *PurgeVolume, r *Reply) {
	v := c.volumes.byID[p.ID]
	if v == nil {
		r.Refused = &Refused{NotFound, fmt.Sprintf("there is no volume %s", p.ID)}
		return
	}
	if p.ExpectedState != nil && *p.ExpectedState != v.rec.State {
		r.Refused = &Refused{StaleVersion, fmt.Sprintf("volume %s is %s, not %s: look at what has changed and try again",
			p.ID, stateWord(v.rec.State), stateWord(*p.ExpectedState))}
		return
	}
	if a := c.user(v); a != nil {
		r.Refused = &Refused{Conflict, fmt.Sprintf("volume %s is used by instance %d of job %s: stop that first",
			p.ID, a.instance.slot, a.rec.JobId)}
		return
	}
	if p.Forget || v.rec.State == lostVolume {
		rec := state.CopyVolume(v.rec)
		rec.State, rec.Reason = lostVolume, "it was forgotten"
		c.forgetVolume(v)
		r.Volume, r.Changed = rec, true
		return
	}
	c.setVolume(v, purgingVolume, "waiting for an offer of agent "+v.rec.Hostname)
	c.editVolume(v).Purges = 0
	c.offers.newWork = true
	c.retie(v)
	r.Volume, r.Changed = v.rec, true
}
