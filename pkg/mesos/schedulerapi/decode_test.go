package schedulerapi_test

import (
	"bytes"
	"reflect"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
)

// FuzzDecode: an event reads as mesos-go reads it, whatever it is; but of a container's
// status no more than the ID is told.
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
	update := func(s mesos.TaskStatus) *scheduler.Event {
		return &scheduler.Event{Type: scheduler.Event_UPDATE, Update: &scheduler.Event_Update{Status: s}}
	}
	yes, when, text, pid := true, 1795719512.25, "the workload has ended", uint32(8146)
	full := mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: "payments_api.17.3.web"}, State: mesos.TASK_RUNNING.Enum(), Message: &text,
		Source: mesos.SOURCE_EXECUTOR.Enum(), Reason: mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED.Enum(),
		Data: []byte("report"), UUID: []byte("0123456789abcdef"), Timestamp: &when, Healthy: &yes,
		AgentID: &mesos.AgentID{Value: "726e59df-837b-4b2d-ab4d-ee890c2cb19d-S7"}, ExecutorID: &mesos.ExecutorID{Value: "payments_api.17.3"},
		ContainerStatus: &mesos.ContainerStatus{
			ContainerID: &mesos.ContainerID{Value: "9a9a5a3e-0f5f-4a7a-8a7a-5a3e0f5f4a7a"}, ExecutorPID: &pid,
			NetworkInfos: []mesos.NetworkInfo{{IPAddresses: []mesos.NetworkInfo_IPAddress{{IPAddress: &text}}}},
		},
	}
	nested, labelled, longer := full, full, full
	nested.ContainerStatus = &mesos.ContainerStatus{ContainerID: &mesos.ContainerID{Value: "c", Parent: &mesos.ContainerID{Value: "p"}}}
	labelled.Labels = &mesos.Labels{Labels: []mesos.Label{{Key: "k"}}}
	longer.UUID, longer.Data = []byte("longer than sixteen bytes"), []byte{}
	for _, e := range []*scheduler.Event{
		update(full), update(nested), update(labelled), update(longer),
		update(mesos.TaskStatus{TaskID: mesos.TaskID{Value: "t"}, State: mesos.TASK_LOST.Enum()}),
		{Type: scheduler.Event_UPDATE},
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
		given := bytes.Clone(record)
		got, err := schedulerapi.Decode(given)
		clear(given) // for nothing of it may be kept
		if err == nil && got.Update != nil {
			if c := got.Update.Status.ContainerStatus; c != nil {
				if wantErr != nil {
					return // what is not read of it may be anything
				}
				id := want.Update.Status.ContainerStatus.ContainerID
				got.Update.Status.ContainerStatus = &mesos.ContainerStatus{ContainerID: c.ContainerID}
				want.Update.Status.ContainerStatus = &mesos.ContainerStatus{ContainerID: id}
			}
		}
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
