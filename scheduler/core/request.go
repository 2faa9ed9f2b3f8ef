package core

import (
	"bytes"
	"slices"
	"time"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// Request names a command. What a command that was not refused is answered is
// saved under this name together with what it changes, so that it is carried out
// once, however often it comes: whoever has heard no answer sends it again, to a
// later process or to another leader, too. One that is refused changes nothing
// and is forgotten, for it may go better later.
type Request struct {
	// Caller has made the Call with the Key. The three together are the name.
	Caller, Call, Key string
	// SHA256 tells what is asked for from anything else under the same name.
	SHA256 []byte
}

const (
	// maxRequests bounds how many are kept, and keptRequest for how long. The oldest
	// gives way.
	maxRequests = 10_000
	keptRequest = 24 * time.Hour
)

// request is a Request that was carried out, or that an executor was asked about.
type request struct {
	rec   *tandemv1.RequestRecord
	saved bool
	// command is the one that is being carried out, or 0, and waiting are those that
	// came under its name since.
	command uint64
	waiting []uint64
}

func (q *request) key() string { return state.PutRequest(q.rec).ID }

// takenRequests are those that are kept.
type takenRequests struct {
	byKey map[string]*request
	// order has them by age, the oldest first, and some that are not kept any more.
	order []*request
	// open are those that are being carried out, by their command.
	open map[uint64]*request
}

func newTakenRequests() takenRequests {
	return takenRequests{byKey: map[string]*request{}, open: map[uint64]*request{}}
}

func (c *Core) restoreRequests(saved []*tandemv1.RequestRecord) {
	for _, rec := range saved {
		c.taken.add(&request{rec: rec, saved: true})
	}
	slices.SortStableFunc(c.taken.order, func(a, b *request) int {
		return a.rec.Taken.AsTime().Compare(b.rec.Taken.AsTime())
	})
}

func (r *takenRequests) add(q *request) {
	r.byKey[q.key()] = q
	r.order = append(r.order, q)
}

var (
	otherRequest = Refused{OtherRequest, "the key was used for another request already: give each request a key of its own"}
	unclear      = Refused{Unanswered, "the signal was asked for before, and nobody knows whether it was sent: the scheduler has ended, or the executor " +
		"has not answered. Look at the task, and if it is to be sent once more, ask with another key"}
)

// takenBefore looks up whether a command came before. If so, either its reply is
// filled in, or the request is returned that has to be answered first. If not,
// the request to be answered is returned, which is nil for a command without one.
func (c *Core) takenBefore(cmd Command, r *Reply) (q *request, again bool) {
	if cmd.Request == nil {
		return nil, false
	}
	c.dropRequests()
	c.taken.tidy()
	name := cmd.Request
	q = c.taken.byKey[state.RequestKey(name.Caller, name.Call, name.Key)]
	switch {
	case q == nil:
		return &request{rec: &tandemv1.RequestRecord{
			Caller: name.Caller, Call: name.Call, Key: name.Key, Sha256: name.SHA256, Taken: c.stamp,
		}}, false
	case !bytes.Equal(q.rec.Sha256, name.SHA256):
		r.Refused = &otherRequest
	case q.command != 0:
		return q, true
	case q.rec.Answer == nil:
		r.Refused = &unclear
	default:
		replyOf(q.rec.Answer, r)
		// That a task is to be killed is forgotten with the process.
		if k := cmd.KillTask; k != nil && c.strays[k.TaskID] == nil {
			_ = c.killTask(k)
		}
	}
	return nil, true
}

// requestBegun notes that a command's reply comes later. A signal that is sent
// twice may do harm: that it is about to be sent is saved first.
func (c *Core) requestBegun(cmd Command, q *request) {
	if q == nil {
		return
	}
	q.command = cmd.ID
	c.taken.add(q)
	c.taken.open[cmd.ID] = q
	if cmd.SignalTask != nil {
		q.saved = true
		c.save = append(c.save, state.PutRequest(q.rec))
	}
}

// answerRequest keeps a command's reply under its name, and gives it to whoever
// waits for the same. Where it was refused the name may be used anew, unless what
// came of it is not certain.
func (c *Core) answerRequest(q *request, r Reply, certain bool) {
	if q == nil {
		return
	}
	for _, id := range q.waiting {
		r.ID = id
		c.replies = append(c.replies, r)
	}
	begun := q.command != 0
	delete(c.taken.open, q.command)
	q.command, q.waiting = 0, nil
	key := q.key()
	switch {
	case begun && c.taken.byKey[key] != q:
		return // it has given way
	case r.Refused == nil:
		q.rec = &tandemv1.RequestRecord{
			Caller: q.rec.Caller, Call: q.rec.Call, Key: q.rec.Key, Sha256: q.rec.Sha256, Taken: q.rec.Taken, Answer: answerOf(r),
		}
		q.saved = true
		c.save = append(c.save, state.PutRequest(q.rec))
		if !begun {
			c.taken.add(q)
		}
	case begun && (certain || !q.saved):
		c.forgetRequest(q)
	}
}

// dropRequests forgets what is too old, or too much with one more.
func (c *Core) dropRequests() {
	r := &c.taken
	oldest := c.now.Add(-keptRequest)
	for len(r.order) > 0 {
		q := r.order[0]
		if kept := r.byKey[q.key()] == q; kept {
			if len(r.byKey) < maxRequests && q.rec.Taken.AsTime().After(oldest) {
				return
			}
			c.forgetRequest(q)
		}
		r.order[0] = nil
		r.order = r.order[1:]
	}
}

// tidy takes out of the order what is not kept, before that is more than the rest
// may be.
func (r *takenRequests) tidy() {
	if len(r.order) > 2*maxRequests {
		r.order = slices.DeleteFunc(r.order, func(q *request) bool { return r.byKey[q.key()] != q })
	}
}

func (c *Core) forgetRequest(q *request) {
	delete(c.taken.byKey, q.key())
	if q.saved {
		c.save = append(c.save, state.PutRequest(q.rec).Removal())
	}
}

func answerOf(r Reply) *tandemv1.RequestAnswer {
	return &tandemv1.RequestAnswer{
		Version: r.Version, Changed: r.Changed, Tasks: r.Tasks, Program: r.Program, Drained: r.Agent, Volume: r.Volume, Run: r.Run,
	}
}

func replyOf(a *tandemv1.RequestAnswer, r *Reply) {
	r.Version, r.Changed, r.Tasks, r.Program, r.Agent, r.Volume, r.Run = a.Version, a.Changed, a.Tasks, a.Program, a.Drained, a.Volume, a.Run
}
