package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

func some(task string, n int) []*tandemv1.UsageSample {
	samples := make([]*tandemv1.UsageSample, n)
	for i := range samples {
		samples[i] = &tandemv1.UsageSample{TaskId: task}
	}
	return samples
}

func TestUsageIsKeptForReadersWithinBounds(t *testing.T) {
	v := &View{}
	v.usage.add(some("old", 10))
	v.usage.add(some("web", 3))
	v.usage.add(some("other", keptSamples-5))
	if n := len(v.usage.ring); n != keptSamples {
		t.Errorf("%d samples are kept, want %d", n, keptSamples)
	}
	wants := func(task string) bool { return task == "web" || task == "old" }
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	done := errors.New("enough was seen")
	var got []string
	for samples, err := range v.Usage(ctx, wants) {
		if err != nil {
			if err != done {
				t.Errorf("it ends with %v", err)
			}
			break
		}
		got = append(got, fmt.Sprint(len(samples)))
		switch len(got) {
		case 1:
			v.usage.add(append(some("web", 2), some("other", 1)...))
		case 2:
			// A reader that does not keep up misses some, and holds up nobody.
			v.usage.add(some("web", 10*sampleBuffer))
		case 3:
			cancel(done)
		}
	}
	// Of the old task's samples two are left.
	if want := []string{"5", "2", fmt.Sprint(sampleBuffer)}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := len(v.usage.readers); n != 0 {
		t.Errorf("%d readers are left", n)
	}
}

func TestUsageEndsWithTheScheduler(t *testing.T) {
	v := &View{}
	turns := 0
	for _, err := range v.Usage(t.Context(), func(string) bool { return true }) {
		if turns++; turns == 1 {
			v.usage.end()
		} else if !errors.Is(err, ErrEnded) {
			t.Errorf("it ends with %v", err)
		}
	}
	for _, err := range v.Usage(t.Context(), func(string) bool { return true }) {
		if !errors.Is(err, ErrEnded) {
			t.Errorf("a late reader is told %v", err)
		}
	}
	if turns != 2 {
		t.Errorf("it yielded %d times", turns)
	}
}
