package schedulerapi_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tandem-mesos/tandem/pkg/mesos/detect"
	"github.com/tandem-mesos/tandem/pkg/mesos/schedulerapi"
)

func TestSubscribe(t *testing.T) {
	m := &master{Events: []*scheduler.Event{subscribed(15), heartbeat()}}
	addr := start(t, m)
	c := client(t, schedulerapi.Options{Credential: func() *schedulerapi.Credential {
		return &schedulerapi.Credential{Principal: "payments", Secret: "s3cret"}
	}}, addr)
	s := subscribe(t, c)
	if s.Master() != addr {
		t.Errorf("subscribed with %s, want %s", s.Master(), addr)
	}
	e, err := s.Next()
	if err != nil || e.GetSubscribed().GetFrameworkID().GetValue() != "77a7fa47-0002" {
		t.Errorf("got %v, %v, want SUBSCRIBED", e, err)
	}
	if e, err := s.Next(); err != nil || e.Type != scheduler.Event_HEARTBEAT {
		t.Errorf("got %v, %v, want HEARTBEAT", e, err)
	}
	for i, err := range s.Send(context.Background(), kills(2)) {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	_, headers := m.seen()
	for i, h := range headers {
		for name, want := range map[string]string{
			"Content-Type":  "application/x-protobuf",
			"Accept":        "application/x-protobuf",
			"Authorization": "Basic cGF5bWVudHM6czNjcmV0",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("request %d: %s is %q, want %q", i, name, got, want)
			}
		}
		if got, want := h.Get("Mesos-Stream-Id"), []string{"", streamID, streamID}[i]; got != want {
			t.Errorf("request %d: Mesos-Stream-Id is %q, want %q", i, got, want)
		}
	}
	_, err = s.Next()
	wantError(t, err, schedulerapi.Unavailable, "the subscription with the master at "+addr+" ended: the connection was closed")
}

// TestSubscribeAnswers has what masters answer instead of a subscription.
func TestSubscribeAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		text   string
		kind   schedulerapi.Kind
		// want is the error's text, in which M is the master's address.
		want string
	}{
		{"while it recovers", 503, "Master has not finished recovery", schedulerapi.Unavailable,
			"the master at M cannot take the call now (503): Master has not finished recovery"},
		{"while none leads", 503, "No leader elected", schedulerapi.Unavailable,
			"the master at M cannot take the call now (503): No leader elected"},
		{"without good credentials", 401, "401 Unauthorized.", schedulerapi.Refused,
			"the master at M does not accept the principal and secret of this scheduler (401)"},
		{"with another's principal", 400, "Failed to validate scheduler::Call: Authenticated principal 'fw-a' does not match principal 'fw-b' set in `FrameworkInfo`", schedulerapi.Refused,
			"the master at M refuses the call (400): Failed to validate scheduler::Call: Authenticated principal 'fw-a' does not match principal 'fw-b' set in `FrameworkInfo`"},
		{"without permission", 403, "403 Forbidden.", schedulerapi.Refused,
			"the master at M refuses the call (403): 403 Forbidden."},
		{"from some other server", 404, "404 page not found\n", schedulerapi.Refused,
			"what answers at M is not a Mesos master (404: 404 page not found)"},
		{"from a proxy before it", 502, "<html>\n<h1>Bad Gateway</h1>", schedulerapi.Uncertain,
			"the master at M cannot take the call now (502): <html> <h1>Bad Gateway</h1>"},
		{"with a page", 200, "<html>", schedulerapi.Refused,
			`the master at M refuses the call (200): it answers with "text/plain; charset=utf-8" and the stream ID "", and so is not a Mesos master`},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { refuse(w, c.status, c.text) }))
			_, err := client(t, schedulerapi.Options{}, addr).Subscribe(context.Background(), subscribeCall())
			wantError(t, err, c.kind, strings.ReplaceAll(c.want, "M ", addr+" "))
		})
	}
}

// TestErrorEvent: what is wrong with the framework rather than with the call is
// answered by 200, one ERROR event and the end.
func TestErrorEvent(t *testing.T) {
	m := &master{Events: []*scheduler.Event{
		{Type: scheduler.Event_ERROR, Error: &scheduler.Event_Error{Message: "Framework has been removed"}},
	}}
	s := subscribe(t, client(t, schedulerapi.Options{}, start(t, m)))
	if e, err := s.Next(); err != nil || e.GetError().GetMessage() != "Framework has been removed" {
		t.Errorf("got %v, %v, want ERROR", e, err)
	}
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
}

// redirect answers as a master that does not lead.
func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

func TestRedirectToTheLeader(t *testing.T) {
	path := ""
	m := &master{Stay: true, Before: func(_ http.ResponseWriter, r *http.Request) bool {
		path = r.URL.Path
		return false
	}}
	leader := start(t, m)
	other := start(t, redirect("//"+leader+"/master/api/v1/scheduler"))
	third := start(t, redirect("//"+other))
	s := subscribe(t, client(t, schedulerapi.Options{}, third))
	if s.Master() != leader || path != "/master/api/v1/scheduler" {
		t.Errorf("subscribed with %s at %s, want the leader %s at the path that it was named with", s.Master(), path, leader)
	}
	if errs := s.Send(context.Background(), kills(1)); errs[0] != nil {
		t.Error(errs[0])
	}
	if calls, _ := m.seen(); len(calls) != 1 {
		t.Errorf("the leader got %d calls, want 1", len(calls))
	}
}

func TestRedirectsThatLeadNowhere(t *testing.T) {
	dead := nobody(t)
	toDead := start(t, redirect("//"+dead+"/master/api/v1/scheduler"))
	var second string
	first := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { redirect("//"+second)(w, r) }))
	second = start(t, redirect("//"+first))
	toNobody := start(t, redirect(""))
	for _, c := range []struct{ name, master, want string }{
		{"to a dead leader, until ZooKeeper notices", toDead, "cannot reach the master at " + dead + ": connection refused"},
		{"in a circle", first, "masters name each other as leader: " + first + " → " + second + " → " + first},
		{"without a leader", toNobody, "the master at " + toNobody + " does not lead, and names no leader"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := client(t, schedulerapi.Options{}, c.master).Subscribe(context.Background(), subscribeCall())
			wantError(t, err, schedulerapi.Unavailable, c.want)
		})
	}
}

func TestMastersOfAListAreTriedInTurn(t *testing.T) {
	dead, live := nobody(t), start(t, &master{Stay: true})
	c := client(t, schedulerapi.Options{}, dead, live)
	_, err := c.Subscribe(context.Background(), subscribeCall())
	wantError(t, err, schedulerapi.Unavailable, "cannot reach the master at "+dead+": connection refused")
	if s := subscribe(t, c); s.Master() != live {
		t.Errorf("subscribed with %s, want %s", s.Master(), live)
	}
}

// leads is a Detector whose leader can change.
type leads struct {
	address string
	changed chan struct{}
	doubt   error
}

func (d leads) Leader(context.Context) (detect.Leader, error) {
	return detect.Leader{Address: d.address, Changed: d.changed, Doubt: d.doubt}, nil
}

func TestSubscriptionEndsWhenAnotherLeads(t *testing.T) {
	d := leads{address: start(t, &master{Stay: true}), changed: make(chan struct{})}
	s := subscribe(t, client(t, schedulerapi.Options{Detector: d}))
	close(d.changed)
	_, err := s.Next()
	wantError(t, err, schedulerapi.Unavailable, "the subscription with the master at "+d.address+" ended: another master leads now")
}

// TestALeaderInDoubt: where the one that is said to lead does not answer, the error
// says what speaks against it; where it answers, that does not matter.
func TestALeaderInDoubt(t *testing.T) {
	d := leads{address: nobody(t), doubt: errors.New("nobody was asked lately")}
	_, err := client(t, schedulerapi.Options{Detector: d}).Subscribe(t.Context(), subscribeCall())
	wantError(t, err, schedulerapi.Unavailable, "cannot reach the master at "+d.address+": connection refused; nobody was asked lately")
	d.address = start(t, &master{Stay: true})
	subscribe(t, client(t, schedulerapi.Options{Detector: d}))
}

// TestSilence: a master, or the way to it, that has died without closing the
// connection is noticed by the heartbeats that do not come.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &master{Stay: true, Events: []*scheduler.Event{subscribed(15), heartbeat()}}
		network := newPipes()
		server := &http.Server{Handler: m}
		go server.Serve(network)
		defer server.Close()
		c := client(t, schedulerapi.Options{Dial: network.dial}, "master.example:5050")
		s, err := c.Subscribe(context.Background(), subscribeCall())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range 2 {
			if _, err := s.Next(); err != nil {
				t.Fatal(err)
			}
			// An event that takes its reader long is not silence.
			time.Sleep(time.Hour)
		}
		start := time.Now()
		_, err = s.Next()
		wantError(t, err, schedulerapi.Unavailable, "the subscription with the master at master.example:5050 ended: no event and no heartbeat came for too long")
		if d := time.Since(start); d != 45*time.Second {
			t.Errorf("noticed after %s, want 3 intervals of 15s", d)
		}
	})
}

func TestSubscriptionEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s, err := client(t, schedulerapi.Options{}, start(t, &master{Stay: true})).Subscribe(ctx, subscribeCall())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cancel()
	if _, err := s.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestOptions(t *testing.T) {
	for name, opt := range map[string]schedulerapi.Options{
		"no detector":        {},
		"a negative timeout": {Detector: detect.NewList([]string{"a:1"}), AnswerTimeout: -1},
	} {
		if _, err := schedulerapi.New(opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func wantError(t *testing.T, err error, kind schedulerapi.Kind, text string) {
	t.Helper()
	var e *schedulerapi.Error
	switch {
	case !errors.As(err, &e):
		t.Errorf("got %v, want a *schedulerapi.Error", err)
	case e.Kind != kind || e.Error() != text:
		t.Errorf("got kind %d, %q\nwant kind %d, %q", e.Kind, e, kind, text)
	}
}

// pipes is a network without a kernel, so that time in a synctest bubble goes on
// while its connections are idle.
type pipes struct{ conns chan net.Conn }

func newPipes() *pipes { return &pipes{make(chan net.Conn)} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *pipes) Close() error {
	close(p.conns)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(&master{Stay: true, Events: []*scheduler.Event{subscribed(15)}})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	addr := strings.TrimPrefix(server.URL, "https://")
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	s := subscribe(t, client(t, schedulerapi.Options{TLS: func() *tls.Config { return &tls.Config{RootCAs: roots} }}, addr))
	if e, err := s.Next(); err != nil || e.Type != scheduler.Event_SUBSCRIBED {
		t.Errorf("got %v, %v, want SUBSCRIBED", e, err)
	}
	if errs := s.Send(context.Background(), kills(1)); errs[0] != nil {
		t.Error(errs[0])
	}

	_, err := client(t, schedulerapi.Options{TLS: func() *tls.Config { return &tls.Config{} }}, addr).Subscribe(context.Background(), subscribeCall())
	wantError(t, err, schedulerapi.Unavailable, "cannot reach the master at "+addr+": tls: failed to verify certificate: x509: certificate signed by unknown authority")
	plain := start(t, &master{Stay: true})
	_, err = client(t, schedulerapi.Options{TLS: func() *tls.Config { return &tls.Config{} }}, plain).Subscribe(context.Background(), subscribeCall())
	wantError(t, err, schedulerapi.Unavailable, "cannot reach the master at "+plain+": it does not speak TLS")
}
