package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// executorMode is the variable that makes this test binary an executor.
const executorMode = "TEST_EXECUTOR"

func TestMain(m *testing.M) {
	if mode := os.Getenv(executorMode); mode != "" {
		os.Exit(runExecutor(mode))
	}
	os.Exit(m.Run())
}

// testExecutor is an executor whose tasks say in their data what to do:
//
//	finish   run and finish at once
//	run      run until killed
//	stage    report nothing
//	eat      use memory until stopped
//	exit N   end the whole executor with the status
//	report   put what the process sees into the task's data, and finish
type testExecutor struct {
	endpoint string
	client   http.Client
	call     executor.Call
}

func runExecutor(mode string) int {
	e := &testExecutor{
		endpoint: "http://" + os.Getenv("MESOS_AGENT_ENDPOINT") + "/api/v1/executor",
		call: executor.Call{
			FrameworkID: mesos.FrameworkID{Value: os.Getenv("MESOS_FRAMEWORK_ID")},
			ExecutorID:  mesos.ExecutorID{Value: os.Getenv("MESOS_EXECUTOR_ID")},
		},
	}
	if path := os.Getenv("MESOS_DOMAIN_SOCKET"); path != "" {
		e.endpoint = "http://localhost/slave(1)/api/v1/executor"
		e.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}
	}
	fmt.Println("test executor started in mode", mode)
	switch mode {
	case "silent":
		time.Sleep(time.Hour)
	case "exit":
		return 3
	}
	for attempt := 0; attempt < 100; attempt++ {
		status, done := e.subscribe()
		if done {
			return status
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 1
}

// subscribe serves one stream; done says that the executor is to end.
func (e *testExecutor) subscribe() (status int, done bool) {
	call := e.call
	call.Type, call.Subscribe = executor.Call_SUBSCRIBE, &executor.Call_Subscribe{}
	response, err := e.post(&call)
	if err != nil {
		fmt.Println("cannot subscribe:", err)
		return 0, false
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		fmt.Println("subscription refused:", response.Status)
		return 4, response.StatusCode != http.StatusServiceUnavailable
	}
	records := wire.NewRecordReader(response.Body)
	for {
		record, err := records.Next()
		if err != nil {
			fmt.Println("stream ended:", err)
			return 0, false
		}
		event := &executor.Event{}
		if err := event.Unmarshal(record); err != nil {
			fmt.Println("cannot read event:", err)
			return 5, true
		}
		fmt.Println("event", event.Type)
		switch event.Type {
		case executor.Event_SHUTDOWN:
			if os.Getenv("STUBBORN") == "" {
				return 0, true
			}
		case executor.Event_LAUNCH:
			e.do(event.Launch.Task)
		case executor.Event_LAUNCH_GROUP:
			for _, t := range event.LaunchGroup.TaskGroup.Tasks {
				e.do(t)
			}
		case executor.Event_KILL:
			e.update(event.Kill.TaskID, mesos.TASK_KILLED, nil)
		case executor.Event_MESSAGE:
			answer := e.call
			answer.Type = executor.Call_MESSAGE
			answer.Message = &executor.Call_Message{Data: append([]byte("echo "), event.Message.Data...)}
			e.send(&answer)
		}
	}
}

func (e *testExecutor) do(t mesos.TaskInfo) {
	verb, argument, _ := strings.Cut(string(t.Data), " ")
	switch verb {
	case "stage":
	case "exit":
		var status int
		fmt.Sscan(argument, &status)
		os.Exit(status)
	case "finish":
		e.update(t.TaskID, mesos.TASK_RUNNING, nil)
		e.update(t.TaskID, mesos.TASK_FINISHED, nil)
	case "report":
		e.update(t.TaskID, mesos.TASK_FINISHED, seen())
	case "eat":
		e.update(t.TaskID, mesos.TASK_RUNNING, nil)
		all := make([][]byte, 1<<16)
		for i := range all {
			all[i] = bytes.Repeat([]byte{1}, 1<<20)
		}
	default:
		e.update(t.TaskID, mesos.TASK_RUNNING, nil)
	}
}

// report is what an executor sees of its surroundings.
type report struct {
	Args, Env, Cgroups, Files []string
	Dir                       string
	UID, PID, Session         int
}

func seen() []byte {
	r := report{Args: os.Args, Env: os.Environ(), UID: os.Getuid(), PID: os.Getpid()}
	r.Dir, _ = os.Getwd()
	membership, _ := os.ReadFile("/proc/self/cgroup")
	r.Cgroups = strings.Split(strings.TrimSpace(string(membership)), "\n")
	entries, _ := os.ReadDir(".")
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil {
			r.Files = append(r.Files, info.Mode().String()+" "+entry.Name())
		}
	}
	data, _ := json.Marshal(r)
	return data
}

func (e *testExecutor) update(id mesos.TaskID, state mesos.TaskState, data []byte) {
	u, source := uuid.New(), mesos.SOURCE_EXECUTOR
	call := e.call
	call.Type = executor.Call_UPDATE
	call.Update = &executor.Call_Update{Status: mesos.TaskStatus{
		TaskID: id, State: &state, UUID: u[:], Source: &source, Data: data,
		ExecutorID: &mesos.ExecutorID{Value: e.call.ExecutorID.Value},
	}}
	e.send(&call)
}

func (e *testExecutor) send(call *executor.Call) {
	response, err := e.post(call)
	if err != nil {
		fmt.Println("cannot send", call.Type, err)
		return
	}
	response.Body.Close()
	fmt.Println("sent", call.Type, response.Status)
}

func (e *testExecutor) post(call *executor.Call) (*http.Response, error) {
	body, err := call.Marshal()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, e.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", string(wire.Protobuf))
	request.Header.Set("Accept", string(wire.Protobuf))
	if token := os.Getenv("MESOS_EXECUTOR_AUTHENTICATION_TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return e.client.Do(request)
}
