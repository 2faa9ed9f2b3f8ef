package agent

import (
	"net/http"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// operatorAPI serves the v1 operator API.
func (a *Agent) operatorAPI(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost && wire.IsStream(r) {
		return a.attachInput(w, r)
	}
	call := &mesosagent.Call{}
	there, err := a.schema.ReadCallBesideStreams(r, call)
	if err != nil {
		return err
	}
	if !there.Has("type") {
		return wire.BadRequest("Failed to validate agent::Call: Expecting 'type' to be present")
	}
	if _, err := wire.Accept(r); err != nil && call.Type != mesosagent.Call_ATTACH_CONTAINER_OUTPUT && call.Type != mesosagent.Call_LAUNCH_NESTED_CONTAINER_SESSION {
		return &wire.Error{
			Status: http.StatusNotAcceptable,
			Text:   "Streaming response is not supported for " + call.Type.String() + " call",
		}
	}
	if serve := a.onContainers(call, there); serve != nil {
		return serve(w, r)
	}
	who := a.operator(r)
	if known, err := a.admin(call, who); known {
		if err == nil {
			wire.WriteEmpty(w, http.StatusOK)
		}
		return err
	}
	media, err := wire.Accept(r)
	if err != nil {
		return err
	}
	response, err := a.answer(call, who)
	if err != nil {
		return err
	}
	body, err := a.schema.Encode(media, response)
	if err != nil {
		return err
	}
	wire.WriteBody(w, r, string(media), body)
	return nil
}

// answer makes the response to an operator's call.
func (a *Agent) answer(call *mesosagent.Call, who operator) (wire.Message, error) {
	switch call.Type {
	case mesosagent.Call_GET_HEALTH:
		return &mesosagent.Response{
			Type: mesosagent.Response_GET_HEALTH, GetHealth: &mesosagent.Response_GetHealth{Healthy: true},
		}, nil
	case mesosagent.Call_GET_VERSION:
		info := mesos.VersionInfo{
			Version: a.options.Version, BuildDate: new(buildDate), BuildTime: new(float64(buildTime)), BuildUser: new(""),
		}
		return &mesosagent.Response{
			Type:       mesosagent.Response_GET_VERSION,
			GetVersion: &mesosagent.Response_GetVersion{VersionInfo: info},
		}, nil
	case mesosagent.Call_GET_FLAGS:
		if !who.seesFlags() {
			return nil, errForbidden
		}
		return &mesosagent.Response{Type: mesosagent.Response_GET_FLAGS, GetFlags: a.getFlags()}, nil
	case mesosagent.Call_GET_METRICS:
		return a.getMetrics(call.GetMetrics)
	case mesosagent.Call_GET_LOGGING_LEVEL:
		return &mesosagent.Response{
			Type: mesosagent.Response_GET_LOGGING_LEVEL, GetLoggingLevel: &mesosagent.Response_GetLoggingLevel{Level: uint32(a.process.Level())},
		}, nil
	case mesosagent.Call_GET_OPERATIONS:
		return &mesosagent.Response{
			Type: mesosagent.Response_GET_OPERATIONS, GetOperations: &mesosagent.Response_GetOperations{},
		}, nil
	case mesosagent.Call_GET_RESOURCE_PROVIDERS:
		return &mesosagent.Response{
			Type:                 mesosagent.Response_GET_RESOURCE_PROVIDERS,
			GetResourceProviders: &mesosagent.Response_GetResourceProviders{},
		}, nil
	case mesosagent.Call_LIST_FILES:
		return a.listFiles(call.ListFiles, who)
	case mesosagent.Call_READ_FILE:
		return a.readFile(call.ReadFile, who)
	case mesosagent.Call_GET_CONTAINERS:
		return a.getContainers(call.GetContainers, who)
	default:
		return a.answerFromState(call.Type, who)
	}
}

// answerFromState answers the calls about frameworks and tasks.
func (a *Agent) answerFromState(call mesosagent.Call_Type, who operator) (*mesosagent.Response, error) {
	v, err := a.view()
	if err != nil {
		return nil, err
	}
	v = who.seen(v)
	switch call {
	case mesosagent.Call_GET_AGENT:
		return &mesosagent.Response{
			Type: mesosagent.Response_GET_AGENT, GetAgent: &mesosagent.Response_GetAgent{AgentInfo: &v.Info},
		}, nil
	case mesosagent.Call_GET_FRAMEWORKS:
		return &mesosagent.Response{Type: mesosagent.Response_GET_FRAMEWORKS, GetFrameworks: getFrameworks(v)}, nil
	case mesosagent.Call_GET_EXECUTORS:
		return &mesosagent.Response{Type: mesosagent.Response_GET_EXECUTORS, GetExecutors: getExecutors(v)}, nil
	case mesosagent.Call_GET_TASKS:
		return &mesosagent.Response{Type: mesosagent.Response_GET_TASKS, GetTasks: getTasks(v)}, nil
	case mesosagent.Call_GET_STATE:
		return &mesosagent.Response{
			Type: mesosagent.Response_GET_STATE,
			GetState: &mesosagent.Response_GetState{
				GetTasks: getTasks(v), GetExecutors: getExecutors(v), GetFrameworks: getFrameworks(v),
			},
		}, nil
	}
	return nil, &wire.Error{Status: http.StatusNotImplemented, Text: "501 Not Implemented."}
}

func (a *Agent) getFlags() *mesosagent.Response_GetFlags {
	out := &mesosagent.Response_GetFlags{}
	flags := a.flags()
	for _, name := range sortedKeys(flags) {
		value := flags[name]
		out.Flags = append(out.Flags, mesos.Flag{Name: name, Value: &value})
	}
	return out
}

func (a *Agent) listFiles(call *mesosagent.Call_ListFiles, who operator) (*mesosagent.Response, error) {
	if call == nil {
		return nil, missing("list_files")
	}
	infos, err := a.files.List(call.Path, who.principal)
	if err != nil {
		return nil, err
	}
	return &mesosagent.Response{
		Type: mesosagent.Response_LIST_FILES, ListFiles: &mesosagent.Response_ListFiles{FileInfos: infos},
	}, nil
}

func (a *Agent) readFile(call *mesosagent.Call_ReadFile, who operator) (*mesosagent.Response, error) {
	if call == nil {
		return nil, missing("read_file")
	}
	length := int64(-1)
	if call.Length != nil {
		length = int64(*call.Length)
	}
	data, size, err := a.files.Read(call.Path, who.principal, int64(call.Offset), length)
	if err != nil {
		return nil, err
	}
	if data == nil {
		data = []byte{} // a required field
	}
	return &mesosagent.Response{
		Type: mesosagent.Response_READ_FILE, ReadFile: &mesosagent.Response_ReadFile{Size_: uint64(size), Data: data},
	}, nil
}

func getFrameworks(v core.View) *mesosagent.Response_GetFrameworks {
	out := &mesosagent.Response_GetFrameworks{}
	for _, f := range v.Frameworks {
		out.Frameworks = append(out.Frameworks, mesosagent.Response_GetFrameworks_Framework{FrameworkInfo: f.Info})
	}
	for _, f := range v.Completed {
		out.CompletedFrameworks = append(out.CompletedFrameworks, mesosagent.Response_GetFrameworks_Framework{FrameworkInfo: f.Info})
	}
	return out
}

func getExecutors(v core.View) *mesosagent.Response_GetExecutors {
	out := &mesosagent.Response_GetExecutors{}
	for _, f := range slices.Concat(v.Frameworks, v.Completed) {
		for _, e := range f.Executors {
			out.Executors = append(out.Executors, mesosagent.Response_GetExecutors_Executor{ExecutorInfo: e.Info})
		}
		for _, e := range f.Completed {
			out.CompletedExecutors = append(out.CompletedExecutors, mesosagent.Response_GetExecutors_Executor{ExecutorInfo: e.Info})
		}
	}
	return out
}

func getTasks(v core.View) *mesosagent.Response_GetTasks {
	out := &mesosagent.Response_GetTasks{}
	for _, f := range slices.Concat(v.Frameworks, v.Completed) {
		for _, e := range slices.Concat(f.Executors, f.Completed) {
			out.QueuedTasks = append(out.QueuedTasks, queued(f, e)...)
			out.LaunchedTasks = append(out.LaunchedTasks, e.Tasks...)
			out.TerminatedTasks = append(out.TerminatedTasks, e.Ended...)
			out.CompletedTasks = append(out.CompletedTasks, e.Completed...)
		}
	}
	return out
}
