package master

import (
	"io"
	"net/http"
	"net/url"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

func showSchedule(v view, _ url.Values) {
	schedule := v.core.shownSchedule(v.viewer)
	v.message(&schedule)
}

func showMaintenance(v view, _ url.Values) {
	status := v.core.maintenanceStatus(v.viewer)
	v.message(&status)
}

// serveSchedule serves /maintenance/schedule, which shows and sets the schedule.
func (m *Master) serveSchedule(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
		return m.show(showSchedule)(w, r)
	case http.MethodPost:
	default:
		return wire.MethodNotAllowed(r.Method, http.MethodGet, http.MethodPost)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return wire.Internal("failed to decode body")
	}
	var schedule maintenance.Schedule
	parsed, err := wire.ParseObject(body)
	if err == nil {
		err = m.options.Schema.Convert(parsed, &schedule)
	}
	if err != nil {
		return wire.BadRequest("%s", err)
	}
	return m.serveChange(w, changeOf(&mesosmaster.Call{
		Type:                      mesosmaster.Call_UPDATE_MAINTENANCE_SCHEDULE,
		UpdateMaintenanceSchedule: &mesosmaster.Call_UpdateMaintenanceSchedule{Schedule: schedule},
	}, m.viewer(r)))
}

// serveMachines serves /machine/down and /machine/up, whose body lists machines;
// call makes of them what the v1 API has for it.
func (m *Master) serveMachines(call func([]mesos.MachineID) *mesosmaster.Call) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodPost {
			return wire.MethodNotAllowed(r.Method, http.MethodPost)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return wire.Internal("failed to decode body")
		}
		var ids []mesos.MachineID
		parsed, err := wire.ParseArray(body)
		if err == nil {
			ids, err = wire.ConvertList[mesos.MachineID](m.options.Schema, parsed)
		}
		if err != nil {
			return wire.BadRequest("%s", err)
		}
		return m.serveChange(w, changeOf(call(ids), m.viewer(r)))
	}
}
