package schedulerapi_test

import (
	"reflect"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
)

// FuzzDecode: an event reads as mesos-go reads it, whatever it is.
func FuzzDecode(f *testing.F) {
	role := "prod"
	cpus := mesos.Resource{
		Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 4},
		AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
	}
	offer := func(id string, resources ...mesos.Resource) mesos.Offer {
		return mesos.Offer{
			ID: mesos.OfferID{Value: id}, FrameworkID: mesos.FrameworkID{Value: "F"}, AgentID: mesos.AgentID{Value: "S1"},
			Hostname: "h1", Resources: resources, AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
		}
	}
	offers := func(list ...mesos.Offer) *scheduler.Event {
		return &scheduler.Event{Type: scheduler.Event_OFFERS, Offers: &scheduler.Event_Offers{Offers: list}}
	}
	for _, e := range []*scheduler.Event{
		offers(), offers(offer("O1", cpus, cpus, cpus), offer("O2"), offer("O3", cpus)),
		{Type: scheduler.Event_OFFERS}, {Type: scheduler.Event_HEARTBEAT},
		{Type: scheduler.Event_RESCIND, Rescind: &scheduler.Event_Rescind{OfferID: mesos.OfferID{Value: "O1"}}},
	} {
		wire, err := e.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
		f.Add(wire[:len(wire)/2])
		f.Add(append(wire, wire...))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		var want scheduler.Event
		wantErr := want.Unmarshal(record)
		got, err := schedulerapi.Decode(record)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%x: %v, want %v", record, err, wantErr)
		}
		if err != nil {
			return
		}
		// An empty list is as good as none.
		if want.Offers != nil {
			if len(want.Offers.Offers) == 0 {
				want.Offers.Offers, got.Offers.Offers = nil, nil
			}
			for i := range want.Offers.Offers {
				if len(want.Offers.Offers[i].Resources) == 0 {
					want.Offers.Offers[i].Resources, got.Offers.Offers[i].Resources = nil, nil
				}
			}
		}
		if !reflect.DeepEqual(*got, want) {
			t.Fatalf("%x: %v, want %v", record, got, want)
		}
	})
}
