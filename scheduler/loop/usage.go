package loop

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

const (
	// keptSamples bounds what is kept of all tasks together: a task's last five
	// minutes where some hundred are watched, and less of each where more are.
	keptSamples = 1 << 14
	// sampleBuffer is how many samples a reader may be behind before it misses
	// some.
	sampleBuffer = 1 << 10
)

// usage is what tasks used in the last minutes, for readers. Samples come from
// executors, may be lost on the way, and are worth nothing later, so that here a
// slow reader misses some.
type usage struct {
	mu sync.Mutex // guards what follows
	// ring holds the latest samples; the oldest is at next once it is full.
	ring    []*tandemv1.UsageSample
	next    int
	readers map[*usageReader]struct{}
	ended   bool

	// missed counts the samples that readers were too slow for.
	missed atomic.Uint64
}

// usageReader wants the samples of some tasks.
type usageReader struct {
	wants   func(task string) bool
	samples chan *tandemv1.UsageSample
}

// add keeps samples and passes them on.
func (u *usage) add(samples []*tandemv1.UsageSample) {
	if len(samples) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range samples {
		if len(u.ring) < keptSamples {
			u.ring = append(u.ring, s)
		} else {
			u.ring[u.next] = s
			u.next = (u.next + 1) % keptSamples
		}
		for r := range u.readers {
			if r.wants(s.TaskId) {
				select {
				case r.samples <- s:
				default:
					u.missed.Add(1)
				}
			}
		}
	}
}

// join returns what is kept, the oldest first, and has r told of what comes.
func (u *usage) join(r *usageReader) ([]*tandemv1.UsageSample, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return nil, ErrEnded
	}
	if u.readers == nil {
		u.readers = map[*usageReader]struct{}{}
	}
	u.readers[r] = struct{}{}
	kept := make([]*tandemv1.UsageSample, 0, len(u.ring))
	return append(append(kept, u.ring[u.next:]...), u.ring[:u.next]...), nil
}

func (u *usage) leave(r *usageReader) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.readers, r)
}

// end ends all readers.
func (u *usage) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	for r := range u.readers {
		close(r.samples)
	}
	u.readers = nil
}

// Usage yields the samples of the tasks that are wanted: first those that are
// kept, all at once and the oldest first, then others as they come, some together
// or none after a while without. It ends with one error, which is ErrEnded or the
// context's. Samples come only while somebody has tasks measured
// (core.Measure). wants is called with a lock held, and must be quick.
func (v *View) Usage(ctx context.Context, wants func(task string) bool) iter.Seq2[[]*tandemv1.UsageSample, error] {
	return func(yield func([]*tandemv1.UsageSample, error) bool) {
		r := &usageReader{wants: wants, samples: make(chan *tandemv1.UsageSample, sampleBuffer)}
		kept, err := v.usage.join(r)
		if err != nil {
			yield(nil, err)
			return
		}
		defer v.usage.leave(r)
		var some []*tandemv1.UsageSample
		for _, s := range kept {
			if wants(s.TaskId) {
				some = append(some, s)
			}
		}
		for {
			if !yield(some, nil) {
				return
			}
			some = nil
			select {
			case s, ok := <-r.samples:
				if !ok {
					yield(nil, ErrEnded)
					return
				}
				some = r.rest(s)
			case <-ctx.Done():
				yield(nil, context.Cause(ctx))
				return
			}
		}
	}
}

// rest returns a sample with those that have come after it.
func (r *usageReader) rest(first *tandemv1.UsageSample) []*tandemv1.UsageSample {
	some := []*tandemv1.UsageSample{first}
	for len(some) < sampleBuffer {
		select {
		case s, ok := <-r.samples:
			if ok {
				some = append(some, s)
				continue
			}
		default:
		}
		break
	}
	return some
}
