package core_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/state"
)

// keyedCommand is a command that was sent under a key, and its first answer.
type keyedCommand struct {
	command  core.Command
	answered func(core.Reply)
	answer   *core.Reply // nil while nothing was heard
	at       time.Time   // when that was
}

// heard notes the first answer. Where a command was refused it is not repeated.
func (k *keyedCommand) heard(t *team) func(core.Reply) {
	return func(r core.Reply) {
		if t.unanswered == k {
			t.unanswered = nil
		}
		if r.Refused == nil {
			k.answer, k.at = &r, t.w.now
			t.keyed = append(t.keyed, k)
		}
		k.answered(r)
	}
}

// name gives some commands a key, and remembers them.
func (t *team) name(c *core.Command, answered func(core.Reply)) func(core.Reply) {
	if c.Request != nil || !t.w.faults() || !t.w.chance(0.5) {
		return answered
	}
	key := fmt.Sprintf("key-%d", c.ID)
	sum := sha256.Sum256([]byte(key))
	c.Request = &core.Request{Caller: "team", Call: "Do", Key: key, SHA256: sum[:]}
	k := &keyedCommand{command: *c, answered: answered}
	t.unanswered = k
	return k.heard(t)
}

// ask sends the last command again if nothing was heard of it. It reports false
// when there is no such command.
func (t *team) ask() bool {
	k := t.unanswered
	if k == nil {
		return false
	}
	if !t.w.sched.down {
		t.w.note("the team asks again for %s", k.command.Request.Key)
		t.send(k.command, k.heard(t))
	}
	return true
}

// remembered is for how long a command is repeated that was answered: for less than its
// key is kept, which a clock that is wrong by minutes may shorten.
const remembered = 20 * time.Hour

// forget forgets commands that were answered too long ago.
func (t *team) forget() {
	t.keyed = slices.DeleteFunc(t.keyed, func(k *keyedCommand) bool { return t.w.now.Sub(k.at) > remembered })
}

// repeat sends a command once more that was answered.
func (t *team) repeat() {
	t.forget()
	if len(t.keyed) > 0 && !t.w.sched.down {
		t.again(t.keyed[t.w.random.IntN(len(t.keyed))])
	}
}

// repeatAll repeats everything that was answered.
func (t *team) repeatAll() {
	t.forget()
	for _, k := range t.keyed {
		if !t.w.sched.down {
			t.again(k)
		}
	}
}

func (t *team) again(k *keyedCommand) {
	c := k.command
	t.send(c, func(r core.Reply) {
		first := *k.answer
		if r.Refused != nil || r.Version != first.Version || r.Changed != first.Changed || r.Tasks != first.Tasks ||
			!proto.Equal(r.Agent, first.Agent) || !proto.Equal(r.Volume, first.Volume) {
			t.w.fail("command %s was answered %+v and then %+v", k.command.Request.Key, first, r)
		}
	})
}

// carriedOutOnce: a command under a key that was answered, as far as the store
// knows, changes nothing any more; and its answer is saved by the step that gives
// it.
func (k *checks) carriedOutOnce(in core.Input, e core.Effects) {
	c, ok := in.(core.Command)
	if !ok || c.Request == nil {
		return
	}
	key := state.RequestKey(c.Request.Caller, c.Request.Call, c.Request.Key)
	var saved *tandemv1.RequestRecord
	for _, change := range e.Save {
		if r, ok := change.Record.(*tandemv1.RequestRecord); ok && change.ID == key {
			saved = r
		}
	}
	earlier, before := k.s.store[state.KindRequest][key]
	switch reply := e.Replies[0]; {
	case before && reply.Version != earlier.record.(*tandemv1.RequestRecord).Answer.GetVersion():
		k.s.w.fail("%s was answered %v, and now %+v", key, earlier.record, reply)
	case before && saved != nil:
		k.s.w.fail("%s is carried out twice", key)
	case !before && reply.Refused == nil && saved.GetAnswer() == nil:
		k.s.w.fail("the answer of %s is not saved with its effects", key)
	case !before && reply.Refused != nil && saved != nil:
		k.s.w.fail("%s was refused, and is kept", key)
	}
}
