package master

import (
	"net/http"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// serveOperator serves the v1 operator API: the event stream, the calls that
// change something, and those that ask.
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
	who := m.viewer(r)
	who.media = media
	if changed := changeOf(&call, who); changed != nil {
		return m.serveChange(w, changed)
	}
	if call.Type == mesosmaster.Call_SET_LOGGING_LEVEL {
		return m.setLoggingLevel(w, call.SetLoggingLevel, who)
	}
	response, err := m.answer(&call)
	if err != nil {
		return err
	}
	var body []byte
	err = m.do(func() error {
		var err error
		if response == nil {
			response, err = m.core.answer(&call, who)
		}
		if err != nil {
			return err
		}
		shown, err := m.core.extend(call.Type, response, who)
		if err != nil {
			return err
		}
		body, err = m.options.Schema.Encode(media, shown)
		return err
	})
	if err != nil {
		return err
	}
	wire.WriteBody(w, r, string(media), body)
	return nil
}

// answer makes the response to a call.
func (c *core) answer(call *mesosmaster.Call, who viewer) (*mesosmaster.Response, error) {
	switch call.Type {
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
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_AGENTS, GetAgents: c.getAgents(who)}, nil
	case mesosmaster.Call_GET_FRAMEWORKS:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_FRAMEWORKS, GetFrameworks: c.getFrameworks(who)}, nil
	case mesosmaster.Call_GET_EXECUTORS:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_EXECUTORS, GetExecutors: c.getExecutors(who)}, nil
	case mesosmaster.Call_GET_TASKS:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_TASKS, GetTasks: c.getTasks(who)}, nil
	case mesosmaster.Call_GET_STATE:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_STATE, GetState: c.getState(who)}, nil
	case mesosmaster.Call_GET_FLAGS:
		return c.getFlags(who)
	case mesosmaster.Call_GET_METRICS:
		if call.GetMetrics == nil {
			return nil, missing("get_metrics")
		}
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_METRICS, GetMetrics: c.getMetrics()}, nil
	case mesosmaster.Call_GET_ROLES:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_ROLES, GetRoles: c.getRoles(who)}, nil
	case mesosmaster.Call_GET_OPERATIONS:
		return &mesosmaster.Response{Type: mesosmaster.Response_GET_OPERATIONS, GetOperations: c.getOperations(who)}, nil
	case mesosmaster.Call_GET_MAINTENANCE_SCHEDULE:
		return &mesosmaster.Response{
			Type:                   mesosmaster.Response_GET_MAINTENANCE_SCHEDULE,
			GetMaintenanceSchedule: &mesosmaster.Response_GetMaintenanceSchedule{Schedule: c.shownSchedule(who)},
		}, nil
	case mesosmaster.Call_GET_MAINTENANCE_STATUS:
		return &mesosmaster.Response{
			Type:                 mesosmaster.Response_GET_MAINTENANCE_STATUS,
			GetMaintenanceStatus: &mesosmaster.Response_GetMaintenanceStatus{Status: c.maintenanceStatus(who)},
		}, nil
	case mesosmaster.Call_GET_WEIGHTS:
		response := &mesosmaster.Response{Type: mesosmaster.Response_GET_WEIGHTS}
		if infos := c.shownWeights(who); len(infos) > 0 {
			response.GetWeights = &mesosmaster.Response_GetWeights{WeightInfos: infos}
		}
		return response, nil
	case mesosmaster.Call_GET_QUOTA:
		return &mesosmaster.Response{
			Type:     mesosmaster.Response_GET_QUOTA,
			GetQuota: &mesosmaster.Response_GetQuota{Status: c.quotaStatus(who)},
		}, nil
	}
	return nil, &wire.Error{Status: http.StatusNotImplemented, Text: "501 Not Implemented."}
}

func (c *core) getState(who viewer) *mesosmaster.Response_GetState {
	return &mesosmaster.Response_GetState{
		GetTasks: c.getTasks(who), GetExecutors: c.getExecutors(who), GetFrameworks: c.getFrameworks(who), GetAgents: c.getAgents(who),
	}
}

// nanoseconds writes a time; one that never was is 0.
func nanoseconds(t time.Time) *mesos.TimeInfo {
	if t.IsZero() {
		return &mesos.TimeInfo{}
	}
	return &mesos.TimeInfo{Nanoseconds: t.UnixNano()}
}

func (c *core) getAgents(who viewer) *mesosmaster.Response_GetAgents {
	out := &mesosmaster.Response_GetAgents{RecoveredAgents: c.sortedRecovered()}
	for _, a := range c.sortedAgents() {
		out.Agents = append(out.Agents, c.showAgent(a, who))
	}
	return out
}

func (c *core) showAgent(a *agent, who viewer) mesosmaster.Response_GetAgents_Agent {
	shown := mesosmaster.Response_GetAgents_Agent{
		AgentInfo:          a.info,
		Active:             c.usable(a),
		Deactivated:        new(c.deactivated[a.id]),
		Version:            a.version,
		PID:                new(a.pid),
		RegisteredTime:     nanoseconds(a.registered),
		TotalResources:     who.resources(a.total),
		AllocatedResources: who.resources(a.used()),
		OfferedResources:   who.resources(offered(a.offers)),
	}
	for i := range agentCapabilities {
		shown.Capabilities = append(shown.Capabilities, mesos.AgentInfo_Capability{Type: agentCapabilities[i]})
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

func (c *core) getFrameworks(who viewer) *mesosmaster.Response_GetFrameworks {
	out := new(mesosmaster.Response_GetFrameworks)
	for _, f := range who.frameworks(c.sortedFrameworks()) {
		out.Frameworks = append(out.Frameworks, c.showFramework(f))
	}
	for _, f := range who.frameworks(c.completed) {
		out.CompletedFrameworks = append(out.CompletedFrameworks, c.showFramework(f))
	}
	return out
}

// announceFramework is what events show of a framework.
func announceFramework(f *framework) mesosmaster.Response_GetFrameworks_Framework {
	reregistered := f.reregistered
	if reregistered.IsZero() {
		reregistered = f.registered
	}
	return mesosmaster.Response_GetFrameworks_Framework{
		FrameworkInfo:    f.info,
		Active:           f.connected,
		Connected:        f.connected,
		Recovered:        f.recovered,
		RegisteredTime:   nanoseconds(f.registered),
		ReregisteredTime: nanoseconds(reregistered),
		UnregisteredTime: nanoseconds(f.unregistered),
	}
}

func (c *core) showFramework(f *framework) mesosmaster.Response_GetFrameworks_Framework {
	shown := announceFramework(f)
	// Events show these times though they are none, answers do not.
	for _, at := range []**mesos.TimeInfo{&shown.RegisteredTime, &shown.ReregisteredTime, &shown.UnregisteredTime} {
		if (*at).Nanoseconds == 0 {
			*at = nil
		}
	}
	shown.AllocatedResources = endpointForm(f.used().ToMesos())
	shown.OfferedResources = endpointForm(offered(f.offers).ToMesos())
	for _, o := range sortedOffers(f.offers) {
		if a := c.agents[o.agent]; a != nil {
			shown.Offers = append(shown.Offers, c.describe(o, f, a))
		}
	}
	return shown
}

func (c *core) getExecutors(who viewer) *mesosmaster.Response_GetExecutors {
	out := new(mesosmaster.Response_GetExecutors)
	for _, f := range who.frameworks(c.sortedFrameworks()) {
		for _, e := range f.sortedExecutors() {
			if !who.seesExecutor(f, e) {
				continue
			}
			out.Executors = append(out.Executors, mesosmaster.Response_GetExecutors_Executor{
				ExecutorInfo: e.info, AgentID: mesos.AgentID{Value: string(e.agent)},
			})
		}
	}
	return out
}

func (c *core) getTasks(who viewer) *mesosmaster.Response_GetTasks {
	out := new(mesosmaster.Response_GetTasks)
	add := func(to *[]mesos.Task, tasks []*task) {
		for _, t := range tasks {
			shown := t.info
			if len(t.updateUUID) > 0 {
				shown.StatusUpdateState, shown.StatusUpdateUUID = t.updateState.Enum(), t.updateUUID
			}
			*to = append(*to, shown)
		}
	}
	for _, f := range who.frameworks(c.sortedFrameworks()) {
		add(&out.Tasks, who.tasks(f, sortedTasks(f.tasks)))
		add(&out.UnreachableTasks, who.tasks(f, f.unreachable))
		add(&out.CompletedTasks, who.tasks(f, f.finished))
	}
	if who.media == wire.Protobuf {
		return out // a real master forgets completed frameworks here
	}
	for _, f := range who.frameworks(c.completed) {
		add(&out.CompletedTasks, who.tasks(f, f.finished))
	}
	return out
}

func (c *core) getOperations(who viewer) *mesosmaster.Response_GetOperations {
	out := new(mesosmaster.Response_GetOperations)
	for _, a := range c.sortedAgents() {
		for _, o := range a.operations {
			out.Operations = append(out.Operations, o.info)
		}
	}
	return out
}
