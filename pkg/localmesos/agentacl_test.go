package localmesos_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent"
)

// guestRules let the guest see and do nothing that rules can be about.
const guestRules = `{
	"access_sandboxes": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"attach_containers_input": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"attach_containers_output": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"get_endpoints": [{"principals": {"values": ["guest"]}, "paths": {"type": "NONE"}}],
	"kill_nested_containers": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"kill_standalone_containers": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"launch_nested_containers_as_user": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"launch_nested_container_sessions_under_parent_with_user": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"launch_standalone_containers": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"modify_resource_provider_configs": [{"principals": {"values": ["guest"]}, "resource_providers": {"type": "NONE"}}],
	"prune_images": [{"principals": {"values": ["guest"]}, "images": {"type": "NONE"}}],
	"remove_nested_containers": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"set_log_level": [{"principals": {"values": ["guest"]}, "level": {"type": "NONE"}}],
	"view_containers": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"view_executors": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"view_flags": [{"principals": {"values": ["guest"]}, "flags": {"type": "NONE"}}],
	"view_standalone_containers": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"wait_nested_containers": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}],
	"wait_standalone_containers": [{"principals": {"values": ["guest"]}, "users": {"type": "NONE"}}]
}`

// asOperator makes a request of the first agent, and returns the status and body.
func asOperator(t *testing.T, cluster *localmesos.Cluster, principal, path, call string) (int, string) {
	t.Helper()
	method := http.MethodGet
	if call != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+cluster.Agents()[0].Address()+path, strings.NewReader(call))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(principal, "secret")
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestAgentsKeepToTheACLs(t *testing.T) {
	rules, err := acl.Parse([]byte(guestRules))
	if err != nil {
		t.Fatal(err)
	}
	cluster := clusterWith(t, t.TempDir(), agent.Options{
		ACLs: rules, AuthenticateReadonly: true, AuthenticateReadwrite: true,
		OperatorCredentials: map[string]string{"guest": "secret", "owner": "secret"},
	})
	f := subscribe(t, cluster)
	offer := f.offer()
	task := plain("t", "sleep 1000")
	task.AgentID = offer.AgentID
	f.accept(offer, calls.OpLaunch(task))
	s := f.ends("t", mesos.TASK_STARTING, mesos.TASK_RUNNING)
	parent := s.GetContainerStatus().GetContainerID().GetValue()
	inner := `"container_id":{"value":"n","parent":{"value":"` + parent + `"}}`
	const alone = `"container_id":{"value":"s"}`
	sandbox := "/frameworks/" + f.id.Value + "/executors/t/runs/latest"
	const text = "403 Forbidden."
	for _, c := range []struct {
		path, call string
		owner      int
		guest      string // what refuses them
	}{
		{"/flags", "", 200, text},
		{"/containers", "", 200, text},
		{"/monitor/statistics", "", 200, text},
		{"/metrics/snapshot", "", 200, text},
		{"/files/debug", "", 200, text},
		{"/files/browse?path=" + sandbox, "", 200, ""},
		{"/files/read?path=" + sandbox + "/stdout", "", 200, ""},
		{"/files/download?path=" + sandbox + "/stdout", "", 200, text},
		{"/api/v1", `{"type":"LIST_FILES","list_files":{"path":"` + sandbox + `"}}`, 200, ""},
		{"/api/v1", `{"type":"GET_FLAGS"}`, 200, text},
		{"/api/v1", `{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":1,"duration":{"nanoseconds":1}}}`, 200, text},
		{"/api/v1", `{"type":"PRUNE_IMAGES"}`, 200, text},
		{"/api/v1", `{"type":"REMOVE_RESOURCE_PROVIDER_CONFIG","remove_resource_provider_config":{"type":"a.b","name":"n"}}`, 500, text},
		{"/api/v1", `{"type":"ADD_RESOURCE_PROVIDER_CONFIG","add_resource_provider_config":{"info":{"type":"a.b","name":"n"}}}`, 400, text},
		{"/api/v1", `{"type":"LAUNCH_NESTED_CONTAINER","launch_nested_container":{` + inner + `,"command":{"value":"exit 3"}}}`, 200, text},
		{"/api/v1", `{"type":"WAIT_NESTED_CONTAINER","wait_nested_container":{` + inner + `}}`, 200, text},
		{"/api/v1", `{"type":"WAIT_CONTAINER","wait_container":{` + inner + `}}`, 200, text},
		{"/api/v1", `{"type":"KILL_NESTED_CONTAINER","kill_nested_container":{` + inner + `}}`, 404, text},
		{"/api/v1", `{"type":"REMOVE_NESTED_CONTAINER","remove_nested_container":{` + inner + `}}`, 200, text},
		{"/api/v1", `{"type":"LAUNCH_NESTED_CONTAINER_SESSION","launch_nested_container_session":{` + inner + `,"command":{"value":"true"}}}`, 200, text},
		{"/api/v1", `{"type":"ATTACH_CONTAINER_OUTPUT","attach_container_output":{"container_id":{"value":"` + parent + `"}}}`, 500, text},
		{"/api/v1", `{"type":"LAUNCH_CONTAINER","launch_container":{` + alone + `,"command":{"value":"true"}, "resources":[
			{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}},{"name":"mem","type":"SCALAR","scalar":{"value":32}}]}}`, 200, text},
		{"/api/v1", `{"type":"WAIT_CONTAINER","wait_container":{` + alone + `}}`, 200, text},
		{"/api/v1", `{"type":"KILL_CONTAINER","kill_container":{` + alone + `}}`, 404, text},
	} {
		if status, body := asOperator(t, cluster, "guest", c.path, c.call); status != http.StatusForbidden || body != c.guest {
			t.Errorf("the guest's %s %s is answered with %d %q", c.path, c.call, status, body)
		}
		if status, body := asOperator(t, cluster, "owner", c.path, c.call); status != c.owner {
			t.Errorf("the owner's %s %s is answered with %d %q, want %d", c.path, c.call, status, body, c.owner)
		}
	}
	// What somebody may not see is left out.
	for _, c := range []struct{ path, call, hidden string }{
		{"/state", "", `"flags"`},
		{"/state", "", `"id":"t"`},
		{"/api/v1", `{"type":"GET_EXECUTORS"}`, `"executor_id"`},
		{"/api/v1", `{"type":"GET_CONTAINERS"}`, `"container_id"`},
	} {
		if status, body := asOperator(t, cluster, "guest", c.path, c.call); status != http.StatusOK || strings.Contains(body, c.hidden) {
			t.Errorf("the guest is shown by %s %s: %d %s", c.path, c.call, status, body)
		}
		if status, body := asOperator(t, cluster, "owner", c.path, c.call); status != http.StatusOK || !strings.Contains(body, c.hidden) {
			t.Errorf("the owner is not shown %s by %s %s: %d %s", c.hidden, c.path, c.call, status, body)
		}
	}
}
