package api

import (
	"cmp"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/tandem-mesos/tandem/scheduler/access"
)

// Limits keep one client from taking what is there for all. Those that are 0 have
// their defaults.
type Limits struct {
	// Rate is how many requests one client may make in a second, over a while;
	// ten times as many may come at once. Callers on this machine who need not
	// prove who they are have no limit. Default: 100; negative: none.
	Rate float64
	// Stall is how long a client may take to send the rest of a request, or to
	// take what it is sent. Default: 1 minute.
	Stall time.Duration
}

func (l Limits) withDefaults() Limits {
	return Limits{cmp.Or(l.Rate, 100), cmp.Or(l.Stall, time.Minute)}
}

// maxClients bounds for how many clients rates are kept.
const maxClients = 10_000

// rates hold how fast each client may go on.
type rates struct {
	limit rate.Limit
	mu    sync.Mutex
	// byClient is begun anew when it has grown too large: a client who was held
	// back then has its burst again, which is the lesser evil.
	byClient map[string]*rate.Limiter
}

func newRates(perSecond float64) *rates {
	r := &rates{limit: rate.Limit(perSecond), byClient: map[string]*rate.Limiter{}}
	if perSecond < 0 {
		r.limit = rate.Inf
	}
	return r
}

// allow reports whether a client may make a request now.
func (r *rates) allow(client string, now time.Time) bool {
	if r.limit == rate.Inf {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.byClient[client]
	if l == nil {
		if len(r.byClient) >= maxClients {
			clear(r.byClient)
		}
		l = rate.NewLimiter(r.limit, max(1, int(10*r.limit)))
		r.byClient[client] = l
	}
	return l.AllowN(now, 1)
}

// mayGoOn reports whether a request is within its client's rate. Clients are told
// apart by what they have proved, or by their address.
func (s *Server) mayGoOn(grant *access.Grant, r *http.Request) bool {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	client := host
	switch ip := net.ParseIP(host); {
	case grant != nil && grant.Name != access.Anonymous:
		client = grant.Name
	case s.opt.Gate.Open() && ip != nil && ip.IsLoopback():
		return true
	}
	return s.rates.allow(client, time.Now())
}

// patient serves a handler whose client is lost when it stalls: one that sends
// nothing more of a request's body, or takes nothing of the answer. How long the
// whole takes is not bounded, for streams go on for ever.
func patient(stall time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		// A stream's client may have nothing to say for long; only who has begun a
		// body of known length has to go on with it.
		if r.ContentLength > 0 {
			r.Body = &patientBody{ReadCloser: r.Body, control: control, stall: stall}
		}
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
		next.ServeHTTP(&patientWriter{ResponseWriter: w, control: control, stall: stall}, r)
	})
}

type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
}

// Read reads on, for as long as the client does not stall.
func (b *patientBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.stall))
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		// The connection is watched for its end from now on.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
}

// Unwrap lets a ResponseController reach what is wrapped.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write writes, for as long as the client does not stall.
func (w *patientWriter) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.stall))
	return w.ResponseWriter.Write(p)
}

// Flush flushes, for as long as the client does not stall.
func (w *patientWriter) Flush() {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.stall))
	_ = w.control.Flush()
}

// limitedListener closes connections at once that are more than may be open.
type limitedListener struct {
	net.Listener
	most    int
	open    prometheus.Gauge
	refused prometheus.Counter
	// mu guards what is below.
	mu     sync.Mutex
	byHost map[string]int
	count  int
}

// Accept returns the next connection that may be open.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		if l.take(host) {
			return &limitedConn{Conn: c, release: sync.OnceFunc(func() { l.release(host) })}, nil
		}
		l.refused.Inc()
		_ = c.Close()
	}
}

func (l *limitedListener) take(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count >= l.most || l.byHost[host] >= max(1, l.most/2) {
		return false
	}
	l.count++
	l.byHost[host]++
	l.open.Set(float64(l.count))
	return true
}

func (l *limitedListener) release(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count--
	if l.byHost[host]--; l.byHost[host] == 0 {
		delete(l.byHost, host)
	}
	l.open.Set(float64(l.count))
}

type limitedConn struct {
	net.Conn
	release func()
}

// ReadFrom sends what a reader holds, by the kernel alone where it can.
func (c *limitedConn) ReadFrom(r io.Reader) (int64, error) {
	if direct, ok := c.Conn.(io.ReaderFrom); ok {
		return direct.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// Close closes the connection, and lets another take its place.
func (c *limitedConn) Close() error {
	c.release()
	return c.Conn.Close()
}
