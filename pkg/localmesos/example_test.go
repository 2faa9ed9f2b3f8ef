package localmesos_test

import (
	"context"
	"fmt"
	"log"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpsched"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
)

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
