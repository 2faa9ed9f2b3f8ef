package localmesos_test

import (
	"context"
	"fmt"
	"log"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpsched"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/native"
	"github.com/tandem-mesos/tandem/pkg/localmesos/fault"
)

// A test of somebody else's framework: does it start its task again when the
// agent is lost? Nothing is run, and ten minutes take less than a second or two.
func Example_faults() {
	ctx := context.Background()
	started := make(chan mesos.TaskInfo, 10)
	cluster, err := localmesos.Start(ctx, localmesos.Options{
		Agents: 2,
		Agent: agent.Options{Fake: &agent.Fake{Plan: func(task mesos.TaskInfo) native.Plan {
			started <- task
			return native.Plan{} // it runs until it is killed
		}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Stop(ctx)
	defer runFramework(cluster.URL())() // the framework, with a task to keep running

	lost := (<-started).AgentID
	cluster.Network().Add(func(m fault.Message) fault.Action {
		return fault.Action{Drop: m.AgentID == lost}
	})
	cluster.Advance(10 * time.Minute)
	fmt.Println("started on another agent:", (<-started).AgentID != lost)
	// Output: started on another agent: true
}

// A framework's test: it starts a cluster, subscribes as a scheduler, and waits
// for the first offer.
func Example() {
	ctx := context.Background()
	cluster, err := localmesos.Start(ctx, localmesos.Options{
		Agent: agent.Options{Resources: "cpus:4;mem:4096;disk:10000", Attributes: "rack:r1"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Stop(ctx)

	stream, err := httpsched.NewCaller(httpcli.New(
		httpcli.Endpoint(cluster.URL()+"/api/v1/scheduler"),
		httpcli.Codec(codecs.ByMediaType[codecs.MediaTypeProtobuf]),
	)).Call(ctx, calls.Subscribe(&mesos.FrameworkInfo{User: "root", Name: "example"}))
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for {
		var event scheduler.Event
		if err := stream.Decode(&event); err != nil {
			log.Fatal(err)
		}
		if event.Type == scheduler.Event_OFFERS {
			offer := event.Offers.Offers[0]
			fmt.Println("an offer from rack", offer.Attributes[0].Text.Value)
			return
		}
	}
	// Output: an offer from rack r1
}
