package loop

import (
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/sirupsen/logrus"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// batch is what the core has asked for while it stepped through several inputs
// that share one save.
type batch struct {
	inputs int
	save   []state.Change
	// steps are the parts of save that one step each has asked for.
	steps   [][]state.Change
	calls   []outgoing
	replies []core.Reply
	notices []core.Notice
	samples []*tandemv1.UsageSample
	// last is where in save the last change under a key stands.
	last map[state.Key]int
}

// outgoing is a call and the subscription that it was decided under; nil when
// there was none.
type outgoing struct {
	call   *scheduler.Call
	stream Stream
	// constraints go with a call of UPDATE_FRAMEWORK.
	constraints []byte
}

func newBatch() batch { return batch{last: map[state.Key]int{}} }

func (b *batch) add(e core.Effects, stream Stream, constraints []byte) {
	b.inputs++
	if len(e.Save) > 0 {
		from := len(b.save)
		b.save = append(b.save, e.Save...)
		b.steps = append(b.steps, b.save[from:])
	}
	for _, c := range e.Calls {
		b.calls = append(b.calls, outgoing{c, stream, constraints})
	}
	b.replies = append(b.replies, e.Replies...)
	b.notices = append(b.notices, e.Show...)
	b.samples = append(b.samples, e.Samples...)
}

// merged returns the last change under each key.
func (b *batch) merged() []state.Change {
	if len(b.save) == 1 {
		return b.save
	}
	for i, c := range b.save {
		b.last[c.Key] = i
	}
	if len(b.last) == len(b.save) {
		return b.save
	}
	merged := make([]state.Change, 0, len(b.last))
	for i, c := range b.save {
		if b.last[c.Key] == i {
			merged = append(merged, c)
		}
	}
	return merged
}

// reset empties the batch and keeps its room for the next one, unless that is large:
// a job of 100,000 launched at once needs ten times as much as thousands of updates.
func (b *batch) reset() {
	last := b.last
	if len(b.save) > keptRoom {
		last = map[state.Key]int{}
	}
	clear(last)
	*b = batch{
		save: emptied(b.save), steps: emptied(b.steps), calls: emptied(b.calls), replies: emptied(b.replies),
		notices: emptied(b.notices), samples: emptied(b.samples), last: last,
	}
}

// keptRoom is how much room of a list is kept: for every input that a batch may have,
// several.
const keptRoom = 4 * maxBatch

// emptied returns an empty list with the room of the given one, or with none where that
// is large.
func emptied[T any](list []T) []T {
	if cap(list) > keptRoom {
		return nil
	}
	clear(list)
	return list[:0]
}

// logs reports whether the log takes lines of a level. Most notices are of the lowest,
// and of each launch there are several.
func logs(log logrus.FieldLogger, level logrus.Level) bool {
	switch l := log.(type) {
	case *logrus.Logger:
		return l.IsLevelEnabled(level)
	case *logrus.Entry:
		return l.Logger.IsLevelEnabled(level)
	}
	return true
}

func logNotice(log logrus.FieldLogger, n core.Notice) {
	level := logrus.DebugLevel
	switch n.Level {
	case core.Warn:
		level = logrus.WarnLevel
	case core.Info:
		level = logrus.InfoLevel
	}
	if !logs(log, level) {
		return
	}
	fields := logrus.Fields{}
	add := func(name string, value any, given bool) {
		if given {
			fields[name] = value
		}
	}
	add("job", n.Job, n.Job != "")
	add("instance", n.Slot, n.OfInstance)
	add("attempt", n.Attempt, n.Attempt != 0)
	add("task", n.Task, n.Task != "")
	add("agent", n.Agent, n.Agent != "")
	log.WithFields(fields).Log(level, n.Text)
}
