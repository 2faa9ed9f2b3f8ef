package core

import (
	"syscall"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
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
// as at 1,000, both measured in turns.
func BenchmarkGrowth(b *testing.B) {
	const turn = 512
	small, few := benchCore(b, 1000, epoch)
	large, many := benchCore(b, 100000, epoch)
	for _, kind := range []struct {
		name string
		step func(c *Core, statuses []mesos.TaskStatus, i int)
	}{
		{"update", func(c *Core, statuses []mesos.TaskStatus, i int) {
			c.Step(epoch, Updated{&statuses[i]})
		}},
		{"offer", func(c *Core, _ []mesos.TaskStatus, i int) { c.Step(epoch, Offers{benchOffers(1, i)}) }},
		{"command", func(c *Core, _ []mesos.TaskStatus, i int) {
			job := benchJob("/extra", 1)
			job.Labels = map[string]string{"n": string(rune('a' + i%26))}
			c.Step(epoch, Command{ID: 1, Submit: &Submit{Job: job}})
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			var atSmall, atLarge time.Duration
			i := 0
			for b.Loop() {
				// What comes has just been decoded, and is no part of the comparison.
				forSmall, forLarge := decoded(b, few, i, turn), decoded(b, many, i, turn)
				begin := cpuTime(b)
				for n := range turn {
					kind.step(small, forSmall, n)
				}
				middle := cpuTime(b)
				for n := range turn {
					kind.step(large, forLarge, n)
				}
				atSmall += middle - begin
				atLarge += cpuTime(b) - middle
				i += turn
			}
			b.ReportMetric(float64(atLarge)/float64(atSmall), "times")
		})
	}
}

// decoded returns some of the statuses, from the i-th turn on, as bytes of their
// own.
func decoded(b *testing.B, statuses []mesos.TaskStatus, i, n int) []mesos.TaskStatus {
	out := make([]mesos.TaskStatus, n)
	for at := range out {
		s, healthy := statuses[(i+at)*37%len(statuses)], (i+at)%2 == 0
		s.Healthy = &healthy
		wire, err := s.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		if err := out[at].Unmarshal(wire); err != nil {
			b.Fatal(err)
		}
	}
	return out
}

// BenchmarkUpdateShare reports how much of the work on a status update, from the
// bytes that come to those that go, is the decoding, which nobody can leave out.
func BenchmarkUpdateShare(b *testing.B) {
	const turn = 2048
	c, statuses := benchCore(b, 10000, epoch)
	events := make([][]byte, 2*len(statuses))
	for i := range events {
		s, healthy := statuses[i%len(statuses)], i < len(statuses)
		// As an agent completes it.
		now, message, ip := float64(epoch.Unix()), "healthy", "10.0.0.5"
		s.Healthy, s.Timestamp, s.Message = &healthy, &now, &message
		s.Reason, s.ExecutorID = mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED.Enum(), &mesos.ExecutorID{Value: "job0.17.1"}
		s.ContainerStatus = &mesos.ContainerStatus{
			ContainerID:  &mesos.ContainerID{Value: "9a9a5a3e-0f5f-4a7a-8a7a-5a3e0f5f4a7a"},
			NetworkInfos: []mesos.NetworkInfo{{IPAddresses: []mesos.NetworkInfo_IPAddress{{IPAddress: &ip}}}},
		}
		e := scheduler.Event{Type: scheduler.Event_UPDATE, Update: &scheduler.Event_Update{Status: s}}
		var err error
		if events[i], err = e.Marshal(); err != nil {
			b.Fatal(err)
		}
	}
	decode := func(i int) *mesos.TaskStatus {
		var e scheduler.Event
		if err := e.Unmarshal(events[i%len(events)]); err != nil {
			b.Fatal(err)
		}
		return &e.Update.Status
	}
	var alone, all time.Duration
	i := 0
	for b.Loop() {
		begin := cpuTime(b)
		for n := range turn {
			decode(i + n)
		}
		middle := cpuTime(b)
		for n := range turn {
			for _, call := range c.Step(epoch, Updated{decode(i + n)}).Calls {
				if _, err := call.Marshal(); err != nil {
					b.Fatal(err)
				}
			}
		}
		alone += middle - begin
		all += cpuTime(b) - middle
		i += turn
	}
	b.ReportMetric(float64(alone)/float64(all), "share")
	b.ReportMetric(float64(all.Nanoseconds())/float64(b.N*turn), "ns/update")
}
