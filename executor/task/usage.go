package task

import (
	"errors"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// Task returns the task's ID.
func (p *Process) Task() string { return p.spec.ID }

// Sample reads what the workload uses now. It fails once the workload has
// ended. Without a cgroup little is known.
func (p *Process) Sample() (*tandemv1.UsageSample, error) {
	usage, err := p.process.Usage()
	if err != nil {
		return nil, err
	}
	activity, err := p.process.Activity()
	if err != nil {
		return nil, err
	}
	s := &tandemv1.UsageSample{
		TaskId: p.spec.ID, Time: timestamppb.Now(), Usage: usageOf(usage),
		CpuPressure: pressureOf(activity.CPU), MemoryPressure: pressureOf(activity.Memory), IoPressure: pressureOf(activity.Block),
	}
	if p.diskLimit > 0 {
		s.DiskBytes, s.DiskLimitBytes = p.disk.Load(), &p.diskLimit
	}
	if m := usage.Memory; m != nil {
		s.Usage.MemoryBytes = proto.Uint64(m.Current)
		s.Usage.OomKills = m.OOMKills
	}
	if n := usage.Pids; n != nil {
		s.Pids = proto.Uint64(n.Current)
		if n.Limit != math.MaxUint64 {
			s.PidsLimit = proto.Uint64(n.Limit)
		}
	}
	if io := activity.IO; io != nil {
		s.IoReadBytes, s.IoWrittenBytes = proto.Uint64(io.ReadBytes), proto.Uint64(io.WrittenBytes)
	}
	return s, nil
}

func pressureOf(p *cgroup.Pressure) *tandemv1.Pressure {
	if p == nil {
		return nil
	}
	return &tandemv1.Pressure{Some: p.Some, Full: p.Full, SomeTotal: durationpb.New(p.SomeTotal)}
}

// Deliver sends a signal to the main process or to all. The error says why it
// was not sent, for a person.
func (p *Process) Deliver(signal unix.Signal, all bool) error {
	send := p.process.Signal
	if all {
		send = p.process.SignalAll
	}
	err := send(signal)
	switch {
	case errors.Is(err, os.ErrProcessDone):
		return errors.New("the task has ended")
	case errors.Is(err, syscall.EPERM):
		return errors.New("the executor may not signal the task's processes: they have other privileges than it")
	}
	return err
}
