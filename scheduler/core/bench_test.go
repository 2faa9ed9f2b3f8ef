package core

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/heap"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// benchJob is a service of one workload with a port.
func benchJob(id string, count int32, constraints ...*tandemv1.Constraint) *tandemv1.Job {
	attempts, essential := int32(10), true
	return &tandemv1.Job{
		Id: id, Type: tandemv1.JobType_JOB_TYPE_SERVICE, Instances: &count, Constraints: constraints,
		Update: &tandemv1.UpdatePolicy{MaxParallel: 1, MinHealthyTime: durationpb.New(10 * time.Second)},
		Restart: &tandemv1.RestartPolicy{Attempts: &attempts, Interval: durationpb.New(10 * time.Minute), Delay: durationpb.New(time.Second),
			Factor: 2, MaxDelay: durationpb.New(5 * time.Minute)},
		Unreachable: &tandemv1.UnreachablePolicy{InactiveAfter: durationpb.New(5 * time.Minute), ExpungeAfter: durationpb.New(10 * time.Minute)},
		Executor:    &tandemv1.ExecutorSettings{Resources: &tandemv1.Resources{Cpus: 0.1, Mem: 32, Disk: 16}},
		Workloads: []*tandemv1.Workload{{
			Name: "web", Cmd: "exec ./serve", Lifecycle: tandemv1.Lifecycle_LIFECYCLE_MAIN, Essential: &essential,
			Resources: &tandemv1.Resources{Cpus: 0.2, Mem: 128}, Ports: []*tandemv1.Port{{Name: "http"}},
			Kill: &tandemv1.KillSettings{Signal: "SIGTERM", GracePeriod: durationpb.New(30 * time.Second)},
		}},
	}
}

func benchOffers(n, round int) []mesos.Offer {
	role := "prod"
	scalar := func(name string, v float64) mesos.Resource {
		return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: v}, AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role}}
	}
	offers := make([]mesos.Offer, n)
	for i := range offers {
		offers[i] = mesos.Offer{
			ID: mesos.OfferID{Value: fmt.Sprintf("o%d-%d", round, i)}, AgentID: mesos.AgentID{Value: fmt.Sprintf("726e59df-837b-4b2d-ab4d-ee890c2cb19d-S%d", i)},
			Hostname: fmt.Sprintf("host%05d", i), AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
			Attributes: []mesos.Attribute{{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: fmt.Sprintf("r%02d", i%20)}}},
			Resources: []mesos.Resource{scalar("cpus", 64), scalar("mem", 262144), scalar("disk", 1e6), {
				Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 32000}}},
				AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
			}},
		}
	}
	return offers
}

// benchCore has so many jobs of a thousand tasks at most, all running.
func benchCore(b *testing.B, tasks int, now time.Time) (*Core, []mesos.TaskStatus) {
	c := New(testConfig(), state.Snapshot{})
	c.Step(now, Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}})
	for left, n := tasks, 0; left > 0; left, n = left-1000, n+1 {
		c.Step(now, Command{ID: 1, Submit: &Submit{Job: benchJob(fmt.Sprintf("/job%d", n), int32(min(left, 1000)))}})
	}
	var launched []mesos.TaskStatus
	for _, call := range c.Step(now, Offers{benchOffers(tasks/100+1, 0)}).Calls {
		if call.Accept == nil {
			continue
		}
		for _, op := range call.Accept.Operations {
			for _, t := range op.LaunchGroup.TaskGroup.Tasks {
				st, source := mesos.TASK_RUNNING, mesos.SOURCE_EXECUTOR
				agent := t.AgentID
				launched = append(launched, mesos.TaskStatus{TaskID: t.TaskID, AgentID: &agent, State: &st, Source: &source, UUID: []byte("0123456789abcdef")})
			}
		}
	}
	if len(launched) != tasks {
		b.Fatalf("%d of %d tasks were launched", len(launched), tasks)
	}
	for _, s := range launched {
		c.Step(now, Updated{&s})
	}
	return c, launched
}

// BenchmarkOffers is one event of 10,000 offers with instances waiting: decoded,
// matched, and all that follows encoded.
func BenchmarkOffers(b *testing.B) {
	b.Cleanup(heap.Bound()) // as in the scheduler's own process; so below
	event := scheduler.Event{Type: scheduler.Event_OFFERS, Offers: &scheduler.Event_Offers{Offers: benchOffers(10000, 0)}}
	wire, err := event.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	for _, waiting := range []int{0, 1000, 10000, 100000} {
		b.Run(fmt.Sprintf("waiting-%d", waiting), func(b *testing.B) {
			placed, used := 0, time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				c := New(testConfig(), state.Snapshot{})
				c.Step(epoch, Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}})
				for n := range waiting / 1000 {
					c.Step(epoch, Command{ID: 1, Submit: &Submit{Job: benchJob(fmt.Sprintf("/job%d", n), 1000)}})
				}
				begin := cpuTime(b)
				b.StartTimer()
				e, err := schedulerapi.Decode(wire)
				if err != nil {
					b.Fatal(err)
				}
				for _, call := range c.Step(epoch, Offers{e.Offers.Offers}).Calls {
					if _, err := schedulerapi.Encode(call); err != nil {
						b.Fatal(err)
					}
					if call.Accept != nil {
						placed += len(call.Accept.Operations)
					}
				}
				used += cpuTime(b) - begin
			}
			if placed != waiting*b.N {
				b.Fatalf("%d placed", placed)
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms")
			b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms")
			b.ReportMetric(float64(placed)/b.Elapsed().Seconds(), "placements/s")
		})
	}
}

// BenchmarkRefusedOffers is one event of 10,000 offers that fit none of a
// hundred jobs: declined, and the reasons told.
func BenchmarkRefusedOffers(b *testing.B) {
	c := New(testConfig(), state.Snapshot{})
	c.Step(epoch, Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}})
	for n := range 100 {
		job := benchJob(fmt.Sprintf("/large%d", n), 100,
			&tandemv1.Constraint{Attribute: "rack", Operator: tandemv1.ConstraintOperator_CONSTRAINT_OPERATOR_GROUP_BY})
		job.Workloads[0].Resources.Cpus = 100
		c.Step(epoch, Command{ID: 1, Submit: &Submit{Job: job}})
	}
	now, offers := epoch, benchOffers(10000, 0)
	for b.Loop() {
		now = now.Add(time.Second)
		c.Step(now, Offers{offers})
	}
}

// BenchmarkEvent is what one event costs by the number of tasks that run: it is
// to be the same.
func BenchmarkEvent(b *testing.B) {
	for _, tasks := range []int{1000, 100000} {
		c, statuses := benchCore(b, tasks, epoch)
		yes, no := true, false
		b.Run(fmt.Sprintf("update/tasks-%d", tasks), func(b *testing.B) {
			i := 0
			for b.Loop() {
				s := statuses[i%len(statuses)]
				s.Healthy = &yes
				if i/len(statuses)%2 == 1 {
					s.Healthy = &no
				}
				c.Step(epoch, Updated{&s})
				i++
			}
		})
		b.Run(fmt.Sprintf("offer/tasks-%d", tasks), func(b *testing.B) {
			offers := benchOffers(1, 1)
			for b.Loop() {
				c.Step(epoch, Offers{offers})
			}
		})
		b.Run(fmt.Sprintf("command/tasks-%d", tasks), func(b *testing.B) {
			i := 0
			for b.Loop() {
				job := benchJob("/extra", 1)
				job.User = fmt.Sprint(i)
				c.Step(epoch, Command{ID: 1, Submit: &Submit{Job: job}})
				i++
			}
		})
		b.Run(fmt.Sprintf("tick/tasks-%d", tasks), func(b *testing.B) {
			for b.Loop() {
				c.Step(epoch, Ticked{})
			}
		})
	}
}

// BenchmarkMemory reports the memory of a running task.
func BenchmarkMemory(b *testing.B) {
	const tasks = 100000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		c, statuses := benchCore(b, tasks, epoch)
		clear(statuses)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/tasks, "B/task")
		runtime.KeepAlive(c)
	}
}

// BenchmarkResume is a start with many tasks: the model made from the store, and
// the first subscription.
func BenchmarkResume(b *testing.B) {
	const tasks = 100000
	c, _ := benchCore(b, tasks, epoch)
	var saved state.Snapshot
	saved.Framework = c.framework
	for _, j := range c.jobsInOrder() {
		saved.Jobs = append(saved.Jobs, j.rec)
		for _, v := range j.versions {
			saved.Versions = append(saved.Versions, v.rec)
		}
		for _, in := range j.instances {
			saved.Instances = append(saved.Instances, in.rec)
			saved.Attempts = append(saved.Attempts, in.live.rec)
		}
	}
	for b.Loop() {
		c := New(testConfig(), saved)
		c.Step(epoch.Add(time.Hour), Subscribed{FrameworkID: mesos.FrameworkID{Value: "fw"}})
	}
}

// BenchmarkReconcile is the longest step of a reconciliation of many tasks that
// nobody answers, and of the questions that follow.
func BenchmarkReconcile(b *testing.B) {
	c, _ := benchCore(b, 100000, epoch)
	now, worst := epoch.Add(time.Minute), time.Duration(0)
	c.Step(now, Ticked{}) // all came up in the same instant, which no cluster's do
	for b.Loop() {
		now = now.Add(c.cfg.ReconcileInterval * 2)
		for next, _ := c.Next(); next.Before(now); next, _ = c.Next() {
			begin := time.Now()
			c.Step(next, Ticked{})
			worst = max(worst, time.Since(begin))
		}
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "ms-worst")
}
