package schedulerapi_test

import (
	"bytes"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
)

// Every call is encoded to the very bytes that mesos-go makes of it.
func TestEncode(t *testing.T) {
	text, refuse, framework := "exec ./serve", 5.25, &mesos.FrameworkID{Value: "F"}
	cpus := mesos.Resource{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 4}}
	executor := mesos.ExecutorInfo{Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: "E"}, Resources: []mesos.Resource{cpus}}
	task := func(id string) mesos.TaskInfo {
		return mesos.TaskInfo{
			Name: "web", TaskID: mesos.TaskID{Value: id}, AgentID: mesos.AgentID{Value: "S1"}, Resources: []mesos.Resource{cpus},
			Command: &mesos.CommandInfo{Value: &text, Environment: &mesos.Environment{Variables: []mesos.Environment_Variable{{Name: "A", Value: &text}}}},
			Data:    bytes.Repeat([]byte{7}, 200), Limits: map[string]mesos.Value_Scalar{"mem": {Value: 64}},
		}
	}
	group := func(tasks ...mesos.TaskInfo) mesos.Offer_Operation {
		return mesos.Offer_Operation{
			Type:        mesos.Offer_Operation_LAUNCH_GROUP,
			LaunchGroup: &mesos.Offer_Operation_LaunchGroup{Executor: executor, TaskGroup: mesos.TaskGroupInfo{Tasks: tasks}},
		}
	}
	reserve := mesos.Offer_Operation{
		Type: mesos.Offer_Operation_RESERVE, ID: &mesos.OperationID{Value: "reserve"},
		Reserve: &mesos.Offer_Operation_Reserve{Resources: []mesos.Resource{cpus}},
	}
	named := group(task("a"))
	named.ID = &mesos.OperationID{Value: "launch"}
	accept := func(offers int, operations ...mesos.Offer_Operation) *scheduler.Call {
		return &scheduler.Call{
			FrameworkID: framework, Type: scheduler.Call_ACCEPT,
			Accept: &scheduler.Call_Accept{OfferIDs: make([]mesos.OfferID, offers), Operations: operations, Filters: &mesos.Filters{RefuseSeconds: &refuse}},
		}
	}
	bare := accept(1, group(task("a")))
	bare.Accept.Filters, bare.FrameworkID = nil, nil
	for name, call := range map[string]*scheduler.Call{
		"no ACCEPT":           {FrameworkID: framework, Type: scheduler.Call_DECLINE, Decline: &scheduler.Call_Decline{OfferIDs: []mesos.OfferID{{Value: "O"}}}},
		"without what it may": {Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{}},
		"without filters":     bare,
		"several groups":      accept(2, group(task("a"), task("b"), task("c")), group(task("d"))),
		"an empty group":      accept(1, group()),
		"other operations":    accept(1, reserve, named, group(task("b")), reserve),
	} {
		t.Run(name, func(t *testing.T) {
			want, err := call.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := schedulerapi.Encode(call); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%x, %v, want %x", got, err, want)
			}
		})
	}
	if _, err := schedulerapi.Encode(accept(1, mesos.Offer_Operation{
		Type:        mesos.Offer_Operation_LAUNCH_GROUP,
		LaunchGroup: &mesos.Offer_Operation_LaunchGroup{Executor: executor, TaskGroup: mesos.TaskGroupInfo{Tasks: []mesos.TaskInfo{{Resources: []mesos.Resource{{Name: "cpus"}}}}}},
	})); err == nil {
		t.Error("a resource without a type was encoded")
	}
}
