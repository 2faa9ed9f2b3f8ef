package master

import (
	"net/http"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Handler serves all endpoints of the master.
func (m *Master) Handler() http.Handler {
	router := wire.NewRouter("master")
	router.Handle("/api/v1/scheduler", m.serveScheduler)
	return router
}
