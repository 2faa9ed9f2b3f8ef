package localmesos_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// agentCall makes a call of an agent's operator API. Where the body is a stream,
// streamed says so.
func agentCall(t *testing.T, cluster *localmesos.Cluster, body string, streamed bool) *http.Response {
	t.Helper()
	return agentCallAt(t, cluster.Agents()[0].Address(), body, streamed)
}

func agentCallAt(t *testing.T, address, body string, streamed bool) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/api/v1", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if streamed {
		r.Header.Set("Content-Type", "application/recordio")
		r.Header.Set("Message-Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// said reads what a container writes, to its end.
func said(t *testing.T, response *http.Response) string {
	t.Helper()
	var out strings.Builder
	for records := wire.NewRecordReader(response.Body); ; {
		record, err := records.Next()
		if err == io.EOF {
			return out.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		var message struct{ Data struct{ Data []byte } }
		if err := json.Unmarshal(record, &message); err != nil {
			t.Fatal(err)
		}
		out.Write(message.Data.Data)
	}
}

func TestNestedContainers(t *testing.T) {
	cluster := clusterIn(t, t.TempDir())
	f := subscribe(t, cluster)
	offer := f.offer()
	task := plain("t1", "read line; echo got $line")
	task.AgentID, task.Container = offer.AgentID, &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), TTYInfo: &mesos.TTYInfo{}}
	f.accept(offer, calls.OpLaunch(task))
	s := f.ends("t1", mesos.TASK_STARTING, mesos.TASK_RUNNING)
	parent := s.GetContainerStatus().GetContainerID().GetValue()
	id := func(name string) string {
		return `"container_id":{"value":"` + name + `","parent":{"value":"` + parent + `"}}`
	}

	session := agentCall(t, cluster, `{"type":"LAUNCH_NESTED_CONTAINER_SESSION","launch_nested_container_session":{`+id("s")+
		`,"command":{"value":"echo from within"}}}`, false)
	if got := said(t, session); got != "from within\n" {
		t.Errorf("the session said %q", got)
	}

	launch := `{"type":"LAUNCH_NESTED_CONTAINER","launch_nested_container":{` + id("n") + `,"command":{"value":"exit 7"}}}`
	if r := agentCall(t, cluster, launch, false); r.StatusCode != http.StatusOK {
		t.Errorf("the launch was answered with %s", r.Status)
	}
	wait := agentCall(t, cluster, `{"type":"WAIT_NESTED_CONTAINER","wait_nested_container":{`+id("n")+`}}`, false)
	if body, _ := io.ReadAll(wait.Body); !bytes.Contains(body, []byte(`"exit_status":1792`)) {
		t.Errorf("the wait was answered with %s", body)
	}
	kill := agentCall(t, cluster, `{"type":"KILL_NESTED_CONTAINER","kill_nested_container":{`+id("n")+`}}`, false)
	if kill.StatusCode != http.StatusNotFound {
		t.Errorf("the kill of what has ended was answered with %s", kill.Status)
	}

	// The task's terminal.
	output := agentCall(t, cluster, `{"type":"ATTACH_CONTAINER_OUTPUT","attach_container_output":{"container_id":{"value":"`+parent+`"}}}`, false)
	var input []byte
	for _, message := range []string{
		`{"type":"CONTAINER_ID","container_id":{"value":"` + parent + `"}}`,
		`{"type":"PROCESS_IO","process_io":{"type":"DATA","data":{"type":"STDIN","data":"aGkK"}}}`,
	} {
		input = wire.AppendRecord(input, []byte(`{"type":"ATTACH_CONTAINER_INPUT","attach_container_input":`+message+`}`))
	}
	if r := agentCall(t, cluster, string(input), true); r.StatusCode != http.StatusOK {
		t.Errorf("the input was answered with %s", r.Status)
	}
	if got := said(t, output); !strings.Contains(got, "got hi") {
		t.Errorf("the terminal showed %q", got)
	}
	f.ends("t1", mesos.TASK_FINISHED)
}

// TestContainersOfTheOperatorAPI holds what a real agent answers to the calls that
// make, watch, kill and remove containers.
func TestContainersOfTheOperatorAPI(t *testing.T) {
	cluster := clusterIn(t, t.TempDir())
	f := subscribe(t, cluster)
	offer := f.offer()
	task := plain("t1", "sleep 100")
	task.AgentID = offer.AgentID
	f.accept(offer, calls.OpLaunch(task))
	s := f.ends("t1", mesos.TASK_STARTING, mesos.TASK_RUNNING)
	parent := s.GetContainerStatus().GetContainerID().GetValue()
	const amounts = `,"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}},{"name":"mem","type":"SCALAR","scalar":{"value":32}}]`
	within := func(name string) string {
		return `{"container_id":{"value":"` + name + `","parent":{"value":"` + parent + `"}}`
	}
	alone := func(name string) string { return `{"container_id":{"value":"` + name + `"}` }
	for _, c := range []struct {
		call, body string
		status     int
		answer     string
	}{
		{"LAUNCH_CONTAINER", within("n") + `,"command":{"value":"exit 7"}}`, 200, ""},
		{"WAIT_CONTAINER", within("n") + `}`, 200, `{"type":"WAIT_CONTAINER","wait_container":{"exit_status":1792}}`},
		{"REMOVE_NESTED_CONTAINER", within("n") + `}`, 200, ""},
		{"WAIT_CONTAINER", within("n") + `}`, 404, "Container " + parent + ".n cannot be found"},
		{"REMOVE_CONTAINER", within("n") + `}`, 200, ""},
		{"LAUNCH_CONTAINER", within("m") + `,"command":{"value":"sleep 100"}}`, 200, ""},
		{"LAUNCH_CONTAINER", within("m") + `,"command":{"value":"sleep 100"}}`, 202, ""},
		{"REMOVE_CONTAINER", within("m") + `}`, 500, "Nested container has not terminated yet"},
		{"KILL_CONTAINER", within("m") + `}`, 200, ""},
		{"WAIT_CONTAINER", within("m") + `}`, 200, `{"type":"WAIT_CONTAINER","wait_container":{"exit_status":9}}`},
		{"KILL_CONTAINER", within("m") + `}`, 404, "Container '" + parent + ".m' cannot be found (or is already killed)"},
		{"REMOVE_NESTED_CONTAINER", `{"container_id":{"value":"x","parent":{"value":"nope"}}}`, 500, "Unknown root container"},
		{"REMOVE_NESTED_CONTAINER", alone("x") + `}`, 400, "Failed to validate agent::Call: Expecting 'remove_nested_container.container_id.parent' to be present"},
		{"LAUNCH_CONTAINER", `{"container_id":{"value":"x","parent":{"value":"nope"}},"command":{"value":"true"}}`, 400, "Parent container nope does not exist"},

		{"LAUNCH_CONTAINER", alone("s") + `,"command":{"value":"pwd; exit 5"}` + amounts + `}`, 200, ""},
		{"WAIT_CONTAINER", alone("s") + `}`, 200, `{"type":"WAIT_CONTAINER","wait_container":{"exit_status":1280}}`},
		{"LAUNCH_CONTAINER", alone("e") + `,"command":{"shell":false,"value":"/nope"}` + amounts + `}`, 200, ""},
		{"WAIT_CONTAINER", alone("e") + `}`, 200, `{"type":"WAIT_CONTAINER","wait_container":{"exit_status":256256}}`},
		{"LAUNCH_CONTAINER", alone("l") + `,"command":{"value":"sleep 100"}` + amounts + `}`, 200, ""},
		{"LAUNCH_CONTAINER", alone("l") + `,"command":{"value":"sleep 100"}` + amounts + `}`, 202, ""},
		{"KILL_CONTAINER", alone("l") + `}`, 200, ""},
		{"WAIT_CONTAINER", alone("l") + `}`, 200, `{"type":"WAIT_CONTAINER","wait_container":{"exit_status":9}}`},
		{"LAUNCH_CONTAINER", alone("r") + `,"command":{"value":"true"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"x"}]}`, 400,
			"Failed to validate agent::Call: 'launch_container.resources' must be unreserved"},
		{"WAIT_CONTAINER", alone("zz") + `}`, 404, "Container zz cannot be found"},
		{"KILL_CONTAINER", alone("zz") + `}`, 404, "Container 'zz' cannot be found (or is already killed)"},
		// It outlives its test: Stop kills it.
		{"LAUNCH_CONTAINER", alone("last") + `,"command":{"value":"sleep 100"}` + amounts + `}`, 200, ""},
	} {
		r := agentCall(t, cluster, `{"type":"`+c.call+`","`+strings.ToLower(c.call)+`":`+c.body+`}`, false)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != c.status || string(body) != c.answer {
			t.Errorf("%s %s\n got %d %s\nwant %d %s", c.call, c.body, r.StatusCode, body, c.status, c.answer)
		}
	}

	var got struct {
		GetContainers struct {
			Containers []struct {
				ContainerID struct{ Value string } `json:"container_id"`
			}
		} `json:"get_containers"`
	}
	for ask, want := range map[string]string{
		`{}`: parent, `{"show_standalone":true}`: parent + " last", `{"show_nested":true,"show_standalone":true}`: parent + " last",
	} {
		r := agentCall(t, cluster, `{"type":"GET_CONTAINERS","get_containers":`+ask+`}`, false)
		got.GetContainers.Containers = nil
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range got.GetContainers.Containers {
			names = append(names, c.ContainerID.Value)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s: containers %q, want %q", ask, names, want)
		}
	}
}
