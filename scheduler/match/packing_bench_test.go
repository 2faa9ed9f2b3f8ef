package match

import (
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// BenchmarkPacking fills a fleet for which more is waiting than fits, and
// compares with plain best fit, which looks at every agent for every instance,
// on the same fleet in the same run: what is placed of either, as instances and
// as their share of the processors and memory that were free, and what one of
// them costs in the other's time.
func BenchmarkPacking(b *testing.B) {
	const agents, instances = 2000, 160000
	for _, bench := range []struct {
		name     string
		perShape int
	}{{"100-of-a-shape", 100}, {"every-shape-once", 1}} {
		b.Run(bench.name, func(b *testing.B) {
			var ours, plain packed
			for b.Loop() {
				ours = packed{spent: ours.spent}
				plain = packed{spent: plain.spent}
				offered, requests := fleet(agents, 1), shapes(instances, bench.perShape, nil, 1)
				begin := time.Now()
				for _, p := range Match(offered, requests) {
					ours.add(requests[p.Request].Need.Amount)
				}
				ours.spent += time.Since(begin)

				offered = fleet(agents, 1)
				begin = time.Now()
				for i := range requests {
					for range requests[i].Count {
						at := plainBestFit(offered, &requests[i].Need)
						if at < 0 {
							break
						}
						offered[at].take(&requests[i].Need)
						plain.add(requests[i].Need.Amount)
					}
				}
				plain.spent += time.Since(begin)
			}
			var free Amount
			for _, a := range fleet(agents, 1) {
				free = free.Plus(a.Free)
			}
			b.ReportMetric(float64(ours.instances)/float64(plain.instances), "instances/plain")
			b.ReportMetric(ours.share(free)/plain.share(free), "packed/plain")
			b.ReportMetric(100*ours.share(free), "%packed")
			b.ReportMetric(plain.spent.Seconds()/ours.spent.Seconds(), "times-plain-speed")
		})
	}
}

// packed is what was placed.
type packed struct {
	instances int
	amount    Amount
	spent     time.Duration
}

func (p *packed) add(a Amount) {
	p.instances++
	p.amount = p.amount.Plus(a)
}

// share is how much of what was free is used, of the resource that is used most.
func (p *packed) share(free Amount) float64 {
	return max(float64(p.amount.CPUs)/float64(free.CPUs), float64(p.amount.Mem)/float64(free.Mem))
}

// plainBestFit is the agent that would have the least left: the sum of what it
// has of each resource beside the most that any agent had. It knows nothing of
// the order that Match keeps.
func plainBestFit(agents []Agent, need *Need) int {
	best, least := -1, 0.0
	for i := range agents {
		a := &agents[i]
		if a.Free.CPUs < need.CPUs || a.Free.Mem < need.Mem || a.Free.Disk < need.Disk || int(a.Ports.Len()) < need.Ports.Any {
			continue
		}
		of := func(have resource.Milli, most float64) float64 { return float64(have) / most }
		if left := of(a.Free.CPUs, 64000) + of(a.Free.Mem, 256e6) + of(a.Free.Disk, 1e9); best < 0 || left < least {
			best, least = i, left
		}
	}
	return best
}
