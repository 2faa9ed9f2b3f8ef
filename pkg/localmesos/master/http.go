package master

import (
	"net/http"
	"strconv"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// routes lists the endpoints, each in the realm that it has in a real master; who
// asks for nothing has to authenticate for none.
func (m *Master) routes() http.Handler {
	router := wire.NewRouter("master")
	router.Handle("/api/v1/scheduler", m.scheduler(m.serveScheduler))
	router.Handle("/api/v1", m.readwrite(m.serveOperator))
	router.Handle("/", m.servePage)
	router.Handle("/health", empty)
	router.Handle("/redirect", func(http.ResponseWriter, *http.Request) error {
		return wire.Redirect("//" + m.Address())
	})
	router.Handle("/version", m.show(showVersion))
	m.routeChanges(router)
	for path, h := range map[string]wire.Handler{
		"/flags":                 m.flagsEndpoint,
		"/frameworks":            m.serveFrameworks(m.show(showFrameworks)),
		"/slaves":                m.show(showSlaves),
		"/tasks":                 m.show(showTasks),
		"/roles":                 m.show(showRoles),
		"/state":                 m.show(showState),
		"/state-summary":         m.show(showStateSummary),
		"/maintenance/status":    m.show(showMaintenance),
		"/metrics/snapshot":      m.endpoint("/metrics/snapshot", m.serveMetrics),
		"/registrar(1)/registry": m.show(showRegistry),
	} {
		router.Handle(path, m.readonly(h))
	}
	m.files.Register(router, m.readonly, m.endpoint)
	m.process.Register(router)
	return router
}

// routeChanges lists the endpoints that change something.
func (m *Master) routeChanges(router *wire.Router) {
	for path, h := range map[string]wire.Handler{
		"/teardown": m.serveTeardown,
		"/reserve": m.serveOperation("resources", "Error parsing", func(on mesos.AgentID, list []mesos.Resource) *mesosmaster.Call {
			return &mesosmaster.Call{Type: mesosmaster.Call_RESERVE_RESOURCES, ReserveResources: &mesosmaster.Call_ReserveResources{AgentID: on, Resources: list}}
		}),
		"/unreserve": m.serveOperation("resources", "Error in parsing", func(on mesos.AgentID, list []mesos.Resource) *mesosmaster.Call {
			return &mesosmaster.Call{Type: mesosmaster.Call_UNRESERVE_RESOURCES, UnreserveResources: &mesosmaster.Call_UnreserveResources{AgentID: on, Resources: list}}
		}),
		"/create-volumes": m.serveOperation("volumes", "Error in parsing", func(on mesos.AgentID, list []mesos.Resource) *mesosmaster.Call {
			return &mesosmaster.Call{Type: mesosmaster.Call_CREATE_VOLUMES, CreateVolumes: &mesosmaster.Call_CreateVolumes{AgentID: on, Volumes: list}}
		}),
		"/destroy-volumes": m.serveOperation("volumes", "Error in parsing", func(on mesos.AgentID, list []mesos.Resource) *mesosmaster.Call {
			return &mesosmaster.Call{Type: mesosmaster.Call_DESTROY_VOLUMES, DestroyVolumes: &mesosmaster.Call_DestroyVolumes{AgentID: on, Volumes: list}}
		}),
		"/quota":                m.serveQuota,
		"/weights":              m.serveWeights,
		"/maintenance/schedule": m.serveSchedule,
		"/machine/down": m.serveMachines(func(ids []mesos.MachineID) *mesosmaster.Call {
			return &mesosmaster.Call{Type: mesosmaster.Call_START_MAINTENANCE, StartMaintenance: &mesosmaster.Call_StartMaintenance{Machines: ids}}
		}),
		"/machine/up": m.serveMachines(func(ids []mesos.MachineID) *mesosmaster.Call {
			return &mesosmaster.Call{Type: mesosmaster.Call_STOP_MAINTENANCE, StopMaintenance: &mesosmaster.Call_StopMaintenance{Machines: ids}}
		}),
	} {
		router.Handle(path, m.readwrite(h))
	}
}

func empty(w http.ResponseWriter, _ *http.Request) error {
	wire.WriteEmpty(w, http.StatusOK)
	return nil
}

// mesosDuration prints a duration as stout does, in the largest unit that
// divides it.
func mesosDuration(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{
		{7 * 24 * time.Hour, "weeks"}, {24 * time.Hour, "days"}, {time.Hour, "hrs"}, {time.Minute, "mins"},
		{time.Second, "secs"}, {time.Millisecond, "ms"}, {time.Microsecond, "us"},
	} {
		if d != 0 && d%unit.size == 0 {
			return strconv.FormatInt(int64(d/unit.size), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(d), 10) + "ns"
}
