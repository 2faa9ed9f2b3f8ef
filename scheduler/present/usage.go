package present

import (
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Rates are what a task used a second between two samples.
type Rates struct {
	// CPU is in processors; Throttled is the part of the time, 0 to 1, in which it
	// was held back by its cpu limit.
	CPU, Throttled float64
	// Read and Written are in bytes.
	Read, Written float64
}

// RatesOf compares two samples of one task, the earlier one first. It reports
// false when they are not that.
func RatesOf(from, to *tandemv1.UsageSample) (Rates, bool) {
	seconds := to.GetTime().AsTime().Sub(from.GetTime().AsTime()).Seconds()
	if from == nil || to == nil || seconds <= 0 {
		return Rates{}, false
	}
	spent := func(a, b time.Duration) float64 { return max(0, (b-a).Seconds()/seconds) }
	grown := func(a, b uint64) float64 { return max(0, (float64(b)-float64(a))/seconds) }
	a, b := from.GetUsage(), to.GetUsage()
	return Rates{
		CPU:       spent(a.GetCpuTime().AsDuration(), b.GetCpuTime().AsDuration()),
		Throttled: min(1, spent(a.GetThrottledTime().AsDuration(), b.GetThrottledTime().AsDuration())),
		Read:      grown(from.GetIoReadBytes(), to.GetIoReadBytes()),
		Written:   grown(from.GetIoWrittenBytes(), to.GetIoWrittenBytes()),
	}, true
}
