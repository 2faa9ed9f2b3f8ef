package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
	"github.com/tandem-mesos/tandem/scheduler/access"
	"github.com/tandem-mesos/tandem/scheduler/present"
)

// StandbyOptions are what a Standby is made of. All must be given but Copy
// and LeaderTLS.
type StandbyOptions struct {
	// Leader returns the leader's address, such as http://10.0.0.7:7070, or why
	// none is known.
	Leader func() (string, error)
	// Copy returns a server of what was saved last, with a word on how old that
	// is, or why there is none. It answers what only reads while no leader does.
	Copy func() (copy *Server, age string, err error)
	// Files and Artifacts are this scheduler's own.
	Files     Files
	Artifacts http.Handler
	Log       logrus.FieldLogger
	Gatherer  prometheus.Gatherer
	// Gate says who may see this scheduler's metrics. What is passed on is for the
	// leader to judge.
	Gate *access.Gate
	// LeaderTLS verifies the leader's certificate; nil means by the machine's
	// authorities.
	LeaderTLS *tls.Config
}

// passedOn marks a request that a standby has passed on, so that two schedulers
// which take each other for the leader do not pass it to and fro.
const passedOn = "Tandem-Passed-On"

// NoticeHeader says, of an answer, what a person should know who reads it.
const NoticeHeader = "Tandem-Notice"

// maxKept bounds a request that is kept in case the leader does not answer it, in
// bytes. Those that only read are small.
const maxKept = 64 << 10

// Standby serves in place of a Server while another scheduler leads. It answers
// for its own health, readiness and metrics, serves the artifacts that it has,
// and passes everything else on to the leader: what it shows is what the leader
// shows. While there is no leader, or the leader does not answer, what only reads
// is answered from a copy of what was saved, and says so; the rest fails as
// unavailable.
type Standby struct {
	opt    StandbyOptions
	needs  map[string]*tandemv1.Needs
	proxy  *httputil.ReverseProxy
	mux    *http.ServeMux
	ending context.Context
	end    context.CancelFunc
}

type passedKey struct{}

// passed is a request as it came.
type passed struct {
	leader *url.URL
	asked  *http.Request
	// body is the whole of a request that only reads, and kept says that it is
	// one.
	body []byte
	kept bool
}

func passing(r *http.Request) passed {
	p, _ := r.Context().Value(passedKey{}).(passed)
	return p
}

// NewStandby returns a standby, for a Front to have its requests answered by.
func NewStandby(opt StandbyOptions) (*Standby, error) {
	if opt.Leader == nil || opt.Files == nil || opt.Artifacts == nil || opt.Log == nil || opt.Gatherer == nil || opt.Gate == nil {
		return nil, errors.New("cannot make the API of a standby: Leader, Files, Artifacts, Log, Gatherer or Gate is missing")
	}
	needed, err := needs(tandemv1.File_tandem_v1_api_proto.Services().ByName("SchedulerService"))
	if err != nil {
		return nil, fmt.Errorf("cannot make the API of a standby: %w", err)
	}
	s := &Standby{opt: opt, needs: needed, mux: http.NewServeMux()}
	s.ending, s.end = context.WithCancel(context.Background())
	s.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(passing(r.In).leader)
			r.SetXForwarded()
			// The page's requests come from this host, which the leader checks.
			r.Out.Host = r.In.Host
			r.Out.Header.Set(passedOn, "1")
		},
		Transport: newTransport(opt.LeaderTLS),
		// Watches and logs are passed on as they come.
		FlushInterval: -1,
		ErrorLog:      log.New(writer{opt.Log}, "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			p := passing(r)
			why := fmt.Errorf("the leader at %s does not answer this standby: %w", p.leader, err)
			if s.ending.Err() != nil {
				why = errors.New("this scheduler does not stand by any more, and had no answer yet; try again")
			}
			s.fallBack(w, p, why)
		},
	}
	s.mux.HandleFunc("GET /metrics", s.metrics)
	s.mux.HandleFunc("GET /healthz", healthy)
	s.mux.HandleFunc("GET /readyz", s.ready)
	s.mux.HandleFunc("GET /artifacts/{digest}/{name}", s.artifact)
	s.mux.HandleFunc("/", s.pass)
	return s, nil
}

// Handler answers requests.
func (s *Standby) Handler() http.Handler { return s.mux }

// End ends calls in flight at once: those to an earlier leader must not hold up the
// next.
func (s *Standby) End() { s.end() }

// metrics shows this scheduler's own metrics to whoever may read some job.
func (s *Standby) metrics(w http.ResponseWriter, r *http.Request) {
	token, err := bearerToken(r)
	var grant *access.Grant
	if err == nil {
		grant, err = s.opt.Gate.Caller(r.Context(), token, r)
	}
	if err != nil || !grant.MaySome(tandemv1.Right_RIGHT_READ) {
		http.Error(w, "metrics are for those who may read some job", http.StatusUnauthorized)
		return
	}
	promhttp.HandlerFor(s.opt.Gatherer, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// pass passes a request on to the leader.
func (s *Standby) pass(w http.ResponseWriter, r *http.Request) {
	p, err := s.keep(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.Header.Get(passedOn) != "" {
		s.fallBack(w, p, errors.New("the scheduler that was taken for the leader does not lead; try again"))
		return
	}
	address, err := s.opt.Leader()
	if err != nil {
		s.fallBack(w, p, fmt.Errorf("this scheduler stands by, and no leader is known: %w", err))
		return
	}
	if token, err := bearerToken(r); s.needs[r.URL.Path] != nil && token == "" && err == nil && certified(r) {
		s.unavailable(w, r, fmt.Errorf("this scheduler stands by, and cannot prove to the leader who has called: call the leader itself, at %s, or bring a token", address))
		return
	}
	if p.leader, err = url.Parse(address); err != nil {
		s.unavailable(w, r, fmt.Errorf("the leader has the address %q, which is none", address))
		return
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), passedKey{}, p))
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	s.proxy.ServeHTTP(w, p.again(ctx))
}

// keep reads a request that only reads, so that it can be answered twice. What
// else there is, or is too large to be one, is passed on as it comes.
func (s *Standby) keep(r *http.Request) (passed, error) {
	p := passed{asked: r}
	if need, call := s.needs[r.URL.Path]; call {
		if r.Method != http.MethodPost || need.GetRight() != tandemv1.Right_RIGHT_READ {
			return p, nil
		}
	} else if r.Method != http.MethodGet || r.URL.Path == "/login" || strings.HasPrefix(r.URL.Path, sessionPath) {
		return p, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxKept+1))
	if err != nil {
		return p, fmt.Errorf("the request cannot be read: %w", err)
	}
	p.body = body
	if p.kept = len(body) <= maxKept; !p.kept {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	}
	return p, nil
}

// again returns the request as it came.
func (p passed) again(ctx context.Context) *http.Request {
	r := p.asked.Clone(ctx)
	if p.kept {
		r.Body = io.NopCloser(bytes.NewReader(p.body))
	}
	return r
}

// fallBack answers a request that only reads from the copy, and says why others
// cannot be answered.
func (s *Standby) fallBack(w http.ResponseWriter, p passed, why error) {
	if s.opt.Copy == nil || !p.kept || !s.proves(p.asked) {
		s.unavailable(w, p.asked, why)
		return
	}
	own, age, err := s.opt.Copy()
	if err != nil {
		s.unavailable(w, p.asked, fmt.Errorf("%w; and this standby cannot answer by itself: %w", why, err))
		return
	}
	w.Header().Set(NoticeHeader, present.OneLine(age))
	ctx, cancel := context.WithCancel(p.asked.Context())
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	own.Handler().ServeHTTP(w, p.again(ctx))
}

// proves reports whether a request brings what its caller is known by. A login is
// known to the leader alone: its browser must not be told that it has ended.
func (s *Standby) proves(r *http.Request) bool {
	if s.opt.Gate.Open() || s.needs[r.URL.Path] == nil {
		return true
	}
	token, err := bearerToken(r)
	return token != "" || err != nil || certified(r)
}

// certified reports whether a caller has shown a certificate, which proves
// something on this connection alone.
func certified(r *http.Request) bool { return r.TLS != nil && len(r.TLS.PeerCertificates) > 0 }

// artifact serves a file that is here, for agents that were told this address
// when this scheduler led, and passes others on.
func (s *Standby) artifact(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.opt.Files.Find(r.PathValue("digest"), r.PathValue("name")); ok {
		s.opt.Artifacts.ServeHTTP(w, r)
		return
	}
	s.pass(w, r)
}

// ready answers 200 while a leader is known that calls are passed on to.
func (s *Standby) ready(w http.ResponseWriter, _ *http.Request) {
	leader, err := s.opt.Leader()
	if err != nil {
		readiness(w, http.StatusServiceUnavailable, "standby; no leader is known: "+err.Error())
		return
	}
	readiness(w, http.StatusOK, "ok; standby of the leader at "+leader)
}

// unavailable says why no leader answers.
func (s *Standby) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	unavailable(w, r, refusedAs(connect.CodeUnavailable, "NO_LEADER", err))
}

// unavailable answers in the protocol that the client speaks.
func unavailable(w http.ResponseWriter, r *http.Request, err *connect.Error) {
	w.Header().Set("Retry-After", "1")
	if errors := connect.NewErrorWriter(); errors.IsSupported(r) {
		_ = errors.Write(w, r, err)
		return
	}
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// byProtocol speaks to the leader as the client speaks to the standby: gRPC
// needs HTTP/2.
type byProtocol struct{ one, two http.RoundTripper }

func newTransport(secure *tls.Config) http.RoundTripper {
	transport := func(two bool) http.RoundTripper {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!two)
		protocols.SetUnencryptedHTTP2(two)
		protocols.SetHTTP2(true)
		return &http.Transport{
			DialContext:     (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 5 * time.Second}).DialContext,
			Protocols:       protocols,
			TLSClientConfig: secure.Clone(),
			IdleConnTimeout: time.Minute,
		}
	}
	return byProtocol{transport(false), transport(true)}
}

// RoundTrip implements http.RoundTripper.
func (b byProtocol) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ProtoMajor == 2 {
		return b.two.RoundTrip(r)
	}
	return b.one.RoundTrip(r)
}
