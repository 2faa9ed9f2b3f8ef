package agent

import (
	"net"
	"net/http"
	"sync"
)

// server is an HTTP server that knows when its last handler has returned.
type server struct {
	listener net.Listener
	http     *http.Server
	active   sync.WaitGroup
}

func newServer(l net.Listener, h http.Handler) *server {
	s := &server{listener: l}
	s.http = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.active.Add(1)
		defer s.active.Done()
		h.ServeHTTP(w, r)
	})}
	return s
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
	// Neither can fail in a way that matters: what is closed is closed.
	_ = s.listener.Close()
	_ = s.http.Close()
	s.active.Wait()
}
