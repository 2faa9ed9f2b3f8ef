package check

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/executor/core"
)

func portOf(t *testing.T, address net.Addr) uint32 {
	t.Helper()
	_, port, err := net.SplitHostPort(address.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) uint32 {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return portOf(t, listener.Addr())
}

func TestHTTP(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/broken", http.StatusFound)
		case "/moved-well":
			http.Redirect(w, r, "/health", http.StatusMovedPermanently)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/unchanged":
			w.WriteHeader(http.StatusNotModified)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/slow":
			<-r.Context().Done()
		case "/half":
			w.Header().Set("Content-Length", "2")
			w.Write([]byte("a"))
		case "/endless":
			w.Write([]byte("a"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	port := portOf(t, plain.Listener.Addr())
	for name, c := range map[string]struct {
		check core.HTTPCheck
		want  core.CheckResult
	}{
		"well":                         {core.HTTPCheck{Scheme: "http", Port: port, Path: "/health"}, core.CheckResult{Status: 200}},
		"no path":                      {core.HTTPCheck{Scheme: "http", Port: port}, core.CheckResult{Status: 200}},
		"a query":                      {core.HTTPCheck{Scheme: "http", Port: port, Path: "/health?deep=1"}, core.CheckResult{Status: 200}},
		"a redirect to what is unwell": {core.HTTPCheck{Scheme: "http", Port: port, Path: "/moved"}, core.CheckResult{Status: 500}},
		"a redirect to what is well":   {core.HTTPCheck{Scheme: "http", Port: port, Path: "/moved-well"}, core.CheckResult{Status: 200}},
		"an answer of 304":             {core.HTTPCheck{Scheme: "http", Port: port, Path: "/unchanged"}, core.CheckResult{Status: 304}},
		"redirects without end":        {core.HTTPCheck{Scheme: "http", Port: port, Path: "/round"}, core.CheckResult{Err: "GET http://127.0.0.1:" + strconv.Itoa(int(port)) + "/round: more than 50 redirects"}},
		"unwell":                       {core.HTTPCheck{Scheme: "http", Port: port, Path: "/broken"}, core.CheckResult{Status: 500}},
		"TLS, unverified":              {core.HTTPCheck{Scheme: "https", Port: portOf(t, secure.Listener.Addr()), Path: "/"}, core.CheckResult{Status: 200}},
		"an answer that breaks off":    {core.HTTPCheck{Scheme: "http", Port: port, Path: "/half"}, core.CheckResult{Err: "GET http://127.0.0.1:" + strconv.Itoa(int(port)) + "/half: unexpected EOF"}},
		"an unusable path":             {core.HTTPCheck{Scheme: "http", Port: port, Path: "/%zz"}, core.CheckResult{Err: `cannot use the path "/%zz": parse "http://127.0.0.1:` + strconv.Itoa(int(port)) + `/%zz": invalid URL escape "%zz"`}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := HTTP(t.Context(), c.check); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	closed := freePort(t)
	want := "GET http://127.0.0.1:" + strconv.Itoa(int(closed)) + "/: connection refused"
	if got := HTTP(t.Context(), core.HTTPCheck{Scheme: "http", Port: closed}); got.Err != want {
		t.Errorf("got %q, want %q", got.Err, want)
	}
	for _, path := range []string{"/slow", "/endless"} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errors.New("no answer within 10ms"))
		defer cancel()
		want = "GET http://127.0.0.1:" + strconv.Itoa(int(port)) + path + ": no answer within 10ms"
		if got := HTTP(ctx, core.HTTPCheck{Scheme: "http", Port: port, Path: path}); got.Err != want {
			t.Errorf("got %q, want %q", got.Err, want)
		}
	}
}

func TestTCP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if got := TCP(t.Context(), core.TCPCheck{Port: portOf(t, listener.Addr())}); !got.Connected || got.Err != "" {
		t.Errorf("got %+v, want a connection", got)
	}
	if got := TCP(t.Context(), core.TCPCheck{Port: freePort(t)}); got.Connected || got.Err != "" {
		t.Errorf("got %+v, want a refused connection", got)
	}
	if got := TCP(t.Context(), core.TCPCheck{Port: 0}); got.Connected || got.Err != "" {
		t.Errorf("got %+v, want none to a port that cannot be", got)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no answer within 5s"))
	if got := TCP(ctx, core.TCPCheck{Port: 9}); got.Err != "connection to port 9: no answer within 5s" {
		t.Errorf("got %+v", got)
	}
}
