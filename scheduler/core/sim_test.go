package core_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"iter"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
)

var (
	simSeeds  = flag.Uint64("sim.seeds", 100, "how many worlds to simulate")
	simFirst  = flag.Uint64("sim.first", 1, "the first seed")
	simFast   = flag.Bool("sim.fast", false, "end with the first seed that fails")
	simScale  = flag.Int("sim.scale", 1, "how many times as large as the smallest the worlds are: 400 is some thousand agents and tasks")
	simLength = flag.Duration("sim.length", 20*time.Minute, "how long each world has faults, by its own clock")
	simSeed   = flag.Uint64("sim.seed", 0, "simulate the world of this seed alone, and print all that happens")
)

// TestSimulation lets whole clusters run with every fault there is, and holds
// the design's rules after each step. A failure prints the seed, which brings
// it back to the letter.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		if err, _ := simulate(*simSeed, func(line string) { fmt.Println(line) }); err != "" {
			t.Fatalf("seed %d: %s", *simSeed, err)
		}
		return
	}
	// Worlds are small and short-lived: most of what is made is garbage before long,
	// and there is room for it.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	var steps, next atomic.Int64
	next.Store(int64(*simFirst) - 1)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				seed := uint64(next.Add(1))
				if seed >= *simFirst+*simSeeds || *simFast && t.Failed() {
					return
				}
				err, n := simulate(seed, nil)
				steps.Add(int64(n))
				if err != "" {
					t.Errorf("seed %d: %s\n  to see it: %s", seed, err, simAgain(seed))
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d steps in %d worlds", steps.Load(), *simSeeds)
}

// simAgain is the command that lets the world of a seed be seen.
func simAgain(seed uint64) string {
	command := fmt.Sprintf("make sim SEED=%d", seed)
	for _, name := range []string{"scale", "length"} {
		if f := flag.Lookup("sim." + name); f.Value.String() != f.DefValue {
			command += fmt.Sprintf(" %s=%s", strings.ToUpper(name), f.Value)
		}
	}
	return command
}

// TestSimulationRepeats holds that a seed gives the same world every time.
func TestSimulationRepeats(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		var sums [2]uint64
		for i := range sums {
			h := fnv.New64()
			if err, _ := simulate(seed, func(line string) { fmt.Fprintln(h, line) }); err != "" {
				t.Fatalf("seed %d: %s", seed, err)
			}
			sums[i] = h.Sum64()
		}
		if sums[0] != sums[1] {
			t.Errorf("seed %d does not repeat itself", seed)
		}
	}
}

// simulate returns what has gone wrong, or nothing.
func simulate(seed uint64, trace func(string)) (problem string, steps int) {
	w := newWorld(seed, *simScale, *simLength)
	w.trace = trace
	problem = w.holds(func() { w.run(w.calm.Add(restTime)) })
	if problem != "" {
		return problem, w.steps
	}
	// A cron job may just have started something, and an agent that was turned down
	// before its maintenance is not offered for an hour: there must be a moment of
	// rest before long.
	for range 100 {
		if problem = w.holds(w.sched.checks.atRest); problem == "" {
			break
		}
		if broke := w.holds(func() { w.run(w.now.Add(30 * time.Second)) }); broke != "" {
			return broke, w.steps
		}
	}
	return problem, w.steps
}

// holds returns the first check that fails in f.
func (w *world) holds(f func()) (problem string) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			problem = fmt.Sprintf("at %.3f s: %s", w.now.Sub(w.start).Seconds(), string(p))
		default:
			panic(fmt.Sprintf("seed %d at %.3f s: %v", w.seed, w.now.Sub(w.start).Seconds(), p))
		}
	}()
	f()
	return ""
}

func (w *world) config(seed uint64, program int) core.Config {
	return core.Config{
		Roles: []string{w.role}, Executor: simProgram(program), Seed: seed,
		// So few that a reconciliation takes many questions.
		ReconcileBatch: (1 + int(seed%16)) * w.scale,
	}
}

// stray puts a task onto the agent that nobody has asked for.
func (a *simAgent) stray() {
	a.w.uuids++
	m := a.w.master
	known := m.agents[a.id]
	if known == nil || known.state != registered {
		return
	}
	id := fmt.Sprintf("old.0.%d.web", a.w.uuids)
	r := m.free(known)
	if r.Scalar("cpus") < 1000 {
		return
	}
	g := &simGroup{executor: "old", started: true}
	t := &simTask{id: id, group: g, command: "run", state: mesos.TASK_STAGING}
	g.tasks = []*simTask{t}
	a.tasks[id] = t
	m.quiet = false
	known.tasks[id] = &masterTask{id: id, executor: "old", state: mesos.TASK_RUNNING, told: mesos.TASK_RUNNING}
	a.report(t, mesos.TASK_RUNNING, "")
}

func portRange(role string, begin, end uint64) []mesos.Resource {
	return []mesos.Resource{{
		Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: begin, End: end}}},
		AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
	}}
}

func sortStrings(s []string) { slices.Sort(s) }

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

func describeInput(in core.Input) string {
	switch in := in.(type) {
	case core.Offers:
		var parts []string
		for _, o := range in.Offers {
			parts = append(parts, o.ID.Value+"@"+o.AgentID.Value)
		}
		return "offers " + strings.Join(parts, " ")
	case core.Updated:
		s := in.Status
		return fmt.Sprintf("update %s %s %s %s %s", s.TaskID.Value, short(s.GetState().String()), s.GetSource(), s.GetReason(), s.GetMessage())
	case core.Command:
		if in.Submit != nil {
			return "submit " + fmt.Sprint(in.Submit.Job.Id, in.Submit.Job.GetInstances(), in.Submit.Job.Workloads)
		}
		if in.Stop != nil {
			return fmt.Sprintf("stop %s purge=%t", in.Stop.JobID, in.Stop.Purge)
		}
		if in.Upgrade != nil {
			return "upgrade the executor of " + in.Upgrade.TaskID
		}
		if p := in.PurgeVolume; p != nil {
			return fmt.Sprintf("purge volume %s forget=%t", p.ID, p.Forget)
		}
		if d := in.Drain; d != nil {
			return fmt.Sprintf("drain %s cancel=%t deadline=%s", d.Agent, d.Cancel, d.Deadline)
		}
		return fmt.Sprintf("steer update=%+v rollback=%+v restart=%+v", in.Update, in.Rollback, in.Restart)
	case core.InverseOffers:
		return fmt.Sprintf("inverse offer %s@%s from %s", in.Offers[0].OfferID.Value, in.Offers[0].AgentID.Value,
			time.Unix(0, in.Offers[0].Unavailability.Start.Nanoseconds).UTC().Format(time.TimeOnly))
	case core.OperationUpdated:
		return fmt.Sprintf("operation %s %s %s", in.Status.OperationID.GetValue(), in.Status.State, in.Status.GetMessage())
	case core.CallFailed:
		return fmt.Sprintf("call %s failed, uncertain=%t", in.Call.Type, in.Uncertain)
	}
	return fmt.Sprintf("%T", in)
}

func describeEffects(e core.Effects) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, c := range e.Save {
		switch r := c.Record.(type) {
		case nil:
			add("remove %s %s", c.Kind, c.Key)
		case *tandemv1.JobRecord:
			add("save job %s v%d stopped=%t purge=%t %s %s", r.Spec.Id, r.Version, r.Stopped, r.Purge, r.Phase, r.PhaseReason)
		case *tandemv1.VolumeRecord:
			add("save volume %s %s on %s seen=%t purges=%d %s", r.Id, r.State, r.AgentId, r.Seen, r.Purges, r.Reason)
		case *tandemv1.InstanceRecord:
			add("save instance %s#%d v%d attempt %d %s %s", r.JobId, r.Slot, r.JobVersion, r.Attempt, r.Phase, r.PhaseReason)
		case *tandemv1.AttemptRecord:
			text := fmt.Sprintf("save attempt %s#%d#%d on %s", r.JobId, r.Slot, r.Attempt, r.AgentId)
			for _, t := range r.Tasks {
				text += " " + t.Workload + "=" + short(t.State.String())
			}
			add("%s ended=%t unreachable=%t kill=%q", text, r.Ended != nil, r.Unreachable != nil, r.KillReason)
		case *tandemv1.AgentRecord:
			add("save agent %s drain=%t maintenance=%t operator=%t", r.AgentId, r.Drain != nil, r.Maintenance != nil, r.OperatorDrain != nil)
		default:
			add("save %s %s", c.Kind, c.Key)
		}
	}
	for _, c := range e.Calls {
		switch c.Type {
		case scheduler.Call_KILL:
			add("KILL %s", c.Kill.TaskID.Value)
		case scheduler.Call_ACKNOWLEDGE:
			add("ACKNOWLEDGE %s", c.Acknowledge.TaskID.Value)
		case scheduler.Call_RECONCILE:
			add("RECONCILE %d tasks", len(c.Reconcile.Tasks))
		case scheduler.Call_ACCEPT:
			for _, op := range c.Accept.Operations {
				if op.LaunchGroup == nil {
					add("ACCEPT %v %s %s", c.Accept.OfferIDs, op.Type, op.ID.GetValue())
					continue
				}
				add("ACCEPT %v %s", c.Accept.OfferIDs, op.LaunchGroup.Executor.ExecutorID.Value)
			}
		default:
			add("%s", c.Type)
		}
	}
	for _, n := range e.Show {
		add("note %s#%d %s", n.Job, n.Slot, n.Text)
	}
	return out
}
