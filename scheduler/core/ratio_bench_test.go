package core

import (
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
	"github.com/tandem-mesos/tandem/scheduler/heap"
)

// cpuTime is what this process has used of processors, collecting garbage
// included, however busy the machine is with others.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkGrowth reports how many times as much an event costs at 100,000 tasks
// as at 1,000, both measured in turns. Of an update also with its bytes, read and
// those of its acknowledgement written.
func BenchmarkGrowth(b *testing.B) {
	b.Cleanup(heap.Bound())
	const turn = 512
	small, few := benchCore(b, 1000, epoch)
	large, many := benchCore(b, 100000, epoch)
	now := epoch.Add(time.Minute)
	small.Step(now, Ticked{}) // all have served for long enough
	large.Step(now, Ticked{})
	for _, kind := range []struct {
		name string
		step func(c *Core, given update, i int)
	}{
		{"update", func(c *Core, given update, _ int) { c.Step(now, Updated{&given.decoded}) }},
		{"update-with-bytes", func(c *Core, given update, _ int) { given.through(b, c, now) }},
		{"offer", func(c *Core, _ update, i int) { c.Step(now, Offers{benchOffers(1, i)}) }},
		{"command", func(c *Core, _ update, i int) {
			job := benchJob("/extra", 1)
			job.Labels = map[string]string{"n": string(rune('a' + i%26))}
			c.Step(now, Command{ID: 1, Submit: &Submit{Job: job}})
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			var atSmall, atLarge time.Duration
			i := 0
			for b.Loop() {
				// What comes has just been received, and is no part of the comparison.
				forSmall, forLarge := updates(b, few, 37*i, turn, 37), updates(b, many, 37*i, turn, 37)
				begin := cpuTime(b)
				for n := range turn {
					kind.step(small, forSmall[n], n)
				}
				middle := cpuTime(b)
				for n := range turn {
					kind.step(large, forLarge[n], n)
				}
				atSmall += middle - begin
				atLarge += cpuTime(b) - middle
				i += turn
			}
			b.ReportMetric(float64(atLarge)/float64(atSmall), "times")
		})
	}
}

// update is an event of UPDATE.
type update struct {
	wire    []byte
	decoded mesos.TaskStatus
}

// updates returns n events of the statuses, from the i-th on and so many apart, in
// memory of their own: what an agent makes of an executor's status of a task that is healthy or
// is not, as was recorded.
func updates(b *testing.B, statuses []mesos.TaskStatus, i, n, apart int) []update {
	out := make([]update, n)
	for at := range out {
		k := i + at*apart
		s, healthy := statuses[k%len(statuses)], k/len(statuses)%2 == 0
		now, ip, protocol, pid := float64(epoch.Unix()), "10.0.0.5", mesos.IPv4, uint32(8146)
		s.Healthy, s.Timestamp = &healthy, &now
		s.Reason, s.ExecutorID = mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED.Enum(), &mesos.ExecutorID{Value: "job0.17.1"}
		s.ContainerStatus = &mesos.ContainerStatus{
			ContainerID:  &mesos.ContainerID{Value: "9a9a5a3e-0f5f-4a7a-8a7a-5a3e0f5f4a7a"},
			NetworkInfos: []mesos.NetworkInfo{{IPAddresses: []mesos.NetworkInfo_IPAddress{{Protocol: &protocol, IPAddress: &ip}}}},
			ExecutorPID:  &pid,
		}
		e := scheduler.Event{Type: scheduler.Event_UPDATE, Update: &scheduler.Event_Update{Status: s}}
		var err error
		if out[at].wire, err = e.Marshal(); err != nil {
			b.Fatal(err)
		}
		out[at].decoded = *out[at].decode(b)
	}
	return out
}

func (u *update) decode(b *testing.B) *mesos.TaskStatus {
	e, err := schedulerapi.Decode(u.wire)
	if err != nil {
		b.Fatal(err)
	}
	return &e.Update.Status
}

// through takes the update from its bytes to those that it is answered with.
func (u *update) through(b *testing.B, c *Core, now time.Time) {
	for _, call := range c.Step(now, Updated{u.decode(b)}).Calls {
		if _, err := schedulerapi.Encode(call); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdateShare reports how much of the work on a status update, from the
// bytes that come to those that go, mesos-go needs for decoding it alone, and how much
// its decoding is here.
func BenchmarkUpdateShare(b *testing.B) {
	b.Cleanup(heap.Bound())
	const turn = 2048
	c, statuses := benchCore(b, 10000, epoch)
	now := epoch.Add(time.Minute)
	c.Step(now, Ticked{}) // all have served for long enough
	events := updates(b, statuses, 0, 2*len(statuses), 1)
	var alone, here, all time.Duration
	i := 0
	for b.Loop() {
		begin := cpuTime(b)
		for n := range turn {
			if err := new(scheduler.Event).Unmarshal(events[(i+n)%len(events)].wire); err != nil {
				b.Fatal(err)
			}
		}
		first := cpuTime(b)
		for n := range turn {
			events[(i+n)%len(events)].decode(b)
		}
		second := cpuTime(b)
		for n := range turn {
			events[(i+n)%len(events)].through(b, c, now)
		}
		alone += first - begin
		here += second - first
		all += cpuTime(b) - second
		i += turn
	}
	b.ReportMetric(float64(alone)/float64(all), "share")
	b.ReportMetric(float64(here)/float64(all), "share-here")
	b.ReportMetric(float64(all.Nanoseconds())/float64(b.N*turn), "ns/update")
}
