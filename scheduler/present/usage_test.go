package present

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func TestRatesOf(t *testing.T) {
	at := func(second int64, cpu, throttled time.Duration, read uint64) *tandemv1.UsageSample {
		return &tandemv1.UsageSample{
			Time:        timestamppb.New(time.Unix(second, 0)),
			Usage:       &tandemv1.Usage{CpuTime: durationpb.New(cpu), ThrottledTime: durationpb.New(throttled)},
			IoReadBytes: proto.Uint64(read),
		}
	}
	first := at(10, time.Second, 0, 100)
	got, ok := RatesOf(first, at(12, 2*time.Second, time.Second, 300))
	if want := (Rates{CPU: 0.5, Throttled: 0.5, Read: 100}); !ok || got != want {
		t.Errorf("got %+v, %t, want %+v", got, ok, want)
	}
	// A task of the same ID cannot have used less than before; a sample can be
	// anything.
	if got, ok := RatesOf(first, at(12, 0, 0, 0)); !ok || got != (Rates{}) {
		t.Errorf("got %+v, %t", got, ok)
	}
	for _, to := range []*tandemv1.UsageSample{nil, first, at(9, time.Hour, 0, 0)} {
		if _, ok := RatesOf(first, to); ok {
			t.Errorf("there are rates between the first sample and %v", to)
		}
	}
	if _, ok := RatesOf(nil, first); ok {
		t.Error("there are rates without a first sample")
	}
}
