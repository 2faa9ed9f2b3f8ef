package master

import (
	"net/http"
	"strconv"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// routes lists the endpoints. None but the scheduler's needs credentials, as in
// a real master by default.
func (m *Master) routes() http.Handler {
	router := wire.NewRouter("master")
	router.Handle("/api/v1/scheduler", m.serveScheduler)
	router.Handle("/api/v1", m.serveOperator)
	router.Handle("/", m.servePage)
	router.Handle("/health", empty)
	router.Handle("/redirect", func(http.ResponseWriter, *http.Request) error {
		return wire.Redirect("//" + m.Address())
	})
	router.Handle("/teardown", m.serveTeardown)
	router.Handle("/reserve", m.serveOperation("resources", func(on mesos.AgentID, list []mesos.Resource) *mesosmaster.Call {
		return &mesosmaster.Call{Type: mesosmaster.Call_RESERVE_RESOURCES, ReserveResources: &mesosmaster.Call_ReserveResources{AgentID: on, Resources: list}}
	}))
	router.Handle("/unreserve", m.serveOperation("resources", func(on mesos.AgentID, list []mesos.Resource) *mesosmaster.Call {
		return &mesosmaster.Call{Type: mesosmaster.Call_UNRESERVE_RESOURCES, UnreserveResources: &mesosmaster.Call_UnreserveResources{AgentID: on, Resources: list}}
	}))
	router.Handle("/create-volumes", m.serveOperation("volumes", func(on mesos.AgentID, list []mesos.Resource) *mesosmaster.Call {
		return &mesosmaster.Call{Type: mesosmaster.Call_CREATE_VOLUMES, CreateVolumes: &mesosmaster.Call_CreateVolumes{AgentID: on, Volumes: list}}
	}))
	router.Handle("/destroy-volumes", m.serveOperation("volumes", func(on mesos.AgentID, list []mesos.Resource) *mesosmaster.Call {
		return &mesosmaster.Call{Type: mesosmaster.Call_DESTROY_VOLUMES, DestroyVolumes: &mesosmaster.Call_DestroyVolumes{AgentID: on, Volumes: list}}
	}))
	router.Handle("/version", m.show(showVersion))
	router.Handle("/flags", m.show(showFlags))
	router.Handle("/frameworks", m.serveFrameworks(m.show(showFrameworks)))
	router.Handle("/slaves", m.show(showSlaves))
	router.Handle("/tasks", m.show(showTasks))
	router.Handle("/roles", m.show(showRoles))
	router.Handle("/quota", m.show(showQuota))
	router.Handle("/weights", m.serveWeights)
	for _, alias := range []string{"/state", "/state.json"} {
		router.Handle(alias, m.show(showState))
	}
	for _, alias := range []string{"/state-summary", "/state-summary.json"} {
		router.Handle(alias, m.show(showStateSummary))
	}
	router.Handle("/maintenance/schedule", m.serveSchedule)
	router.Handle("/maintenance/status", m.show(showMaintenance))
	router.Handle("/machine/down", m.serveMachines(`{"type":"START_MAINTENANCE","start_maintenance":{"machines":`))
	router.Handle("/machine/up", m.serveMachines(`{"type":"STOP_MAINTENANCE","stop_maintenance":{"machines":`))
	router.Handle("/metrics/snapshot", m.show(showMetrics))
	return router
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
