package master

import (
	"net/http"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// serveOperator serves the v1 operator API, as far as it goes: the event stream,
// and calls that ask for what the older endpoints show, too.
func (m *Master) serveOperator(w http.ResponseWriter, r *http.Request) error {
	var call mesosmaster.Call
	sent, err := m.options.Schema.ReadCall(r, &call)
	if err != nil {
		return err
	}
	if !sent.Has("type") {
		return wire.BadRequest("Failed to validate master::Call: Expecting 'type' to be present")
	}
	media, err := wire.Accept(r)
	if err != nil {
		return err
	}
	if call.Type == mesosmaster.Call_SUBSCRIBE {
		return m.serveWatcher(w, r, media)
	}
	if changed := changeOf(&call, nil); changed != nil {
		return m.serveChange(w, changed)
	}
	var body []byte
	err = m.do(func() error {
		response, err := m.core.answer(call.Type)
		if err != nil {
			return err
		}
		body, err = m.options.Schema.Encode(media, response)
		return err
	})
	if err != nil {
		return err
	}
	wire.WriteBody(w, r, string(media), body)
	return nil
}

// answer makes the response to a call.
func (c *core) answer(call mesosmaster.Call_Type) (*mesosmaster.Response, error) {
	switch call {
	case mesosmaster.Call_GET_HEALTH:
		return &mesosmaster.Response{
			Type:      mesosmaster.Response_GET_HEALTH,
			GetHealth: &mesosmaster.Response_GetHealth{Healthy: true},
		}, nil
	case mesosmaster.Call_GET_VERSION:
		date, at, user := buildDate, buildTime, ""
		return &mesosmaster.Response{
			Type: mesosmaster.Response_GET_VERSION,
			GetVersion: &mesosmaster.Response_GetVersion{VersionInfo: mesos.VersionInfo{
				Version: c.options.Version, BuildDate: &date, BuildTime: &at, BuildUser: &user,
			}},
		}, nil
	case mesosmaster.Call_GET_MASTER:
		info := c.info
		return &mesosmaster.Response{
			Type: mesosmaster.Response_GET_MASTER,
			GetMaster: &mesosmaster.Response_GetMaster{
				MasterInfo: &info, StartTime: new(timestamp(c.started)), ElectedTime: new(timestamp(c.started)),
			},
		}, nil
	case mesosmaster.Call_GET_AGENTS:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_AGENTS, GetAgents: c.getAgents()}, nil
	case mesosmaster.Call_GET_FRAMEWORKS:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_FRAMEWORKS, GetFrameworks: c.getFrameworks()}, nil
	case mesosmaster.Call_GET_EXECUTORS:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_EXECUTORS, GetExecutors: c.getExecutors()}, nil
	case mesosmaster.Call_GET_TASKS:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_TASKS, GetTasks: c.getTasks()}, nil
	case mesosmaster.Call_GET_STATE:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_STATE, GetState: c.getState()}, nil
	case mesosmaster.Call_GET_LOGGING_LEVEL:
		return &mesosmaster.Response{
			Type:            mesosmaster.Response_GET_LOGGING_LEVEL,
			GetLoggingLevel: &mesosmaster.Response_GetLoggingLevel{},
		}, nil
	case mesosmaster.Call_GET_OPERATIONS:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_OPERATIONS, GetOperations: c.getOperations()}, nil
	case mesosmaster.Call_GET_MAINTENANCE_SCHEDULE:
		return &mesosmaster.Response{
			Type:                   mesosmaster.Response_GET_MAINTENANCE_SCHEDULE,
			GetMaintenanceSchedule: &mesosmaster.Response_GetMaintenanceSchedule{Schedule: c.plan.schedule},
		}, nil
	case mesosmaster.Call_GET_MAINTENANCE_STATUS:
		return &mesosmaster.Response{
			Type:                 mesosmaster.Response_GET_MAINTENANCE_STATUS,
			GetMaintenanceStatus: &mesosmaster.Response_GetMaintenanceStatus{Status: c.maintenanceStatus()},
		}, nil
	case mesosmaster.Call_GET_WEIGHTS:
		response := &mesosmaster.Response{Type: mesosmaster.Response_GET_WEIGHTS}
		if infos := c.weightInfos(); len(infos) > 0 {
			response.GetWeights = &mesosmaster.Response_GetWeights{WeightInfos: infos}
		}
		return response, nil
	case mesosmaster.Call_GET_QUOTA:
		return &mesosmaster.Response{
			Type:     mesosmaster.Response_GET_QUOTA,
			GetQuota: &mesosmaster.Response_GetQuota{Status: c.quotaStatus()},
		}, nil
	}
	return nil, &wire.Error{Status: http.StatusNotImplemented, Text: "501 Not Implemented."}
}

func (c *core) getState() *mesosmaster.Response_GetState {
	return &mesosmaster.Response_GetState{
		GetTasks: c.getTasks(), GetExecutors: c.getExecutors(), GetFrameworks: c.getFrameworks(), GetAgents: c.getAgents(),
	}
}

// nanoseconds writes a time; one that never was is 0.
func nanoseconds(t time.Time) *mesos.TimeInfo {
	if t.IsZero() {
		return &mesos.TimeInfo{}
	}
	return &mesos.TimeInfo{Nanoseconds: t.UnixNano()}
}

func (c *core) getAgents() *mesosmaster.Response_GetAgents {
	out := &mesosmaster.Response_GetAgents{RecoveredAgents: c.sortedRecovered()}
	for _, a := range c.sortedAgents() {
		out.Agents = append(out.Agents, c.showAgent(a))
	}
	return out
}

func (c *core) showAgent(a *agent) mesosmaster.Response_GetAgents_Agent {
	shown := mesosmaster.Response_GetAgents_Agent{
		AgentInfo:          a.info,
		Active:             c.usable(a),
		Deactivated:        new(c.deactivated[a.id]),
		Version:            a.version,
		PID:                new(a.pid),
		RegisteredTime:     nanoseconds(a.registered),
		TotalResources:     a.total.ToMesos(),
		AllocatedResources: a.used().ToMesos(),
		OfferedResources:   offered(a.offers).ToMesos(),
	}
	if !a.reregistered.IsZero() {
		shown.ReregisteredTime = nanoseconds(a.reregistered)
	}
	if info := c.draining[a.id]; info != nil {
		shown.DrainInfo = info
		if !a.drainStart.IsZero() {
			shown.EstimatedDrainStartTime = nanoseconds(a.drainStart)
		}
	}
	return shown
}

func (c *core) getFrameworks() *mesosmaster.Response_GetFrameworks {
	out := new(mesosmaster.Response_GetFrameworks)
	for _, f := range c.sortedFrameworks() {
		out.Frameworks = append(out.Frameworks, c.showFramework(f))
	}
	for _, f := range c.completed {
		out.CompletedFrameworks = append(out.CompletedFrameworks, c.showFramework(f))
	}
	return out
}

func (c *core) showFramework(f *framework) mesosmaster.Response_GetFrameworks_Framework {
	reregistered := f.reregistered
	if reregistered.IsZero() {
		reregistered = f.registered
	}
	shown := mesosmaster.Response_GetFrameworks_Framework{
		FrameworkInfo:      f.info,
		Active:             f.connected,
		Connected:          f.connected,
		Recovered:          f.recovered,
		RegisteredTime:     nanoseconds(f.registered),
		ReregisteredTime:   nanoseconds(reregistered),
		UnregisteredTime:   nanoseconds(f.unregistered),
		AllocatedResources: f.used().ToMesos(),
		OfferedResources:   offered(f.offers).ToMesos(),
	}
	for _, o := range sortedOffers(f.offers) {
		if a := c.agents[o.agent]; a != nil {
			shown.Offers = append(shown.Offers, c.describe(o, f, a))
		}
	}
	return shown
}

func (c *core) getExecutors() *mesosmaster.Response_GetExecutors {
	out := new(mesosmaster.Response_GetExecutors)
	for _, f := range c.sortedFrameworks() {
		for _, e := range f.sortedExecutors() {
			out.Executors = append(out.Executors, mesosmaster.Response_GetExecutors_Executor{
				ExecutorInfo: e.info, AgentID: mesos.AgentID{Value: string(e.agent)},
			})
		}
	}
	return out
}

func (c *core) getTasks() *mesosmaster.Response_GetTasks {
	out := new(mesosmaster.Response_GetTasks)
	add := func(to *[]mesos.Task, tasks []*task) {
		for _, t := range tasks {
			*to = append(*to, t.info)
		}
	}
	for _, f := range c.sortedFrameworks() {
		add(&out.Tasks, sortedTasks(f.tasks))
		add(&out.UnreachableTasks, f.unreachable)
		add(&out.CompletedTasks, f.finished)
	}
	for _, f := range c.completed {
		add(&out.CompletedTasks, f.finished)
	}
	return out
}

func (c *core) getOperations() *mesosmaster.Response_GetOperations {
	out := new(mesosmaster.Response_GetOperations)
	for _, a := range c.sortedAgents() {
		for _, o := range a.operations {
			out.Operations = append(out.Operations, o.info)
		}
	}
	return out
}
