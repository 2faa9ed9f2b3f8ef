package integration

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"
	"google.golang.org/protobuf/proto"

	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// otherScheduler is a framework that knows nothing of Tandem, and uses its
// executor as any CUSTOM one.
type otherScheduler struct {
	t         *testing.T
	stream    *schedulerapi.Stream
	framework mesos.FrameworkID
	offers    []mesos.Offer
	// states are those that each task has been in, in order.
	states map[string][]mesos.TaskState
	last   map[string]mesos.TaskStatus
	// messages are the data of MESSAGE events.
	messages [][]byte
}

func startOtherScheduler(t *testing.T, c *cluster) *otherScheduler {
	return startOtherSchedulerOf(t, c, "*")
}

func startOtherSchedulerOf(t *testing.T, c *cluster, role string) *otherScheduler {
	t.Helper()
	client, err := schedulerapi.New(schedulerapi.Options{Detector: detect.NewList([]string{c.master})})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	timeout := patience.Seconds()
	stream, err := client.Subscribe(ctx, calls.Subscribe(&mesos.FrameworkInfo{
		User: "root", Name: "other " + t.Name(), Roles: []string{role}, FailoverTimeout: &timeout,
		Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE},
			{Type: mesos.FrameworkInfo_Capability_TASK_KILLING_STATE},
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	o := &otherScheduler{t: t, stream: stream, states: make(map[string][]mesos.TaskState), last: make(map[string]mesos.TaskStatus)}
	t.Cleanup(stream.Close)
	o.until("it is subscribed", func() bool { return o.framework.Value != "" })
	t.Cleanup(func() {
		if err := c.teardown(o.framework.Value); err != nil {
			t.Errorf("cannot tear the other framework down: %v", err)
		}
	})
	return o
}

// until takes events until the condition holds.
func (o *otherScheduler) until(what string, holds func() bool) {
	o.t.Helper()
	for !holds() {
		event, err := o.stream.Next()
		if err != nil {
			o.t.Fatalf("while waiting until %s: %v", what, err)
		}
		switch event.GetType() {
		case scheduler.Event_SUBSCRIBED:
			o.framework = *event.Subscribed.FrameworkID
		case scheduler.Event_OFFERS:
			o.offers = append(o.offers, event.Offers.Offers...)
		case scheduler.Event_UPDATE:
			o.updated(event.Update.Status)
		case scheduler.Event_MESSAGE:
			o.messages = append(o.messages, event.Message.Data)
		case scheduler.Event_ERROR:
			o.t.Fatalf("the master says: %s", event.Error.Message)
		}
	}
}

func (o *otherScheduler) updated(status mesos.TaskStatus) {
	id := status.TaskID.Value
	o.states[id] = append(o.states[id], status.GetState())
	o.last[id] = status
	if len(status.UUID) > 0 {
		o.send(calls.Acknowledge(status.AgentID.Value, id, status.UUID))
	}
}

func (o *otherScheduler) send(call *scheduler.Call) {
	o.t.Helper()
	call.FrameworkID = &o.framework
	for _, err := range o.stream.Send(o.t.Context(), []*scheduler.Call{call}) {
		if err != nil {
			o.t.Fatal(err)
		}
	}
}

// offer returns one offer with the means for a few small tasks.
func (o *otherScheduler) offer() mesos.Offer {
	o.t.Helper()
	o.until("there is an offer", func() bool { return len(o.offers) > 0 })
	offer := o.offers[0]
	o.offers = o.offers[1:]
	return offer
}

// executor describes Tandem's executor as a file on the agent's machine.
func (o *otherScheduler) executor(id string) *mesos.ExecutorInfo {
	command, executable := "exec ./tandem-executor", true
	return &mesos.ExecutorInfo{
		Type:        mesos.ExecutorInfo_CUSTOM,
		ExecutorID:  mesos.ExecutorID{Value: id},
		FrameworkID: &o.framework,
		Command: &mesos.CommandInfo{
			Value: &command,
			URIs:  []mesos.CommandInfo_URI{{Value: filepath.Join(bin, "tandem-executor"), Executable: &executable}},
		},
		Resources: small(0.1, 32, 16),
	}
}

func small(cpus, mem, disk float64) []mesos.Resource {
	var all []mesos.Resource
	for _, r := range []struct {
		name  string
		value float64
	}{{"cpus", cpus}, {"mem", mem}, {"disk", disk}} {
		if r.value > 0 {
			all = append(all, mesos.Resource{Name: r.name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: r.value}})
		}
	}
	return all
}

func (o *otherScheduler) task(offer mesos.Offer, id, command string) mesos.TaskInfo {
	return mesos.TaskInfo{
		Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: offer.AgentID,
		Resources: small(0.1, 32, 0),
		Command:   &mesos.CommandInfo{Value: &command},
	}
}

func (o *otherScheduler) accept(offer mesos.Offer, operations ...mesos.Offer_Operation) {
	o.t.Helper()
	o.send(calls.Accept(calls.OfferOperations(operations).WithOffers(offer.ID)).With(calls.RefuseSeconds(time.Hour)))
}

// ended says whether the task's last state is terminal.
func (o *otherScheduler) ended(ids ...string) func() bool {
	return func() bool {
		for _, id := range ids {
			switch last := o.last[id]; last.GetState() {
			case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_ERROR, mesos.TASK_LOST:
			default:
				return false
			}
		}
		return true
	}
}

// TestExecutorServesAnyScheduler runs plain tasks, which hold nothing of
// Tandem's, as another scheduler would send them.
func TestExecutorServesAnyScheduler(t *testing.T) {
	needCgroups(t) // Plain tasks cannot say that they would rather run without.
	c := startMesos(t)

	t.Run("a task alone", func(t *testing.T) {
		o := startOtherScheduler(t, c)
		offer := o.offer()
		task := o.task(offer, "plain", `[ "$GREETING" = hello ] && [ -d "$MESOS_SANDBOX" ] && [ -z "$MESOS_AGENT_ENDPOINT" ]`)
		value := "hello"
		task.Command.Environment = &mesos.Environment{Variables: []mesos.Environment_Variable{{Name: "GREETING", Value: &value}}}
		o.accept(offer, calls.OpLaunchGroup(*o.executor("plain"), task))
		o.until("the task has ended", o.ended("plain"))
		want := []mesos.TaskState{mesos.TASK_RUNNING, mesos.TASK_FINISHED}
		// TASK_STARTING comes before where the machine is busy.
		got := slices.DeleteFunc(o.states["plain"], func(s mesos.TaskState) bool { return s == mesos.TASK_STARTING })
		if !slices.Equal(got, want) {
			last := o.last["plain"]
			t.Errorf("the task was %v, then ended: %s", got, last.GetMessage())
		}
		var report tandemv1.TaskReport
		if err := proto.Unmarshal(o.last["plain"].Data, &report); err != nil || report.GetUsage().GetMemoryPeakBytes() == 0 {
			t.Errorf("the terminal update holds %v (%v)", &report, err)
		}
	})

	t.Run("settings, and TASK_STARTING for every task", func(t *testing.T) {
		o := startOtherScheduler(t, c)
		offer := o.offer()
		executor := o.executor("starting")
		executor.Command.Value = proto.String("exec ./tandem-executor -starting")
		task := o.task(offer, "confined", "grep -q 'NoNewPrivs:.1' /proc/self/status")
		data, err := proto.Marshal(&tandemv1.TaskSettings{
			Magic: 0x746e646d, OciConfinement: []byte(`{"process": {"noNewPrivileges": true}, "namespaces": [{"type": "mount"}]}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		task.Data = data
		o.accept(offer, calls.OpLaunchGroup(*executor, task))
		o.until("the task has ended", o.ended("confined"))
		want := []mesos.TaskState{mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_FINISHED}
		if got := slices.Compact(o.states["confined"]); !slices.Equal(got, want) {
			last := o.last["confined"]
			t.Errorf("the task was %v, then ended: %s", got, last.GetMessage())
		}
	})

	t.Run("a container that confines it", func(t *testing.T) {
		o := startOtherScheduler(t, c)
		offer := o.offer()
		task := o.task(offer, "contained",
			`grep -q 'CapBnd:.0*400$' /proc/self/status && grep -q 'CapEff:.0*400$' /proc/self/status && [ "$(ulimit -n)" = 77 ]`)
		nofile := uint64(77)
		task.Container = &mesos.ContainerInfo{
			Type: mesos.ContainerInfo_MESOS.Enum(),
			LinuxInfo: &mesos.LinuxInfo{EffectiveCapabilities: &mesos.CapabilityInfo{
				Capabilities: []mesos.CapabilityInfo_Capability{mesos.CapabilityInfo_NET_BIND_SERVICE},
			}},
			RlimitInfo: &mesos.RLimitInfo{Rlimits: []mesos.RLimitInfo_RLimit{{Type: mesos.RLimitInfo_RLimit_RLMT_NOFILE, Soft: &nofile, Hard: &nofile}}},
		}
		o.accept(offer, calls.OpLaunchGroup(*o.executor("contained"), task))
		o.until("the task has ended", o.ended("contained"))
		if last := o.last["contained"]; last.GetState() != mesos.TASK_FINISHED {
			t.Errorf("the task is %s: %s", last.GetState(), last.GetMessage())
		}
	})

	t.Run("a persistent volume among its resources", func(t *testing.T) {
		const role = "other-volumes"
		o := startOtherSchedulerOf(t, c, role)
		disk := mesos.Resource{
			Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 16}, AllocationInfo: &mesos.Resource_AllocationInfo{Role: proto.String(role)},
			Reservations: []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: proto.String(role)}},
		}
		volume := disk
		volume.Disk = &mesos.Resource_DiskInfo{
			Persistence: &mesos.Resource_DiskInfo_Persistence{ID: "of-another-scheduler"},
			Volume:      &mesos.Volume{ContainerPath: "data", Mode: mesos.RW.Enum()},
		}
		offer := o.offer()
		first := o.task(offer, "writes", "echo kept > data/file")
		first.Resources = append(first.Resources, volume)
		o.accept(offer, calls.OpReserve(disk), calls.OpCreate(volume), calls.OpLaunchGroup(*o.executor("writes"), first))
		o.until("the task has ended", o.ended("writes"))
		if last := o.last["writes"]; last.GetState() != mesos.TASK_FINISHED {
			t.Errorf("the task is %s: %s", last.GetState(), last.GetMessage())
		}

		o.offers = nil
		o.send(calls.Revive())
		offer = o.offer()
		second := o.task(offer, "reads", "grep kept data/file")
		second.Resources = append(second.Resources, volume)
		o.accept(offer, calls.OpLaunchGroup(*o.executor("reads"), second))
		o.until("the task has ended", o.ended("reads"))
		if last := o.last["reads"]; last.GetState() != mesos.TASK_FINISHED {
			t.Errorf("the task is %s: %s", last.GetState(), last.GetMessage())
		}

		o.offers = nil
		o.send(calls.Revive())
		o.accept(o.offer(), calls.OpDestroy(volume), calls.OpUnreserve(disk))
	})

	t.Run("a task without a command", func(t *testing.T) {
		// LAUNCH takes an executor or a command, not both.
		o := startOtherScheduler(t, c)
		offer := o.offer()
		task := o.task(offer, "empty", "")
		task.Command, task.Executor = nil, o.executor("empty")
		o.accept(offer, calls.OpLaunch(task))
		o.until("the task has ended", o.ended("empty"))
		if last := o.last["empty"]; last.GetState() != mesos.TASK_ERROR || !strings.Contains(last.GetMessage(), "no command") {
			t.Errorf("the task is %s: %s", last.GetState(), last.GetMessage())
		}
	})

	t.Run("two groups in one executor", func(t *testing.T) {
		o := startOtherScheduler(t, c)
		offer := o.offer()
		executor := o.executor("shared")
		o.accept(offer,
			calls.OpLaunchGroup(*executor, o.task(offer, "a1", "exit 1"), o.task(offer, "a2", "exec sleep 1000")),
			calls.OpLaunchGroup(*executor, o.task(offer, "b1", "exit 0"), o.task(offer, "b2", "exec sleep 1000")),
		)
		o.until("the first group has ended", o.ended("a1", "a2", "b1"))
		for id, want := range map[string]mesos.TaskState{
			"a1": mesos.TASK_FAILED, "a2": mesos.TASK_KILLED, "b1": mesos.TASK_FINISHED, "b2": mesos.TASK_RUNNING,
		} {
			o.until("task "+id+" is "+want.String(), func() bool { last := o.last[id]; return last.GetState() == want })
		}
		o.send(calls.Kill("b2", offer.AgentID.Value))
		o.until("the killed task has ended", o.ended("b2"))
		if got := o.states["b2"]; got[len(got)-1] != mesos.TASK_KILLED || got[len(got)-2] != mesos.TASK_KILLING {
			t.Errorf("the killed task was %v", got)
		}
	})

	t.Run("a kill policy", func(t *testing.T) {
		o := startOtherScheduler(t, c)
		offer := o.offer()
		task := o.task(offer, "stubborn", `trap "" TERM; touch deaf; while :; do sleep 0.1; done`)
		task.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: (200 * time.Millisecond).Nanoseconds()}}
		o.accept(offer, calls.OpLaunchGroup(*o.executor("stubborn"), task))
		o.until("the task runs", func() bool { last := o.last["stubborn"]; return last.GetState() == mesos.TASK_RUNNING })
		eventually(t, func() string {
			for _, pid := range processesOf(t, "stubborn") {
				if _, err := os.Stat("/proc/" + itoa(pid) + "/cwd/deaf"); err == nil {
					return ""
				}
			}
			return "the task does not ignore SIGTERM yet"
		})
		o.send(calls.Kill("stubborn", offer.AgentID.Value))
		o.until("the task has ended", o.ended("stubborn"))
		if last := o.last["stubborn"]; last.GetState() != mesos.TASK_KILLED || !strings.Contains(last.GetMessage(), "SIGKILL") {
			t.Errorf("the task is %s: %s", last.GetState(), last.GetMessage())
		}
	})
}
