package core

import (
	"fmt"
	"strings"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// UpgradeExecutor has the executor of a running task replace itself by the program
// that new executors are. Its Reply comes like that of SignalTask.
type UpgradeExecutor struct{ TaskID string }

// digestSize is how many hexadecimal digits of a program's SHA-256 are kept in
// records: enough to tell the programs of one team.
const digestSize = 12

// Digest names the program that new executors are, as AttemptRecord.executor_digest
// does, or is empty.
func (e *Executor) Digest() string { return e.SHA256[:min(len(e.SHA256), digestSize)] }

// upgradeExecutor reports false where the reply comes later.
func (c *Core) upgradeExecutor(command uint64, u *UpgradeExecutor, r *Reply) bool {
	ref, refused := c.runningTask(u.TaskID)
	program := &c.cfg.Executor
	switch {
	case refused != nil:
		r.Refused = refused
		return true
	case program.SHA256 == "":
		r.Refused = &Refused{Conflict, "agents fetch the executor from where --executor-uri says, and the scheduler does not know which program that is; " +
			"have it serve the program itself (--executor) to replace running executors by it"}
		return true
	case ref.attempt.rec.ExecutorDigest == program.Digest():
		return true
	}
	a := &asking{command: command, patience: upgradeTimeout}
	a.done = func(answer *tandemv1.Answer, r *Reply) { c.executorUpgraded(a, answer, r) }
	r.Refused = c.askPatiently(a, ref, &tandemv1.ToExecutor{Ask: &tandemv1.ToExecutor_UpgradeExecutor{
		UpgradeExecutor: &tandemv1.UpgradeExecutor{Uri: program.URIs[0].Value, Sha256: program.SHA256},
	}})
	if r.Refused != nil {
		return true
	}
	c.noticeTask(ref, "its executor is to replace itself by %s", program.Digest())
	return false
}

// executorUpgraded notes what an executor is now, in the records of all that it
// carries.
func (c *Core) executorUpgraded(a *asking, answer *tandemv1.Answer, r *Reply) {
	r.Changed, r.Program = true, strings.ToValidUTF8(answer.Version, "\uFFFD")
	for _, on := range c.carriedBy(a.agent, a.executor) {
		c.editAttempt(on).ExecutorDigest = c.cfg.Executor.Digest()
	}
	n := c.notice(Info, nil, "executor %s is version %s now", a.executor, fmt.Sprintf("%.60q", r.Program))
	n.Agent = a.agent
}

// carriedBy returns the attempts that an executor carries, of which there are
// several where it is shared.
func (c *Core) carriedBy(agent, executor string) (all []*attempt) {
	if h := c.hosts[agent]; h != nil {
		for _, a := range h.attempts {
			if a.rec.ExecutorId == executor {
				all = append(all, a)
			}
		}
	}
	return all
}

// digestOf names the program of the executor of a new attempt, whose own executor
// would have the ID: that of who has brought it where the executor is another's.
func (c *Core) digestOf(agent, executor, own string) string {
	if executor != own {
		if on := c.carriedBy(agent, executor); len(on) > 0 {
			return on[0].rec.ExecutorDigest
		}
	}
	return c.cfg.Executor.Digest()
}
