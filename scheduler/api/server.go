// Package api is how people and programs reach a scheduler: the Connect service
// tandem.v1.SchedulerService, the page that Mesos's /frameworks links to, files
// that are uploaded for agents to fetch, health and metrics, all on one address.
//
//	/, /jobs/<job>, /tasks/<task>, …     the page (package ui)
//	/tandem.v1.SchedulerService/<call>   the service (Connect, gRPC, gRPC-Web)
//	/files/<sha256>/<name>               PUT: upload; HEAD: is it there?
//	/artifacts/                          what agents fetch (package artifact)
//	/sessions/<name>                     where executors call back, with a token
//	/healthz                             200 while the process serves
//	/readyz                              200 while it is subscribed with a master,
//	                                     or stands by and knows the leader
//	/metrics                             in Prometheus's format
//	/login                               POST: log a browser in; DELETE: out; GET: as whom
//
// The package must never decide what becomes of a job: it checks what was sent,
// passes it on, and shows what readers may see.
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/proto/tandem/v1/tandemv1connect"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/audit"
	"github.com/tandem-mesos/tandem/scheduler/core"
	"github.com/tandem-mesos/tandem/scheduler/loop"
	"github.com/tandem-mesos/tandem/scheduler/sandbox"
	"github.com/tandem-mesos/tandem/scheduler/ui"
)

// Commander carries commands out. Do blocks until the outcome is durable or ctx
// ends; a refusal is a *core.Refused.
type Commander interface {
	Do(ctx context.Context, c core.Command) (core.Reply, error)
}

// Reader shows what is durable. Messages that it gives out are never changed
// again. Its methods are safe for concurrent use and do not block.
type Reader interface {
	// Jobs returns all jobs in the order of their IDs.
	Jobs() []*tandemv1.JobRecord
	// Job returns a job with its instances and their attempts, the newest
	// first, or false.
	Job(id string) (*tandemv1.JobView, bool)
	// Phases returns how many instances of a job are in which phase.
	Phases(job string) *tandemv1.InstanceCounts
	// Versions returns the versions of a job that are kept, the newest first.
	Versions(job string) []*tandemv1.VersionRecord
	Framework() *tandemv1.FrameworkView
	Counts() loop.Counts
	// Agents returns the agents that are to be left, with the reasons, by ID.
	Agents() map[string]*tandemv1.AgentRecord
	// Volumes returns the persistent volumes, by job, instance, name and age.
	Volumes() []*tandemv1.VolumeRecord
	// Watch yields what is, or what has changed since, a response with
	// snapshot_end, and then every later change in order. It ends with one error.
	Watch(ctx context.Context, ask *tandemv1.WatchRequest) iter.Seq2[*tandemv1.WatchResponse, error]
	// Usage yields the samples of tasks that are wanted: those that are kept, all
	// at once, then others as they come. It ends with one error.
	Usage(ctx context.Context, wants func(task string) bool) iter.Seq2[[]*tandemv1.UsageSample, error]
}

// Files keeps files that were uploaded, by their content, for agents to fetch.
type Files interface {
	// Find returns the URI by which jobs name the file, or false when there is no
	// such file. The digest is 64 small hexadecimal digits.
	Find(digest, name string) (uri string, ok bool)
	// Put keeps what the reader holds, and returns the file's URI. It fails, and
	// keeps nothing, when the content has another digest.
	Put(digest, name string, r io.Reader) (uri string, err error)
}

// Options are what a Server is made of.
type Options struct {
	// Commander and Reader are required.
	Commander Commander
	Reader    Reader
	// Files takes uploads; nil refuses them.
	Files Files
	// Artifacts serves what is below /artifacts/; nil serves nothing there.
	Artifacts http.Handler
	// Gate says who callers are and what they may do. Required.
	Gate *access.Gate
	// Names are the hosts, besides IP addresses and localhost, by which a server
	// may be called whose Gate is open. Nil lets it be called by any.
	Names []string
	// Limits keep one client from taking what is there for all.
	Limits Limits
	// Audit records every write. Required.
	Audit *audit.Log
	// Sandboxes reads what tasks have written, from the agents; nil refuses to.
	Sandboxes sandbox.Files
	// Master is asked for what it keeps from the scheduler; nil leaves that unsaid.
	Master Master
	// Now is the time that answers tell of in words, such as how long something is
	// still declined; nil is time.Now.
	Now func() time.Time
	// Leader says that this is one of several schedulers, and the one that leads.
	Leader bool
	// CallBack is this server's address as agents reach it, such as
	// http://10.0.0.7:7070, for executors to call back for sessions; empty
	// refuses them.
	CallBack string
	// MaxUpload is the largest file that is taken, in bytes. Default: 1 GiB.
	MaxUpload int64
	// Log is required. One line is written for every call that failed for a
	// reason within the scheduler.
	Log logrus.FieldLogger
	// Registerer takes the API's own metrics, Gatherer is what /metrics shows.
	// Both are required.
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer
}

func (o *Options) validate() error {
	var errs []error
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"Commander", o.Commander == nil}, {"Reader", o.Reader == nil}, {"Log", o.Log == nil},
		{"Gate", o.Gate == nil}, {"Audit", o.Audit == nil},
		{"Registerer", o.Registerer == nil}, {"Gatherer", o.Gatherer == nil},
	} {
		if f.missing {
			errs = append(errs, fmt.Errorf("%s is missing", f.name))
		}
	}
	if o.MaxUpload < 0 {
		errs = append(errs, fmt.Errorf("MaxUpload is negative: %d", o.MaxUpload))
	}
	return errors.Join(errs...)
}

// Master knows what no event tells. It is asked only when somebody looks, and may
// block until its context ends.
type Master interface {
	// Quotas returns those that bind the scheduler's roles.
	Quotas(ctx context.Context) ([]*tandemv1.RoleQuota, error)
	// Withheld returns these, and why nothing of the first of the agents is offered.
	// The error says why the quotas are not known.
	Withheld(ctx context.Context, agents []string) (core.Withheld, error)
}

// serviceName is the service's name in procedures.
const serviceName = tandemv1connect.SchedulerServiceName

// maxMessage bounds one request, in bytes. A job file has at most 1 MiB.
const maxMessage = 4 << 20

// Server serves the API. Its methods are safe for concurrent use.
type Server struct {
	opt     Options
	handler http.Handler
	// refusals writes the refusal of a request in the protocol that it speaks.
	refusals *connect.ErrorWriter
	logins   logins
	rates    *rates
	calls    *callMetrics
	// sessions are those that executors are asked to call back for.
	sessions sessions
	// ending is done when the server stops, to end watches that would go on
	// for ever.
	ending context.Context
	end    context.CancelFunc
}

// New returns a server, for a Front to have its requests answered by.
func New(opt Options) (*Server, error) {
	if err := opt.validate(); err != nil {
		return nil, fmt.Errorf("cannot make the API: %w", err)
	}
	if opt.MaxUpload == 0 {
		opt.MaxUpload = 1 << 30
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Limits = opt.Limits.withDefaults()
	s := &Server{opt: opt, refusals: connect.NewErrorWriter(), logins: logins{byID: map[string]login{}}, rates: newRates(opt.Limits.Rate)}
	s.ending, s.end = context.WithCancel(context.Background())
	calls, err := newCallMetrics(opt.Registerer)
	if err != nil {
		return nil, fmt.Errorf("cannot make the API: %w", err)
	}
	if err := opt.Registerer.Register(newGauges(opt.Reader)); err != nil {
		return nil, fmt.Errorf("cannot make the API: cannot register metrics: %w", err)
	}
	needed, err := needs(tandemv1.File_tandem_v1_api_proto.Services().ByName("SchedulerService"))
	if err != nil {
		return nil, fmt.Errorf("cannot make the API: %w", err)
	}
	s.calls = calls
	path, service := tandemv1connect.NewSchedulerServiceHandler(
		&service{server: s},
		connect.WithCodec(strictJSON("json")), connect.WithCodec(strictJSON("json; charset=utf-8")),
		connect.WithReadMaxBytes(maxMessage),
		connect.WithInterceptors(calls, &guard{server: s, needs: needed}),
	)
	mux := http.NewServeMux()
	mux.Handle(path, spoken(path, s.refusals, service))
	metrics := promhttp.HandlerFor(opt.Gatherer, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", s.require(tandemv1.Right_RIGHT_READ, metrics.ServeHTTP))
	mux.HandleFunc("PUT /files/{digest}/{name}", s.require(tandemv1.Right_RIGHT_OPERATE, s.upload))
	mux.HandleFunc("HEAD /files/{digest}/{name}", s.require(tandemv1.Right_RIGHT_OPERATE, s.find))
	mux.HandleFunc("GET /login", s.loggedIn)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("DELETE /login", s.logout)
	if err := ui.Route(mux); err != nil {
		return nil, fmt.Errorf("cannot make the API: %w", err)
	}
	// What agents and monitors ask for needs no right: an artifact's address can
	// be made only by who knows its content, and a session has a token of its own.
	open := http.NewServeMux()
	open.HandleFunc("GET /healthz", healthy)
	open.HandleFunc("GET /readyz", s.ready)
	open.HandleFunc("GET "+sessionPath+"{name}", s.joinSession)
	if opt.Artifacts != nil {
		open.Handle("/artifacts/", opt.Artifacts)
	}
	// A page of another origin that the user has open must not be able to
	// submit or stop jobs.
	open.Handle("/", rebound(opt.Gate, opt.Names, http.NewCrossOriginProtection().Handler(s.identify(patient(opt.Limits.Stall, mux)))))
	s.handler = open
	return s, nil
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// Handler answers requests.
func (s *Server) Handler() http.Handler { return s.handler }

// End ends watches, which would go on for ever.
func (s *Server) End() { s.end() }
