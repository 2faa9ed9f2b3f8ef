package agent

import (
	"log"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"
)

// server is an HTTP server that knows when its last handler has returned.
type server struct {
	listener net.Listener
	http     *http.Server

	mu       sync.Mutex
	stopping bool           // no handler begins any more
	active   sync.WaitGroup // added to while not stopping
}

func (a *Agent) newServer(l net.Listener) *server {
	if a.options.Wrap != nil {
		l = a.options.Wrap(l)
	}
	return newServer(l, a.router, a.log)
}

func newServer(l net.Listener, h http.Handler, logger logrus.FieldLogger) *server {
	s := &server{listener: l}
	s.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.begin() {
				defer s.active.Done()
				h.ServeHTTP(w, r)
			}
		}),
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(complaints{logger}, "", 0),
	}
	return s
}

func (s *server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.active.Add(1)
	}
	return !s.stopping
}

// complaints lets net/http complain to the logger.
type complaints struct{ logger logrus.FieldLogger }

func (c complaints) Write(p []byte) (int, error) {
	c.logger.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}

// start serves until stop.
func (s *server) start() {
	s.active.Go(func() {
		// It always ends with an error, and here with the one of stop.
		_ = s.http.Serve(s.listener)
	})
}

// stop closes the port and all connections, and waits for the handlers.
func (s *server) stop() {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	// Neither can fail in a way that matters: what is closed is closed.
	_ = s.listener.Close()
	_ = s.http.Close()
	s.active.Wait()
}
