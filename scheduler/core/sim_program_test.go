package core_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tandem-mesos/tandem/pkg/talk"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// simProgram is the executor of a scheduler's version.
func simProgram(version int) core.Executor {
	at := fmt.Sprintf("http://10.0.0.7/%d/tandem-executor", version)
	return core.Executor{
		Command: "./tandem-executor", SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(at))),
		URIs: []mesos.CommandInfo_URI{{Value: at}},
	}
}

// programAt is the program that is fetched from an address of simProgram's, as
// records name it.
func programAt(uri string) string {
	version := 0
	_, _ = fmt.Sscanf(uri, "http://10.0.0.7/%d/", &version) // the core's own
	e := simProgram(version)
	return e.Digest()
}

// begins notes the program of an executor that a group is launched with, unless it
// runs.
func (a *simAgent) begins(e *mesos.ExecutorInfo) {
	id := e.ExecutorID.Value
	if old := a.executor(id); old == nil || len(old.open()) == 0 {
		a.programs[id] = append(a.programs[id], programAt(e.Command.URIs[0].Value))
	}
}

// told is what an executor does about a MESSAGE. That it replaces itself takes a
// while, and not every executor outlives it.
func (a *simAgent) told(id string, data []byte) {
	running := func() bool { g := a.executor(id); return !a.dead && g != nil && g.started && len(g.open()) > 0 }
	m, err := talk.ParseToExecutor(data)
	if err != nil {
		a.w.fail("executor %s cannot read a message: %v", id, err)
	}
	u := m.GetUpgradeExecutor()
	if u == nil || !running() || a.w.faults() && a.w.chance(0.1) {
		return
	}
	a.w.after(a.w.upTo(time.Minute), func() {
		switch {
		case !running():
			return
		case a.w.faults() && a.w.chance(0.1):
			a.executorDies(id)
			return
		}
		answer := &tandemv1.Answer{Request: m.Request, Version: "1.0"}
		if a.w.faults() && a.w.chance(0.2) {
			answer.Problem = "the program cannot be fetched"
		} else {
			a.programs[id] = append(a.programs[id], programAt(u.Uri))
		}
		data, err := talk.EncodeFromExecutor(&tandemv1.FromExecutor{Word: &tandemv1.FromExecutor_Answer{Answer: answer}})
		if err != nil {
			a.w.fail("%v", err)
		}
		a.w.message(a, func() {
			a.w.master.send(core.Told{AgentID: mesos.AgentID{Value: a.id}, ExecutorID: mesos.ExecutorID{Value: id}, Data: data})
		})
	})
}

// message passes on what an executor is told, which may get lost.
func (m *simMaster) message(c *scheduler.Call_Message) {
	if a := m.agents[c.AgentID.Value]; a != nil && a.state == registered {
		m.tell(a.agent, func() { a.agent.told(c.ExecutorID.Value, c.Data) })
	}
}

// upgrade has executors replaced that are not what new ones are, one on each agent.
// Their answers are not waited for.
func (t *team) upgrade() {
	e := simProgram(t.w.sched.program)
	for _, a := range t.w.agents {
		for _, task := range a.running() {
			been := a.programs[task.group.executor]
			if t.w.sched.down || len(been) == 0 || been[len(been)-1] == e.Digest() {
				continue
			}
			t.command++
			t.w.sched.step(core.Command{ID: t.command, Upgrade: &core.UpgradeExecutor{TaskID: task.id}})
			break
		}
	}
}

// programs: a record names no program that its executor has not been.
func (k *checks) programs(e core.Effects) {
	for _, c := range e.Save {
		a, ok := c.Record.(*tandemv1.AttemptRecord)
		if !ok || a.Ended != nil {
			continue
		}
		at := slices.IndexFunc(k.s.w.agents, func(s *simAgent) bool { return s.id == a.AgentId })
		been := k.s.w.agents[at].programs[a.ExecutorId]
		if len(been) > 0 && a.ExecutorDigest != "" && !slices.Contains(been, a.ExecutorDigest) {
			k.s.w.fail("executor %s is recorded as %s, and has been %v", a.ExecutorId, a.ExecutorDigest, been)
		}
	}
}

// restarts gives some workloads a restart in place.
func (t *team) restarts(w *tandemv1.Workload) {
	if t.w.random.IntN(4) > 0 {
		return
	}
	w.Restart = &tandemv1.WorkloadRestart{
		Attempts: proto.Int32(3), Interval: durationpb.New(10 * time.Minute), Delay: durationpb.New(time.Second), Factor: 2,
		MaxDelay: durationpb.New(time.Minute),
	}
}

// relive lets the workload of a task fail and be started again in place, now and
// then: the task runs on, and is unhealthy for a while.
func (a *simAgent) relive(t *simTask) {
	if !t.restarted || !a.w.faults() || a.w.chance(0.5) {
		return
	}
	a.w.after(a.w.upTo(2*time.Minute), func() {
		if t.state != mesos.TASK_RUNNING {
			return
		}
		t.restarts++
		t.failing = true
		a.report(t, mesos.TASK_RUNNING, "Command exited with status 1: it is started again in a moment")
		a.w.after(a.w.upTo(10*time.Second), func() {
			if t.state != mesos.TASK_RUNNING {
				return
			}
			t.failing = false
			a.report(t, mesos.TASK_RUNNING, "It was started again")
			a.relive(t)
		})
	})
}

// tellRestarts puts into a status what the executor says of restarts in place.
func (t *simTask) tellRestarts(s *mesos.TaskStatus) {
	if t.restarts == 0 {
		return
	}
	healthy := !t.failing
	s.Healthy = &healthy
	s.Data, _ = proto.Marshal(&tandemv1.TaskReport{Magic: 0x746e6472, Restarts: t.restarts}) // text is all that can fail
}

// failing reports whether a workload is being started again in place, as far as its
// record knows.
func failing(w *tandemv1.Workload, t *tandemv1.TaskRecord) bool {
	return w.GetRestart() != nil && t.State == tandemv1.TaskState_TASK_RUNNING && t.Healthy != nil && !*t.Healthy
}

// serving: no instance serves while a workload of its is started again in place.
func (r *stepRules) serving(in *tandemv1.InstanceRecord, a *tandemv1.AttemptRecord, v *tandemv1.VersionRecord) {
	for i, w := range v.Spec.Workloads {
		if failing(w, a.Tasks[i]) {
			r.k.s.w.fail("%s serves, and %s is started again in place", state.InstanceKey(in.JobId, in.Slot), a.Tasks[i].TaskId)
		}
	}
}
