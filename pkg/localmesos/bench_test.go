package localmesos_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpsched"
	"github.com/mesos/mesos-go/api/v1/lib/resources"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/master"
)

// BenchmarkStart is the time from nothing to the first offer.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		cluster := fakes(b, 1)
		s := newBenchScheduler(b, cluster)
		for s.next().Type != scheduler.Event_OFFERS {
		}
		b.StopTimer()
		s.stream.Close()
		cluster.Stop(context.Background())
		b.StartTimer()
	}
}

// BenchmarkLaunch launches b.N tasks, each of which is told to run and
// acknowledged.
func BenchmarkLaunch(b *testing.B) {
	cluster := fakes(b, 100)
	s := newBenchScheduler(b, cluster)
	defer cluster.Stop(context.Background())
	defer s.stream.Close()
	b.ResetTimer()
	s.run(b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "launches/s")
}

// BenchmarkScale fills a cluster with tasks and tells what memory that takes.
func BenchmarkScale(b *testing.B) {
	for _, size := range []struct{ agents, tasks int }{{1000, 20_000}, {10_000, 100_000}} {
		b.Run(fmt.Sprintf("agents=%d/tasks=%d", size.agents, size.tasks), func(b *testing.B) {
			for b.Loop() {
				start := time.Now()
				cluster := fakes(b, size.agents)
				up := time.Since(start)
				s := newBenchScheduler(b, cluster)
				start = time.Now()
				s.run(size.tasks)
				b.ReportMetric(up.Seconds(), "s-to-start")
				b.ReportMetric(float64(size.tasks)/time.Since(start).Seconds(), "launches/s")
				b.ReportMetric(residentMB(b), "MB")
				s.stream.Close()
				cluster.Stop(context.Background())
			}
		})
	}
}

// residentMB is the process's memory in use, the scheduler's included.
func residentMB(b *testing.B) float64 {
	b.Helper()
	runtime.GC()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(data)[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

func fakes(b *testing.B, agents int) *localmesos.Cluster {
	b.Helper()
	cluster, err := localmesos.Start(context.Background(), localmesos.Options{
		Agents: agents,
		Master: master.Options{AllocationInterval: 100 * time.Millisecond},
		Agent:  agent.Options{Fake: &agent.Fake{}, Resources: "cpus:64;mem:65536;disk:100000"},
	})
	if err != nil {
		b.Fatal(err)
	}
	return cluster
}

// benchScheduler launches tasks as fast as it can.
type benchScheduler struct {
	*testing.B
	stream mesos.Response
	call   func(*scheduler.Call)
	id     mesos.FrameworkID
	agents int
}

func newBenchScheduler(b *testing.B, cluster *localmesos.Cluster) *benchScheduler {
	b.Helper()
	caller := httpsched.NewCaller(httpcli.New(
		httpcli.Endpoint(cluster.URL()+"/api/v1/scheduler"),
		httpcli.Codec(codecs.ByMediaType[codecs.MediaTypeProtobuf]),
		httpcli.Do(httpcli.With(httpcli.RoundTripper(&http.Transport{MaxIdleConnsPerHost: 4}))),
	))
	s := &benchScheduler{B: b, agents: len(cluster.Agents())}
	s.call = func(c *scheduler.Call) {
		c.FrameworkID = &s.id
		response, err := caller.Call(context.Background(), c)
		if err != nil {
			b.Error(err)
		}
		if response != nil {
			response.Close()
		}
	}
	var err error
	if s.stream, err = caller.Call(context.Background(), calls.Subscribe(&mesos.FrameworkInfo{User: "root", Name: "bench"})); err != nil {
		b.Fatal(err)
	}
	s.id = *s.next().Subscribed.FrameworkID
	return s
}

func (s *benchScheduler) next() *scheduler.Event {
	event := &scheduler.Event{}
	if err := s.stream.Decode(event); err != nil {
		s.Fatal(err)
	}
	return event
}

// run launches tasks, spread over the agents, and returns when all run and are
// acknowledged. Updates that come again, as no acknowledgement has come for ten
// seconds, do not count.
func (s *benchScheduler) run(tasks int) {
	acks := make(chan *scheduler.Call, tasks)
	var acknowledging sync.WaitGroup
	for range 4 {
		acknowledging.Go(func() {
			for c := range acks {
				s.call(c)
			}
		})
	}
	each := (tasks + s.agents - 1) / s.agents
	running := make(map[string]bool, tasks)
	for launched := 0; len(running) < tasks; {
		switch e := s.next(); e.Type {
		case scheduler.Event_OFFERS:
			for _, offer := range e.Offers.Offers {
				n := min(each, tasks-launched)
				if n == 0 {
					break
				}
				s.call(calls.Accept(calls.OfferOperations{calls.OpLaunch(s.tasks(offer, launched, n)...)}.WithOffers(offer.ID)))
				launched += n
			}
		case scheduler.Event_UPDATE:
			u := e.Update.Status
			if !running[u.TaskID.Value] {
				running[u.TaskID.Value] = true
				acks <- calls.Acknowledge(u.AgentID.Value, u.TaskID.Value, u.UUID)
			}
		}
	}
	close(acks)
	acknowledging.Wait()
}

func (s *benchScheduler) tasks(offer mesos.Offer, first, n int) []mesos.TaskInfo {
	info := &mesos.ExecutorInfo{
		Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: "e"}, FrameworkID: &s.id,
		Command: &mesos.CommandInfo{Value: new("e")},
	}
	tasks := make([]mesos.TaskInfo, n)
	for i := range tasks {
		id := "task-" + strconv.Itoa(first+i)
		tasks[i] = mesos.TaskInfo{
			Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: offer.AgentID, Executor: info,
			Resources: []mesos.Resource{resources.NewCPUs(0.01).Resource, resources.NewMemory(1).Resource},
		}
	}
	return tasks
}
