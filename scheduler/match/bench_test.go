package match

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/resource"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// fleet makes agents like those of Mesos's MultiFrameworkAllocations benchmark:
// 64 cpus each, partly used, in 20 racks and 4 zones.
func fleet(n int, seed uint64) []Agent {
	random := rand.New(rand.NewPCG(seed, 0))
	agents := make([]Agent, n)
	for i := range agents {
		agents[i] = Agent{
			Place: Place{
				Hostname: fmt.Sprintf("host%05d", i), Zone: fmt.Sprintf("z%d", i%4),
				Attributes: []Attribute{{"rack", fmt.Sprintf("r%02d", i%20)}, {"ssd", fmt.Sprint(i%3 == 0)}},
			},
			Free: Amount{
				CPUs: resource.Milli(8000 + random.IntN(56000)), Mem: resource.Milli(16000000 + random.IntN(240000000)), Disk: 1000000000,
			},
			Ports: resource.Ranges{{Begin: 31000, End: 32000}},
		}
	}
	return agents
}

// shapes are those of MultiFrameworkAllocations: many small services, some
// larger tasks, few large ones.
func shapes(instances, perRequest int, rules *Rules, seed uint64) []Request {
	random := rand.New(rand.NewPCG(seed, 1))
	var requests []Request
	for left := instances; left > 0; left -= perRequest {
		need := Need{Amount: Amount{CPUs: resource.Milli(200 + 100*random.IntN(10)), Mem: resource.Milli(256000 + 128000*random.IntN(10)), Disk: 16000}}
		switch random.IntN(32) {
		case 0:
			need.Amount = Amount{CPUs: 4100, Mem: 16032000, Disk: 16000}
		case 1, 2:
			need.Amount = Amount{CPUs: 2100, Mem: 4032000, Disk: 16000}
		}
		if random.IntN(2) == 0 {
			need.Ports.Any = 1
		}
		requests = append(requests, Request{Need: need, Rules: rules, Spread: NewSpread(rules), Count: min(left, perRequest)})
	}
	return requests
}

func BenchmarkMatch(b *testing.B) {
	three := mustCompile(b, []*tandemv1.Constraint{
		{Attribute: "rack", Operator: like, Value: "r[01].*"}, {Attribute: "@zone", Operator: groupBy},
		{Attribute: "@hostname", Operator: maxPer, Value: "2"},
	}, []*tandemv1.Preference{{Attribute: "ssd", Operator: is, Value: "true", Weight: 50}})
	for _, bench := range []struct {
		name                        string
		agents, instances, perShape int
		rules                       *Rules
	}{
		{"plain/100-of-a-shape", 10000, 100000, 100, nil},
		{"plain/every-shape-once", 10000, 100000, 1, nil},
		{"rules/100-of-a-shape", 10000, 100000, 100, three},
		{"rules/1000-of-a-shape", 10000, 100000, 1000, three},
		{"plain/small", 100, 1000, 10, nil},
	} {
		b.Run(bench.name, func(b *testing.B) {
			placed, used := 0, time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				agents, requests := fleet(bench.agents, 1), shapes(bench.instances, bench.perShape, bench.rules, 1)
				begin := processorTime(b)
				b.StartTimer()
				placed += len(Match(agents, requests))
				used += processorTime(b) - begin
			}
			b.ReportMetric(float64(placed)/b.Elapsed().Seconds(), "placements/s")
			b.ReportMetric(float64(placed)/used.Seconds(), "placements/cpu-s")
			b.ReportMetric(float64(placed)/float64(b.N), "placed")
		})
	}
}

// processorTime is what this process has used, so that what one core places in a
// second can be told on a machine that others keep busy too.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
