package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

// gauges tell how many there are of what readers see, whenever somebody asks for
// metrics.
type gauges struct {
	reader                                      Reader
	jobs, instances, agents, revive, suppresses *prometheus.Desc
}

func newGauges(r Reader) *gauges {
	return &gauges{
		reader:     r,
		jobs:       prometheus.NewDesc("tandem_jobs", "Jobs, by phase.", []string{"phase"}, nil),
		instances:  prometheus.NewDesc("tandem_instances", "Instances of all jobs, by phase.", []string{"phase"}, nil),
		agents:     prometheus.NewDesc("tandem_agents", "Agents that attempts run on which have not ended.", nil, nil),
		revive:     prometheus.NewDesc("tandem_mesos_revives_total", "Times that offers were asked for again, since the start.", nil, nil),
		suppresses: prometheus.NewDesc("tandem_mesos_suppresses_total", "Times that no offers were asked for any more, since the start.", nil, nil),
	}
}

// Describe tells what there is.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.jobs, g.instances, g.agents, g.revive, g.suppresses} {
		to <- d
	}
}

// Collect tells.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	counts := g.reader.Counts()
	// A phase that nothing is in is told, too: a missing one raises no alert.
	for n := range tandemv1.JobPhase_name {
		if phase := tandemv1.JobPhase(n); phase != tandemv1.JobPhase_JOB_PHASE_UNSPECIFIED {
			to <- prometheus.MustNewConstMetric(g.jobs, prometheus.GaugeValue, float64(counts.Jobs[phase]), strings.ToLower(present.JobPhase(phase)))
		}
	}
	for n := range tandemv1.InstancePhase_name {
		if phase := tandemv1.InstancePhase(n); phase != tandemv1.InstancePhase_INSTANCE_PHASE_UNSPECIFIED {
			to <- prometheus.MustNewConstMetric(g.instances, prometheus.GaugeValue, float64(counts.Instances[phase]), strings.ToLower(present.InstancePhase(phase)))
		}
	}
	to <- prometheus.MustNewConstMetric(g.agents, prometheus.GaugeValue, float64(counts.Agents))
	f := g.reader.Framework()
	to <- prometheus.MustNewConstMetric(g.revive, prometheus.CounterValue, float64(f.GetRevives()))
	to <- prometheus.MustNewConstMetric(g.suppresses, prometheus.CounterValue, float64(f.GetSuppresses()))
}

// ready answers 200 while the scheduler is subscribed with a master, and 503
// with the reason otherwise.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	switch f := s.opt.Reader.Framework(); {
	case !f.GetSubscribed():
		readiness(w, http.StatusServiceUnavailable, "not subscribed: "+f.GetProblem())
	case s.opt.Leader:
		readiness(w, http.StatusOK, "ok; leader")
	default:
		readiness(w, http.StatusOK, "ok")
	}
}

// readiness answers who asks whether this scheduler is ready, in one line.
func readiness(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, present.OneLine(line))
}
