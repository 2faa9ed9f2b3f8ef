package app

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tandem-mesos/tandem/pkg/mesos/masterapi"
	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
)

const (
	// answerAge is for how long an answer of the master's is good: a person who looks
	// again at once, and all who look at one page, cost one question.
	answerAge = 10 * time.Second
	// masterPatience bounds the wait for an answer, which is one fact among others.
	masterPatience = 3 * time.Second
	// tellInterval is how often the master is asked while there is something to ask for,
	// refusedInterval how often when it did not answer, and lookInterval how often it
	// is looked whether there is.
	tellInterval, refusedInterval, lookInterval = time.Minute, 10 * time.Minute, 10 * time.Second
	// maxAgents bounds how many agents are asked about at once.
	maxAgents = 20
)

// inquirer asks the leading master for what it keeps from the scheduler, of which no
// event tells. It is safe for concurrent use.
type inquirer struct {
	roles    []string
	detector detector
	masters  *masterapi.Client
	now      func() time.Time

	mu     sync.Mutex
	known  []*tandemv1.RoleQuota
	err    error
	asked  time.Time // zero before the first answer
	agents map[string]agentAnswer
}

// agentAnswer is why nothing of an agent is offered, or nothing, and when that was
// said.
type agentAnswer struct {
	why string
	at  time.Time
}

// Quotas implements api.Master.
func (q *inquirer) Quotas(ctx context.Context) ([]*tandemv1.RoleQuota, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.quotas(ctx)
}

func (q *inquirer) quotas(ctx context.Context) ([]*tandemv1.RoleQuota, error) {
	if !q.asked.IsZero() && q.now().Before(q.asked.Add(answerAge)) {
		return q.known, q.err
	}
	asking, cancel := context.WithTimeout(ctx, masterPatience)
	defer cancel()
	known, err := q.askQuotas(asking)
	if ctx.Err() != nil {
		return nil, ctx.Err() // that of one caller, and of no account to the next
	}
	q.known, q.err, q.asked = known, err, q.now()
	return known, err
}

func (q *inquirer) askQuotas(ctx context.Context) ([]*tandemv1.RoleQuota, error) {
	leader, err := q.detector.Leader(ctx)
	if err != nil {
		return nil, err
	}
	roles, err := q.masters.Roles(ctx, leader.Address)
	if err != nil {
		return nil, err
	}
	var binding []*tandemv1.RoleQuota
	for _, r := range roles {
		binds := func(own string) bool { return own == r.Name || resource.IsSubrole(own, r.Name) }
		if len(r.Limit) == 0 || !slices.ContainsFunc(q.roles, binds) {
			continue
		}
		quota := &tandemv1.RoleQuota{Role: r.Name}
		for _, name := range slices.Sorted(maps.Keys(r.Limit)) {
			quota.Limits = append(quota.Limits, &tandemv1.QuotaLimit{Resource: name, Limit: r.Limit[name], Consumed: r.Consumed[name]})
		}
		binding = append(binding, quota)
	}
	return binding, nil
}

// Withheld implements api.Master.
func (q *inquirer) Withheld(ctx context.Context, agents []string) (core.Withheld, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	quotas, err := q.quotas(ctx)
	w := core.Withheld{Quotas: quotas, Agents: map[string]string{}}
	if err != nil {
		return w, err
	}
	asking, cancel := context.WithTimeout(ctx, masterPatience)
	defer cancel()
	maps.DeleteFunc(q.agents, func(_ string, a agentAnswer) bool { return !q.now().Before(a.at.Add(answerAge)) })
	for _, id := range agents[:min(len(agents), maxAgents)] {
		answer, known := q.agents[id]
		if !known {
			why, ok := q.askAgent(asking, id)
			if !ok {
				break // nothing is said of the rest
			}
			answer = agentAnswer{why, q.now()}
			if q.agents == nil {
				q.agents = map[string]agentAnswer{}
			}
			q.agents[id] = answer
		}
		w.Agents[id] = answer.why
	}
	return w, nil
}

func (q *inquirer) askAgent(ctx context.Context, id string) (why string, ok bool) {
	leader, err := q.detector.Leader(ctx)
	if err != nil {
		return "", false
	}
	a, known, err := q.masters.Agent(ctx, leader.Address, id)
	switch {
	case err != nil:
		return "", false
	case !known:
		return "the master, which shows no such agent", true
	case a.Draining:
		return "an operator's drain", true
	case a.Deactivated:
		return "an operator, who has deactivated it", true
	}
	return "", true
}

// tell has tell know of the quotas, and of the agents that are known as drained, now
// and then while something waits or there are such agents, until ctx ends.
func (q *inquirer) tell(ctx context.Context, waits func() (instances bool, drained []string), tell func(core.Withheld)) {
	var next time.Time
	turn := 0 // so that each of very many agents is asked about now and then
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		instances, drained := waits()
		switch {
		case !instances && len(drained) == 0:
			next = time.Time{}
			continue
		case q.now().Before(next):
			continue
		}
		if n := len(drained); n > maxAgents {
			drained = slices.Concat(drained[turn%n:], drained[:turn%n])
			turn += maxAgents
		}
		w, err := q.Withheld(ctx, drained)
		if err != nil {
			next = q.now().Add(refusedInterval)
			continue
		}
		next = q.now().Add(tellInterval)
		tell(w)
	}
}

// waits reports whether an instance waits for offers, and which agents are known as
// drained: while nothing waits none offers, which would say that it is no more.
func waits(v *loop.View) func() (instances bool, drained []string) {
	return func() (bool, []string) {
		agents := v.Agents()
		maps.DeleteFunc(agents, func(_ string, a *tandemv1.AgentRecord) bool { return a.OperatorDrain == nil })
		return v.Counts().Instances[tandemv1.InstancePhase_INSTANCE_PHASE_WAITING] > 0, slices.Sorted(maps.Keys(agents))
	}
}

// tellWithheld tells the core, unless it ends.
func tellWithheld(ctx context.Context, l *loop.Loop) func(core.Withheld) {
	return func(w core.Withheld) { _, _ = l.Do(ctx, core.Command{Withheld: &w}) }
}
