package master

import (
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"

	"github.com/tandem-mesos/tandem/pkg/localmesos/link"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// TestARandomLife lets schedulers and agents do random things, sensible or not,
// and looks after each whether every resource of every agent is available,
// offered or used, and once only.
func TestARandomLife(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		failure := ""
		script := rapid.SliceOfN(rapid.IntRange(0, 1<<20), 10, 80).Draw(rt, "script")
		inWorld(t, Options{AgentPingTimeout: time.Second, MaxAgentPingTimeouts: 2, OfferTimeout: 7 * time.Second}, func(w *world) {
			l := &life{world: w}
			for i, n := range script {
				what := l.step(n)
				if err := w.m.do(w.m.core.balanced); err != nil {
					failure = fmt.Sprintf("step %d, %s: %v", i, what, err)
					break
				}
			}
			for _, s := range l.schedulers {
				s.cancel()
			}
			w.settle()
		})
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

// balanced finds resources that are lost, or had twice.
func (c *core) balanced() error {
	for id, a := range c.agents {
		sum := c.allocator.Available(string(id)).Add(offered(a.offers).Unallocate())
		sum = sum.Add(a.used().Unallocate())
		if !sum.Equal(a.total) {
			return fmt.Errorf("agent %s has %s, but %s available, %s offered, %s used", id, a.total, c.allocator.Available(string(id)), offered(a.offers), a.used())
		}
	}
	for id, o := range c.offers {
		if c.agents[o.agent] == nil || c.agents[o.agent].offers[id] != o || c.frameworks[o.framework] == nil || c.frameworks[o.framework].offers[id] != o {
			return fmt.Errorf("offer %s is in some places only", id)
		}
	}
	for _, f := range c.frameworks {
		var used resource.Resources
		for _, a := range c.agents {
			for _, t := range a.tasks[f.id] {
				if f.tasks[t.id()] != t {
					return fmt.Errorf("task %s is in some places only", t.id())
				}
				if !terminal(t.state()) {
					used = used.Add(t.resources)
				}
			}
			for _, e := range a.executors[f.id] {
				used = used.Add(e.resources)
			}
		}
		if !used.Equal(f.used()) {
			return fmt.Errorf("framework %s uses %s, on its agents %s", f.id, f.used(), used)
		}
	}
	return nil
}

type life struct {
	*world
	schedulers []*fakeScheduler
	agents     []*fakeAgent
	tasks      int
}

// step does what a number says, and names it.
func (l *life) step(n int) string {
	what, n := n%16, n/16
	if len(l.schedulers) == 0 {
		what = 0
	} else if len(l.agents) == 0 {
		what = 1
	}
	var s *fakeScheduler
	var a *fakeAgent
	if len(l.schedulers) > 0 {
		s = l.schedulers[n%len(l.schedulers)]
	}
	if len(l.agents) > 0 {
		a = l.agents[n/7%len(l.agents)]
	}
	task := fmt.Sprintf("t%d", n%max(l.tasks, 1))
	executor := fmt.Sprintf("e%d", n%3)
	switch what {
	case 0:
		info := strings.Replace(exampleInfo, `"failover_timeout":60`, fmt.Sprintf(`"failover_timeout":%d`, n%3*4), 1)
		l.schedulers = append(l.schedulers, l.subscribe(strings.Replace(info, `["example"]`, fmt.Sprintf(`["example","r%d"]`, n%3), 1)))
		return "subscribe"
	case 1:
		if len(l.agents) < 4 {
			l.agents = append(l.agents, l.agent(fmt.Sprintf("a%d", len(l.agents))))
		}
		return "register"
	case 2, 3:
		operations := []string{s.group(a, executor, fmt.Sprintf("t%d", l.tasks), fmt.Sprintf("t%d", l.tasks+1))}
		l.tasks += 2
		if n%5 == 0 {
			operations = append(operations, s.group(a, executor, task), `{"type":"LAUNCH","launch":{}}`)
		}
		s.call(accept(l.someOffers(s, a, n), operations...))
		return "accept"
	case 4:
		s.call(decline(l.someOffers(s, a, n), fmt.Sprintf(`,"filters":{"refuse_seconds":%d}`, n%4-1)))
		return "decline"
	case 5, 6, 7:
		states := []mesos.TaskState{mesos.TASK_RUNNING, mesos.TASK_STARTING, mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_LOST}
		a.update(s, task, executor, states[n%len(states)], byte(n))
		if n%2 == 0 {
			uuid := byte(n)
			s.call(fmt.Sprintf(`"type":"ACKNOWLEDGE","acknowledge":{"agent_id":{"value":%q},"task_id":{"value":%q},"uuid":"EBESExQVRheYGRobAAAA%s"}`, a.id.Value, task, lastBase64(uuid)))
		}
		return "update"
	case 8:
		l.m.ExitedExecutor(a.id, mesos.FrameworkID{Value: s.id}, mesos.ExecutorID{Value: executor}, int32(n))
		return "exit"
	case 9:
		s.call(`"type":"REVIVE"`)
		s.call(reconcile(asked(task, a.id.Value)))
		return "revive and reconcile"
	case 10:
		if n%3 == 0 {
			s.call(`"type":"TEARDOWN"`)
		} else {
			s.cancel()
		}
		l.settle()
		return "leave"
	case 11:
		if id := s.id; id != "" {
			text := fmt.Sprintf(`{"value":%q}`, id)
			again := l.open(`{"type":"SUBSCRIBE","framework_id":` + text + `,"subscribe":{"framework_info":{"id":` + text + `,` + exampleInfo + `}}}`)
			if events := again.events(); len(events) > 1 {
				again.id = id
				l.schedulers = append(l.schedulers, again)
			}
		}
		return "resubscribe"
	case 12:
		if n%2 == 0 {
			l.m.AgentDisconnected(a.id)
			l.settle()
			return "disconnect"
		}
		a.hears(false)
		l.pass(3 * time.Second)
		return "lose"
	case 13:
		if a.id.Value != "" {
			info := agentInfo("again", 8)
			info.ID = &mesos.AgentID{Value: a.id.Value}
			a.hears(true)
			l.m.ReregisterAgent(a, l.memory(a, n, info))
			l.settle()
		}
		return "reregister"
	case 14:
		if n%4 == 0 {
			l.m.UnregisterAgent(a.id)
			l.agents = append(l.agents[:0], l.agents[1:]...)
		}
		l.settle()
		return "unregister"
	default:
		l.pass(time.Duration(n%6) * time.Second)
		return "wait"
	}
}

func lastBase64(b byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return string([]byte{digits[b>>2], digits[b<<4&0x3f], '=', '='})
}

// someOffers names an offer of the agent, if the scheduler has one, or none
// that exists.
func (l *life) someOffers(s *fakeScheduler, a *fakeAgent, n int) string {
	name := "O9999"
	_ = l.m.do(func() error {
		if f := l.m.core.frameworks[frameworkID(s.id)]; f != nil {
			for _, o := range sortedOffers(f.offers) {
				if string(o.agent) == a.id.Value && n%9 != 0 {
					name = short(string(o.id))
				}
			}
		}
		return nil
	})
	return name
}

// memory is what a returning agent remembers: what the master knows of it, with
// a task or an executor missing now and then.
func (l *life) memory(a *fakeAgent, n int, info mesos.AgentInfo) link.Registration {
	r := link.Registration{Info: info, PID: a.pid}
	_ = l.m.do(func() error {
		known := l.m.core.agents[agentID(a.id.Value)]
		for _, f := range l.m.core.sortedFrameworks() {
			r.Frameworks = append(r.Frameworks, f.info)
			for _, t := range f.unreachable {
				if string(t.agent()) == a.id.Value {
					back := t.info
					back.State = mesos.TASK_RUNNING.Enum()
					r.Tasks = append(r.Tasks, back)
				}
			}
			if known == nil {
				continue
			}
			for _, t := range sortedTasks(known.tasks[f.id]) {
				if n%3 != 0 {
					r.Tasks = append(r.Tasks, t.info)
				}
			}
			for _, e := range known.executors[f.id] {
				if n%4 != 0 {
					r.Executors = append(r.Executors, link.ExecutorOf{FrameworkID: mesos.FrameworkID{Value: string(f.id)}, Info: e.info})
				}
			}
		}
		return nil
	})
	return r
}
