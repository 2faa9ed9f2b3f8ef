package core

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// Withheld is what a master keeps from the framework, of which it speaks only where
// it is asked: its offers are smaller then, or do not come.
type Withheld struct {
	// Quotas are those that bind the framework's roles.
	Quotas []*tandemv1.RoleQuota
	// Agents says why nothing of an agent is offered, by its ID, or nothing where
	// nothing keeps it from us. Of others nothing is said.
	Agents map[string]string
}

// withheld is what was last said of that.
type withheld struct {
	quotas []*tandemv1.RoleQuota
	said   time.Time // of the quotas
	agents map[string]string
}

// quotaTrust is for how long what was said of quotas counts: others launch, too.
const quotaTrust = 3 * time.Minute

// answerAge is how old what the master is said to have answered may be: of a drain that
// began since, it says nothing.
const answerAge = time.Minute

// onWithheld takes in what the master says, and tells those that wait.
func (c *Core) onWithheld(w *Withheld) {
	c.withheld.quotas, c.withheld.said = w.Quotas, c.now
	for _, id := range sortedKeys(w.Agents) {
		if why := w.Agents[id]; why != "" {
			c.withheld.agents[id] = why
			continue
		}
		delete(c.withheld.agents, id)
		if h := c.hosts[id]; h != nil && c.now.Sub(h.rec.GetOperatorDrain().AsTime()) > answerAge {
			c.drainedNoMore(h)
		}
	}
	for _, v := range c.offers.queue {
		v.whyAt = time.Time{}
	}
	c.tellWhy(c.offers.queue)
}

// whyNot says in one line why a request fits none of the agents. A quota that leaves
// too little stands first: a master offers no more of an agent than that, so that it
// seems to be the agents that lack it.
func (c *Core) whyNot(agents []match.Agent, r *match.Request) string {
	_, short := c.quotasFor(needs(&r.Need), 1)
	return joinReasons(short, match.Summary(agents, r))
}

func joinReasons(a, b string) string { return strings.Trim(a+"; "+b, "; ") }

// quotasFor returns the quotas, with what they leave too little of for one instance,
// and names those that leave too little for a number of instances.
func (c *Core) quotasFor(needs map[string]float64, count int32) (quotas []*tandemv1.RoleQuota, short string) {
	if c.now.After(c.withheld.said.Add(quotaTrust)) {
		return nil, ""
	}
	for _, q := range c.withheld.quotas {
		q = proto.CloneOf(q)
		for _, l := range q.Limits {
			need, left := resource.Thousandths(needs[l.Resource]), quotaLeft(l)
			l.Missing = max(0, need-left).Float()
			if need*resource.Milli(count) > left {
				short = joinReasons(short, fmt.Sprintf("the quota of role %s leaves %s of %v %s, and an instance takes %s",
					q.Role, left, l.Limit, l.Resource, need))
			}
		}
		quotas = append(quotas, q)
	}
	return quotas, short
}

func quotaLeft(l *tandemv1.QuotaLimit) resource.Milli {
	return max(0, resource.Thousandths(l.Limit)-resource.Thousandths(l.Consumed))
}

// explainQuotas adds the quotas to an explanation, and leaves no more room than they
// do.
func (c *Core) explainQuotas(x *tandemv1.Explanation) {
	if x.Waiting == 0 {
		return
	}
	quotas, short := c.quotasFor(x.Needs, max(1, x.Placeable))
	x.Quotas = quotas
	for _, q := range quotas {
		for _, l := range q.Limits {
			if need := resource.Thousandths(x.Needs[l.Resource]); need > 0 {
				x.Placeable = int32(min(quotaLeft(l)/need, resource.Milli(x.Placeable)))
			}
		}
	}
	x.Places = x.Places[:min(len(x.Places), int(x.Placeable))]
	if !strings.HasPrefix(x.Summary, short) {
		x.Summary = joinReasons(short, x.Summary)
	}
}
