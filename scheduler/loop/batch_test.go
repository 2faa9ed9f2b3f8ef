package loop

import (
	"testing"

	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// TestBatchRoom: a batch gives its room to the next one, but not that of a burst, which
// would be kept for good.
func TestBatchRoom(t *testing.T) {
	b := newBatch()
	fill := func(n int) {
		b.add(core.Effects{Save: make([]state.Change, n), Show: make([]core.Notice, n)}, nil, nil)
		b.merged()
		b.reset()
	}
	fill(maxBatch)
	if cap(b.save) < maxBatch || cap(b.notices) < maxBatch {
		t.Errorf("there is room for %d changes and %d notices after %d of each", cap(b.save), cap(b.notices), maxBatch)
	}
	fill(100 * maxBatch)
	if cap(b.save) > keptRoom || cap(b.notices) > keptRoom {
		t.Errorf("room for %d changes and %d notices is kept, want %d at most", cap(b.save), cap(b.notices), keptRoom)
	}
}
