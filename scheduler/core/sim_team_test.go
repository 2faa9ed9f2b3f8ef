package core_test

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

// team is who asks for jobs, and remembers what was promised.
type team struct {
	w       *world
	asked   map[string]*wish // by job
	command uint64
	pending map[uint64]func(core.Reply)
	purged  map[string]bool // volumes that somebody has asked to purge
	keyed   []*keyedCommand // that were answered
	// unanswered is the last command if it has a key and nothing was heard of it.
	unanswered *keyedCommand
}

// wish is what a job should be, as far as it was answered for.
type wish struct {
	spec    *tandemv1.Job
	stopped bool
	purged  bool
	// unsure: a command was not answered, so that it may or may not count.
	unsure bool
	// goneToo: a purge was asked for earlier and may still be under way.
	goneToo bool
}

// wishes asks for one thing, and plans the next.
func (t *team) wishes() {
	if !t.w.faults() {
		t.w.after(time.Minute, t.insist)
		return
	}
	t.w.after(t.w.upTo(time.Minute), t.wishes)
	if t.ask() {
		return
	}
	if t.w.chance(0.2) {
		t.repeat()
		return
	}
	id := fmt.Sprintf("/job%d", t.w.random.IntN(7))
	if t.w.chance(0.3) {
		t.meddle(id)
		return
	}
	if t.w.chance(0.1) {
		t.drain()
		return
	}
	if t.w.chance(0.1) {
		t.purge()
		return
	}
	if t.w.chance(0.1) {
		t.enlarge()
		return
	}
	if t.w.chance(0.2) {
		t.upgrade()
		return
	}
	if w := t.asked[id]; w != nil && !w.purged && t.w.chance(0.4) {
		t.stop(id, t.w.chance(0.4))
		return
	}
	t.submit(t.spec(id))
}

// insist repeats, when all is calm, what was never answered for.
func (t *team) insist() {
	if t.ask() {
		t.w.after(time.Minute, t.insist)
		return
	}
	t.repeatAll()
	for _, a := range t.w.agents {
		t.send(core.Command{Drain: &core.Drain{Agent: a.id, Cancel: true}}, func(core.Reply) {})
	}
	t.buryVolumes()
	for _, id := range sortedKeys(t.asked) {
		w := t.asked[id]
		switch {
		case !w.unsure:
			t.finishUpdate(id)
		case w.purged, w.stopped:
			t.stop(id, w.purged)
		default:
			t.submit(w.spec)
		}
	}
	t.w.after(time.Minute, t.insist)
}

// meddle steers an update, goes back or restarts. It is refused as often as not.
func (t *team) meddle(id string) {
	if t.w.sched.down {
		return
	}
	// What a rollback asks for is told by the store: see checks.jobAtRest.
	switch n := t.w.random.IntN(9); {
	case n == 8:
		t.send(core.Command{Run: &core.Run{JobID: "/job6"}}, func(core.Reply) {})
	case n < 4:
		t.send(core.Command{Update: &core.Update{JobID: id, Action: core.UpdateAction(1 + n)}}, func(core.Reply) {})
	case n < 5:
		t.send(core.Command{Rollback: &core.Rollback{JobID: id}}, func(core.Reply) {})
	default:
		c := &core.Restart{JobID: id}
		if t.w.chance(0.5) {
			c.Slots = []int32{0}
		}
		t.send(core.Command{Restart: c}, func(core.Reply) {})
	}
}

// finishUpdate lets no update wait for a person.
func (t *team) finishUpdate(id string) {
	for _, action := range []core.UpdateAction{core.ResumeUpdate, core.PromoteUpdate} {
		t.send(core.Command{Update: &core.Update{JobID: id, Action: action}}, func(core.Reply) {})
	}
}

func (t *team) submit(spec *tandemv1.Job) {
	w := t.asked[spec.Id]
	if w != nil && w.spec.Type != spec.Type && !w.purged {
		return
	}
	if t.w.sched.down {
		return
	}
	before := t.asked[spec.Id]
	t.asked[spec.Id] = &wish{spec: spec, unsure: true, goneToo: before != nil && (before.goneToo || before.purged)}
	t.send(core.Command{Submit: &core.Submit{Job: spec, Force: true}}, func(r core.Reply) {
		w := t.asked[spec.Id]
		switch {
		case r.Refused == nil:
			w.unsure, w.goneToo = false, false
		case r.Refused.Code == core.Conflict:
			t.asked[spec.Id] = before // it is being purged still
			if before == nil {
				t.asked[spec.Id] = &wish{spec: spec, purged: true}
			}
		default:
			t.w.fail("submitting %s was refused: %s", spec.Id, r.Refused.Reason)
		}
	})
}

func (t *team) stop(id string, purge bool) {
	if t.w.sched.down {
		return
	}
	w := t.asked[id]
	t.asked[id] = &wish{spec: w.spec, stopped: true, purged: purge, unsure: true, goneToo: w.goneToo}
	t.send(core.Command{Stop: &core.Stop{JobID: id, Purge: purge}}, func(r core.Reply) {
		w := t.asked[id]
		switch {
		case r.Refused == nil:
			w.unsure = false
		case r.Refused.Code == core.NotFound:
			w.unsure, w.purged = false, true
		default:
			t.w.fail("stopping %s was refused: %s", id, r.Refused.Reason)
		}
	})
}

func (t *team) send(c core.Command, answered func(core.Reply)) {
	t.command++
	c.ID = t.command
	t.pending = map[uint64]func(core.Reply){c.ID: t.name(&c, answered)}
	t.w.sched.step(c)
	t.pending = nil
}

func (t *team) answered(r core.Reply) {
	if f := t.pending[r.ID]; f != nil {
		f(r)
	}
}

// spec makes a job up. All jobs together fit on three agents, or so many times as many
// as the world is larger.
func (t *team) spec(id string) *tandemv1.Job {
	r := t.w.random
	count := int32(r.IntN(4))
	kinds := []string{"run"}
	j := &tandemv1.Job{
		Id: id, Type: tandemv1.JobType_JOB_TYPE_SERVICE, Instances: &count,
		Update: &tandemv1.UpdatePolicy{MaxParallel: int32((1 + r.IntN(2)) * t.w.scale), MinHealthyTime: durationpb.New(10 * time.Second),
			ProgressDeadline: durationpb.New(10 * time.Minute)},
		Restart: &tandemv1.RestartPolicy{Attempts: proto.Int32(10), Interval: durationpb.New(10 * time.Minute), Delay: durationpb.New(time.Second),
			Factor: 2, MaxDelay: durationpb.New(5 * time.Minute)},
		Unreachable: &tandemv1.UnreachablePolicy{InactiveAfter: durationpb.New(5 * time.Minute), ExpungeAfter: durationpb.New(10 * time.Minute)},
		Executor:    &tandemv1.ExecutorSettings{Resources: &tandemv1.Resources{Cpus: 0.1, Mem: 32, Disk: 16}},
	}
	if r.IntN(3) == 0 {
		j.Update.Canary = int32(1 + r.IntN(2))
	}
	if r.IntN(2) == 0 {
		j.Update.AutoRevert = proto.Bool(false)
	}
	if r.IntN(2) == 0 {
		j.Update.MaxFailures = proto.Int32(int32(r.IntN(5)))
	}
	j.Executor.Share = tandemv1.ExecutorShare(1 + r.IntN(3))
	if id >= "/job4" {
		if id < "/job6" {
			j.Type = tandemv1.JobType_JOB_TYPE_BATCH
		}
		j.Restart.Attempts = proto.Int32(int32(r.IntN(4)))
		kinds = []string{"ok", "ok", "fail"}
	}
	if id == "/job6" {
		j.Type = tandemv1.JobType_JOB_TYPE_CRON
		j.Schedule = &tandemv1.Schedule{
			Cron: []string{"*/5 * * * *", "*/30 * * * *"}[r.IntN(2)], TimeZone: "UTC", Overlap: tandemv1.Overlap(1 + r.IntN(3)),
			CatchUp: durationpb.New(t.w.upTo(10 * time.Minute)),
		}
	}
	if id == "/job3" {
		j.Type = tandemv1.JobType_JOB_TYPE_DAEMON
	}
	if r.IntN(3) == 0 && id != "/job3" {
		count = min(count, 3)
		j.Constraints = append(j.Constraints, &tandemv1.Constraint{Attribute: "@hostname", Operator: tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_UNIQUE})
	}
	if len(j.Constraints) == 0 && r.IntN(4) == 0 && id != "/job3" {
		j.Constraints = append(j.Constraints, &tandemv1.Constraint{
			Attribute: "rack", Operator: tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_LIKE, Value: "r[01]",
		})
	}
	if id < "/job3" && len(j.Constraints) == 0 && r.IntN(3) == 0 {
		j.Constraints = append(j.Constraints, &tandemv1.Constraint{Attribute: "rack", Operator: tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_GROUP_BY})
		count = int32(2 + r.IntN(3))
		j.Rebalance = &tandemv1.RebalancePolicy{Interval: durationpb.New(time.Minute + t.w.upTo(5*time.Minute))}
	}
	count *= int32(t.w.scale)
	t.volumesOf(j)
	for n := range 1 + r.IntN(2) {
		w := &tandemv1.Workload{
			Name: fmt.Sprintf("w%d", n), Cmd: fmt.Sprintf("%s %d", kinds[r.IntN(len(kinds))], r.IntN(3)),
			Lifecycle: tandemv1.Lifecycle_LIFECYCLE_MAIN, Essential: proto.Bool(true),
			Resources: &tandemv1.Resources{Cpus: 0.5, Mem: 64},
			Kill:      &tandemv1.KillSettings{Signal: "SIGTERM", GracePeriod: durationpb.New(5 * time.Second)},
		}
		if r.IntN(3) == 0 {
			w.Ports = []*tandemv1.Port{{Name: "http"}}
		}
		if id < "/job4" && r.IntN(3) == 0 {
			w.ReadinessCheck = &tandemv1.HealthCheck{Kind: &tandemv1.HealthCheck_Http{Http: &tandemv1.HttpCheck{Path: "/ready"}}}
		}
		if id < "/job4" {
			t.restarts(w)
		}
		j.Workloads = append(j.Workloads, w)
	}
	t.lifecycles(j)
	return j
}
