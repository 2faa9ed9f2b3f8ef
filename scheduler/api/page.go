package api

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/jobspec"
	"github.com/tandem-mesos/tandem/pkg/version"
	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

//go:embed page
var pageFiles embed.FS

// maxRows bounds how many instances one page shows.
const maxRows = 500

// page shows the scheduler to a browser. It needs no script: the browser asks
// again every few seconds.
type page struct {
	reader    Reader
	log       logrus.FieldLogger
	templates *template.Template
}

// view is what the templates show.
type view struct {
	Version   string
	Now       time.Time
	Framework *tandemv1.FrameworkView
	Jobs      []*tandemv1.JobRecord
	// Shown are the jobs whose instances are listed.
	Shown []shown
	// Hidden counts instances that did not fit.
	Hidden int
	// Spec is the job file of a page of one job.
	Spec string
}

// shown is a job of which instances are listed.
type shown struct {
	Job       *tandemv1.JobRecord
	Instances []instance
}

// instance is an instance with its latest attempt, if there was one.
type instance struct {
	Instance *tandemv1.InstanceRecord
	Attempt  *tandemv1.AttemptRecord
}

func newPage(reader Reader, log logrus.FieldLogger) (*page, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"jobType": present.JobType, "jobPhase": present.JobPhase, "jobMood": present.JobMood,
		"instancePhase": present.InstancePhase, "instanceMood": present.InstanceMood, "taskMood": present.TaskMood,
		"health": present.Health, "exit": present.Exit, "why": present.Why, "ports": present.Ports,
		"wall": present.WallTime, "cpu": present.CPUTime, "peak": present.PeakMemory, "since": present.Since,
	}).ParseFS(pageFiles, "page/*.html")
	if err != nil {
		return nil, fmt.Errorf("cannot read the page's templates: %w", err)
	}
	return &page{reader: reader, log: log, templates: t}, nil
}

func (p *page) route(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", p.overview)
	mux.HandleFunc("GET /jobs/{job...}", p.job)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "page/style.css")
	})
}

func (p *page) overview(w http.ResponseWriter, _ *http.Request) {
	v := p.view()
	v.Jobs = p.reader.Jobs()
	room := maxRows
	for _, job := range v.Jobs {
		if room == 0 {
			v.Hidden += int(job.GetSpec().GetInstances())
			continue
		}
		if one, ok := p.reader.Job(job.GetSpec().GetId()); ok {
			room -= v.show(one, room)
		}
	}
	p.write(w, http.StatusOK, "overview", v)
}

func (p *page) job(w http.ResponseWriter, r *http.Request) {
	id := "/" + strings.TrimPrefix(r.PathValue("job"), "/")
	v := p.view()
	one, ok := p.reader.Job(id)
	if !ok {
		v.Spec = id
		p.write(w, http.StatusNotFound, "nojob", v)
		return
	}
	v.show(one, maxRows)
	spec, err := jobspec.Marshal(one.GetJob().GetSpec())
	if err != nil {
		p.log.WithError(err).Warn("cannot show a job's spec")
	}
	v.Spec = string(spec)
	p.write(w, http.StatusOK, "job", v)
}

func (p *page) view() *view {
	return &view{Version: version.Version, Now: time.Now(), Framework: p.reader.Framework()}
}

// show adds a job with as many of its instances as there is room for, and
// returns how many that are.
func (v *view) show(one *tandemv1.JobView, room int) int {
	list := one.GetInstances()
	if len(list) > room {
		v.Hidden += len(list) - room
		list = list[:room]
	}
	job := shown{Job: one.GetJob()}
	for _, i := range list {
		row := instance{Instance: i.GetInstance()}
		if len(i.GetAttempts()) > 0 {
			row.Attempt = i.GetAttempts()[0]
		}
		job.Instances = append(job.Instances, row)
	}
	v.Shown = append(v.Shown, job)
	return len(list)
}

func (p *page) write(w http.ResponseWriter, status int, name string, v *view) {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, v); err != nil {
		p.log.WithError(err).Error("cannot make the page")
		http.Error(w, "the page could not be made; the scheduler's log says why", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
