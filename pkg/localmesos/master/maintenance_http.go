package master

import (
	"io"
	"net/http"
	"net/url"
	"slices"

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
		return m.serveWrapped(w, r, `{"type":"UPDATE_MAINTENANCE_SCHEDULE","update_maintenance_schedule":{"schedule":`)
	}
	return wire.MethodNotAllowed(r.Method, http.MethodGet, http.MethodPost)
}

// serveMachines serves /machine/down and /machine/up, whose body lists machines;
// call is what the v1 API has for it, up to the list.
func (m *Master) serveMachines(call string) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodPost {
			return wire.MethodNotAllowed(r.Method, http.MethodPost)
		}
		return m.serveWrapped(w, r, call)
	}
}

// serveWrapped makes the change that a call asks for of which the body is a part.
func (m *Master) serveWrapped(w http.ResponseWriter, r *http.Request, before string) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return wire.Internal("failed to decode body")
	}
	var call mesosmaster.Call
	if _, err := m.options.Schema.Decode(wire.JSON, slices.Concat([]byte(before), body, []byte("}}")), &call, "request"); err != nil {
		return wire.BadRequest("%s", err)
	}
	return m.serveChange(w, changeOf(&call, m.viewer(r)))
}
