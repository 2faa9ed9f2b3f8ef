package localmesos_test

import (
	"context"
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpsched"
	"github.com/mesos/mesos-go/api/v1/lib/resources"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"
)

// runFramework runs a framework that keeps one task running, until it is stopped.
func runFramework(url string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := keepRunning(ctx, url); ctx.Err() == nil {
			fmt.Println("the framework has failed:", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func keepRunning(ctx context.Context, url string) error {
	caller := httpsched.NewCaller(httpcli.New(
		httpcli.Endpoint(url+"/api/v1/scheduler"), httpcli.Codec(codecs.ByMediaType[codecs.MediaTypeProtobuf]),
	))
	stream, err := caller.Call(ctx, calls.Subscribe(&mesos.FrameworkInfo{
		User: "root", Name: "keeper",
		Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE}},
	}))
	if err != nil {
		return err
	}
	defer stream.Close()
	var id mesos.FrameworkID
	call := func(c *scheduler.Call) error {
		c.FrameworkID = &id
		_, err := caller.Call(ctx, c)
		return err
	}
	for tries, wanted := 0, true; ; {
		var e scheduler.Event
		if err := stream.Decode(&e); err != nil {
			return err
		}
		switch e.Type {
		case scheduler.Event_SUBSCRIBED:
			id = *e.Subscribed.FrameworkID
		case scheduler.Event_OFFERS:
			for _, offer := range e.Offers.Offers {
				if !wanted {
					err = call(calls.Decline(offer.ID))
					continue
				}
				tries, wanted = tries+1, false
				task := mesos.TaskInfo{
					Name: "kept", TaskID: mesos.TaskID{Value: fmt.Sprintf("try-%d", tries)}, AgentID: offer.AgentID,
					Command:   &mesos.CommandInfo{Value: new("sleep 1000")},
					Resources: []mesos.Resource{resources.NewCPUs(0.1).Resource, resources.NewMemory(32).Resource},
				}
				err = call(calls.Accept(calls.OfferOperations{calls.OpLaunch(task)}.WithOffers(offer.ID)))
			}
		case scheduler.Event_UPDATE:
			s := e.Update.Status
			over := []mesos.TaskState{mesos.TASK_UNREACHABLE, mesos.TASK_FAILED, mesos.TASK_DROPPED, mesos.TASK_GONE}
			wanted = wanted || slices.Contains(over, s.GetState())
			if s.UUID != nil {
				err = call(calls.Acknowledge(s.AgentID.Value, s.TaskID.Value, s.UUID))
			}
		}
		if err != nil {
			return err
		}
	}
}
