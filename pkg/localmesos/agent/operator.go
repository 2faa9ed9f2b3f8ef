package agent

import (
	"net/http"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/localmesos/process"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// routes are the agent's endpoints.
func (a *Agent) routes() *wire.Router {
	rt := wire.NewRouter("slave(1)")
	rt.Handle("/api/v1/executor", a.executorAPI)
	rt.Handle("/api/v1", a.readwrite(a.operatorAPI))
	rt.Handle("/health", func(w http.ResponseWriter, _ *http.Request) error {
		wire.WriteEmpty(w, http.StatusOK)
		return nil
	})
	rt.Handle("/version", a.json(func(out *wire.Writer, _ operator) error { return a.writeVersion(out) }))
	for path, h := range map[string]wire.Handler{
		"/flags": a.json(func(out *wire.Writer, who operator) error {
			if !who.seesFlags() {
				return errForbidden
			}
			out.BeginObject()
			out.Key("flags")
			a.writeFlags(out)
			out.EndObject()
			return nil
		}),
		"/state":              a.json(a.writeState),
		"/containers":         a.endpoint("/containers", a.serveContainers),
		"/monitor/statistics": a.endpoint("/monitor/statistics", a.json(a.writeStatistics)),
		// The containerizer's calls are never pending here.
		"/containerizer/debug": a.endpoint("/containerizer/debug", a.json(func(out *wire.Writer, _ operator) error {
			out.BeginObject()
			out.Key("pending")
			out.BeginArray()
			out.EndArray()
			out.EndObject()
			return nil
		})),
		"/metrics/snapshot": a.endpoint("/metrics/snapshot", a.serveMetrics),
	} {
		rt.Handle(path, a.readonly(h))
	}
	a.files.Register(rt, a.readonly, a.endpoint)
	a.process.Register(rt)
	return rt
}

// serveMetrics serves /metrics/snapshot.
func (a *Agent) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	if err := process.Timeout(r); err != nil {
		return err
	}
	return a.json(func(out *wire.Writer, _ operator) error { return a.writeMetrics(out) })(w, r)
}

// json makes a handler of what writes the answer to an operator.
func (a *Agent) json(write func(out *wire.Writer, who operator) error) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		out := &wire.Writer{}
		if err := write(out, a.operator(r)); err != nil {
			return err
		}
		wire.WriteJSON(w, r, out.Bytes())
		return nil
	}
}

// view asks the loop for the state.
func (a *Agent) view() (core.View, error) {
	v, ok := ask(a, func(time.Time) core.View { return a.core.View() })
	if !ok {
		return v, wire.Unavailable("Agent has not finished recovery")
	}
	return v, nil
}

// writeBuild writes when the Mesos was built whose version the agent claims by
// default.
func writeBuild(o object) {
	o.text("build_date", buildDate)
	o.number("build_time", buildTime)
	o.text("build_user", "")
}

const (
	buildDate = "2020-11-24 00:00:00"
	buildTime = 1606176000
)

func (a *Agent) writeVersion(out *wire.Writer) error {
	o := object{out}
	o.BeginObject()
	writeBuild(o)
	o.text("version", a.options.Version)
	o.EndObject()
	return nil
}
