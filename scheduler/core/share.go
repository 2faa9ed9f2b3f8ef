package core

import (
	"fmt"
	"slices"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/match"
)

// An executor that is shared carries the attempts of several instances on one
// agent. The attempt that finds none there brings it, pays for its resources and
// gives it its ID; those that come later join it. Mesos takes them only with the
// very same ExecutorInfo (validateCompatibleExecutorInfo in
// src/master/validation.cpp), so that each attempt's record keeps it: whatever
// the scheduler has been told since, the executor stays what it is until its
// last attempt has ended. Then it ends by itself, and the next attempt brings
// another. One that arrives in between is dropped by the agent, and made again.

// shareKey says who may share an executor.
type shareKey struct {
	agent string
	// role is the one that its resources are allocated to.
	role string
	// job is empty where all jobs of the role share it.
	job string
	// amount is what it needs itself.
	amount match.Amount
	// limited says that its tasks share no cgroup, which Mesos wants of all or
	// none.
	limited bool
}

type sharedExecutor struct {
	key  shareKey
	info mesos.ExecutorInfo
	// encoded is info as records hold it.
	encoded []byte
	// attempts are those that are not over.
	attempts []*attempt
}

// shareKey returns false for a version whose attempts have an executor each.
func (c *Core) shareKey(v *version, agent, role string) (shareKey, bool) {
	k := shareKey{agent: agent, role: role, amount: amountOf(c.executorResources(v.spec)), limited: c.plan(v).limited}
	switch v.spec.GetExecutor().GetShare() {
	case tandemv1.ExecutorShare_EXECUTOR_SHARE_JOB:
		k.job = v.job.id()
	case tandemv1.ExecutorShare_EXECUTOR_SHARE_ROLE:
	default:
		return shareKey{}, false
	}
	return k, true
}

// joinable returns the executor that an attempt would join, or nil. One whose
// attempts all end is not joined: it is about to end, too. Nor is one that may not
// be there: who joined it would bring it, and take what is meant for others.
func (c *Core) joinable(k shareKey) *sharedExecutor {
	e := c.shared[k]
	if e == nil || !slices.ContainsFunc(e.attempts, func(a *attempt) bool {
		return a.rec.KillReason == "" && a.rec.Unreachable == nil && !a.doubtful
	}) {
		return nil
	}
	return e
}

// carrier is the executor of a new attempt.
type carrier struct {
	info mesos.ExecutorInfo
	// encoded is info as records hold it, where it is shared.
	encoded []byte
	shared  bool
	joined  bool // it is there, and takes nothing more
}

// executorFor returns the executor that a new attempt joins, or a new one that has no
// resources yet.
func (c *Core) executorFor(v *version, p *pool, id, name string) carrier {
	k, sharing := c.shareKey(v, p.agent.id, p.role)
	if sharing {
		if e := c.joinable(k); e != nil {
			return carrier{info: e.info, encoded: e.encoded, shared: true, joined: true}
		}
		name = strings.TrimPrefix(k.job, "/")
		if k.job == "" {
			name = "all jobs of role " + k.role
		}
	}
	return carrier{shared: sharing, info: mesos.ExecutorInfo{
		Type:        mesos.ExecutorInfo_CUSTOM,
		ExecutorID:  mesos.ExecutorID{Value: id},
		FrameworkID: c.frameworkID(),
		Name:        &name,
		Command:     c.plan(v).executorCommand,
	}}
}

// brought gives a new executor its resources.
func (e *carrier) brought(resources []mesos.Resource) (err error) {
	e.info.Resources = resources
	if e.shared {
		if e.encoded, err = e.info.Marshal(); err != nil {
			return fmt.Errorf("cannot encode its executor: %w", err)
		}
	}
	return nil
}

// join notes that an attempt is carried by a shared executor.
func (c *Core) join(a *attempt) {
	if len(a.rec.Executor) == 0 || a.version == nil {
		return
	}
	e := &sharedExecutor{encoded: a.rec.Executor}
	if err := e.info.Unmarshal(e.encoded); err != nil {
		return // nobody joins it then
	}
	role := ""
	if rs := e.info.Resources; len(rs) > 0 {
		role = rs[0].AllocationInfo.GetRole()
	}
	k, sharing := c.shareKey(a.version, a.rec.AgentId, role)
	if !sharing {
		return
	}
	if old := c.shared[k]; old != nil && old.info.ExecutorID == e.info.ExecutorID {
		e = old
	} else {
		// An older one is joined no more.
		e.key = k
		c.shared[k] = e
	}
	e.attempts = append(e.attempts, a)
	a.shared = e
}

// joined reports whether the attempt's executor was brought by another.
func (a *attempt) joined() bool {
	return len(a.rec.Executor) > 0 && !strings.HasPrefix(a.rec.Tasks[0].TaskId, a.rec.ExecutorId+".")
}

// leave notes that an attempt is over.
func (c *Core) leave(a *attempt) {
	e := a.shared
	if e == nil {
		return
	}
	a.shared = nil
	e.attempts = slices.DeleteFunc(e.attempts, func(other *attempt) bool { return other == a })
	if len(e.attempts) == 0 && c.shared[e.key] == e {
		delete(c.shared, e.key)
	}
}

// executorEnded lets nobody join an executor that has ended. The statuses of its
// tasks come by themselves.
func (c *Core) executorEnded(agent, id string) {
	for k, e := range c.shared {
		if k.agent == agent && e.info.ExecutorID.Value == id {
			delete(c.shared, k)
			return
		}
	}
}

// shareExecutors sees to it that an executor counts once on each agent, where
// Match has counted it with each of its groups: it gives back what was counted
// twice, and uses it for what still waits.
func (c *Core) shareExecutors(pools []pool, candidates []match.Agent, versions []*version) {
	if !slices.ContainsFunc(versions, func(v *version) bool {
		return v.spec.GetExecutor().GetShare() > tandemv1.ExecutorShare_EXECUTOR_SHARE_INSTANCE
	}) {
		return
	}
	brought := map[shareKey]bool{}
	for i := range pools {
		for _, in := range pools[i].placed {
			v := in.job.version(in.rec.JobVersion)
			if v == nil {
				continue
			}
			k, sharing := c.shareKey(v, pools[i].agent.id, pools[i].role)
			if !sharing {
				continue
			}
			if brought[k] || c.joinable(k) != nil {
				candidates[i].Free = candidates[i].Free.Plus(k.amount)
			}
			brought[k] = true
		}
	}
	for _, v := range versions {
		for i := 0; i < len(pools) && v.waiting.count > 0; i++ {
			k, sharing := c.shareKey(v, pools[i].agent.id, pools[i].role)
			if !sharing {
				break
			}
			if !pools[i].ours || !brought[k] && c.joinable(k) == nil {
				continue
			}
			r := c.request(v)
			r.Need.Amount = workloadsAmount(v.spec)
			for v.waiting.count > 0 {
				ports, ok := match.Put(&candidates[i], &r)
				if !ok {
					break
				}
				c.place(v, &pools[i], ports)
			}
		}
	}
}

// needOn is what a copy of a group takes on an agent, where the executor that it
// would share may be already.
func (c *Core) needOn(v *version, p *pool) match.Need {
	need := v.need
	if k, sharing := c.shareKey(v, p.agent.id, p.role); sharing && c.joinable(k) != nil {
		need.Amount = workloadsAmount(v.spec)
	}
	return need
}

// place gives an agent the instance that has waited longest for a version.
func (c *Core) place(v *version, p *pool, ports []uint64) {
	in := v.waiting.pop()
	in.waitsIn = nil
	c.offers.waiting--
	p.placed = append(p.placed, in)
	p.ports = append(p.ports, ports)
}
