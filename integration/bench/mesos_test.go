package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
)

// testMaster names a real Mesos, which should do nothing else meanwhile.
const testMaster = "TANDEM_TEST_MASTER"

// Through a real master and agent, from ACCEPT to the last TASK_RUNNING: a group
// of a hundred tasks, and twenty executors with one task each. What Mesos itself
// takes, which is most of it, is in both sides.
func BenchmarkMesos(b *testing.B) {
	need(b)
	master := os.Getenv(testMaster)
	if master == "" {
		b.Skip(testMaster + " names no master")
	}
	for _, c := range []struct {
		name             string
		executors, tasks int
	}{{"group-of-100", 1, 100}, {"20-executors", 20, 1}} {
		b.Run(c.name, func(b *testing.B) {
			f := subscribe(b, master)
			var took, nullTook, first samples
			round := func() {
				nullTook.add(slices.Max(f.launch(built.null, c.executors, c.tasks)))
				times := f.launch(built.executor, c.executors, c.tasks)
				took.add(slices.Max(times))
				first.add(slices.Min(times))
			}
			round()
			took, nullTook, first = nil, nil, nil
			for b.Loop() {
				round()
			}
			quietly(b)
			report(b, first.at(.5), "first-ms")
			report(b, took.at(.5), "last-ms")
			report(b, nullTook.at(.5), "null-last-ms")
			report(b, took.at(.5)/nullTook.at(.5), "of-null")
		})
	}
}

// framework is a scheduler that does no more than it must.
type framework struct {
	b      *testing.B
	stream *schedulerapi.Stream
	id     mesos.FrameworkID
	offers []mesos.Offer
	// running is when each task was first said to run.
	running map[string]time.Time
	ended   map[string]bool
	rounds  int
}

func subscribe(b *testing.B, master string) *framework {
	b.Helper()
	client, err := schedulerapi.New(schedulerapi.Options{Detector: detect.NewList([]string{master})})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	b.Cleanup(cancel)
	// Without a failover timeout the master ends all with the subscription.
	stream, err := client.Subscribe(ctx, calls.Subscribe(&mesos.FrameworkInfo{
		User: "root", Name: b.Name(), Roles: []string{"*"},
		Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}},
	}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(stream.Close)
	f := &framework{b: b, stream: stream}
	f.until(func() bool { return f.id.Value != "" })
	return f
}

// until takes events until the condition holds.
func (f *framework) until(holds func() bool) {
	f.b.Helper()
	for !holds() {
		event, err := f.stream.Next()
		if err != nil {
			f.b.Fatal(err)
		}
		switch event.GetType() {
		case scheduler.Event_SUBSCRIBED:
			f.id = *event.Subscribed.FrameworkID
		case scheduler.Event_OFFERS:
			f.offers = append(f.offers, event.Offers.Offers...)
		case scheduler.Event_UPDATE:
			f.updated(event.Update.Status)
		case scheduler.Event_ERROR:
			f.b.Fatalf("the master says: %s", event.Error.Message)
		}
	}
}

func (f *framework) updated(s mesos.TaskStatus) {
	id := s.TaskID.Value
	switch {
	case s.GetState() == mesos.TASK_RUNNING:
		if f.running[id].IsZero() {
			f.running[id] = time.Now()
		}
	case terminal(s.GetState()):
		if f.running[id].IsZero() {
			f.b.Fatalf("task %s did not run: %s %q", id, s.GetState(), s.GetMessage())
		}
		f.ended[id] = true
	}
	if len(s.UUID) > 0 {
		f.send(calls.Acknowledge(s.AgentID.Value, id, s.UUID))
	}
}

func (f *framework) send(call *scheduler.Call) {
	f.b.Helper()
	call.FrameworkID = &f.id
	for _, err := range f.stream.Send(f.b.Context(), []*scheduler.Call{call}) {
		if err != nil {
			f.b.Fatal(err)
		}
	}
}

// offer waits for one that holds enough, and gives the others back.
func (f *framework) offer(cpus, mem float64) mesos.Offer {
	f.b.Helper()
	for {
		f.until(func() bool { return len(f.offers) > 0 })
		offer := f.offers[0]
		f.offers = f.offers[1:]
		have := map[string]float64{}
		for _, r := range offer.Resources {
			have[r.Name] += r.GetScalar().GetValue()
		}
		if have["cpus"] >= cpus && have["mem"] >= mem {
			return offer
		}
		f.send(calls.Decline(offer.ID).With(calls.RefuseSeconds(0)))
	}
}

func amount(cpus, mem float64) []mesos.Resource {
	scalar := func(name string, value float64) mesos.Resource {
		return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: value}}
	}
	return []mesos.Resource{scalar("cpus", cpus), scalar("mem", mem), scalar("disk", 1)}
}

// launch runs executors of a program with so many tasks each, and ends them. It
// returns how long each task took from ACCEPT to TASK_RUNNING.
func (f *framework) launch(program string, executors, tasks int) []time.Duration {
	f.b.Helper()
	f.rounds++
	f.running, f.ended = make(map[string]time.Time), make(map[string]bool)
	const mem = 32
	offer := f.offer(4, float64(executors*(tasks+1)*mem))
	shell := false
	var operations []mesos.Offer_Operation
	var ids []string
	for e := range executors {
		id := fmt.Sprintf("bench.%d.%d", f.rounds, e)
		var group []mesos.TaskInfo
		for t := range tasks {
			task := id + "." + strconv.Itoa(t)
			group = append(group, mesos.TaskInfo{
				Name: task, TaskID: mesos.TaskID{Value: task}, AgentID: offer.AgentID,
				Command: &mesos.CommandInfo{Shell: &shell, Value: &built.pause}, Resources: amount(0.01, mem),
			})
		}
		operations = append(operations, calls.OpLaunchGroup(mesos.ExecutorInfo{
			Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: id}, FrameworkID: &f.id,
			Command: &mesos.CommandInfo{Shell: &shell, Value: &program, Arguments: []string{program}}, Resources: amount(0.1, mem),
		}, group...))
		ids = append(ids, id)
	}
	all := executors * tasks
	start := time.Now()
	f.send(calls.Accept(calls.OfferOperations(operations).WithOffers(offer.ID)).With(calls.RefuseSeconds(0)))
	f.until(func() bool { return len(f.running) == all })
	var took []time.Duration
	for _, at := range f.running {
		took = append(took, at.Sub(start))
	}
	for _, id := range ids {
		f.send(calls.Shutdown(id, offer.AgentID.Value))
	}
	f.until(func() bool { return len(f.ended) == all })
	return took
}
