package schedulerapi

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/encoding/protowire"
)

// Encode writes a call in protobuf. One that launches groups, of which there may be
// hundreds in it, is written from its end to its beginning: mesos-go measures
// everything anew for each message around it, and those of a group are many.
func Encode(c *scheduler.Call) ([]byte, error) {
	if c.Accept == nil {
		return c.Marshal()
	}
	b := &backward{room: make([]byte, c.Size())}
	b.at = len(b.room)
	b.accept(c.Accept)
	rest := *c
	rest.Accept = nil
	b.write(&rest)
	return b.room[b.at:], b.err
}

// The numbers of Call.accept and of the fields of Call.Accept
// (mesos/v1/scheduler/scheduler.proto); of Offer.Operation.launch_group, of the fields
// of an Offer.Operation.LaunchGroup and of TaskGroupInfo.tasks (mesos/v1/mesos.proto).
const (
	callAcceptField       = 4
	acceptOffersField     = 1
	acceptOperationsField = 2
	acceptFiltersField    = 3
	operationGroupField   = 7
	groupExecutorField    = 1
	groupTasksField       = 2
	taskGroupTasksField   = 1
)

// backward is a message that is written from its end: what a field holds stands there
// already when its length is to be written.
type backward struct {
	room []byte
	at   int                   // where what is written begins
	rest mesos.Offer_Operation // an operation without its group
	err  error
}

// message is one of mesos-go's.
type message interface {
	Size() int
	MarshalTo([]byte) (int, error)
}

// write writes a message before what stands there.
func (b *backward) write(m message) {
	size := m.Size()
	b.at -= size
	if _, err := m.MarshalTo(b.room[b.at : b.at+size]); err != nil && b.err == nil {
		b.err = err
	}
}

// enclose makes what stands before end the value of a field.
func (b *backward) enclose(field protowire.Number, end int) {
	length := uint64(end - b.at)
	b.at -= protowire.SizeTag(field) + protowire.SizeVarint(length)
	protowire.AppendVarint(protowire.AppendTag(b.room[b.at:b.at], field, protowire.BytesType), length)
}

// field writes a field that holds a message.
func (b *backward) field(number protowire.Number, m message) {
	end := b.at
	b.write(m)
	b.enclose(number, end)
}

func (b *backward) accept(a *scheduler.Call_Accept) {
	end := b.at
	if a.Filters != nil {
		b.field(acceptFiltersField, a.Filters)
	}
	for i := len(a.Operations) - 1; i >= 0; i-- {
		op, end := &a.Operations[i], b.at
		if group := op.LaunchGroup; group != nil && op.ID == nil { // an ID would stand behind it
			tasks := group.TaskGroup.Tasks
			for n := len(tasks) - 1; n >= 0; n-- {
				b.field(taskGroupTasksField, &tasks[n])
			}
			b.enclose(groupTasksField, end)
			b.field(groupExecutorField, &group.Executor)
			b.enclose(operationGroupField, end)
			b.rest = *op
			b.rest.LaunchGroup = nil
			op = &b.rest
		}
		b.write(op)
		b.enclose(acceptOperationsField, end)
	}
	for i := len(a.OfferIDs) - 1; i >= 0; i-- {
		b.field(acceptOffersField, &a.OfferIDs[i])
	}
	b.enclose(callAcceptField, end)
}
