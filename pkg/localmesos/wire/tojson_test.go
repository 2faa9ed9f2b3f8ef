package wire_test

import (
	"testing"

	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// TestEmptyLists holds which lists a real Mesos shows though there is nothing in
// them.
func TestEmptyLists(t *testing.T) {
	schema, err := wire.NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	for want, m := range map[string]wire.Message{
		`{"type":"GET_TASKS","get_tasks":{"pending_tasks":[],"queued_tasks":[],"launched_tasks":[],"terminated_tasks":[],"completed_tasks":[]}}`: &mesosagent.Response{
			Type: mesosagent.Response_GET_TASKS, GetTasks: &mesosagent.Response_GetTasks{},
		},
		`{"type":"GET_EXECUTORS","get_executors":{"executors":[],"completed_executors":[]}}`: &mesosagent.Response{
			Type: mesosagent.Response_GET_EXECUTORS, GetExecutors: &mesosagent.Response_GetExecutors{},
		},
		`{"type":"GET_OPERATIONS","get_operations":{}}`: &mesosagent.Response{
			Type: mesosagent.Response_GET_OPERATIONS, GetOperations: &mesosagent.Response_GetOperations{},
		},
		`{"type":"GET_EXECUTORS","get_executors":{"executors":[]}}`: &mesosmaster.Response{
			Type: mesosmaster.Response_GET_EXECUTORS, GetExecutors: &mesosmaster.Response_GetExecutors{},
		},
		`{"type":"GET_FRAMEWORKS","get_frameworks":{"frameworks":[],"completed_frameworks":[]}}`: &mesosmaster.Response{
			Type: mesosmaster.Response_GET_FRAMEWORKS, GetFrameworks: &mesosmaster.Response_GetFrameworks{},
		},
		`{"type":"GET_TASKS","get_tasks":{"tasks":[],"unreachable_tasks":[],"completed_tasks":[]}}`: &mesosmaster.Response{
			Type: mesosmaster.Response_GET_TASKS, GetTasks: &mesosmaster.Response_GetTasks{},
		},
	} {
		got, err := schema.Encode(wire.JSON, m)
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
	}
}
