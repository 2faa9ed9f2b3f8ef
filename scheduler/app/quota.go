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
)

// quotaAge is for how long an answer of the master's is good: a person who looks
// again at once, and all who look at one page, cost one question.
const quotaAge = 10 * time.Second

// quotaPatience bounds the wait for an answer, which is one fact among others.
const quotaPatience = 3 * time.Second

// quotas asks the leading master for the quotas that bind the scheduler's roles,
// when somebody wants to know. It is safe for concurrent use.
type quotas struct {
	roles    []string
	detector detector
	masters  *masterapi.Client
	now      func() time.Time

	mu    sync.Mutex
	known []*tandemv1.RoleQuota
	err   error
	asked time.Time // zero before the first answer
}

// Quotas implements api.Quotas.
func (q *quotas) Quotas(ctx context.Context) ([]*tandemv1.RoleQuota, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.asked.IsZero() && q.now().Before(q.asked.Add(quotaAge)) {
		return q.known, q.err
	}
	asking, cancel := context.WithTimeout(ctx, quotaPatience)
	defer cancel()
	known, err := q.ask(asking)
	if ctx.Err() != nil {
		return nil, ctx.Err() // that of one caller, and of no account to the next
	}
	q.known, q.err, q.asked = known, err, q.now()
	return known, err
}

func (q *quotas) ask(ctx context.Context) ([]*tandemv1.RoleQuota, error) {
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
