package core

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// Bounds of what is told unasked: a summary costs a look at every agent, and a
// change of it a record for each instance.
const (
	whyInterval  = 10 * time.Second
	whyVersions  = 4
	whyInstances = 20
)

// silence is how long a master that has something to offer takes to do so, at
// most: a few of its allocation intervals, of a second each by default.
const silence = 10 * time.Second

// explainedAgents is how many agents an Explanation speaks of one by one.
const explainedAgents = 1000

// tellWhy writes into instances that go on waiting why they do. In one event it
// does so for a few jobs only, and for each of them not more often than every
// whyInterval; Explain looks at once.
func (c *Core) tellWhy(versions []*version) {
	told := 0
	var agents []match.Agent
	for _, v := range versions {
		if v.waiting.count == 0 || told == whyVersions || v.why != "" && c.now.Before(v.whyAt.Add(whyInterval)) {
			continue
		}
		told++
		v.whyAt = c.now
		if told == 1 {
			_, agents = c.seenAgents()
		}
		r := c.request(v)
		why := "waiting: " + c.whyNot(agents, &r)
		if why == v.why {
			continue
		}
		v.why = why
		c.touch(v.job)
		for _, in := range v.waiting.first(whyInstances) {
			if in.move != nil {
				in.move.told = why
				c.settle(in)
			} else {
				c.setPhase(in, waiting, why)
			}
		}
	}
}

// seenAgents are the agents that have offered something to one of the
// framework's roles, with what they have free as far as that is known.
func (c *Core) seenAgents() ([]*agent, []match.Agent) {
	seen := make([]*agent, 0, len(c.agents.list))
	agents := make([]match.Agent, 0, len(c.agents.list))
	for _, a := range c.agents.list {
		if !a.lastSeen.IsZero() {
			seen = append(seen, a)
			last := a.last
			last.Refused = cmp.Or(c.avoid(a.id), c.withheld.agents[a.id], last.Refused)
			agents = append(agents, last)
		}
	}
	return seen, agents
}

func (c *Core) request(v *version) match.Request {
	return match.Request{Need: v.need, Rules: v.rules, Spread: c.spread(v.job), Count: v.waiting.count}
}

// explain answers Explain.
func (c *Core) explain(e *Explain, r *Reply) {
	if e.Withheld != nil {
		c.onWithheld(e.Withheld)
	}
	if x, refused := c.explanation(e); refused != nil {
		r.Refused = refused
	} else {
		c.explainQuotas(x)
		r.Explanation = x
	}
}

func (c *Core) explanation(e *Explain) (*tandemv1.Explanation, *Refused) {
	x := c.explainOffers()
	x.JobId = e.JobID
	var request match.Request
	lacking := ""
	if e.Job != nil {
		x.JobId = e.Job.Id
		request = c.hypothetical(e.Job)
		lacking = c.lackingSecret(e.Job)
	} else {
		j := c.jobs[e.JobID]
		if j == nil {
			return nil, &Refused{NotFound, fmt.Sprintf("there is no job %s", e.JobID)}
		}
		v := j.newestWaiting()
		request, lacking = c.request(v), c.lacking(v)
	}
	x.Waiting, x.Needs = int32(request.Count), needs(&request.Need)
	if e.Job == nil && c.explainTied(c.jobs[e.JobID], request, x) {
		return x, nil
	}
	if lacking != "" {
		x.Summary = lacking
		return x, nil
	}
	seen, agents := c.seenAgents()
	if e.Job != nil {
		c.planVolumes(e.Job, &request, x, seen, agents)
		if request.Count == 0 && x.Waiting > 0 {
			return x, nil // other agents are of no account
		}
	}
	as, spread := slices.Clone(agents), request.Spread
	request.Spread = spread.Clone()
	for _, p := range match.Match(agents, []match.Request{request}) {
		x.Placeable++
		x.Places = append(x.Places, agents[p.Agent].Place.Hostname)
	}
	if x.Placeable > 0 && int(x.Placeable) == request.Count {
		agents, request.Spread = as, spread // nothing is left that could be explained
	}
	if x.Summary == "" && (x.Placeable < x.Waiting || x.Waiting == 0) {
		x.Summary = match.Summary(agents, &request)
	}
	least := math.MaxInt
	for i := range agents[:min(len(agents), explainedAgents)] {
		a := explainedAgent(seen[i], match.Explain(&agents[i], &request))
		x.Agents = append(x.Agents, a)
		if n := len(a.Obstacles); n < least {
			least, x.Nearest = n, a.Hostname
		}
	}
	if least == 0 || x.Placeable > 0 {
		x.Nearest = "" // some agent would do
	}
	return x, nil
}

// explainOffers says how things stand with offers.
func (c *Core) explainOffers() *tandemv1.Explanation {
	o := &c.offers
	x := &tandemv1.Explanation{
		Suppressed: o.suppressed, Filtered: o.filtered, Subscribed: c.subscribed, Constrained: len(o.shape.constraints) > 0,
	}
	if c.subscribed && !o.suppressed && o.asked.After(o.lastOffer) && !c.now.Before(o.asked.Add(silence)) {
		x.SilentSince = timestamppb.New(o.asked)
	}
	if !o.lastOffer.IsZero() {
		x.LastOffer = timestamppb.New(o.lastOffer)
	}
	return x
}

// newestWaiting is, of several versions that wait, what a person asks about, and where
// none does the current one.
func (j *job) newestWaiting() *version {
	for _, v := range slices.Backward(j.versions) {
		if v.waiting.count > 0 {
			return v
		}
	}
	return j.current()
}

// needs is what a request takes for one instance, in Mesos's names and units.
func needs(n *match.Need) map[string]float64 {
	disk := n.Disk
	for _, d := range n.Disks {
		disk += d.Size
	}
	all := map[string]float64{"cpus": n.CPUs.Float(), "mem": n.Mem.Float(), "disk": disk.Float(), "gpus": n.GPUs.Float()}
	maps.DeleteFunc(all, func(_ string, amount float64) bool { return amount == 0 })
	return all
}

// explainedAgent says what stands against an instance on an agent.
func explainedAgent(seen *agent, lacks []match.Lack) *tandemv1.AgentExplanation {
	a := &tandemv1.AgentExplanation{
		AgentId: seen.id, Hostname: seen.place.Hostname, LastOffer: timestamppb.New(seen.lastSeen),
	}
	for _, l := range lacks {
		a.Obstacles = append(a.Obstacles, &tandemv1.Obstacle{What: l.What, Need: l.Need, Have: l.Have})
	}
	return a
}

// hypothetical is the request of a job that is not submitted, or not in this
// form: for the instances that it would have more, or all of them when it would
// run another group.
func (c *Core) hypothetical(spec *tandemv1.Job) match.Request {
	j := c.jobs[spec.Id]
	v := c.newVersion(&job{}, &tandemv1.VersionRecord{JobId: spec.Id, Spec: spec})
	r := match.Request{Need: v.need, Rules: v.rules, Spread: match.NewSpread(v.rules), Count: int(spec.GetInstances())}
	if j == nil || !sameGroup(j.rec.Spec, spec) {
		return r
	}
	r.Count = max(0, r.Count-j.count())
	for _, in := range j.instances {
		if in != nil && in.live != nil && !in.live.uncounted {
			r.Spread.Add(in.live.value)
		}
	}
	return r
}
