package api

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

// FrontOptions are what a Front is made of.
type FrontOptions struct {
	// TLS has it speak https; nil has it speak http.
	TLS *tls.Config
	// Connections is how many may be open, of which one address may have half.
	// Agents that fetch the executor have one each. Default: 20000.
	Connections int
	// Log and Registerer are required.
	Log        logrus.FieldLogger
	Registerer prometheus.Registerer
}

// drainTime is how long calls in flight may take when a front stops.
const drainTime = 5 * time.Second

// Answerer is who has the answers for a while: a Standby or a Server.
type Answerer interface {
	Handler() http.Handler
	// End ends what would go on for ever, and may be called again.
	End()
}

// Front takes the connections of an address for as long as the process runs, and has
// requests answered by whoever can: by a Standby first, say, and then by a Server. A
// request that comes between the two waits, so that no connection is cut for the
// change. Its methods are safe for concurrent use.
type Front struct {
	opt     FrontOptions
	open    prometheus.Gauge
	refused prometheus.Counter
	// ending is done when no new requests are taken.
	ending context.Context
	end    context.CancelFunc

	// mu guards what is below.
	mu sync.Mutex
	// answers is nil while nobody has the answers.
	answers Answerer
	// changed is closed, and replaced, when that becomes another.
	changed chan struct{}
}

// NewFront returns a front that has nobody to answer yet.
func NewFront(opt FrontOptions) (*Front, error) {
	if opt.Log == nil || opt.Registerer == nil {
		return nil, errors.New("cannot make the API's front: Log or Registerer is missing")
	}
	opt.Connections = cmp.Or(opt.Connections, 20_000)
	f := &Front{
		opt: opt, changed: make(chan struct{}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tandem_api_connections",
			Help: "Connections with the API that are open, those of agents that fetch included.",
		}),
		refused: refused("connections"),
	}
	f.ending, f.end = context.WithCancel(context.Background())
	for _, c := range []prometheus.Collector{f.open, f.refused} {
		if err := opt.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("cannot make the API's front: cannot register metrics: %w", err)
		}
	}
	return f, nil
}

// Answer has requests answered by another from now on, and ends what the one before
// would go on with for ever. With nil they wait.
func (f *Front) Answer(by Answerer) {
	f.mu.Lock()
	before := f.answers
	f.answers = by
	close(f.changed)
	f.changed = make(chan struct{})
	f.mu.Unlock()
	if before != nil {
		before.End()
	}
}

func (f *Front) now() (Answerer, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.answers, f.changed
}

// ServeHTTP answers a request, once there is somebody to answer it.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for {
		by, changed := f.now()
		switch {
		case by != nil:
			by.Handler().ServeHTTP(w, r)
			return
		case r.URL.Path == "/healthz":
			healthy(w, r)
			return
		case r.URL.Path == "/readyz":
			readiness(w, http.StatusServiceUnavailable, "not yet: the state is being read")
			return
		}
		select {
		case <-changed:
		case <-f.ending.Done():
			unavailable(w, r, refusedAs(connect.CodeUnavailable, "STOPPING", errStopping))
			return
		case <-r.Context().Done():
			return
		}
	}
}

// Serve answers requests on the listener until ctx ends. Then it takes no new
// ones, ends watches, gives calls in flight some seconds, and returns nil. It
// closes the listener, and is called once.
func (f *Front) Serve(ctx context.Context, l net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	// gRPC clients without TLS speak HTTP/2 in clear.
	protocols.SetUnencryptedHTTP2(f.opt.TLS == nil)
	protocols.SetHTTP2(f.opt.TLS != nil)
	srv := &http.Server{
		Handler:           f,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(writer{f.opt.Log}, "", 0),
	}
	end := func() {
		f.end()
		if by, _ := f.now(); by != nil {
			by.End()
		}
	}
	srv.RegisterOnShutdown(end)
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if srv.Shutdown(bounded) != nil {
			_ = srv.Close()
		}
	})
	l = &limitedListener{Listener: l, most: f.opt.Connections, byHost: map[string]int{}, open: f.open, refused: f.refused}
	serve := srv.Serve
	if f.opt.TLS != nil {
		srv.TLSConfig = f.opt.TLS
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	}
	err := serve(l)
	if stop() {
		end()
		_ = srv.Close()
		return fmt.Errorf("cannot go on serving the API on %s: %w", l.Addr(), err)
	}
	<-stopped
	return nil
}

// writer hands what net/http has to say to the log.
type writer struct{ log logrus.FieldLogger }

func (w writer) Write(p []byte) (int, error) {
	w.log.Debug(string(p[:max(0, len(p)-1)]))
	return len(p), nil
}
